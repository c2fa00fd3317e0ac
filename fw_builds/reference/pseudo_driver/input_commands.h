/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a request's input stands: in the request (`in`), or uploaded before it in parts (`up`: so many bytes).
 */
#ifndef INPUT_COMMANDS_H
#define INPUT_COMMANDS_H

#include "cbor_decode.h"
#include "psa/client.h"

/*
 * PSA_ERROR_INVALID_ARGUMENT: both are there. PSA_ERROR_BAD_STATE: no input of that size was uploaded whole. With neither
 * the vector is empty. An uploaded input stays until the next upload begins.
 */
int32_t input_of(const struct cbor_value *in, const struct cbor_value *uploaded, psa_invec *vector);

#endif
