/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A caller's vectors, copied once into secure memory and checked there.
 */
#ifndef SPM_IOVEC_H
#define SPM_IOVEC_H

#include <stdbool.h>

#include "fih.h"
#include "psa/client.h"

struct iovecs {
	psa_invec in[PSA_MAX_IOVEC];
	psa_outvec out[PSA_MAX_IOVEC];
	size_t in_len, out_len;
};

/*
 * False: too many vectors, a range that wraps, an output that overlaps another vector or the caller's own vector
 * array; and from the non-secure side, anything not in its own memory.
 */
bool iovecs_take(struct iovecs *vecs, bool nonsecure, const psa_invec *in_vec, size_t in_len, psa_outvec *out_vec,
		 size_t out_len);

/* FIH_YES: all that iovecs_take() checks holds, of the same arguments; to be asked in a second place. */
fih_t iovecs_confirm(const struct iovecs *vecs, bool nonsecure, const psa_invec *in_vec, size_t in_len,
		     const psa_outvec *out_vec, size_t out_len);

#endif
