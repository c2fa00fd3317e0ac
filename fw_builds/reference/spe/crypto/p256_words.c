/* SPDX-License-Identifier: Apache-2.0 */
#include "p256_words.h"

#define ORDER_FACTOR 0xEE00BC4Fu /* -1 / n mod 2^32; of p it is 1 */

#if defined(__ARM_FEATURE_DSP)

/* clang-format off */

#define NAKED __attribute__((naked, noinline))

/* The result's address is r0, the operands' are r1 and r2. Numbers are in r3 to r10, r12 is the word above. */

#define AT(from, offset) "[" #from ", #" #offset "]\n"
#define LOAD                                                                                               \
	"ldr r3, " AT(r1, 0) "ldr r4, " AT(r1, 4) "ldr r5, " AT(r1, 8) "ldr r6, " AT(r1, 12)               \
	"ldr r7, " AT(r1, 16) "ldr r8, " AT(r1, 20) "ldr r9, " AT(r1, 24) "ldr r10, " AT(r1, 28)
#define STORE                                                                                              \
	"str r3, " AT(r0, 0) "str r4, " AT(r0, 4) "str r5, " AT(r0, 8) "str r6, " AT(r0, 12)               \
	"str r7, " AT(r0, 16) "str r8, " AT(r0, 20) "str r9, " AT(r0, 24) "str r10, " AT(r0, 28)

/* One word at r2 with its carry; `more` is done with the word before. */
#define STEP(operation, word, offset, more) "ldr r12, " AT(r2, offset) more #operation " " #word ", " #word ", r12\n"
#define CHAIN(first, next, last, more)                                                                     \
	STEP(first, r3, 0, more) STEP(next, r4, 4, more) STEP(next, r5, 8, more) STEP(next, r6, 12, more)  \
	STEP(next, r7, 16, more) STEP(next, r8, 20, more) STEP(next, r9, 24, more) STEP(last, r10, 28, more)
#define ADD CHAIN(adds, adcs, adcs, ) "mov r12, #0\n adc r12, r12, #0\n"
#define SUBTRACT CHAIN(subs, sbcs, sbcs, ) "sbc r12, r12, r12\n"

/* p = 2^256 - 2^224 + 2^192 + 2^96 - 1. Afterwards r12 is all ones where p was larger, else 0; only then p is added. */
#define SUBTRACT_PRIME                                                                                     \
	"subs r3, r3, #-1\n sbcs r4, r4, #-1\n sbcs r5, r5, #-1\n sbcs r6, r6, #0\n"                       \
	"sbcs r7, r7, #0\n sbcs r8, r8, #0\n sbcs r9, r9, #1\n sbcs r10, r10, #-1\n sbc r12, r12, #0\n"
#define ADD_PRIME                                                                                          \
	"and r11, r12, #1\n"                                                                               \
	"adds r3, r3, r12\n adcs r4, r4, r12\n adcs r5, r5, r12\n adcs r6, r6, #0\n"                       \
	"adcs r7, r7, #0\n adcs r8, r8, #0\n adcs r9, r9, r11\n adc r10, r10, r12\n"

NAKED uint32_t p256_words_add(struct p256_number *, const struct p256_number *, const struct p256_number *)
{
	__asm("push {r4-r11, lr}\n" LOAD ADD STORE "mov r0, r12\n pop {r4-r11, pc}\n");
}

NAKED uint32_t p256_words_subtract(struct p256_number *, const struct p256_number *, const struct p256_number *)
{
	__asm("push {r4-r11, lr}\n" LOAD SUBTRACT STORE "mov r0, r12\n pop {r4-r11, pc}\n");
}

NAKED void p256_field_add(struct p256_number *, const struct p256_number *, const struct p256_number *)
{
	__asm("push {r4-r11, lr}\n" LOAD ADD SUBTRACT_PRIME ADD_PRIME STORE "pop {r4-r11, pc}\n");
}

NAKED void p256_field_subtract(struct p256_number *, const struct p256_number *, const struct p256_number *)
{
	__asm("push {r4-r11, lr}\n" LOAD SUBTRACT ADD_PRIME STORE "pop {r4-r11, pc}\n");
}

/*
 * Products. Their nine words are in r3 to r11, and each row moves all by one register: what has become 0 below is free for
 * what comes above. So a register is named by its place, t0 the lowest.
 */

/* (lr, t7 .. t0) = (t7 .. t0) + r0 * the number at `from` */
#define TIMES(from, offset, word) "ldr r12, " AT(from, offset) "umaal " #word ", lr, r12, r0\n"
#define MULTIPLY(from, t0, t1, t2, t3, t4, t5, t6, t7)                                                     \
	"mov lr, #0\n"                                                                                     \
	TIMES(from, 0, t0) TIMES(from, 4, t1) TIMES(from, 8, t2) TIMES(from, 12, t3)                       \
	TIMES(from, 16, t4) TIMES(from, 20, t5) TIMES(from, 24, t6) TIMES(from, 28, t7)
#define CARRY_TO(word) "adc " #word ", " #word ", #0\n"

/*
 * (t8 .. t0) = ((t8 .. t0) + a * the word of b at `offset` + m * p) / 2^32, with m so that nothing is lost: m is the lowest
 * word, since p is -1 modulo 2^32. In the three lowest words m * p makes only a carry of m into the fourth.
 */
#define FIELD_ROW(offset, t0, t1, t2, t3, t4, t5, t6, t7, t8)                                              \
	"ldr r0, " AT(r2, offset) MULTIPLY(r1, t0, t1, t2, t3, t4, t5, t6, t7)                             \
	"adds " #t3 ", " #t3 ", " #t0 "\n adcs " #t4 ", " #t4 ", #0\n adcs " #t5 ", " #t5 ", #0\n"         \
	"adcs " #t6 ", " #t6 ", " #t0 "\n mov r12, #0\n" CARRY_TO(r12)                                    \
	"mov r0, #-1\n umaal " #t7 ", r12, " #t0 ", r0\n mov " #t0 ", #0\n"                                \
	"adds " #t8 ", " #t8 ", lr\n" CARRY_TO(t0) "adds " #t8 ", " #t8 ", r12\n" CARRY_TO(t0)

/* The same modulo n, which is at r2, and behind it -1 / n: m is the lowest word times that. b is at sp + 4. */
#define ORDER_ROW(offset, t0, t1, t2, t3, t4, t5, t6, t7, t8)                                              \
	"ldr r0, " AT(sp, 4) "ldr r0, " AT(r0, offset) MULTIPLY(r1, t0, t1, t2, t3, t4, t5, t6, t7)        \
	"adds " #t8 ", " #t8 ", lr\n mov r0, #0\n" CARRY_TO(r0) "str r0, " AT(sp, 8)                       \
	"ldr r0, " AT(r2, 32) "mul r0, r0, " #t0 "\n" MULTIPLY(r2, t0, t1, t2, t3, t4, t5, t6, t7)         \
	"adds " #t8 ", " #t8 ", lr\n ldr " #t0 ", " AT(sp, 8) CARRY_TO(t0)

#define ROWS(row)                                                                                          \
	row(0, r3, r4, r5, r6, r7, r8, r9, r10, r11)                                                       \
	row(4, r4, r5, r6, r7, r8, r9, r10, r11, r3)                                                       \
	row(8, r5, r6, r7, r8, r9, r10, r11, r3, r4)                                                       \
	row(12, r6, r7, r8, r9, r10, r11, r3, r4, r5)                                                      \
	row(16, r7, r8, r9, r10, r11, r3, r4, r5, r6)                                                      \
	row(20, r8, r9, r10, r11, r3, r4, r5, r6, r7)                                                      \
	row(24, r9, r10, r11, r3, r4, r5, r6, r7, r8)                                                      \
	row(28, r10, r11, r3, r4, r5, r6, r7, r8, r9)
#define ZEROS                                                                                              \
	"mov r3, #0\n mov r4, #0\n mov r5, #0\n mov r6, #0\n mov r7, #0\n mov r8, #0\n mov r9, #0\n"         \
	"mov r10, #0\n mov r11, #0\n"
/* The product to r3 .. r10 and r12, as the sums have it. */
#define IN_ORDER                                                                                           \
	"mov r12, r10\n mov r10, r9\n mov r9, r8\n mov r8, r7\n mov r7, r6\n mov r6, r5\n mov r5, r4\n"      \
	"mov r4, r3\n mov r3, r11\n"

NAKED void p256_field_mul(struct p256_number *, const struct p256_number *, const struct p256_number *)
{
	__asm("push {r0, r4-r11, lr}\n" ZEROS ROWS(FIELD_ROW) IN_ORDER
	      "ldr r0, [sp]\n" SUBTRACT_PRIME ADD_PRIME STORE "pop {r0, r4-r11, pc}\n");
}

__attribute__((used)) static const uint32_t order_and_factor[9] = {
	0xFC632551, 0xF3B9CAC2, 0xA7179E84, 0xBCE6FAAD, ~0u, ~0u, 0, ~0u, ORDER_FACTOR
};

NAKED void p256_order_mul(struct p256_number *, const struct p256_number *, const struct p256_number *)
{
	__asm("push {r4-r11, lr}\n push {r0, r2, r3}\n"
	      "movw r2, #:lower16:order_and_factor\n movt r2, #:upper16:order_and_factor\n" ZEROS ROWS(ORDER_ROW) IN_ORDER
	      "mov r0, r12\n" CHAIN(subs, sbcs, sbcs, ) "sbc r0, r0, #0\n" CHAIN(adds, adcs, adc, "and r12, r12, r0\n")
	      "ldr r0, [sp]\n" STORE "add sp, #12\n pop {r4-r11, pc}\n");
}

/* clang-format on */

#else

uint32_t p256_words_add(struct p256_number *sum, const struct p256_number *a, const struct p256_number *b)
{
	uint64_t word = 0;

	for (unsigned i = 0; i < 8; i++) {
		word = (word >> 32) + a->word[i] + b->word[i];
		sum->word[i] = (uint32_t)word;
	}
	return (uint32_t)(word >> 32);
}

uint32_t p256_words_subtract(struct p256_number *difference, const struct p256_number *a, const struct p256_number *b)
{
	uint64_t word = 0;

	for (unsigned i = 0; i < 8; i++) {
		word = (uint64_t)a->word[i] - b->word[i] - (word >> 63);
		difference->word[i] = (uint32_t)word;
	}
	return (uint32_t)(word >> 32);
}

/* (top, number) brought below the modulus. */
static void reduce(struct p256_number *number, uint32_t top, const struct p256_number *modulus)
{
	struct p256_number reduced;

	top += p256_words_subtract(&reduced, number, modulus);
	p256_number_select(number, &reduced, ~top);
}

void p256_field_add(struct p256_number *r, const struct p256_number *a, const struct p256_number *b)
{
	const uint32_t carry = p256_words_add(r, a, b);

	reduce(r, carry, &p256_prime);
}

void p256_field_subtract(struct p256_number *r, const struct p256_number *a, const struct p256_number *b)
{
	const uint32_t smaller = p256_words_subtract(r, a, b);
	struct p256_number more;

	(void)p256_words_add(&more, r, &p256_prime);
	p256_number_select(r, &more, smaller);
}

/* t += a * b */
static void multiply(uint32_t t[10], const struct p256_number *a, uint32_t b)
{
	uint64_t word = 0;

	for (unsigned i = 0; i < 8; i++) {
		word = (uint64_t)a->word[i] * b + t[i] + (word >> 32);
		t[i] = (uint32_t)word;
	}
	word = (word >> 32) + t[8];
	t[8] = (uint32_t)word;
	t[9] += (uint32_t)(word >> 32);
}

static void montgomery(struct p256_number *r, const struct p256_number *a, const struct p256_number *b,
		       const struct p256_number *modulus, uint32_t factor)
{
	uint32_t t[10] = { 0 };

	for (unsigned i = 0; i < 8; i++) {
		multiply(t, a, b->word[i]);
		multiply(t, modulus, t[0] * factor);
		for (unsigned k = 0; k < 9; k++) {
			t[k] = t[k + 1];
		}
		t[9] = 0;
	}
	for (unsigned i = 0; i < 8; i++) {
		r->word[i] = t[i];
	}
	reduce(r, t[8], modulus);
}

void p256_field_mul(struct p256_number *r, const struct p256_number *a, const struct p256_number *b)
{
	montgomery(r, a, b, &p256_prime, 1);
}

void p256_order_mul(struct p256_number *r, const struct p256_number *a, const struct p256_number *b)
{
	montgomery(r, a, b, &p256_order, ORDER_FACTOR);
}

#endif
