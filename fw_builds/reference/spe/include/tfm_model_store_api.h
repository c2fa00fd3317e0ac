/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model store: signed model images in four factory slots and one update bank, one of them active.
 */
#ifndef TFM_MODEL_STORE_API_H
#define TFM_MODEL_STORE_API_H

#include <stdint.h>

#include "psa/error.h"

#define MODEL_STORE_FACTORY_SLOTS 4u
#define MODEL_STORE_SLOTS 5u
#define MODEL_STORE_UPDATE_SLOT 4u
#define MODEL_STORE_SLOT_SIZE 0x60000u /* bytes of an image file, header and TLVs included */
#define MODEL_STORE_NAME_MAX 15u

/*
 * Message types.
 *
 * GET_ACTIVE   out[0] struct model_store_info; PSA_ERROR_DOES_NOT_EXIST: no model is active
 * READ_ACTIVE  out[0] the .tflite file; secure clients only; PSA_ERROR_BUFFER_TOO_SMALL
 * LIST         out[0] struct model_store_info[], one for each slot that is not blank, at most MODEL_STORE_SLOTS
 * SELECT       in[0] name without NUL; out[0] struct model_store_info
 * UPLOAD       in[0] struct model_store_chunk, in[1] the chunk's bytes; out[0] uint32_t next offset expected
 *              (an offset other than the expected one changes nothing and returns the expected one)
 * ACTIVATE     in[0] SHA-256 of the uploaded file; out[0] struct model_store_info.
 *              PSA_ERROR_DOES_NOT_EXIST: nothing with that digest was uploaded; PSA_ERROR_INVALID_SIGNATURE;
 *              PSA_ERROR_NOT_PERMITTED: security counter too low; PSA_ERROR_INVALID_ARGUMENT: not a model image, or
 *              one whose model the interpreter refuses; PSA_ERROR_STORAGE_FAILURE: no room for its security counter.
 *              After a failure the active model is what it was.
 */
#define TFM_MODEL_STORE_GET_ACTIVE 1001
#define TFM_MODEL_STORE_READ_ACTIVE 1002
#define TFM_MODEL_STORE_LIST 1003
#define TFM_MODEL_STORE_SELECT 1004
#define TFM_MODEL_STORE_UPLOAD 1005
#define TFM_MODEL_STORE_ACTIVATE 1006

struct model_store_info {
	uint32_t slot;             /* 0..3 factory, 4 update */
	int32_t status;            /* PSA_SUCCESS, or why the image is refused */
	uint32_t active;
	uint32_t security_counter;
	uint32_t length;           /* bytes of the .tflite file */
	uint32_t generation;       /* of the active model: changes when another model becomes active */
	uint8_t id[32];            /* SHA-256 of the .tflite file */
	uint8_t measurement[32];   /* the image's SHA-256 TLV */
	uint8_t signer[32];        /* the image's KEYHASH TLV */
	char name[16];
	char version[16];
};

struct model_store_chunk {
	uint32_t offset;
	uint32_t total;     /* with offset 0: bytes of the whole image file */
	uint8_t sha256[32]; /* with offset 0: of the whole image file */
};

#endif
