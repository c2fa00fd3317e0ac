/* SPDX-License-Identifier: Apache-2.0 */
#include "encrypt.h"

#include <string.h>

#include "cbor_encode.h"
#include "device_keys.h"
#include "psa/crypto.h"
#include "tfm_inference_defs.h"

#define CBOR_TAG_COSE_ENCRYPT0 16u
#define COSE_HEADER_IV 5
#define NONCE_SIZE 12u
#define TAG_SIZE 16u
#define AAD_MAX (TFM_INFERENCE_NONCE_MAX + 24u)

#if INFERENCE_ENCRYPTED_RESULTS

/* {1: 1}, that is {alg: A128GCM}. */
static const uint8_t protected_header[] = { 0xa1, 0x01, 0x01 };

/* Enc_structure of RFC 9052, section 5.3. */
static void put_enc_structure(struct cbor_out *out, const uint8_t *external, size_t len)
{
	cbor_put_array(out, 3);
	cbor_put_text(out, "Encrypt0");
	cbor_put_bytes(out, protected_header, sizeof(protected_header));
	cbor_put_bytes(out, external, len);
}

psa_status_t encrypt_result(const uint8_t *signed_result, size_t len, uint64_t counter, const uint8_t *request_nonce,
			    size_t request_nonce_len, uint8_t *out, size_t size, size_t *out_len)
{
	uint8_t nonce[NONCE_SIZE] = { 0 }, aad_bytes[AAD_MAX];
	struct cbor_out aad, message;
	size_t ciphertext_len = 0;

	for (unsigned i = 0; i < 8; i++) {
		nonce[NONCE_SIZE - 1u - i] = (uint8_t)(counter >> 8 * i);
	}
	cbor_out_init(&aad, aad_bytes, sizeof(aad_bytes));
	put_enc_structure(&aad, request_nonce, request_nonce_len);
	cbor_out_init(&message, out, size);
	cbor_put_tag(&message, CBOR_TAG_COSE_ENCRYPT0);
	cbor_put_array(&message, 3);
	cbor_put_bytes(&message, protected_header, sizeof(protected_header));
	cbor_put_map(&message, 1);
	cbor_put_int(&message, COSE_HEADER_IV);
	cbor_put_bytes(&message, nonce, sizeof(nonce));
	uint8_t *const ciphertext = cbor_begin_bytes(&message, len + TAG_SIZE);

	if (aad.overflow || ciphertext == NULL) {
		return PSA_ERROR_BUFFER_TOO_SMALL;
	}
	const psa_status_t status =
		psa_aead_encrypt(TFM_BUILTIN_KEY_ID_RESULT_ENCRYPTION, PSA_ALG_GCM, nonce, sizeof(nonce), aad.buf,
				 aad.used, signed_result, len, ciphertext, len + TAG_SIZE, &ciphertext_len);

	if (status != PSA_SUCCESS) {
		return status;
	}
	cbor_end_bytes(&message, ciphertext_len);
	*out_len = message.used;
	return PSA_SUCCESS;
}

#else

psa_status_t encrypt_result(const uint8_t *signed_result, size_t len, uint64_t counter, const uint8_t *request_nonce,
			    size_t request_nonce_len, uint8_t *out, size_t size, size_t *out_len)
{
	(void)signed_result;
	(void)len;
	(void)counter;
	(void)request_nonce;
	(void)request_nonce_len;
	(void)out;
	(void)size;
	(void)out_len;
	return PSA_ERROR_NOT_SUPPORTED;
}

#endif
