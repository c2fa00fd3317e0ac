/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a model image must be before its model may become active: genuine, and one that the interpreter takes.
 */
#ifndef MODEL_IMAGE_H
#define MODEL_IMAGE_H

#include "mcuboot_image.h"
#include "psa/error.h"

/* Structure, name, key, hash, signature, and the interpreter's word on the payload; not the security counter. */
enum mcuboot_status model_image_verify(const uint8_t *file, size_t size, struct mcuboot_image *image);

/* MCUBOOT_OK, or why this device may not use the image any more. */
enum mcuboot_status model_image_check_counter(const struct mcuboot_image *image);

/* What a client is told. */
psa_status_t model_image_status(enum mcuboot_status status);

/* What the secure log says of an image that is refused. */
void model_image_report(const char *tag, const char *what, enum mcuboot_status status,
			const struct mcuboot_image *image);

#endif
