/* SPDX-License-Identifier: Apache-2.0 */
#include "nn_check.h"

#include "nn.h"

const char *nn_check(const uint8_t *flatbuffer, size_t len, uint8_t *arena, size_t arena_len)
{
	static struct nn_model looked_at;
	const enum nn_status status = nn_model_init(&looked_at, flatbuffer, len, arena, arena_len);
	size_t in_len, out_len;

	if (status != NN_OK) {
		return nn_status_text(status);
	}
	(void)nn_input(&looked_at, &in_len);
	(void)nn_output(&looked_at, &out_len);
	return in_len == 0 || out_len == 0 ? "no input or no output" : NULL;
}
