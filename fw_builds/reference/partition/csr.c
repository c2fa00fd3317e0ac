/* SPDX-License-Identifier: Apache-2.0 */
#include "csr.h"

#include <string.h>

#include "der.h"

static const uint8_t oid_common_name[] = { 0x55, 0x04, 0x03 };                                  /* 2.5.4.3 */
static const uint8_t oid_ec_public_key[] = { 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01 }; /* 1.2.840.10045.2.1 */
static const uint8_t oid_prime256v1[] = { 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07 }; /* 1.2.840.10045.3.1.7 */
static const uint8_t oid_ecdsa_sha256[] = { 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02 }; /* 1.2.840.10045.4.3.2 */

static void put_subject(struct der_out *out, const char *common_name)
{
	size_t mark = der_mark(out);

	der_put(out, DER_UTF8_STRING, common_name, strlen(common_name));
	der_put(out, DER_OID, oid_common_name, sizeof(oid_common_name));
	der_wrap(out, DER_SEQUENCE, mark); /* AttributeTypeAndValue */
	der_wrap(out, DER_SET, mark); /* RelativeDistinguishedName */
	der_wrap(out, DER_SEQUENCE, mark); /* Name */
}

static void put_public_key(struct der_out *out, const uint8_t point[CSR_POINT_SIZE])
{
	size_t mark = der_mark(out);

	der_put_raw(out, point, CSR_POINT_SIZE);
	der_wrap_bit_string(out, mark);

	size_t algorithm = der_mark(out);

	der_put(out, DER_OID, oid_prime256v1, sizeof(oid_prime256v1));
	der_put(out, DER_OID, oid_ec_public_key, sizeof(oid_ec_public_key));
	der_wrap(out, DER_SEQUENCE, algorithm);
	der_wrap(out, DER_SEQUENCE, mark);
}

static void put_request_info(struct der_out *out, const char *common_name, const uint8_t point[CSR_POINT_SIZE])
{
	static const uint8_t version_1 = 0;
	size_t mark = der_mark(out);

	der_put(out, DER_CONTEXT_0, NULL, 0); /* attributes: none */
	put_public_key(out, point);
	put_subject(out, common_name);
	der_put_unsigned(out, &version_1, 1);
	der_wrap(out, DER_SEQUENCE, mark);
}

static void put_signature(struct der_out *out, const uint8_t signature[RESULT_SIGNATURE_SIZE])
{
	size_t mark = der_mark(out);

	der_put_unsigned(out, signature + RESULT_SIGNATURE_SIZE / 2, RESULT_SIGNATURE_SIZE / 2);
	der_put_unsigned(out, signature, RESULT_SIGNATURE_SIZE / 2);
	der_wrap(out, DER_SEQUENCE, mark);
	der_wrap_bit_string(out, mark);

	size_t algorithm = der_mark(out);

	der_put(out, DER_OID, oid_ecdsa_sha256, sizeof(oid_ecdsa_sha256));
	der_wrap(out, DER_SEQUENCE, algorithm);
}

psa_status_t csr_make(const char *common_name, const uint8_t point[CSR_POINT_SIZE], result_hasher *hasher,
		      result_signer *signer, uint8_t *buf, size_t size, const uint8_t **csr, size_t *len)
{
	uint8_t hash[RESULT_HASH_SIZE], signature[RESULT_SIGNATURE_SIZE];
	struct der_out out;

	/* First the part that is signed, on its own; it is put again behind the signature. */
	der_init(&out, buf, size);
	put_request_info(&out, common_name, point);
	if (out.overflow) {
		return PSA_ERROR_BUFFER_TOO_SMALL;
	}
	psa_status_t status = hasher(out.buf + out.at, der_mark(&out), hash);

	if (status == PSA_SUCCESS) {
		status = signer(hash, signature);
	}
	if (status != PSA_SUCCESS) {
		return status;
	}
	der_init(&out, buf, size);
	put_signature(&out, signature);
	put_request_info(&out, common_name, point);
	der_wrap(&out, DER_SEQUENCE, 0);
	if (out.overflow) {
		return PSA_ERROR_BUFFER_TOO_SMALL;
	}
	*csr = out.buf + out.at;
	*len = der_mark(&out);
	return PSA_SUCCESS;
}
