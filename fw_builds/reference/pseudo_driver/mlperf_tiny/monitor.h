/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MLPerf Tiny's firmware protocol (docs/mlperf-tiny.md): text commands that end in '%', answered up to "m-ready".
 */
#ifndef MONITOR_H
#define MONITOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MONITOR_COMMAND_MAX 80u
#define MONITOR_INPUT_MAX (96u * 96u * 3u)

/* What the commands are carried out by; false: it failed. */
struct monitor_engine {
	/* The active model's name (NUL-terminated) and the size of its input in bytes. */
	bool (*describe)(char name[16], size_t *input_size);
	/* Infer input[0..len) `count` times. */
	bool (*infer)(const uint8_t *input, size_t len, uint32_t count);
	/* Infer once more and hand each result to `each`, as text. */
	bool (*results)(const uint8_t *input, size_t len, void (*each)(const char *text, bool last));
	uint64_t (*microseconds)(void);
	void (*put)(const char *text);
};

/* The firmware has started: says so. */
void monitor_init(const struct monitor_engine *engine);

/* One received character; answers when it ends a command. */
void monitor_byte(char c);

#endif
