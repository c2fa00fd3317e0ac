/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How psa_call()'s type and vector counts travel in one register through the veneer, as in TF-M.
 */
#ifndef TFM_PSA_CALL_PACK_H
#define TFM_PSA_CALL_PACK_H

#include <stdint.h>

#define TYPE_MASK 0xFFFFu
#define OUT_LEN_OFFSET 16u
#define OUT_LEN_MASK (0x7u << OUT_LEN_OFFSET)
#define IN_LEN_OFFSET 24u
#define IN_LEN_MASK (0x7u << IN_LEN_OFFSET)

#define PARAM_PACK(type, in_len, out_len)                                                         \
	(((uint32_t)(type) & TYPE_MASK) | (((uint32_t)(in_len) << IN_LEN_OFFSET) & IN_LEN_MASK) | \
	 (((uint32_t)(out_len) << OUT_LEN_OFFSET) & OUT_LEN_MASK))
#define PARAM_UNPACK_TYPE(ctrl_param) ((int32_t)(int16_t)((ctrl_param) & TYPE_MASK))
#define PARAM_UNPACK_IN_LEN(ctrl_param) (((ctrl_param) & IN_LEN_MASK) >> IN_LEN_OFFSET)
#define PARAM_UNPACK_OUT_LEN(ctrl_param) (((ctrl_param) & OUT_LEN_MASK) >> OUT_LEN_OFFSET)

#endif
