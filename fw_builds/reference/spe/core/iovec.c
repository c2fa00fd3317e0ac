/* SPDX-License-Identifier: Apache-2.0 */
#include "iovec.h"

#include <stdint.h>
#include <string.h>

#include "memory_check.h"

static bool wraps(const void *base, size_t len)
{
	return len > UINTPTR_MAX - (uintptr_t)base;
}

static bool overlap(const void *a, size_t a_len, const void *b, size_t b_len)
{
	const uintptr_t a_at = (uintptr_t)a, b_at = (uintptr_t)b;

	return a_len != 0 && b_len != 0 && a_at < b_at + b_len && b_at < a_at + a_len;
}

static bool may_access(bool nonsecure, const void *base, size_t len, enum memory_access access)
{
	if (!nonsecure) {
		return true;
	}
	return memory_check_nonsecure(base, len, access);
}

static bool aligned(const void *array)
{
	return ((uintptr_t)array & (sizeof(uint32_t) - 1u)) == 0;
}

DECISION static bool ranges_are_right(const struct iovecs *vecs, bool nonsecure)
{
	for (size_t i = 0; i < vecs->in_len; i++) {
		if (wraps(vecs->in[i].base, vecs->in[i].len) ||
		    !may_access(nonsecure, vecs->in[i].base, vecs->in[i].len, MEMORY_READ)) {
			return false;
		}
	}
	for (size_t i = 0; i < vecs->out_len; i++) {
		if (wraps(vecs->out[i].base, vecs->out[i].len) ||
		    !may_access(nonsecure, vecs->out[i].base, vecs->out[i].len, MEMORY_WRITE)) {
			return false;
		}
	}
	return true;
}

DECISION static bool outputs_stand_alone(const struct iovecs *vecs, const psa_outvec *array)
{
	for (size_t i = 0; i < vecs->out_len; i++) {
		const psa_outvec *const out = &vecs->out[i];

		if (overlap(out->base, out->len, array, vecs->out_len * sizeof *array)) {
			return false;
		}
		for (size_t k = 0; k < vecs->in_len; k++) {
			if (overlap(out->base, out->len, vecs->in[k].base, vecs->in[k].len)) {
				return false;
			}
		}
		for (size_t k = i + 1; k < vecs->out_len; k++) {
			if (overlap(out->base, out->len, vecs->out[k].base, vecs->out[k].len)) {
				return false;
			}
		}
	}
	return true;
}

DECISION static bool arrays_are_right(bool nonsecure, const psa_invec *in_vec, size_t in_len, const psa_outvec *out_vec,
				      size_t out_len)
{
	if (in_len > PSA_MAX_IOVEC || out_len > PSA_MAX_IOVEC || in_len + out_len > PSA_MAX_IOVEC) {
		return false;
	}
	if ((in_len != 0 && in_vec == NULL) || (out_len != 0 && out_vec == NULL) || !aligned(in_vec) ||
	    !aligned(out_vec)) {
		return false;
	}
	if (!may_access(nonsecure, in_vec, in_len * sizeof *in_vec, MEMORY_READ) ||
	    !may_access(nonsecure, out_vec, out_len * sizeof *out_vec, MEMORY_WRITE)) {
		return false;
	}
	return true;
}

DECISION bool iovecs_take(struct iovecs *vecs, bool nonsecure, const psa_invec *in_vec, size_t in_len,
			  psa_outvec *out_vec, size_t out_len)
{
	if (!arrays_are_right(nonsecure, in_vec, in_len, out_vec, out_len)) {
		return false;
	}
	vecs->in_len = in_len;
	vecs->out_len = out_len;
	if (in_len != 0) {
		memcpy(vecs->in, in_vec, in_len * sizeof *in_vec);
	}
	if (out_len != 0) {
		memcpy(vecs->out, out_vec, out_len * sizeof *out_vec);
	}
	__asm volatile("" ::: "memory"); /* from here on only the copies are looked at */
	return ranges_are_right(vecs, nonsecure) && outputs_stand_alone(vecs, out_vec);
}

DECISION fih_t iovecs_confirm(const struct iovecs *vecs, bool nonsecure, const psa_invec *in_vec, size_t in_len,
			      const psa_outvec *out_vec, size_t out_len)
{
	if (vecs->in_len != in_len || vecs->out_len != out_len ||
	    !arrays_are_right(nonsecure, in_vec, in_len, out_vec, out_len)) {
		return FIH_NO;
	}
	return fih_of(ranges_are_right(vecs, nonsecure) && outputs_stand_alone(vecs, out_vec));
}
