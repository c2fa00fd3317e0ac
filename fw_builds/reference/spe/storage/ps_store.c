/* SPDX-License-Identifier: Apache-2.0 */
#include "ps_store.h"

#include <string.h>

#include "cbor_encode.h"
#include "fih.h"

#define CBOR_TAG_COSE_ENCRYPT0 16u
#define COSE_HEADER_IV 5
#define AAD_MAX 64u
#define CIPHERTEXT_MAX (PS_MAX_OBJECT_SIZE + PS_TAG_SIZE)
#define CBOR_BYTES 0x40u /* major type 2 */

/* {1: 1}, that is {alg: A128GCM}. */
static const uint8_t protected_header[] = { 0xa1, 0x01, 0x01 };

struct entry {
	uint64_t uid; /* 0: free */
	int32_t owner;
	uint32_t version; /* never comes twice: it is the nonce, too */
};

/* Kept inside the chip, where nobody can put back an older one. */
struct table {
	uint32_t next; /* version of the next write */
	uint8_t second; /* bit n: object n is in its second sector */
	uint8_t write_once; /* bit n */
	uint8_t reserved[2];
	struct entry entries[PS_MAX_OBJECTS];
};

_Static_assert(sizeof(struct table) <= 128u, "one object of internal trusted storage");

static psa_status_t load(const struct ps_backend *backend, struct table *table)
{
	size_t len;
	const psa_status_t status = backend->table_get(table, sizeof *table, &len);

	if (status == PSA_ERROR_DOES_NOT_EXIST) {
		memset(table, 0, sizeof *table);
		return PSA_SUCCESS;
	}
	return status == PSA_SUCCESS && len != sizeof *table ? PSA_ERROR_DATA_CORRUPT : status;
}

static unsigned find(const struct table *table, int32_t owner, uint64_t uid)
{
	unsigned i = 0;

	while (i < PS_MAX_OBJECTS && (table->entries[i].uid != uid || table->entries[i].owner != owner)) {
		i++;
	}
	return i;
}

static unsigned find_free(const struct table *table)
{
	unsigned i = 0;

	while (i < PS_MAX_OBJECTS && table->entries[i].uid != 0) {
		i++;
	}
	return i;
}

static bool bit(uint8_t bits, unsigned number)
{
	return (bits >> number & 1u) != 0;
}

static void set_bit(uint8_t *bits, unsigned number, bool value)
{
	*bits = (uint8_t)((*bits & ~(1u << number)) | (value ? 1u << number : 0u));
}

static uint8_t *sector(const struct ps_backend *backend, unsigned number, bool second)
{
	return backend->flash + (2u * number + (second ? 1u : 0u)) * PS_SECTOR_SIZE;
}

static void put_nonce(uint8_t nonce[PS_NONCE_SIZE], uint32_t version)
{
	memset(nonce, 0, PS_NONCE_SIZE);
	for (unsigned i = 0; i < 4; i++) {
		nonce[PS_NONCE_SIZE - 1u - i] = (uint8_t)(version >> 8 * i);
	}
}

/* Enc_structure of RFC 9052, section 5.3: whose object this is, under which uid and flags, is external data. */
static bool put_aad(struct cbor_out *out, const struct entry *entry, bool write_once)
{
	uint8_t external_bytes[32];
	struct cbor_out external;

	cbor_out_init(&external, external_bytes, sizeof external_bytes);
	cbor_put_array(&external, 3);
	cbor_put_int(&external, entry->owner);
	cbor_put_uint(&external, entry->uid);
	cbor_put_uint(&external, write_once ? PSA_STORAGE_FLAG_WRITE_ONCE : PSA_STORAGE_FLAG_NONE);
	cbor_put_array(out, 3);
	cbor_put_text(out, "Encrypt0");
	cbor_put_bytes(out, protected_header, sizeof protected_header);
	cbor_put_bytes(out, external.buf, external.used);
	return !external.overflow && !out->overflow;
}

/* The message up to the ciphertext. */
static void put_headers(struct cbor_out *out, const uint8_t nonce[PS_NONCE_SIZE])
{
	cbor_put_tag(out, CBOR_TAG_COSE_ENCRYPT0);
	cbor_put_array(out, 3);
	cbor_put_bytes(out, protected_header, sizeof protected_header);
	cbor_put_map(out, 1);
	cbor_put_int(out, COSE_HEADER_IV);
	cbor_put_bytes(out, nonce, PS_NONCE_SIZE);
}

static psa_status_t write_object(const struct ps_backend *backend, const struct entry *entry, bool write_once,
				 uint8_t *to, const void *data, size_t size)
{
	static uint8_t ciphertext[CIPHERTEXT_MAX];
	static uint8_t message_bytes[PS_SECTOR_SIZE];
	uint8_t nonce[PS_NONCE_SIZE], aad_bytes[AAD_MAX];
	struct cbor_out message, aad;
	size_t len;

	put_nonce(nonce, entry->version);
	cbor_out_init(&aad, aad_bytes, sizeof aad_bytes);
	if (!put_aad(&aad, entry, write_once)) {
		return PSA_ERROR_GENERIC_ERROR;
	}
	const psa_status_t status =
		backend->encrypt(nonce, aad.buf, aad.used, data, size, ciphertext, sizeof ciphertext, &len);

	if (status != PSA_SUCCESS) {
		return status;
	}
	memset(message_bytes, 0xff, sizeof message_bytes); /* as erased flash */
	cbor_out_init(&message, message_bytes, sizeof message_bytes);
	put_headers(&message, nonce);
	cbor_put_bytes(&message, ciphertext, len);
	if (message.overflow) {
		return PSA_ERROR_GENERIC_ERROR;
	}
	memcpy(to, message_bytes, PS_SECTOR_SIZE);
	return PSA_SUCCESS;
}

/* The length that the head of a byte string gives, and the head's own; 0: not a head of the shortest form. */
static size_t take_head(const uint8_t *at, size_t *len)
{
	if (at[0] >= CBOR_BYTES && at[0] < CBOR_BYTES + 24u) {
		*len = at[0] - CBOR_BYTES;
		return 1;
	}
	if (at[0] == CBOR_BYTES + 24u && at[1] >= 24u) {
		*len = at[1];
		return 2;
	}
	if (at[0] == CBOR_BYTES + 25u && at[1] != 0) {
		*len = (size_t)at[1] << 8 | at[2];
		return 3;
	}
	return 0;
}

/*
 * Read the object of an entry. Nonce and headers are not believed: the table says what they must be. The bytes in
 * flash are taken once, so that they cannot change between two looks.
 */
DECISION static psa_status_t read_object(const struct ps_backend *backend, const struct table *table, unsigned number,
					 uint8_t data[PS_MAX_OBJECT_SIZE], size_t *size)
{
	static uint8_t message[PS_SECTOR_SIZE];
	const struct entry *const entry = &table->entries[number];
	uint8_t nonce[PS_NONCE_SIZE], aad_bytes[AAD_MAX], headers_bytes[32];
	struct cbor_out headers, aad;
	size_t len = 0;

	put_nonce(nonce, entry->version);
	cbor_out_init(&headers, headers_bytes, sizeof headers_bytes);
	put_headers(&headers, nonce);
	cbor_out_init(&aad, aad_bytes, sizeof aad_bytes);
	if (!put_aad(&aad, entry, bit(table->write_once, number)) || headers.overflow) {
		return PSA_ERROR_GENERIC_ERROR;
	}
	memcpy(message, sector(backend, number, bit(table->second, number)), sizeof message);
	const size_t head = take_head(message + headers.used, &len);

	if (memcmp(message, headers.buf, headers.used) != 0 || head == 0 || len > CIPHERTEXT_MAX) {
		return PSA_ERROR_INVALID_SIGNATURE;
	}
	volatile psa_status_t status = backend->decrypt(nonce, aad.buf, aad.used, message + headers.used + head, len,
							data, PS_MAX_OBJECT_SIZE, size);

	if (status != PSA_SUCCESS) {
		return status;
	}
	FIH_REQUIRE(fih_of(status == PSA_SUCCESS));
	return PSA_SUCCESS;
}

psa_status_t ps_set(const struct ps_backend *backend, int32_t owner, uint64_t uid, const void *data, size_t size,
		    uint32_t flags)
{
	struct table table;
	struct entry entry = { .uid = uid, .owner = owner };

	if (uid == 0 || (data == NULL && size != 0)) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	if ((flags & ~PSA_STORAGE_FLAG_WRITE_ONCE) != 0) {
		return PSA_ERROR_NOT_SUPPORTED;
	}
	if (size > PS_MAX_OBJECT_SIZE) {
		return PSA_ERROR_INSUFFICIENT_STORAGE;
	}
	psa_status_t status = load(backend, &table);

	if (status != PSA_SUCCESS) {
		return status;
	}
	unsigned number = find(&table, owner, uid);
	const bool is_new = number == PS_MAX_OBJECTS;

	if (is_new) {
		number = find_free(&table);
	} else if (bit(table.write_once, number)) {
		return PSA_ERROR_NOT_PERMITTED;
	}
	if (number == PS_MAX_OBJECTS || table.next == UINT32_MAX) {
		return PSA_ERROR_INSUFFICIENT_STORAGE;
	}
	entry.version = table.next++;
	status = backend->table_set(&table, sizeof table); /* from here on no other write has this nonce */
	if (status != PSA_SUCCESS) {
		return status;
	}
	const bool second = !is_new && !bit(table.second, number);
	const bool write_once = (flags & PSA_STORAGE_FLAG_WRITE_ONCE) != 0;

	status = write_object(backend, &entry, write_once, sector(backend, number, second), data, size);
	if (status != PSA_SUCCESS) {
		return status;
	}
	table.entries[number] = entry;
	set_bit(&table.second, number, second);
	set_bit(&table.write_once, number, write_once);
	return backend->table_set(&table, sizeof table);
}

psa_status_t ps_get(const struct ps_backend *backend, int32_t owner, uint64_t uid, uint8_t data[PS_MAX_OBJECT_SIZE],
		    size_t *size, uint32_t *flags)
{
	struct table table;

	if (uid == 0) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	psa_status_t status = load(backend, &table);

	if (status != PSA_SUCCESS) {
		return status;
	}
	const unsigned number = find(&table, owner, uid);

	if (number == PS_MAX_OBJECTS) {
		return PSA_ERROR_DOES_NOT_EXIST;
	}
	status = read_object(backend, &table, number, data, size);
	*flags = bit(table.write_once, number) ? PSA_STORAGE_FLAG_WRITE_ONCE : PSA_STORAGE_FLAG_NONE;
	return status;
}

psa_status_t ps_remove(const struct ps_backend *backend, int32_t owner, uint64_t uid)
{
	struct table table;

	if (uid == 0) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	const psa_status_t status = load(backend, &table);

	if (status != PSA_SUCCESS) {
		return status;
	}
	const unsigned number = find(&table, owner, uid);

	if (number == PS_MAX_OBJECTS) {
		return PSA_ERROR_DOES_NOT_EXIST;
	}
	if (bit(table.write_once, number)) {
		return PSA_ERROR_NOT_PERMITTED;
	}
	table.entries[number] = (struct entry){ .uid = 0 };
	return backend->table_set(&table, sizeof table);
}
