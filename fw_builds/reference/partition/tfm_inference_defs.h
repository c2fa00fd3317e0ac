/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of the inference service: what a client puts into psa_call(TFM_INFERENCE_SERVICE_HANDLE, type, ...).
 *
 * Ticks are of the SSE system counter. Structures hold fixed-width fields without padding and travel as they are: client
 * and service are built by one compiler for one CPU.
 */
#ifndef TFM_INFERENCE_DEFS_H
#define TFM_INFERENCE_DEFS_H

#include <stdint.h>

/* Message types, with [input vectors] -> [output vectors] */
#define TFM_INFERENCE_INFO 1       /* [] -> [struct tfm_inference_info] */
#define TFM_INFERENCE_SAMPLE 2     /* [struct tfm_inference_sample] -> [struct tfm_inference_sample_state] */
#define TFM_INFERENCE_RUN 3 /* [struct tfm_inference_run, input] -> [COSE_Sign1, struct tfm_inference_phases] */
#define TFM_INFERENCE_PUBLIC_KEY 4 /* [uint32 key] -> [COSE_Key] */
#define TFM_INFERENCE_CSR 5 /* [uint32 key] -> [PKCS#10, DER] */
#define TFM_INFERENCE_BATCH 6 /* [inputs back to back] -> [outputs back to back] */
#define TFM_INFERENCE_LATENCY 7 /* [struct tfm_inference_latency, input] -> [uint32 ticks each, ..._latency_frame] */
#define TFM_INFERENCE_TRACE 8 /* [struct tfm_inference_trace, input] -> [struct tfm_inference_trace_op each] or */
/* [bytes of one operator's output, struct tfm_inference_trace_part] */

/* As TFM_INFERENCE_RUN, with [COSE_Encrypt0 around the COSE_Sign1, struct tfm_inference_phases]; a port may leave it out. */
#define TFM_INFERENCE_RUN_ENCRYPTED 9

/* Whether the platform has the key TFM_BUILTIN_KEY_ID_RESULT_ENCRYPTION, and AES-GCM. */
#ifndef INFERENCE_ENCRYPTED_RESULTS
#define INFERENCE_ENCRYPTED_RESULTS 1
#endif

#define TFM_INFERENCE_ID_SIZE 32u
#define TFM_INFERENCE_NAME_SIZE 16u
#define TFM_INFERENCE_NONCE_MIN 8u
#define TFM_INFERENCE_NONCE_MAX 64u
#define TFM_INFERENCE_LATENCY_MAX 512u
#define TFM_INFERENCE_EMPTY_RUNS 16u
#define TFM_INFERENCE_MAX_OPS 32u
#define TFM_INFERENCE_RESULT_MAX 3072u
#define TFM_INFERENCE_COSE_KEY_MAX 96u
#define TFM_INFERENCE_CSR_MAX 512u

/* Keys a client may ask for. */
#define TFM_INFERENCE_KEY_IAK 1u
#define TFM_INFERENCE_KEY_RESULT 2u
#define TFM_INFERENCE_KEY_CLIENT 3u

struct tfm_inference_info {
	char model_name[TFM_INFERENCE_NAME_SIZE]; /* NUL padded; empty: no model */
	uint8_t model_id[TFM_INFERENCE_ID_SIZE];
	uint32_t input_size;
	uint32_t output_size;
	uint32_t window_samples;
	uint32_t counter_hz;
};

enum tfm_inference_sample_mode {
	TFM_INFERENCE_SAMPLE_STEP = 0,
	TFM_INFERENCE_SAMPLE_FREE = 1,
	TFM_INFERENCE_SAMPLE_STOP = 2,
	TFM_INFERENCE_SAMPLE_CLEAR = 3,
};

struct tfm_inference_sample {
	uint32_t mode;
	uint32_t period_ms; /* FREE: 1 .. 60000 */
};

struct tfm_inference_sample_state {
	uint32_t status; /* enum sensor_status */
	uint32_t count; /* samples in the window */
	uint32_t taken; /* samples taken since boot */
};

#define TFM_INFERENCE_SOURCE_SENSOR 0u
#define TFM_INFERENCE_SOURCE_HOST 1u

struct tfm_inference_run {
	uint32_t source;
	uint32_t nonce_len;
	uint8_t nonce[TFM_INFERENCE_NONCE_MAX];
	uint32_t expect_model; /* 1: refuse unless `model_id` is the active model's */
	uint8_t model_id[TFM_INFERENCE_ID_SIZE];
};

struct tfm_inference_phases {
	uint64_t entered;
	uint64_t input_ready;
	uint64_t start;
	uint64_t end;
	uint64_t sign_start;
	uint64_t sign_end;
};

struct tfm_inference_latency {
	uint32_t runs; /* 1 .. TFM_INFERENCE_LATENCY_MAX */
	uint32_t warm_up;
};

struct tfm_inference_latency_frame {
	uint64_t start;
	uint64_t end;
	uint32_t empty[TFM_INFERENCE_EMPTY_RUNS]; /* ticks between two readings of the counter */
	uint32_t counter_hz;
	uint32_t reserved;
};

#define TFM_INFERENCE_TRACE_ALL 0xffffffffu

struct tfm_inference_trace {
	uint32_t op; /* operator's index, or TFM_INFERENCE_TRACE_ALL for the list */
	uint32_t offset;
};

struct tfm_inference_trace_op {
	uint32_t builtin_code;
	uint32_t len;
	uint32_t crc32;
};

struct tfm_inference_trace_part {
	uint32_t len; /* of the whole output */
};

#endif
