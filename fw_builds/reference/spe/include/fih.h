/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hardening against skipped instructions, in the manner of TF-M's and MCUboot's FIH.
 *
 * A decision is one of two constants that differ in half their bits, so that neither a register that keeps its old
 * value nor one that reads as 0 or ~0 says yes. It is looked at twice, the second time by its complement. What must
 * hold is decided in two places that share nothing: a skip spoils one of them.
 */
#ifndef FIH_H
#define FIH_H

#include <stdbool.h>
#include <stdint.h>

/* A function that decides. The skip campaign (suites/skip) leaves out each instruction of this section. */
#define DECISION __attribute__((section(".text.decisions"), noinline))

typedef uint32_t fih_t;

#define FIH_YES 0x5A3C96E1u
#define FIH_NO 0xA5C3691Eu /* ~FIH_YES */

#if defined(__arm__)
/* Behind the call are instructions that are not defined: leaving out the call ends the run as well. */
#define FIH_PANIC()                                                                           \
	do {                                                                                  \
		__asm volatile("bl psa_panic\n udf #0xFD\n udf #0xFD" ::                      \
				       : "r0", "r1", "r2", "r3", "ip", "lr", "cc", "memory"); \
		__builtin_unreachable();                                                      \
	} while (0)
#else
#define FIH_PANIC() __builtin_trap()
#endif

/* Whether `decision` (evaluated once) says yes. No compiler joins the two looks. */
#define FIH_SAYS_YES(decision)                         \
	__extension__({                                \
		volatile fih_t fih_said = (decision);  \
		bool fih_yes = false;                  \
		if (fih_said == FIH_YES) {             \
			fih_yes = ~fih_said == FIH_NO; \
		}                                      \
		fih_yes;                               \
	})

/* Go on only where `decision` says yes. */
#define FIH_REQUIRE(decision)                         \
	do {                                          \
		volatile fih_t fih_said = (decision); \
		if (fih_said != FIH_YES) {            \
			FIH_PANIC();                  \
		}                                     \
		if (~fih_said != FIH_NO) {            \
			FIH_PANIC();                  \
		}                                     \
	} while (0)

/* FIH_YES where `condition` holds; to be asked in two places. */
static inline fih_t fih_of(bool condition)
{
	return condition ? FIH_YES : FIH_NO;
}

#endif
