/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Vectors of a psa_call(): what the SPM takes and what it refuses.
 */
#include <string.h>

#include "check.h"
#include "iovec.h"
#include "memory_check.h"

/* The non-secure side's memory, for this test; everything else is secure. */
static _Alignas(8) struct {
	psa_invec in[8];
	psa_outvec out[8];
	uint8_t data[256];
} ns;
static _Alignas(8) uint8_t secure[64];

bool memory_check_nonsecure(const void *base, size_t size, enum memory_access access)
{
	const uint8_t *const at = base, *const from = (const uint8_t *)&ns, *const to = (const uint8_t *)(&ns + 1);

	(void)access;
	return size == 0 || (at >= from && at < to && size <= (size_t)(to - at));
}

static struct iovecs vecs;

static bool take(size_t in_len, size_t out_len)
{
	return iovecs_take(&vecs, true, ns.in, in_len, ns.out, out_len);
}

int main(void)
{
	ns.in[0] = (psa_invec){ ns.data, 16 };
	ns.in[1] = (psa_invec){ ns.data + 8, 16 }; /* inputs may overlap */
	ns.out[0] = (psa_outvec){ ns.data + 64, 16 };
	ns.out[1] = (psa_outvec){ ns.data + 80, 16 };
	CHECK(take(2, 2) && vecs.in_len == 2 && vecs.out_len == 2);
	CHECK(take(0, 0) && take(1, 0) && take(0, 1));
	CHECK(iovecs_take(&vecs, true, NULL, 0, NULL, 0));

	ns.in[0].len = 999; /* changed by the other side after the copy: of no effect */
	CHECK(vecs.in_len == 0);
	ns.in[0].len = 16;
	CHECK(take(2, 2));
	ns.in[0].len = 999;
	CHECK(vecs.in[0].len == 16);
	ns.in[0].len = 16;

	CHECK(!take(5, 0) && !take(0, 5) && !take(3, 2) && !take(SIZE_MAX, 2));
	CHECK(!iovecs_take(&vecs, true, NULL, 1, NULL, 0));
	CHECK(!iovecs_take(&vecs, true, NULL, 0, NULL, 1));
	CHECK(!iovecs_take(&vecs, true, (const psa_invec *)((uintptr_t)ns.in + 1), 1, NULL, 0));
	CHECK(!iovecs_take(&vecs, true, NULL, 0, (psa_outvec *)((uintptr_t)ns.out + 2), 1));

	/* vector arrays in secure memory */
	CHECK(!iovecs_take(&vecs, true, (const psa_invec *)secure, 1, NULL, 0));
	CHECK(!iovecs_take(&vecs, true, NULL, 0, (psa_outvec *)secure, 1));

	/* data in secure memory, or reaching over the end of the side's own */
	ns.in[0] = (psa_invec){ secure, 4 };
	CHECK(!take(1, 0));
	ns.in[0] = (psa_invec){ secure, 0 }; /* nothing of it is touched */
	CHECK(take(1, 0));
	ns.in[0] = (psa_invec){ ns.data + 250, 7 };
	CHECK(!take(1, 0));
	ns.in[0] = (psa_invec){ ns.data, SIZE_MAX }; /* wraps around */
	CHECK(!take(1, 0));
	ns.in[0] = (psa_invec){ (const void *)UINTPTR_MAX, 2 };
	CHECK(!take(1, 0));
	ns.in[0] = (psa_invec){ ns.data, 16 };
	ns.out[0] = (psa_outvec){ secure, 4 };
	CHECK(!take(1, 1));
	ns.out[0] = (psa_outvec){ ns.data + 255, 2 };
	CHECK(!take(1, 1));

	/* outputs overlapping an input, each other, the vector array */
	ns.out[0] = (psa_outvec){ ns.data + 15, 4 };
	CHECK(!take(1, 1));
	ns.out[0] = (psa_outvec){ ns.data + 16, 4 };
	CHECK(take(1, 1));
	ns.out[1] = (psa_outvec){ ns.data + 19, 4 };
	CHECK(!take(1, 2));
	ns.out[1] = (psa_outvec){ ns.data + 20, 4 };
	CHECK(take(1, 2));
	ns.out[0] = (psa_outvec){ &ns.out[0], 4 };
	CHECK(!take(1, 1));

	/* a secure caller's memory is its own */
	ns.in[0] = (psa_invec){ secure, 4 };
	ns.out[0] = (psa_outvec){ secure + 8, 4 };
	CHECK(!take(1, 1) && iovecs_take(&vecs, false, ns.in, 1, ns.out, 1));
	ns.out[0] = (psa_outvec){ secure + 2, 4 };
	CHECK(!iovecs_take(&vecs, false, ns.in, 1, ns.out, 1));
	puts("iovec: ok");
	return 0;
}
