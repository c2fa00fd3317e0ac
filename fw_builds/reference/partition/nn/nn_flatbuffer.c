/* SPDX-License-Identifier: Apache-2.0 */
#include "nn_flatbuffer.h"

#include <string.h>

uint32_t fb_load_u32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

int32_t fb_load_i32(const uint8_t *p)
{
	return (int32_t)fb_load_u32(p);
}

float fb_load_float(const uint8_t *p)
{
	uint32_t bits = fb_load_u32(p);
	float value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

static uint32_t load_u16(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

/* Are `length` bytes at `position` inside the buffer? Marks the damage when not. */
static bool inside(struct fb *fb, uint64_t position, uint64_t length)
{
	if (fb->damaged || position > fb->size || length > fb->size - position) {
		fb->damaged = true;
	}
	return !fb->damaged;
}

static struct fb_table table_at(struct fb *fb, uint64_t position)
{
	static const struct fb_table absent;
	struct fb_table t;
	int64_t vtable;

	/* Position 0 holds the root offset: no table can be there, and 0 means absent. */
	if (position == 0) {
		fb->damaged = true;
	}
	if (!inside(fb, position, 4)) {
		return absent;
	}
	vtable = (int64_t)position - fb_load_i32(fb->bytes + position);
	if (vtable < 0 || !inside(fb, (uint64_t)vtable, 4)) {
		fb->damaged = true;
		return absent;
	}
	t.position = (uint32_t)position;
	t.vtable = (uint32_t)vtable;
	t.vtable_size = load_u16(fb->bytes + vtable);
	t.table_size = load_u16(fb->bytes + vtable + 2);
	if (t.vtable_size < 4 || t.vtable_size % 2 != 0 || t.table_size < 4) {
		fb->damaged = true;
	}
	if (!inside(fb, t.vtable, t.vtable_size) || !inside(fb, t.position, t.table_size)) {
		return absent;
	}
	return t;
}

struct fb_table fb_root(struct fb *fb, const char *identifier)
{
	static const struct fb_table absent;

	if (!inside(fb, 0, 8)) {
		return absent;
	}
	if (memcmp(fb->bytes + 4, identifier, 4) != 0) {
		fb->damaged = true;
		return absent;
	}
	return table_at(fb, fb_load_u32(fb->bytes));
}

/* Where a field's value of `size` bytes stands; 0 when the field is absent. */
static uint32_t field_position(struct fb *fb, const struct fb_table *t, uint32_t field, uint32_t size)
{
	uint32_t slot = 4 + 2 * field;
	uint32_t offset;

	if (fb->damaged || t->position == 0 || slot + 2 > t->vtable_size) {
		return 0;
	}
	offset = load_u16(fb->bytes + t->vtable + slot);
	if (offset == 0) {
		return 0;
	}
	if (offset < 4 || offset + size > t->table_size) {
		fb->damaged = true;
		return 0;
	}
	return t->position + offset;
}

bool fb_has(struct fb *fb, const struct fb_table *t, uint32_t field)
{
	return field_position(fb, t, field, 1) != 0;
}

uint8_t fb_u8(struct fb *fb, const struct fb_table *t, uint32_t field, uint8_t otherwise)
{
	uint32_t p = field_position(fb, t, field, 1);

	return p ? fb->bytes[p] : otherwise;
}

int32_t fb_i32(struct fb *fb, const struct fb_table *t, uint32_t field, int32_t otherwise)
{
	uint32_t p = field_position(fb, t, field, 4);

	return p ? fb_load_i32(fb->bytes + p) : otherwise;
}

float fb_float(struct fb *fb, const struct fb_table *t, uint32_t field, float otherwise)
{
	uint32_t p = field_position(fb, t, field, 4);

	return p ? fb_load_float(fb->bytes + p) : otherwise;
}

struct fb_table fb_child(struct fb *fb, const struct fb_table *t, uint32_t field)
{
	static const struct fb_table absent;
	uint32_t p = field_position(fb, t, field, 4);

	return p ? table_at(fb, (uint64_t)p + fb_load_u32(fb->bytes + p)) : absent;
}

struct fb_vector fb_vector(struct fb *fb, const struct fb_table *t, uint32_t field, uint32_t element_size)
{
	static const struct fb_vector absent;
	uint32_t p = field_position(fb, t, field, 4);
	struct fb_vector v;
	uint64_t start;

	if (p == 0) {
		return absent;
	}
	start = (uint64_t)p + fb_load_u32(fb->bytes + p);
	if (!inside(fb, start, 4)) {
		return absent;
	}
	v.position = (uint32_t)start + 4;
	v.count = fb_load_u32(fb->bytes + start);
	if (!inside(fb, v.position, (uint64_t)v.count * element_size)) {
		return absent;
	}
	return v;
}

struct fb_table fb_table_at(struct fb *fb, const struct fb_vector *v, uint32_t i)
{
	uint32_t p = v->position + 4 * i;

	return table_at(fb, (uint64_t)p + fb_load_u32(fb->bytes + p));
}

int32_t fb_i32_at(const struct fb *fb, const struct fb_vector *v, uint32_t i)
{
	return fb_load_i32(fb->bytes + v->position + 4 * i);
}
