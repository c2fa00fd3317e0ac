/* SPDX-License-Identifier: Apache-2.0 */
#include "aead.h"

#include "bearssl_aead.h"
#include "fih.h"
#include "wipe.h"

/* br_aes_ct and br_ghash_ctmul: constant-time; the multiplier of a Cortex-M55 is constant-time too. */
struct gcm {
	br_aes_ct_ctr_keys keys;
	br_gcm_context context;
};

static void run(struct gcm *gcm, const uint8_t *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_len,
		bool encrypt, uint8_t *data, size_t len)
{
	br_aes_ct_ctr_init(&gcm->keys, key, AEAD_KEY_SIZE);
	br_gcm_init(&gcm->context, &gcm->keys.vtable, br_ghash_ctmul);
	br_gcm_reset(&gcm->context, nonce, AEAD_NONCE_SIZE);
	br_gcm_aad_inject(&gcm->context, aad, aad_len);
	br_gcm_flip(&gcm->context);
	br_gcm_run(&gcm->context, encrypt, data, len);
}

/* The key schedule and the key stream, in the contexts and on the stack. */
static void forget(struct gcm *gcm)
{
	wipe(gcm, sizeof *gcm);
	wipe_stack();
}

void aead_encrypt(const uint8_t key[AEAD_KEY_SIZE], const uint8_t nonce[AEAD_NONCE_SIZE], const uint8_t *aad,
		  size_t aad_len, uint8_t *data, size_t len, uint8_t tag[AEAD_TAG_SIZE])
{
	struct gcm gcm;

	run(&gcm, key, nonce, aad, aad_len, true, data, len);
	br_gcm_get_tag(&gcm.context, tag);
	forget(&gcm);
}

DECISION bool aead_decrypt(const uint8_t key[AEAD_KEY_SIZE], const uint8_t nonce[AEAD_NONCE_SIZE], const uint8_t *aad,
			   size_t aad_len, uint8_t *data, size_t len, const uint8_t tag[AEAD_TAG_SIZE])
{
	struct gcm gcm;

	run(&gcm, key, nonce, aad, aad_len, false, data, len);
	volatile uint32_t authentic = br_gcm_check_tag(&gcm.context, tag); /* in constant time */

	forget(&gcm);
	if (authentic != 1) {
		wipe(data, len);
		return false;
	}
	FIH_REQUIRE(fih_of(authentic == 1));
	return true;
}
