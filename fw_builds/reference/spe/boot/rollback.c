/* SPDX-License-Identifier: Apache-2.0 */
#include "rollback.h"

#include <string.h>

#include "bytes.h"
#include "fih.h"
#include "nv.h"
#include "sha256.h"

#define COUNTER_UID_BIT (1ull << 63) /* apart from the owners' other objects */

static uint64_t uid_of(const char *name)
{
	uint8_t digest[SHA256_SIZE];

	sha256(name, strlen(name), digest);
	return (uint64_t)get_le32(digest) << 32 | get_le32(digest + 4) | COUNTER_UID_BIT;
}

DECISION uint32_t rollback_lowest(int32_t owner, const char *name)
{
	uint32_t counter;
	size_t len = 0;

	if (its_get(nv_store(), owner, uid_of(name), 0, sizeof counter, &counter, &len) != PSA_SUCCESS ||
	    len != sizeof counter) {
		return 0;
	}
	return counter;
}

bool rollback_raise(int32_t owner, const char *name, uint32_t counter)
{
	if (counter <= rollback_lowest(owner, name)) {
		return true;
	}
	return its_set(nv_store(), owner, uid_of(name), &counter, sizeof counter, PSA_STORAGE_FLAG_NONE) == PSA_SUCCESS;
}
