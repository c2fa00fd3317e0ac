/* SPDX-License-Identifier: Apache-2.0 */
/* COSE_Sign1 and PKCS#10 into buffers of every size: whole, or refused; never beyond the end. */
#include <string.h>

#include "check.h"
#include "csr.h"
#include "der.h"
#include "encrypt.h"
#include "result.h"

static psa_status_t hasher_status, signer_status;
static size_t hashed;

static psa_status_t fake_hash(const uint8_t *data, size_t len, uint8_t hash[RESULT_HASH_SIZE])
{
	volatile uint8_t sum = 0;

	for (size_t i = 0; i < len; i++) {
		sum = (uint8_t)(sum + data[i]);
	}
	hashed = len;
	memset(hash, 0xab, RESULT_HASH_SIZE);
	return hasher_status;
}

static uint8_t signature_byte;

static psa_status_t fake_sign(const uint8_t hash[RESULT_HASH_SIZE], uint8_t signature[RESULT_SIGNATURE_SIZE])
{
	CHECK(hash[0] == 0xab);
	memset(signature, signature_byte, RESULT_SIGNATURE_SIZE);
	return signer_status;
}

static struct result_claims some_claims(const int8_t *output, size_t len)
{
	static const uint8_t nonce[64] = { 1, 2, 3 };
	struct result_claims claims = { .nonce = nonce, .nonce_len = sizeof(nonce), .counter = UINT64_MAX };

	claims.output = (struct result_tensor){ output, len, { 1, (int32_t)len }, 2, 0.00390625f, -128 };
	claims.start_ticks = claims.end_ticks = UINT64_MAX;
	return claims;
}

/* The bytes inverted, and a tag. */
psa_status_t psa_aead_encrypt(psa_key_id_t key, psa_algorithm_t alg, const uint8_t *nonce, size_t nonce_length,
			      const uint8_t *additional_data, size_t additional_data_length, const uint8_t *plaintext,
			      size_t plaintext_length, uint8_t *ciphertext, size_t ciphertext_size,
			      size_t *ciphertext_length)
{
	static const uint8_t begin[] = { 0x83, 0x68, 'E', 'n', 'c', 'r', 'y', 'p', 't', '0', 0x43, 0xa1, 0x01, 0x01 };

	(void)key;
	CHECK(alg == PSA_ALG_GCM && nonce_length == 12 && nonce[3] == 0 && nonce[4] == 1 && nonce[11] == 8);
	CHECK(memcmp(additional_data, begin, sizeof(begin)) == 0);
	CHECK(additional_data[additional_data_length - 1] == 0xee);
	CHECK(ciphertext_size == plaintext_length + 16);
	for (size_t i = 0; i < plaintext_length; i++) {
		ciphertext[i] = (uint8_t)~plaintext[i];
	}
	memset(ciphertext + plaintext_length, 0x77, 16);
	*ciphertext_length = ciphertext_size;
	return signer_status;
}

static void encrypted_results_of_every_size(void)
{
	static uint8_t signed_result[2600], large[4096];
	uint8_t nonce[64];
	size_t needed, len;

	memset(nonce, 0xee, sizeof(nonce));
	for (size_t n = 1; n <= sizeof(signed_result); n += n < 300 ? 1 : 251) {
		const size_t nonce_len = 8 + n % 57;

		memset(signed_result, (int)n, sizeof(signed_result));
		CHECK(encrypt_result(signed_result, n, 0x0102030405060708, nonce, nonce_len, large, sizeof(large),
				     &needed) == PSA_SUCCESS);
		CHECK(needed > n + 16 && needed <= n + 46 && n + 46 <= n + ENCRYPT_OVERHEAD);
		CHECK(large[0] == 0xd0 && large[1] == 0x83 && large[needed - 17] == (uint8_t)~n);
		const size_t room = n + 46; /* the longest head of a byte string must fit */

		for (size_t size = room - 3; size <= room; size++) {
			uint8_t *exact = malloc(size);
			const psa_status_t status = encrypt_result(signed_result, n, 0x0102030405060708, nonce,
								   nonce_len, exact, size, &len);

			CHECK(status == (size < room ? PSA_ERROR_BUFFER_TOO_SMALL : PSA_SUCCESS));
			free(exact);
		}
	}
	signer_status = PSA_ERROR_BAD_STATE;
	CHECK(encrypt_result(signed_result, 9, 0x0102030405060708, nonce, 8, large, sizeof(large), &len) ==
	      PSA_ERROR_BAD_STATE);
	signer_status = PSA_SUCCESS;
}

static void results_of_every_size(void)
{
	static int8_t output[RESULT_MAX_OUTPUT];
	size_t needed, len;

	for (size_t n = 1; n <= sizeof(output); n += n < 300 ? 1 : 251) {
		const struct result_claims claims = some_claims(output, n);
		static uint8_t large[4096];

		CHECK(result_sign(&claims, fake_hash, fake_sign, large, sizeof(large), &needed) == PSA_SUCCESS);
		CHECK(hashed > n && needed > n + RESULT_SIGNATURE_SIZE);
		for (size_t size = needed - 3; size <= needed; size++) {
			uint8_t *exact = malloc(size);
			psa_status_t status = result_sign(&claims, fake_hash, fake_sign, exact, size, &len);

			CHECK(status == (size < needed ? PSA_ERROR_BUFFER_TOO_SMALL : PSA_SUCCESS));
			free(exact);
		}
	}
}

static void failures_of_hasher_and_signer_are_passed_on(void)
{
	static int8_t output[4];
	static uint8_t out[4096];
	const struct result_claims claims = some_claims(output, 4);
	const uint8_t *csr;
	const uint8_t point[CSR_POINT_SIZE] = { 4 };
	size_t len;

	hasher_status = PSA_ERROR_HARDWARE_FAILURE;
	CHECK(result_sign(&claims, fake_hash, fake_sign, out, sizeof(out), &len) == PSA_ERROR_HARDWARE_FAILURE);
	CHECK(csr_make("x", point, fake_hash, fake_sign, out, sizeof(out), &csr, &len) == PSA_ERROR_HARDWARE_FAILURE);
	hasher_status = PSA_SUCCESS;
	signer_status = PSA_ERROR_BAD_STATE;
	CHECK(result_sign(&claims, fake_hash, fake_sign, out, sizeof(out), &len) == PSA_ERROR_BAD_STATE);
	CHECK(csr_make("x", point, fake_hash, fake_sign, out, sizeof(out), &csr, &len) == PSA_ERROR_BAD_STATE);
	signer_status = PSA_SUCCESS;
}

static void requests_into_every_size(void)
{
	const uint8_t point[CSR_POINT_SIZE] = { 4 };
	const uint8_t *csr;
	size_t needed, len;
	static uint8_t large[512];

	for (unsigned byte = 0; byte < 256; byte += 85) { /* signatures of leading zeros, and of set sign bits */
		signature_byte = (uint8_t)byte;
		CHECK(csr_make("0123", point, fake_hash, fake_sign, large, sizeof(large), &csr, &needed) ==
		      PSA_SUCCESS);
		CHECK(csr + needed == large + sizeof(large));
		for (size_t size = 0; size <= needed; size++) {
			uint8_t *exact = malloc(size == 0 ? 1 : size);
			psa_status_t status = csr_make("0123", point, fake_hash, fake_sign, exact, size, &csr, &len);

			CHECK(status == (size < needed ? PSA_ERROR_BUFFER_TOO_SMALL : PSA_SUCCESS));
			free(exact);
		}
	}
}

static void expect_der(const struct der_out *out, const char *bytes, size_t len)
{
	CHECK(!out->overflow && der_mark(out) == len && memcmp(out->buf + out->at, bytes, len) == 0);
}

static void der_is_minimal(void)
{
	static uint8_t buf[70000];
	struct der_out out;

	der_init(&out, buf, sizeof(buf));
	der_put_unsigned(&out, (const uint8_t *)"\0\0\0", 3);
	expect_der(&out, "\2\1\0", 3);
	der_init(&out, buf, sizeof(buf));
	der_put_unsigned(&out, (const uint8_t *)"\0\x7f", 2);
	expect_der(&out, "\2\1\x7f", 3);
	der_init(&out, buf, sizeof(buf));
	der_put_unsigned(&out, (const uint8_t *)"\0\x80", 2);
	expect_der(&out, "\2\2\0\x80", 4);
	for (size_t len = 0; len < 66000; len += len < 300 ? 1 : 1000) {
		static const uint8_t contents[66000];
		size_t head = len < 128 ? 2 : len < 256 ? 3 : len < 65536 ? 4 : 5;

		der_init(&out, buf, sizeof(buf));
		der_put(&out, DER_UTF8_STRING, contents, len);
		CHECK(der_mark(&out) == len + head);
		CHECK(buf[out.at + 1] == (len < 128 ? len : 0x80 + head - 2));
	}
}

int main(void)
{
	results_of_every_size();
	encrypted_results_of_every_size();
	failures_of_hasher_and_signer_are_passed_on();
	requests_into_every_size();
	der_is_minimal();
	return 0;
}
