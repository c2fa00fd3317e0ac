/* SPDX-License-Identifier: Apache-2.0 */
#include "model_store.h"

#include <string.h>

#include "fih.h"
#include "log.h"
#include "memory_map.h"
#include "model_image.h"
#include "nv.h"
#include "psa_manifest/pid.h"
#include "rollback.h"
#include "sha256.h"

#define ACTIVE_UID 1u
#define NO_SLOT UINT32_MAX
#define NO_BANK UINT32_MAX

/* In internal trusted storage. The update slot is one of two banks, so that an update never overwrites the last. */
struct active_record {
	uint32_t slot;
	uint32_t bank;
};

struct slot {
	bool examined;
	enum mcuboot_status status; /* but for the security counter, which others can raise */
	struct mcuboot_image image;
	uint8_t id[SHA256_SIZE];
};

static struct slot slots[MODEL_STORE_SLOTS];
static struct active_record record = { 0, NO_BANK };
static uint32_t active = NO_SLOT;
static uint32_t generation;

static uint8_t *bank_base(uint32_t bank)
{
	return (uint8_t *)(NV_MODEL_BANK_BASE + bank * MODEL_STORE_SLOT_SIZE);
}

/* NULL: the update slot has never been written. */
static const uint8_t *slot_base(uint32_t slot)
{
	if (slot < MODEL_STORE_FACTORY_SLOTS) {
		return (const uint8_t *)(MODEL_FACTORY_BASE + slot * MODEL_STORE_SLOT_SIZE);
	}
	return record.bank != NO_BANK ? bank_base(record.bank) : NULL;
}

/*
 * Factory slots are read-only, and the update banks change only here: one look is enough. The active slot's is never
 * taken while the inference partition asks for its model: a look calls the partition.
 */
DECISION static const struct slot *examine(uint32_t number)
{
	struct slot *const slot = &slots[number];
	const uint8_t *const base = slot_base(number);

	if (!slot->examined) {
		slot->examined = true;
		slot->status =
			base == NULL ? MCUBOOT_BLANK : model_image_verify(base, MODEL_STORE_SLOT_SIZE, &slot->image);
		if (slot->status == MCUBOOT_OK) {
			sha256(slot->image.payload, slot->image.payload_size, slot->id);
		}
	}
	return slot;
}

static enum mcuboot_status status_of(const struct slot *slot)
{
	return slot->status == MCUBOOT_OK ? model_image_check_counter(&slot->image) : slot->status;
}

static void describe(uint32_t number, struct model_store_info *info)
{
	const struct slot *const slot = examine(number);

	memset(info, 0, sizeof *info);
	info->slot = number;
	info->status = model_image_status(status_of(slot));
	info->generation = generation;
	if (slot->status != MCUBOOT_OK) {
		return; /* nothing in it can be believed */
	}
	info->active = number == active ? 1 : 0;
	info->security_counter = slot->image.security_counter;
	info->length = slot->image.payload_size;
	memcpy(info->id, slot->id, sizeof info->id);
	memcpy(info->measurement, slot->image.hash, sizeof info->measurement);
	memcpy(info->signer, slot->image.key_hash, sizeof info->signer);
	strcpy(info->name, slot->image.name);
	device_format_version(info->version, &slot->image);
}

static void report_slot(uint32_t number, enum mcuboot_status status)
{
	static const char *const names[MODEL_STORE_SLOTS] = {
		"MODEL image in factory slot 0", "MODEL image in factory slot 1",  "MODEL image in factory slot 2",
		"MODEL image in factory slot 3", "MODEL image in the update slot",
	};

	model_image_report("BOOT", names[number], status, &slots[number].image);
}

/* FIH_YES: the slot's model may be the active one. Looks at its bytes anew. */
DECISION static fih_t confirm(uint32_t number)
{
	const uint8_t *const base = slot_base(number);
	struct mcuboot_image image;

	if (base == NULL || model_image_verify(base, MODEL_STORE_SLOT_SIZE, &image) != MCUBOOT_OK) {
		return FIH_NO;
	}
	return fih_of(model_image_check_counter(&image) == MCUBOOT_OK);
}

/* Make a slot's model the active one, in this boot. */
DECISION static enum mcuboot_status activate(uint32_t number)
{
	const struct slot *const slot = examine(number);
	const enum mcuboot_status status = status_of(slot);

	if (status != MCUBOOT_OK) {
		return status;
	}
	const volatile fih_t again = confirm(number);

	if (again == FIH_NO) {
		return MCUBOOT_BAD_HASH; /* the bytes have changed since the first look */
	}
	FIH_REQUIRE(again);
	if (!rollback_raise(TFM_SP_MODEL_STORE, slot->image.name, slot->image.security_counter)) {
		return MCUBOOT_COUNTER_NOT_KEPT;
	}
	active = number;
	generation++;
	return MCUBOOT_OK;
}

void model_store_init(void)
{
	struct active_record stored;
	struct model_store_info info;
	size_t len = 0;

	if (its_get(nv_store(), TFM_SP_MODEL_STORE, ACTIVE_UID, 0, sizeof stored, &stored, &len) == PSA_SUCCESS &&
	    len == sizeof stored && stored.slot < MODEL_STORE_SLOTS && (stored.bank < 2 || stored.bank == NO_BANK)) {
		record = stored;
	}
	enum mcuboot_status status = activate(record.slot);

	if (status != MCUBOOT_OK) {
		report_slot(record.slot, status);
	}
	if (status != MCUBOOT_OK && record.slot != 0) {
		status = activate(0);
		if (status != MCUBOOT_OK) {
			report_slot(0, status);
		}
	}
	if (status != MCUBOOT_OK) {
		spe_log("BOOT", "no model is active");
		return;
	}
	describe(active, &info);
	spe_log("BOOT", "MODEL image %s %s verified, security counter %u", info.name, info.version,
		(unsigned int)info.security_counter);
}

psa_status_t model_store_active(struct model_store_info *info)
{
	if (active == NO_SLOT) {
		return PSA_ERROR_DOES_NOT_EXIST;
	}
	describe(active, info);
	return PSA_SUCCESS;
}

psa_status_t model_store_active_bytes(const uint8_t **bytes, size_t *len)
{
	if (active == NO_SLOT) {
		return PSA_ERROR_DOES_NOT_EXIST;
	}
	const struct slot *const slot = examine(active);

	*bytes = slot->image.payload;
	*len = slot->image.payload_size;
	return PSA_SUCCESS;
}

bool model_store_measurement(struct measurement *measurement)
{
	struct model_store_info info;

	if (model_store_active(&info) != PSA_SUCCESS) {
		return false;
	}
	memcpy(measurement->digest, info.measurement, sizeof measurement->digest);
	memcpy(measurement->signer, info.signer, sizeof measurement->signer);
	strcpy(measurement->version, info.version);
	return true;
}

unsigned model_store_list(struct model_store_info info[MODEL_STORE_SLOTS])
{
	unsigned count = 0;

	for (uint32_t i = 0; i < MODEL_STORE_SLOTS; i++) {
		if (examine(i)->status != MCUBOOT_BLANK) {
			describe(i, &info[count++]);
		}
	}
	return count;
}

static psa_status_t remember(struct active_record next)
{
	const psa_status_t status =
		its_set(nv_store(), TFM_SP_MODEL_STORE, ACTIVE_UID, &next, sizeof next, PSA_STORAGE_FLAG_NONE);

	if (status == PSA_SUCCESS) {
		if (next.bank != record.bank) {
			slots[MODEL_STORE_UPDATE_SLOT].examined = false;
		}
		record = next;
	}
	return status;
}

/* Make a model active, in this boot and the next ones; or leave everything as it was. */
DECISION static psa_status_t switch_to(uint32_t slot, uint32_t bank, struct model_store_info *info)
{
	const struct active_record before = record;
	const psa_status_t stored = remember((struct active_record){ slot, bank });

	if (stored != PSA_SUCCESS) {
		return stored;
	}
	const enum mcuboot_status status = activate(slot);

	if (status != MCUBOOT_OK) {
		spe_log("MODEL", "not made active: %s", mcuboot_status_text(status));
		(void)remember(before);
		(void)examine(MODEL_STORE_UPDATE_SLOT);
		return model_image_status(status);
	}
	describe(active, info);
	spe_log("MODEL", "%s %s is active, security counter %u", info->name, info->version,
		(unsigned int)info->security_counter);
	return PSA_SUCCESS;
}

psa_status_t model_store_select(const char *name, struct model_store_info *info)
{
	psa_status_t why = PSA_ERROR_DOES_NOT_EXIST;

	for (uint32_t i = 0; i < MODEL_STORE_SLOTS; i++) { /* 4 (update), 0, 1, 2, 3 */
		const uint32_t number = (MODEL_STORE_UPDATE_SLOT + i) % MODEL_STORE_SLOTS;
		const struct slot *const slot = examine(number);

		if (slot->status != MCUBOOT_OK || strcmp(slot->image.name, name) != 0) {
			continue;
		}
		const psa_status_t status = model_image_status(status_of(slot));

		if (status != PSA_SUCCESS) {
			why = status;
			continue;
		}
		return switch_to(number, record.bank, info);
	}
	return why;
}

DECISION psa_status_t model_store_install(const uint8_t *file, size_t size, struct model_store_info *info)
{
	struct mcuboot_image image;
	enum mcuboot_status status = model_image_verify(file, size, &image);

	if (status == MCUBOOT_OK) {
		status = model_image_check_counter(&image);
	}
	if (status != MCUBOOT_OK) {
		model_image_report("MODEL", "update", status, &image);
		return model_image_status(status);
	}
	const uint32_t bank = record.bank == 0 ? 1 : 0;

	memcpy(bank_base(bank), file, image.total_size);
	return switch_to(MODEL_STORE_UPDATE_SLOT, bank, info);
}
