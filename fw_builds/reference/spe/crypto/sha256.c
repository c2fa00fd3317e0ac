/* SPDX-License-Identifier: Apache-2.0 */
#include "sha256.h"

#include "bearssl_hash.h"

void sha256(const void *data, size_t len, uint8_t digest[SHA256_SIZE])
{
	br_sha256_context context;

	br_sha256_init(&context);
	br_sha256_update(&context, data, len);
	br_sha256_out(&context, digest);
}
