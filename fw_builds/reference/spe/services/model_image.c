/* SPDX-License-Identifier: Apache-2.0 */
#include "model_image.h"

#include <stdbool.h>
#include <string.h>

#include "fih.h"
#include "image_report.h"
#include "log.h"
#include "nspe_boot.h"
#include "nn_check.h"
#include "psa_manifest/pid.h"
#include "rollback.h"
#include "tfm_memory_sections.h"

/*
 * A model that cannot run shall not take the place of one that can. The interpreter is linked as a library, with memory
 * of the store's own: asking the inference service would be a circle, because that service asks the store.
 */
static bool interpreter_takes(const struct mcuboot_image *image)
{
	static SECTION_CHECK_ARENA uint8_t arena[NN_CHECK_ARENA_SIZE];
	const char *const why = nn_check(image->payload, image->payload_size, arena, sizeof arena);

	if (why != NULL) {
		spe_log("MODEL", "%s is signed, but no model for this device: %s", image->name, why);
	}
	return why == NULL;
}

DECISION enum mcuboot_status model_image_verify(const uint8_t *file, size_t size, struct mcuboot_image *image)
{
	const struct mcuboot_key key = nspe_provisioned_key(device()->otp.model_key_hash);
	enum mcuboot_status status = mcuboot_parse(file, size, image);

	if (status == MCUBOOT_OK && image->name[0] == '\0') {
		return MCUBOOT_BAD_FORMAT; /* signed, but not a model */
	}
	if (status == MCUBOOT_OK) {
		status = mcuboot_verify(file, image, &key, 0);
	}
	if (status == MCUBOOT_OK && memcmp(key.hash, device_trusted_key.hash, sizeof key.hash) != 0) {
		return MCUBOOT_WRONG_KEY;
	}
	if (status == MCUBOOT_OK && !interpreter_takes(image)) {
		return MCUBOOT_BAD_PAYLOAD;
	}
	return status;
}

DECISION enum mcuboot_status model_image_check_counter(const struct mcuboot_image *image)
{
	return mcuboot_check_counter(image, rollback_lowest(TFM_SP_MODEL_STORE, image->name));
}

psa_status_t model_image_status(enum mcuboot_status status)
{
	switch (status) {
	case MCUBOOT_OK:
		return PSA_SUCCESS;
	case MCUBOOT_BLANK:
	case MCUBOOT_BAD_FORMAT:
	case MCUBOOT_NO_COUNTER:
	case MCUBOOT_BAD_PAYLOAD:
		return PSA_ERROR_INVALID_ARGUMENT;
	case MCUBOOT_ROLLED_BACK:
		return PSA_ERROR_NOT_PERMITTED;
	case MCUBOOT_COUNTER_NOT_KEPT:
		return PSA_ERROR_STORAGE_FAILURE;
	default:
		return PSA_ERROR_INVALID_SIGNATURE;
	}
}

void model_image_report(const char *tag, const char *what, enum mcuboot_status status,
			const struct mcuboot_image *image)
{
	const struct mcuboot_key key = nspe_provisioned_key(device()->otp.model_key_hash);
	const uint32_t lowest = status == MCUBOOT_ROLLED_BACK ? rollback_lowest(TFM_SP_MODEL_STORE, image->name) : 0;

	image_report(tag, what, status, image, &key, lowest);
}
