/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signed models: factory slots, the update bank, and which one is active.
 */
#ifndef MODEL_STORE_H
#define MODEL_STORE_H

#include <stdbool.h>

#include "device.h"
#include "tfm_model_store_api.h"

/* Verify the model that was active last (slot 0 on a new board). */
void model_store_init(void);

/* False: no model is active. */
bool model_store_measurement(struct measurement *measurement);

/* The store's operations; the service in model_store_service.c carries them over psa_call(). */
psa_status_t model_store_active(struct model_store_info *info);
psa_status_t model_store_active_bytes(const uint8_t **bytes, size_t *len);
unsigned model_store_list(struct model_store_info info[MODEL_STORE_SLOTS]);
psa_status_t model_store_select(const char *name, struct model_store_info *info);

/* Make a verified image in `file` the update and the active model; nothing changes on failure. */
psa_status_t model_store_install(const uint8_t *file, size_t size, struct model_store_info *info);

#endif
