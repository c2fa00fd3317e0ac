/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the secure log says of an image that is refused.
 */
#ifndef IMAGE_REPORT_H
#define IMAGE_REPORT_H

#include "mcuboot_image.h"

/* "[tag] what refused: why", and a line with what was expected and seen, where there is more to say. */
void image_report(const char *tag, const char *what, enum mcuboot_status status, const struct mcuboot_image *image,
		  const struct mcuboot_key *key, uint32_t lowest_counter);

#endif
