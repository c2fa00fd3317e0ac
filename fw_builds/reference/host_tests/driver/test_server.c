/* SPDX-License-Identifier: Apache-2.0 */
/* The SMP server with all its commands over fake services: answers, errors, and mutated messages. */
#include <string.h>

#include "check.h"
#include "commands.h"
#include "fake_services.h"
#include "psa/error.h"

static struct smp_stats stats;
static uint8_t request[SMP_MAX_MESSAGE];
static uint8_t response[SMP_MAX_MESSAGE];

static const struct smp_command_table *const tables[] = {
	&os_commands,    &describe_command, &inference_commands, &measure_commands, &identity_commands,
	&model_commands, &probe_commands,   &link_commands,      &input_commands,
};

static size_t ask_raw(const uint8_t *message, size_t len)
{
	const struct smp_context context = { .stats = &stats, .received = 0 };
	uint8_t *exact = malloc(len == 0 ? 1 : len);

	memcpy(exact, message, len);
	size_t n = smp_answer(tables, COUNT_OF(tables), &context, exact, len, response);

	free(exact);
	CHECK(n == 0 || n >= SMP_HEADER_SIZE);
	CHECK(n <= SMP_MAX_MESSAGE);
	if (n != 0) {
		CHECK((size_t)(response[2] << 8 | response[3]) == n - SMP_HEADER_SIZE);
		CHECK((response[0] & 7) == (message[0] & 7) + 1);
		CHECK(response[1] == 0 && memcmp(response + 4, message + 4, 4) == 0);
	}
	return n;
}

static size_t build(uint8_t op, uint16_t group, uint8_t id, const uint8_t *body, size_t len, unsigned version)
{
	const uint8_t header[SMP_HEADER_SIZE] = {
		(uint8_t)(op | version << 3),
		0,
		(uint8_t)(len >> 8),
		(uint8_t)len,
		(uint8_t)(group >> 8),
		(uint8_t)group,
		42,
		id,
	};

	memcpy(request, header, sizeof(header));
	memcpy(request + sizeof(header), body, len);
	return sizeof(header) + len;
}

static size_t ask(uint8_t op, uint16_t group, uint8_t id, const char *body, size_t len)
{
	return ask_raw(request, build(op, group, id, (const uint8_t *)body, len, 1));
}

static bool answer_is(size_t n, const char *body, size_t len)
{
	return n == SMP_HEADER_SIZE + len && memcmp(response + SMP_HEADER_SIZE, body, len) == 0;
}

#define ASK(op, group, id, body) ask(op, group, id, body, sizeof(body) - 1)
#define ANSWER_IS(n, body) answer_is(n, body, sizeof(body) - 1)

static void os_group_answers(void)
{
	CHECK(ANSWER_IS(ASK(SMP_WRITE, 0, 0,
			    "\xa1"
			    "ad"
			    "bhi"),
			"\xa1"
			"ar"
			"bhi"));
	CHECK(ANSWER_IS(ASK(SMP_READ, 0, 6, "\xa0"), "\xa2hbuf_size\x19\x10\x00ibuf_count\x02"));
	CHECK(!reset_requested());
	CHECK(ANSWER_IS(ASK(SMP_WRITE, 0, 5, "\xa0"), "\xa0"));
	CHECK(reset_requested());
}

static void errors_are_as_the_protocol_says(void)
{
	CHECK(ANSWER_IS(ASK(SMP_READ, 0, 0, "\xa0"), "\xa1"
						     "brc\x08"));   /* wrong operation */
	CHECK(ANSWER_IS(ASK(SMP_WRITE, 0, 99, "\xa0"), "\xa1"
						       "brc\x08")); /* unknown command */
	CHECK(ANSWER_IS(ASK(SMP_READ, 1, 0, "\xa0"), "\xa1"
						     "brc\x08"));   /* unknown group */
	CHECK(ANSWER_IS(ASK(SMP_READ, 64, 0, ""), "\xa1"
						  "brc\x03"));      /* no CBOR at all */
	CHECK(ANSWER_IS(ASK(SMP_READ, 64, 0,
			    "\xa1"
			    "aa\x01"),
			"\xa1"
			"brc\x03")); /* unknown key */
	CHECK(ANSWER_IS(ASK(SMP_READ, 64, 5,
			    "\xa1"
			    "ckey\x20"),
			"\xa1"
			"brc\x03")); /* wrong type */
	CHECK(stats.cbor == 3);
	/* a refusal of the device: PSA_ERROR_INVALID_ARGUMENT of group 64 */
	CHECK(ANSWER_IS(ASK(SMP_WRITE, 64, 1,
			    "\xa1"
			    "dmode"
			    "djump"),
			"\xa1"
			"cerr\xa2"
			"egroup\x18\x40"
			"brc\x18\x87"));
	fake_status = PSA_ERROR_BAD_STATE;
	CHECK(ANSWER_IS(ASK(SMP_READ, 64, 5,
			    "\xa1"
			    "ckey\x01"),
			"\xa1"
			"cerr\xa2"
			"egroup\x18\x40"
			"brc\x18\x89"));
	/* version 1 knows no groups in errors */
	CHECK(ANSWER_IS(ask_raw(request, build(SMP_READ, 64, 5,
					       (const uint8_t *)"\xa1"
								"ckey\x01",
					       6, 0)),
			"\xa1"
			"brc\x01"));
	CHECK((response[0] >> 3 & 3) == 0);
	fake_status = PSA_SUCCESS;
	/* a version that does not exist yet */
	CHECK(ANSWER_IS(ask_raw(request, build(SMP_READ, 64, 0, (const uint8_t *)"\xa0", 1, 2)), "\xa1"
												 "brc\x0d"));
}

static void what_is_no_request_gets_no_answer(void)
{
	uint32_t before = stats.bad;

	CHECK(ask_raw(request, 0) == 0 && ask_raw(request, 7) == 0);
	CHECK(ASK(SMP_READ_RSP, 64, 0, "\xa0") == 0);
	CHECK(ASK(SMP_WRITE_RSP, 64, 0, "\xa0") == 0);
	CHECK(ASK(7, 64, 0, "\xa0") == 0);
	size_t n = build(SMP_READ, 64, 0, (const uint8_t *)"\xa0", 1, 1);

	request[3] = 2; /* longer than it is */
	CHECK(ask_raw(request, n) == 0);
	request[3] = 0;
	CHECK(ask_raw(request, n) == 0);
	CHECK(stats.bad == before + 7);
}

static void probe_says_whether_it_faulted(void)
{
	static const char read_it[] = "\xa3"
				      "bop\x00"
				      "daddr\x18\x40"
				      "dsize\x04";

	fake_faults = 0;
	CHECK(ANSWER_IS(ASK(SMP_WRITE, 64, 7, read_it), "\xa3"
							"efault\xf4"
							"cval\x18\x40"
							"an\x00"));
	fake_faults = 1;
	CHECK(ASK(SMP_WRITE, 64, 7, read_it) > 0);
	CHECK(memcmp(response + SMP_HEADER_SIZE,
		     "\xa3"
		     "efault\xf5"
		     "an\x01"
		     "dinfo",
		     16) == 0);
	fake_faults = 0;
	/* a read with a value, a write without, three bytes */
	CHECK(response[0] != 0 && ANSWER_IS(ASK(SMP_WRITE, 64, 7,
						"\xa4"
						"bop\x00"
						"daddr\x00"
						"dsize\x04"
						"cval\x00"),
					    "\xa1"
					    "cerr\xa2"
					    "egroup\x18\x40"
					    "brc\x18\x87"));
	CHECK(ANSWER_IS(ASK(SMP_WRITE, 64, 7,
			    "\xa3"
			    "bop\x01"
			    "daddr\x00"
			    "dsize\x04"),
			"\xa1"
			"cerr\xa2"
			"egroup\x18\x40"
			"brc\x18\x87"));
	CHECK(ANSWER_IS(ASK(SMP_WRITE, 64, 7,
			    "\xa3"
			    "bop\x00"
			    "daddr\x00"
			    "dsize\x03"),
			"\xa1"
			"cerr\xa2"
			"egroup\x18\x40"
			"brc\x18\x87"));
}

/* One good request for each command: the seeds of the mutations. */
static const struct {
	uint8_t op;
	uint16_t group;
	uint8_t id;
	uint8_t len;
	const char *body;
} good[] = {
#define GOOD(op, group, id, body) { op, group, id, sizeof(body) - 1, body }
	GOOD(SMP_WRITE, 0, 0,
	     "\xa1"
	     "ad"
	     "bhi"),
	GOOD(SMP_WRITE, 0, 5, "\xa0"),
	GOOD(SMP_READ, 0, 6, "\xa0"),
	GOOD(SMP_READ, 64, 0, "\xa0"),
	GOOD(SMP_WRITE, 64, 1,
	     "\xa1"
	     "dmode"
	     "dstep"),
	GOOD(SMP_WRITE, 64, 1,
	     "\xa2"
	     "dmode"
	     "dfree"
	     "bms\x0a"),
	GOOD(SMP_WRITE, 64, 2,
	     "\xa2"
	     "enonceH12345678"
	     "csrc\x00"),
	GOOD(SMP_WRITE, 64, 2,
	     "\xa3"
	     "enonceH12345678"
	     "csrc\x01"
	     "binDabcd"),
	GOOD(SMP_WRITE, 64, 3,
	     "\xa1"
	     "bchX 01234567890123456789012345678901"),
	GOOD(SMP_WRITE, 64, 3,
	     "\xa2"
	     "bchX 01234567890123456789012345678901"
	     "cbuf\x18\x20"),
	GOOD(SMP_READ, 64, 4,
	     "\xa1"
	     "clen\x18\x20"),
	GOOD(SMP_READ, 64, 5,
	     "\xa1"
	     "ckey\x01"),
	GOOD(SMP_READ, 64, 6,
	     "\xa1"
	     "ckey\x02"),
	GOOD(SMP_WRITE, 64, 7,
	     "\xa3"
	     "bop\x00"
	     "daddr\x18\x40"
	     "dsize\x04"),
	GOOD(SMP_WRITE, 64, 7,
	     "\xa4"
	     "bop\x01"
	     "daddr\x18\x40"
	     "dsize\x04"
	     "cval\x07"),
	GOOD(SMP_READ, 64, 8, "\xa0"),
	GOOD(SMP_WRITE, 64, 9,
	     "\xa4"
	     "ah\x1a\x40\x00\x01\x05"
	     "dtype\x20"
	     "bin\x81\x82\x01\x02"
	     "cout\x81\x82\x03\x04"),
	GOOD(SMP_WRITE, 64, 10,
	     "\xa1"
	     "binDabcd"),
	GOOD(SMP_WRITE, 64, 11,
	     "\xa2"
	     "an\x19\x02\x00"
	     "dwarm\x00"),
	GOOD(SMP_READ, 64, 12, "\xa0"),
	GOOD(SMP_WRITE, 64, 13,
	     "\xa1"
	     "dname"
	     "ftamper"),
	GOOD(SMP_WRITE, 64, 14,
	     "\xa4"
	     "coff\x00"
	     "ddataDabcd"
	     "clen\x04"
	     "cshaX 01234567890123456789012345678901"),
	GOOD(SMP_WRITE, 64, 14,
	     "\xa2"
	     "coff\x04"
	     "ddataDabcd"),
	GOOD(SMP_WRITE, 64, 15,
	     "\xa1"
	     "cshaX 01234567890123456789012345678901"),
	GOOD(SMP_WRITE, 64, 16,
	     "\xa1"
	     "binDabcd"),
	GOOD(SMP_WRITE, 64, 16,
	     "\xa3"
	     "binDabcd"
	     "bop\x01"
	     "coff\x02"),
	GOOD(SMP_READ, 64, 17, "\xa0"),
	GOOD(SMP_WRITE, 64, 20,
	     "\xa3"
	     "coff\x00"
	     "ddataDabcd"
	     "clen\x06"),
	GOOD(SMP_WRITE, 64, 20,
	     "\xa2"
	     "coff\x04"
	     "ddataBef"),
	GOOD(SMP_WRITE, 64, 2,
	     "\xa3"
	     "enonceH12345678"
	     "csrc\x01"
	     "bup\x06"),
	GOOD(SMP_WRITE, 64, 10,
	     "\xa1"
	     "bup\x06"),
	GOOD(SMP_WRITE, 64, 11,
	     "\xa3"
	     "an\x01"
	     "dwarm\x00"
	     "bup\x06"),
	GOOD(SMP_WRITE, 64, 16,
	     "\xa1"
	     "bup\x06"),
	GOOD(SMP_WRITE, 64, 18,
	     "\xa2"
	     "an\x03"
	     "clen\x18\x20"),
};

static bool is_error(size_t n)
{
	return n > SMP_HEADER_SIZE + 3 && (memcmp(response + SMP_HEADER_SIZE,
						  "\xa1"
						  "cerr",
						  5) == 0 ||
					   memcmp(response + SMP_HEADER_SIZE,
						  "\xa1"
						  "brc",
						  4) == 0);
}

static void every_command_succeeds_once(void)
{
	for (size_t i = 0; i < COUNT_OF(good); i++) {
		size_t n = ask(good[i].op, good[i].group, good[i].id, good[i].body, good[i].len);

		if (n == 0 || is_error(n)) {
			fprintf(stderr, "group %u command %u: refused (%02x)\n", good[i].group, good[i].id,
				n > 12 ? response[n - 1] : 0);
			exit(1);
		}
	}
}

/* Any change to a request's CBOR, and to its header, is answered, refused or dropped; never more. */
static void mutated_messages(unsigned rounds)
{
	uint64_t state = 2026;

	for (unsigned round = 0; round < rounds; round++) {
		size_t pick = next_random(&state) % COUNT_OF(good);
		size_t n = build(good[pick].op, good[pick].group, good[pick].id, (const uint8_t *)good[pick].body,
				 good[pick].len, 1);
		unsigned changes = 1 + next_random(&state) % 4;
		size_t first = next_random(&state) % 8 == 0 ? 0 : SMP_HEADER_SIZE; /* mostly the body */

		for (unsigned c = 0; c < changes; c++) {
			size_t at = first + next_random(&state) % (n - first);

			switch (next_random(&state) % 4) {
			case 0:
				request[at] ^= (uint8_t)(1u << next_random(&state) % 8);
				break;
			case 1:
				request[at] = (uint8_t)next_random(&state);
				break;
			case 2: /* cut */
				n = at > SMP_HEADER_SIZE ? at : n;
				break;
			default: /* grow */
				memmove(request + at + 1, request + at, n - at);
				n += n < sizeof(request) - 1 ? 1 : 0;
				break;
			}
		}
		if (first != 0) { /* keep the header true, so that the body is looked at */
			request[2] = (uint8_t)((n - SMP_HEADER_SIZE) >> 8);
			request[3] = (uint8_t)(n - SMP_HEADER_SIZE);
		}
		fake_faults = next_random(&state) % 2;
		fake_status = next_random(&state) % 4 == 0 ? PSA_ERROR_NOT_PERMITTED : PSA_SUCCESS;
		(void)ask_raw(request, n);
	}
	fake_status = PSA_SUCCESS;
	CHECK(ANSWER_IS(ASK(SMP_WRITE, 0, 0,
			    "\xa1"
			    "ad"
			    "bhi"),
			"\xa1"
			"ar"
			"bhi"));
}

/* MCUmgr's upload: the next offset is always said, and only the right part is taken. */
static void inputs_in_parts(void)
{
	static const char invalid[] = "\xa1"
				      "cerr\xa2"
				      "egroup\x18\x40"
				      "brc\x18\x87";
	static const char bad_state[] = "\xa1"
					"cerr\xa2"
					"egroup\x18\x40"
					"brc\x18\x89";
#define OFFSET_IS(n, byte)  \
	ANSWER_IS(n, "\xa1" \
		     "coff" byte)
#define PART(offset, data)     \
	ASK(SMP_WRITE, 64, 20, \
	    "\xa2"             \
	    "coff" offset "ddata" data)
#define FIRST(data, length)    \
	ASK(SMP_WRITE, 64, 20, \
	    "\xa3"             \
	    "coff\x00"         \
	    "ddata" data "clen" length)
#define BATCH_OF(length)       \
	ASK(SMP_WRITE, 64, 10, \
	    "\xa1"             \
	    "bup" length)

	CHECK(OFFSET_IS(FIRST("Dabcd", "\x06"), "\x04"));
	CHECK(ANSWER_IS(BATCH_OF("\x06"), bad_state)); /* not whole */
	CHECK(ANSWER_IS(BATCH_OF("\x04"), bad_state));
	CHECK(OFFSET_IS(PART("\x03", "Bef"), "\x04")); /* not the next one */
	CHECK(OFFSET_IS(PART("\x05", "Bef"), "\x04"));
	CHECK(OFFSET_IS(PART("\x1a\xff\xff\xff\xff", "Bef"), "\x04"));
	CHECK(ANSWER_IS(PART("\x04", "Cefg"), invalid)); /* beyond what was announced */
	CHECK(ANSWER_IS(PART("\x00", "Cefg"), invalid)); /* the first says the length */
	CHECK(OFFSET_IS(PART("\x04", "@"), "\x04"));
	CHECK(OFFSET_IS(PART("\x04", "Bef"), "\x06"));
	CHECK(!is_error(BATCH_OF("\x06")));
	CHECK(!is_error(BATCH_OF("\x06"))); /* it stays */
	CHECK(ANSWER_IS(BATCH_OF("\x05"), bad_state));
	CHECK(ANSWER_IS(BATCH_OF("\x00"), bad_state));
	CHECK(OFFSET_IS(PART("\x06", "@"), "\x06"));
	CHECK(ANSWER_IS(PART("\x06", "Ag"), invalid));
	CHECK(ANSWER_IS(ASK(SMP_WRITE, 64, 10,
			    "\xa2"
			    "bin@"
			    "bup\x06"),
			invalid));
	CHECK(ANSWER_IS(ASK(SMP_WRITE, 64, 10, "\xa0"), "\xa1"
							"brc\x03"));
	CHECK(ANSWER_IS(FIRST("Aa", "\x00"), invalid));
	CHECK(ANSWER_IS(FIRST("Bab", "\x01"), invalid));
	CHECK(ANSWER_IS(FIRST("Aa", "\x19\x80\x01"), invalid)); /* 32,769 */
	CHECK(!is_error(BATCH_OF("\x06"))); /* none of these began anew */
	CHECK(OFFSET_IS(FIRST("Aa", "\x19\x80\x00"), "\x01"));
	CHECK(ANSWER_IS(BATCH_OF("\x06"), bad_state));
}

static void largest_answers_fit(void)
{
	static char body[SMP_MAX_MESSAGE];
	size_t text = SMP_MAX_MESSAGE - SMP_HEADER_SIZE - 6;

	memcpy(body,
	       "\xa1"
	       "ad\x79",
	       4);
	body[4] = (char)(text >> 8);
	body[5] = (char)text;
	memset(body + 6, 'x', text);
	CHECK(ask(SMP_WRITE, 0, 0, body, text + 6) == SMP_MAX_MESSAGE);
	/* 512 runs: 2,048 bytes of ticks and what belongs to them */
	size_t n = ASK(SMP_WRITE, 64, 11,
		       "\xa2"
		       "an\x19\x02\x00"
		       "dwarm\x00");

	CHECK(n > 2048 && !is_error(n));
}

int main(int argc, char **argv)
{
	unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 200000;

	os_group_answers();
	errors_are_as_the_protocol_says();
	what_is_no_request_gets_no_answer();
	probe_says_whether_it_faulted();
	every_command_succeeds_once();
	inputs_in_parts();
	largest_answers_fit();
	mutated_messages(rounds);
	printf("%u mutated messages\n", rounds);
	return 0;
}
