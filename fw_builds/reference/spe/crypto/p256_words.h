/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the arithmetic of P-256 spends its time with: in the DSP instructions of Armv8-M, and in C for the tests that run on
 * a host. Results may lie where operands do. Nothing here branches on a value.
 */
#ifndef P256_WORDS_H
#define P256_WORDS_H

#include "p256_field.h"

/* *sum = a + b; returns the carry. */
uint32_t p256_words_add(struct p256_number *sum, const struct p256_number *a, const struct p256_number *b);

/* *difference = a - b; returns all ones where b is larger, else 0. */
uint32_t p256_words_subtract(struct p256_number *difference, const struct p256_number *a, const struct p256_number *b);

#endif
