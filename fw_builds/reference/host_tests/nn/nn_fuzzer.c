/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer entry: the bytes are the model. */
#include "nn_host.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	nn_host_exercise(data, size, 128 * 1024);
	return 0;
}
