/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bounds-checked reading of a FlatBuffer (https://flatbuffers.dev/internals/).
 *
 * The first read that would leave the buffer, or meets a malformed table, sets `damaged`; from then on
 * every read gives its default. So a parser may read ahead and check once at the end of each step.
 * Values are assembled byte by byte: neither the buffer nor anything in it has to be aligned.
 */
#ifndef NN_FLATBUFFER_H
#define NN_FLATBUFFER_H

#include <stdbool.h>
#include <stdint.h>

struct fb {
	const uint8_t *bytes;
	uint32_t size;
	bool damaged;
};

struct fb_table {
	uint32_t position;    /* 0: absent */
	uint32_t vtable;
	uint32_t vtable_size;
	uint32_t table_size;
};

struct fb_vector {
	uint32_t position;    /* of the first element; 0: absent */
	uint32_t count;
};

uint32_t fb_load_u32(const uint8_t *p);
int32_t fb_load_i32(const uint8_t *p);
float fb_load_float(const uint8_t *p);

/* The root table, when the file identifier is the four characters given. */
struct fb_table fb_root(struct fb *fb, const char *identifier);

/* Scalar fields of a table; the default stands for an absent field, as the schema says. */
uint8_t fb_u8(struct fb *fb, const struct fb_table *t, uint32_t field, uint8_t otherwise);
int32_t fb_i32(struct fb *fb, const struct fb_table *t, uint32_t field, int32_t otherwise);
float fb_float(struct fb *fb, const struct fb_table *t, uint32_t field, float otherwise);

/* Is a field of the table set at all? */
bool fb_has(struct fb *fb, const struct fb_table *t, uint32_t field);

/* A table, or a vector whose elements are element_size bytes each, that a field refers to. */
struct fb_table fb_child(struct fb *fb, const struct fb_table *t, uint32_t field);
struct fb_vector fb_vector(struct fb *fb, const struct fb_table *t, uint32_t field, uint32_t element_size);

/* Element `i` of a vector of tables or of int32; i < count is the caller's to see to. */
struct fb_table fb_table_at(struct fb *fb, const struct fb_vector *v, uint32_t i);
int32_t fb_i32_at(const struct fb *fb, const struct fb_vector *v, uint32_t i);

#endif
