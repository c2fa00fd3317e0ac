/* SPDX-License-Identifier: Apache-2.0 */
/* The CBOR encoder and decoder: examples of RFC 8949 appendix A, and what must be refused. */
#include <string.h>

#include "cbor_decode.h"
#include "cbor_encode.h"
#include "check.h"

static uint8_t buf[64];
static struct cbor_out out;

static void start(void)
{
	cbor_out_init(&out, buf, sizeof(buf));
}

static void expect(const char *hex)
{
	char seen[2 * sizeof(buf) + 1] = "";

	for (size_t i = 0; i < out.used; i++) {
		sprintf(seen + 2 * i, "%02x", out.buf[i]);
	}
	if (out.overflow || strcmp(seen, hex) != 0) {
		fprintf(stderr, "encoded %s, expected %s\n", seen, hex);
		exit(1);
	}
	start();
}

static void encoder_gives_the_examples_of_the_standard(void)
{
	static const struct {
		uint64_t value;
		const char *hex;
	} uints[] = {
		{ 0, "00" },
		{ 23, "17" },
		{ 24, "1818" },
		{ 100, "1864" },
		{ 255, "18ff" },
		{ 256, "190100" },
		{ 1000, "1903e8" },
		{ 65535, "19ffff" },
		{ 65536, "1a00010000" },
		{ 1000000, "1a000f4240" },
		{ 4294967295u, "1affffffff" },
		{ 4294967296u, "1b0000000100000000" },
		{ 1000000000000u, "1b000000e8d4a51000" },
		{ UINT64_MAX, "1bffffffffffffffff" },
	};

	start();
	for (size_t i = 0; i < sizeof(uints) / sizeof(uints[0]); i++) {
		cbor_put_uint(&out, uints[i].value);
		expect(uints[i].hex);
	}
	cbor_put_int(&out, -1);
	expect("20");
	cbor_put_int(&out, -10);
	expect("29");
	cbor_put_int(&out, -1000);
	expect("3903e7");
	cbor_put_int(&out, INT64_MIN);
	expect("3b7fffffffffffffff");
	cbor_put_int(&out, -70001);
	expect("3a00011170");
	cbor_put_bool(&out, false);
	cbor_put_bool(&out, true);
	expect("f4f5");
	cbor_put_float32(&out, 100000.0f);
	expect("fa47c35000");
	cbor_put_text(&out, "IETF");
	expect("6449455446");
	cbor_put_bytes(&out, "\1\2\3\4", 4);
	expect("4401020304");
	cbor_put_bytes(&out, NULL, 0);
	expect("40");
	cbor_put_tag(&out, 18);
	cbor_put_array(&out, 2);
	cbor_put_map(&out, 1);
	expect("d282a1");
	memcpy(cbor_begin_bytes(&out, 30), "abc", 3);
	cbor_end_bytes(&out, 3);
	cbor_put_uint(&out, 1);
	expect("4361626301");
}

static void encoder_never_writes_past_its_buffer(void)
{
	for (size_t size = 0; size < 40; size++) {
		uint8_t *exact = malloc(size == 0 ? 1 : size);

		cbor_out_init(&out, exact, size);
		cbor_put_map(&out, 1000);
		cbor_put_text(&out, "0123456789");
		cbor_put_bytes(&out, "0123456789", 10);
		cbor_put_float32(&out, 1.0f);
		cbor_put_uint(&out, UINT64_MAX);
		CHECK(out.overflow == (size < 3 + 11 + 11 + 5 + 9));
		CHECK(out.used <= size);
		cbor_out_init(&out, exact, size);
		uint8_t *room = cbor_begin_bytes(&out, 20);

		CHECK((room == NULL) == (size < 29));
		if (room != NULL) {
			memset(room, 1, 20);
		}
		cbor_end_bytes(&out, 20);
		CHECK(out.overflow == (size < 29));
		free(exact);
	}
}

static const struct cbor_field fields[] = {
	{ "n", CBOR_TYPE_UINT, true },     { "i", CBOR_TYPE_INT, false },   { "b", CBOR_TYPE_BYTES, false },
	{ "text", CBOR_TYPE_TEXT, false }, { "p", CBOR_TYPE_PAIRS, false },
};
#define FIELDS (sizeof(fields) / sizeof(fields[0]))

static size_t from_hex(const char *hex, uint8_t *bytes)
{
	size_t len = strlen(hex) / 2;

	for (size_t i = 0; i < len; i++) {
		unsigned value;

		CHECK(sscanf(hex + 2 * i, "%2x", &value) == 1);
		bytes[i] = (uint8_t)value;
	}
	return len;
}

static bool decode(const char *hex, struct cbor_value *values)
{
	uint8_t *exact = malloc(strlen(hex) / 2 + 1);
	size_t len = from_hex(hex, exact);
	uint8_t *tight = malloc(len == 0 ? 1 : len);

	memcpy(tight, exact, len);
	bool ok = cbor_decode_map(tight, len, fields, FIELDS, values);

	/* every prefix is refused, whatever it holds */
	for (size_t cut = 0; ok && cut < len; cut++) {
		struct cbor_value ignored[FIELDS];

		CHECK(!cbor_decode_map(tight, cut, fields, FIELDS, ignored));
	}
	free(exact);
	free(tight);
	return ok;
}

static void decoder_takes_what_the_schema_says(void)
{
	struct cbor_value v[FIELDS];

	CHECK(decode("a1616e00", v) && v[0].present && v[0].number == 0 && !v[1].present);
	CHECK(decode("a1616e1bffffffffffffffff", v) && v[0].number == UINT64_MAX);
	CHECK(decode("a2616920616e01", v) && (int64_t)v[1].number == -1);
	CHECK(decode("a261693b7fffffffffffffff616e01", v) && (int64_t)v[1].number == INT64_MIN);
	CHECK(decode("a26162420102616e01", v) && v[2].len == 2);
	CHECK(decode("a264746578746473746570616e01", v) && v[3].len == 4);
	CHECK(decode("a2616e01617082820102821a0001000003", v) && v[4].len == 2 && v[4].pair[1].first == 65536 &&
	      v[4].pair[1].second == 3);
	CHECK(decode("a2616e01617080", v) && v[4].present && v[4].len == 0);
	CHECK(decode("a264746578746464c3a478616e01", v) && v[3].len == 4);
}

static void decoder_refuses_everything_else(void)
{
	static const char *const bad[] = {
		"",                           /* nothing */
		"a0",                         /* required key missing */
		"80",
		"f6",
		"00",             /* not a map */
		"a1616e0000",                 /* trailing byte */
		"a2616e00616e00",             /* key twice */
		"a1617a00",                   /* unknown key */
		"a2616e00617a00",
		"a1416e00",                   /* key is a byte string */
		"a10100",                     /* key is a number */
		"a1616e20",                   /* negative where unsigned is asked */
		"a1616e4100",
		"a1616ef4",
		"a1616ef6",
		"a1616efa00000000",
		"a1616e80",
		"a1616ea0",
		"a1616ec100",
		"bf616e00ff",                 /* indefinite length */
		"a1616e1800",
		"a1616e190001",
		"a1616e1a00000001",
		"a1616e1b0000000000000001", /* not shortest */
		"b801616e00",
		"a178016e00",
		"a1616e1c",
		"a1616e1d",
		"a1616e1e",
		"a1616e1f", /* reserved */
		"a1616e18",
		"a1616e19ff",
		"a1616e1affffff", /* cut */
		"a2616e0061625f4100ff",       /* indefinite byte string */
		"a2616e0061625bffffffffffffffff", /* absurd lengths */
		"bbffffffffffffffff616e00",
		"a17bffffffffffffffff",
		"a2616e00647465787461ff",     /* not UTF-8 */
		"a2616e00647465787462c080",
		"a2616e00647465787463eda080",
		"a2616e00647465787464f4908080",
		"a2616e006474657874610 0",    /* (hex cut short: NUL in text below) */
		"a2616e0061693b8000000000000000",
		"a2616e0061691b8000000000000000", /* beyond int64 */
		"a2616e0061708101",           /* pairs of the wrong shape */
		"a2616e006170818101",
		"a2616e00617081830102 03",
		"a2616e006170818201 20",
		"a2616e0061708182011b0000000100000000",
		"a2616e0061709bffffffffffffffff",
		"a2616e0061708982000082000082000082000082000082000082000082000082 0000",
		"a2616e0061709f820000ff",
		"c0a1616e00",                 /* tagged */
	};
	struct cbor_value v[FIELDS];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char hex[160];
		size_t n = 0;

		for (const char *c = bad[i]; *c != '\0'; c++) {
			if (*c != ' ') {
				hex[n++] = *c;
			}
		}
		hex[n] = '\0';
		if (decode(hex, v)) {
			fprintf(stderr, "accepted: %s\n", hex);
			exit(1);
		}
	}
}

static void decoder_survives_random_bytes(void)
{
	uint64_t state = 42;

	for (unsigned round = 0; round < 200000; round++) {
		size_t len = next_random(&state) % 48;
		uint8_t *exact = malloc(len == 0 ? 1 : len);
		struct cbor_value v[FIELDS];

		for (size_t i = 0; i < len; i++) {
			static const uint8_t likely[] = { 0xa1, 0xa2, 0x61, 'n', 'b', 'p', 'i', 0x64, 0x82, 0x80, 0x18 };
			uint32_t r = next_random(&state);

			exact[i] = r % 3 == 0 ? (uint8_t)(r >> 8) : likely[(r >> 8) % sizeof(likely)];
		}
		if (cbor_decode_map(exact, len, fields, FIELDS, v) && v[2].present) {
			CHECK(v[2].data >= exact && v[2].data + v[2].len <= exact + len);
		}
		free(exact);
	}
}

int main(void)
{
	encoder_gives_the_examples_of_the_standard();
	encoder_never_writes_past_its_buffer();
	decoder_takes_what_the_schema_says();
	decoder_refuses_everything_else();
	decoder_survives_random_bytes();
	return 0;
}
