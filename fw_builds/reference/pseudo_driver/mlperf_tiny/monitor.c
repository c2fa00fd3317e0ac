/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor.h"

#include <string.h>

#include "decimal.h"

#define VENDOR "tfm-harness-reference"
#define PROFILE "MLPerf Tiny protocol, inference in the secure world"
#define BYTES_IN_A_LINE 8u
#define MOST_INFERENCES 1000000u
#define DEFAULT_WARM_UPS 10u

static const struct monitor_engine *engine;
static char command[MONITOR_COMMAND_MAX + 1];
static size_t command_len;
static uint8_t input[MONITOR_INPUT_MAX];
static size_t input_len, input_expected;
static uint8_t loaded[MONITOR_INPUT_MAX];
static size_t loaded_len;

static void put(const char *text)
{
	engine->put(text);
}

static void put_uint(uint64_t value)
{
	char text[DECIMAL_ROOM];

	(void)decimal_uint(text, value);
	put(text);
}

static void put_line_of(const char *before, uint64_t value, const char *after)
{
	put(before);
	put_uint(value);
	put(after);
	put("\r\n");
}

static void put_timestamp(void)
{
	put_line_of("m-lap-us-", engine->microseconds(), "");
}

/* The next word of the command, NUL-terminated in place; NULL: there is none. */
static char *word(char **rest)
{
	char *start = *rest;

	while (*start == ' ') {
		start++;
	}
	if (*start == '\0') {
		return NULL;
	}
	char *end = start;

	while (*end != '\0' && *end != ' ') {
		end++;
	}
	*rest = end;
	if (*end == ' ') {
		*end = '\0';
		*rest = end + 1;
	}
	return start;
}

/* A decimal number of at most `most`; false: something else. */
static bool number(const char *text, uint32_t most, uint32_t *value)
{
	uint32_t found = 0;

	if (*text == '\0') {
		return false;
	}
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9' || found > most) {
			return false;
		}
		found = found * 10 + (uint32_t)(*text - '0');
	}
	*value = found;
	return found <= most;
}

static void name(void)
{
	put("m-name-dut-[" VENDOR "]\r\n");
}

static void profile(void)
{
	char model[16];
	size_t size;

	put("m-profile-[" PROFILE "]\r\nm-model-[");
	put(engine->describe(model, &size) ? model : "");
	put("]\r\n");
}

static int32_t digit(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	if (c >= 'a' && c <= 'f') {
		return c - 'a' + 10;
	}
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static void load_bytes(const char *text)
{
	if (strlen(text) % 2 != 0) {
		put("e-[Insufficent number of hex digits]\r\n");
		return;
	}
	for (; *text != '\0'; text += 2) {
		const int32_t high = digit(text[0]), low = digit(text[1]);

		if (high < 0 || low < 0) {
			put("e-[Invalid hex digit]\r\n");
			return;
		}
		if (input_len == input_expected) {
			put("e-[More bytes than 'db load' announced]\r\n");
			return;
		}
		input[input_len++] = (uint8_t)(high << 4 | low);
		if (input_len == input_expected) {
			put("m-load-done\r\n");
			return;
		}
	}
}

static void print_input(void)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < input_len; i++) {
		const char text[] = { digits[input[i] >> 4], digits[input[i] & 15], '\0' };

		put(i % BYTES_IN_A_LINE == 0 ? "m-buffer-" : "-");
		put(text);
		if (i % BYTES_IN_A_LINE == BYTES_IN_A_LINE - 1 || i == input_len - 1) {
			put("\r\n");
		}
	}
}

static void db(char *rest)
{
	const char *what = word(&rest);
	uint32_t size;

	if (what == NULL) {
		put("e-[Command 'db' requires a subcommand]\r\n");
	} else if (strcmp(what, "load") == 0) {
		const char *count = word(&rest);

		if (count == NULL || !number(count, UINT32_MAX / 16, &size) || size == 0) {
			put("e-[Command 'db load' must be >0 bytes]\r\n");
		} else if (size > sizeof(input)) {
			put_line_of("Supplied buffer size ", size, " exceeds maximum of 27648");
		} else {
			input_len = 0;
			input_expected = size;
			put_line_of("m-[Expecting ", size, " bytes]");
		}
	} else if (strcmp(what, "print") == 0) {
		print_input();
	} else {
		load_bytes(what);
	}
}

static void each_result(const char *text, bool last)
{
	put(text);
	put(last ? "" : ",");
}

static void results(void)
{
	put("m-results-[");
	const bool done = engine->results(loaded, loaded_len, each_result);

	put("]\r\n");
	if (!done) {
		put("e-[Inference failed]\r\n");
	}
}

/* The buffer becomes the model's input, if it has the right size; else that of before stays, and it is said. */
static bool load_tensor(void)
{
	char model[16];
	size_t size;

	if (!engine->describe(model, &size) || size == 0) {
		put("e-[No model]\r\n");
		return false;
	}
	if (input_len != size) {
		put("Input db has ");
		put_uint(input_len);
		put_line_of(" elemented, expected ", size, "");
		return false;
	}
	memcpy(loaded, input, input_len);
	loaded_len = input_len;
	return true;
}

static void infer(char *rest)
{
	const char *first = word(&rest), *second = first != NULL ? word(&rest) : NULL;
	uint32_t count = 1, warm_ups = DEFAULT_WARM_UPS;

	if (first != NULL && (!number(first, MOST_INFERENCES, &count) || count == 0)) {
		put("e-[Inference iterations must be >0]\r\n");
		return;
	}
	if (second != NULL && !number(second, MOST_INFERENCES, &warm_ups)) {
		put("e-[Inference warmup must be >=0]\r\n");
		return;
	}
	if (!load_tensor()) {
		return;
	}
	put_line_of("m-warmup-start-", warm_ups, "");
	bool done = warm_ups == 0 || engine->infer(loaded, loaded_len, warm_ups);

	put("m-warmup-done\r\n");
	put_line_of("m-infer-start-", count, "");
	put_timestamp();
	done = done && engine->infer(loaded, loaded_len, count);
	put_timestamp();
	put("m-infer-done\r\n");
	if (!done) {
		put("e-[Inference failed]\r\n");
		return;
	}
	results();
}

static void help(void)
{
	put("name, profile, timestamp, results\r\n"
	    "db load N, db HEX, db print\r\n"
	    "infer N [W=10]: N inferences between two timestamps, after W\r\n");
}

static void answer(void)
{
	char *rest = command;
	const char *first = word(&rest);

	if (first == NULL) {
		put("e-[Unknown command: ]\r\n");
	} else if (strcmp(first, "name") == 0) {
		name();
	} else if (strcmp(first, "profile") == 0) {
		profile();
	} else if (strcmp(first, "timestamp") == 0) {
		put_timestamp();
	} else if (strcmp(first, "db") == 0) {
		db(rest);
	} else if (strcmp(first, "infer") == 0) {
		infer(rest);
	} else if (strcmp(first, "results") == 0) {
		results();
	} else if (strcmp(first, "help") == 0) {
		help();
	} else {
		put("e-[Unknown command: ");
		put(first);
		put("]\r\n");
	}
	put("m-ready\r\n");
}

void monitor_init(const struct monitor_engine *what)
{
	engine = what;
	command_len = 0;
	input_len = 0;
	input_expected = 0;
	loaded_len = 0;
	put("m-timestamp-mode-performance\r\n");
	put_timestamp();
	put("m-init-done\r\nm-ready\r\n");
}

void monitor_byte(char c)
{
	if (c != '%') {
		if (command_len < MONITOR_COMMAND_MAX && c != '\r' && c != '\n' && c != '\0') {
			command[command_len++] = c;
		}
		return;
	}
	command[command_len] = '\0';
	command_len = 0;
	answer();
}
