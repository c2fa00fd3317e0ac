/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The OTP area: test_otp AREA. The area in the file must be read; empty and damaged ones must be told apart from it.
 */
#include <stdbool.h>
#include <string.h>

#include "check.h"
#include "otp.h"
#include "sha256.h"

static bool all_zero(const struct otp *otp)
{
	static const struct otp zero;

	return memcmp(otp, &zero, sizeof zero) == 0;
}

/* A field changed by someone who also makes the digest right. */
static enum otp_state with_change(const uint8_t *good, size_t at, uint8_t value)
{
	uint8_t area[OTP_SIZE];
	struct otp otp;

	memcpy(area, good, sizeof area);
	area[at] = value;
	sha256(area, 0xE0, area + 0xE0);
	return otp_parse(area, &otp);
}

int main(int argc, char **argv)
{
	uint8_t good[OTP_SIZE], area[OTP_SIZE];
	struct otp otp;

	CHECK(argc == 2);
	FILE *const file = fopen(argv[1], "rb");

	CHECK(file != NULL && fread(good, 1, sizeof good, file) == sizeof good);
	fclose(file);

	CHECK(otp_parse(good, &otp) == OTP_OK);
	CHECK(otp.lifecycle == 0x3000);
	CHECK(otp.huk[0] == 0x11 && otp.huk[31] == 0x11 && otp.implementation_id[0] == 0x22);
	CHECK(otp.nspe_key_hash[0] == 0x33 && otp.model_key_hash[0] == 0x44);
	CHECK(strcmp(otp.certification_reference, "1234567890128-12345") == 0);
	CHECK(strcmp(otp.verification_service, "https://verifier.example/") == 0);

	memset(area, 0x00, sizeof area);
	CHECK(otp_parse(area, &otp) == OTP_EMPTY && all_zero(&otp));
	memset(area, 0xFF, sizeof area);
	CHECK(otp_parse(area, &otp) == OTP_EMPTY && all_zero(&otp));

	for (unsigned bit = 0; bit < 8 * OTP_SIZE; bit++) {
		memcpy(area, good, sizeof area);
		area[bit / 8] ^= (uint8_t)(1u << bit % 8);
		CHECK(otp_parse(area, &otp) == OTP_CORRUPT && all_zero(&otp));
		memset(area, 0x00, sizeof area); /* one bit in an otherwise empty area */
		area[bit / 8] ^= (uint8_t)(1u << bit % 8);
		CHECK(otp_parse(area, &otp) == OTP_CORRUPT && all_zero(&otp));
	}

	CHECK(with_change(good, 0x08, 0x00) == OTP_OK);      /* lifecycle: any value is the owner's */
	CHECK(with_change(good, 0x09, 0xFF) == OTP_OK);
	CHECK(with_change(good, 0x0A, 0x01) == OTP_CORRUPT); /* a lifecycle of more than 16 bits: no such claim */
	CHECK(with_change(good, 0x00, 'X') == OTP_CORRUPT);  /* magic */
	CHECK(with_change(good, 0x04, 2) == OTP_CORRUPT);    /* version */
	CHECK(with_change(good, 0x07, 2) == OTP_CORRUPT);    /* size */
	CHECK(with_change(good, 0x0C, 1) == OTP_CORRUPT);    /* reserved */
	CHECK(with_change(good, 0x50, '\n') == OTP_CORRUPT); /* text */
	CHECK(with_change(good, 0x51, 0x00) == OTP_CORRUPT); /* text that goes on behind its end */
	CHECK(with_change(good, 0x50, '/') == OTP_CORRUPT);  /* certification reference: 13 digits, '-', 5 digits */
	CHECK(with_change(good, 0x5C, ':') == OTP_CORRUPT);
	CHECK(with_change(good, 0x5D, '1') == OTP_CORRUPT);
	CHECK(with_change(good, 0x62, 'x') == OTP_CORRUPT);
	CHECK(with_change(good, 0x62, 0x00) == OTP_CORRUPT); /* a digit short */
	CHECK(with_change(good, 0x63, '6') == OTP_CORRUPT);  /* a digit more */
	CHECK(with_change(good, 0x62, '9') == OTP_OK);
	puts("otp: 4,096 damaged areas refused");
	return 0;
}
