/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The edges of the key derivation rule, which no test vector will ever hit by chance.
 */
#include "key_derivation.c"

#include "check.h"

int main(void)
{
	uint8_t k[32];

	memcpy(k, order_minus_2, sizeof k); /* n - 2: the last that is taken; the key is n - 1 */
	CHECK(!too_large(k));
	increment(k);
	CHECK(too_large(k) && k[31] == 0x50);
	memset(k, 0xFF, sizeof k);
	CHECK(too_large(k));
	memset(k, 0x00, sizeof k);
	CHECK(!too_large(k));
	increment(k);
	CHECK(k[31] == 1 && k[30] == 0);
	memset(k + 16, 0xFF, 16);
	k[15] = 7;
	increment(k);
	CHECK(k[15] == 8 && k[16] == 0 && k[31] == 0);
	memcpy(k, order_minus_2, sizeof k);
	k[0] = 0xFE; /* smaller in the first byte, whatever follows */
	memset(k + 1, 0xFF, 31);
	CHECK(!too_large(k));
	puts("key range: ok");
	return 0;
}
