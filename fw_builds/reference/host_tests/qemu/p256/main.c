/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arithmetic of P-256 in Arm's instructions against the same in C, in QEMU: operands at the edges of every word, of p
 * and of n, and many others. The status that QEMU ends with is 0, or the number of the operation that differs.
 */
#include <stdint.h>
#include <string.h>

#include "p256_words.c"

#undef __ARM_FEATURE_DSP
#undef ORDER_FACTOR
#define p256_words_add c_words_add
#define p256_words_subtract c_words_subtract
#define p256_field_add c_field_add
#define p256_field_subtract c_field_subtract
#define p256_field_mul c_field_mul
#define p256_order_mul c_order_mul
#include "p256_words.c"
#undef p256_words_add
#undef p256_words_subtract
#undef p256_field_add
#undef p256_field_subtract
#undef p256_field_mul
#undef p256_order_mul

#define EDGES 48u
#define RANDOM 20000u

typedef void (*operation_t)(struct p256_number *, const struct p256_number *, const struct p256_number *);

static const struct {
	operation_t arm, c;
	const struct p256_number *modulus;
} operations[] = {
	{ p256_field_add, c_field_add, &p256_prime },
	{ p256_field_subtract, c_field_subtract, &p256_prime },
	{ p256_field_mul, c_field_mul, &p256_prime },
	{ p256_order_mul, c_order_mul, &p256_order },
};

static struct p256_number edges[EDGES];
static uint32_t state = 1;

static _Noreturn void end(uint32_t status)
{
	const uint32_t block[2] = { 0x20026, status }; /* ADP_Stopped_ApplicationExit */
	register uint32_t r0 __asm("r0") = 0x20; /* SYS_EXIT_EXTENDED */
	register const uint32_t *r1 __asm("r1") = block;

	for (;;) {
		__asm volatile("bkpt 0xAB" ::"r"(r0), "r"(r1) : "memory");
	}
}

static uint32_t random_word(void)
{
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	/* Every fourth word is all ones or all zeros: carries run through it. */
	return (state & 0xC0) != 0 ? state * 0x9E3779B1u : 0u - (state & 1);
}

static void below(struct p256_number *number, const struct p256_number *modulus)
{
	p256_number_reduce(number, modulus);
}

/* Small numbers, single bits, all ones below and above each word, and what lies next to the modulus. */
static void make_edges(const struct p256_number *modulus)
{
	memset(edges, 0, sizeof edges);
	for (uint32_t i = 0; i < 8; i++) {
		edges[i].word[0] = i;
		edges[8 + i].word[i] = ~0u;
		edges[16 + i].word[i] = 1;
		for (uint32_t k = 0; k < 8; k++) {
			edges[24 + i].word[k] = k <= i ? ~0u : 0;
			edges[32 + i].word[k] = k >= i ? ~0u : 0;
		}
		edges[40 + i] = *modulus;
		edges[40 + i].word[i < 4 ? 0 : i] -= i < 4 ? i + 1 : 1;
	}
	for (uint32_t i = 0; i < EDGES; i++) {
		below(&edges[i], modulus);
	}
}

static void compare(unsigned number, const struct p256_number *a, const struct p256_number *b)
{
	struct p256_number arm, c, same = *a;

	operations[number].arm(&arm, a, b);
	operations[number].c(&c, a, b);
	operations[number].arm(&same, &same, b); /* the result where an operand lies */
	if (memcmp(&arm, &c, sizeof arm) != 0 || memcmp(&arm, &same, sizeof arm) != 0 ||
	    !p256_number_below(&arm, operations[number].modulus)) {
		end(number + 1);
	}
	if (p256_words_add(&arm, a, b) != c_words_add(&c, a, b) || memcmp(&arm, &c, sizeof arm) != 0) {
		end(10);
	}
	if (p256_words_subtract(&arm, a, b) != c_words_subtract(&c, a, b) || memcmp(&arm, &c, sizeof arm) != 0) {
		end(11);
	}
}

static _Noreturn __attribute__((used)) void run(void)
{
	for (unsigned number = 0; number < sizeof operations / sizeof operations[0]; number++) {
		const struct p256_number *const modulus = operations[number].modulus;

		make_edges(modulus);
		for (unsigned i = 0; i < EDGES * EDGES; i++) {
			compare(number, &edges[i / EDGES], &edges[i % EDGES]);
		}
		for (unsigned i = 0; i < RANDOM; i++) {
			struct p256_number a, b;

			for (unsigned k = 0; k < 8; k++) {
				a.word[k] = random_word();
				b.word[k] = random_word();
			}
			below(&a, modulus);
			below(&b, modulus);
			compare(number, &a, &b);
		}
	}
	end(0);
}

static __attribute__((naked, used)) void reset(void)
{
	__asm volatile(
		"ldr r0, =0xE000ED88\n ldr r1, [r0]\n orr r1, r1, #0xF00000\n str r1, [r0]\n dsb\n isb\n b run\n");
}

__attribute__((section(".vectors"), used)) static const uintptr_t vectors[2] = { 0x30008000, (uintptr_t)reset };
