"""Calls of TF-M's Crypto service against the structures as its headers declare them, laid out by ctypes."""

from __future__ import annotations

import ctypes

import pytest
from tfm_harness.protocol.smp import CRYPTO_FORMS, CryptoForm

WORD, HALF, BYTE = ctypes.c_uint32, ctypes.c_uint16, ctypes.c_uint8
NONCE = [("nonce", BYTE * 16), ("nonce_length", WORD)]
NEW = [("key_id", WORD), ("alg", WORD), ("op_handle", WORD), ("ad_length", WORD), ("plaintext_length", WORD), *NONCE,
       ("function_id", HALF), ("step", HALF), ("value", ctypes.c_uint64)]  # fmt: skip
FIELDS = {
    "2.1 and later": NEW,
    "2.1 and later, with PAKE roles": [*NEW, ("role", BYTE)],
    "1.7 to 2.0": [("key_id", WORD), ("alg", WORD), ("op_handle", WORD), ("capacity", WORD), ("ad_length", WORD),
                   ("plaintext_length", WORD), *NONCE, ("function_id", HALF), ("step", HALF)],
    "1.6": [("function_id", WORD), ("step", HALF), ("key_id", WORD), ("alg", WORD), ("op_handle", WORD),
            ("capacity", WORD), ("ad_length", WORD), ("plaintext_length", WORD), *NONCE],
    "1.4": [("function_id", WORD), ("step", HALF), ("key_id", WORD), ("alg", WORD), ("op_handle", WORD),
            ("capacity", WORD), *NONCE],
}  # fmt: skip


@pytest.mark.parametrize("form", CRYPTO_FORMS, ids=lambda form: form.releases)
def test_a_call_is_laid_out_as_the_header_declares_it(form: CryptoForm) -> None:
    class Iovec(ctypes.LittleEndianStructure):
        _fields_ = FIELDS[form.releases]  # type: ignore[assignment] # of words, halves, bytes and arrays of bytes

    packed = form.pack("aead_decrypt", key=0x11223344, alg=0x55667788, operation=0x99AABBCC, nonce=b"a nonce of it")
    assert len(packed) == ctypes.sizeof(Iovec)
    seen = Iovec.from_buffer_copy(packed)
    assert (seen.key_id, seen.alg, seen.op_handle) == (0x11223344, 0x55667788, 0x99AABBCC)
    assert (bytes(seen.nonce), seen.nonce_length) == (b"a nonce of it\0\0\0", 13)
    assert (seen.function_id, seen.step) == (form.functions["aead_decrypt"], 0)


def test_functions_have_the_numbers_of_their_releases() -> None:
    new, flat, old = (CRYPTO_FORMS[number].functions for number in (0, 3, 4))
    assert [new[name] for name in ("import_key", "hash_compute", "hash_finish", "mac_abort", "aead_decrypt")] == [
        0x203, 0x300, 0x305, 0x407, 0x601,
    ]  # fmt: skip
    # counted in the lists of the headers of 1.6 and 1.4
    assert [flat[name] for name in ("export_key", "hash_compute", "hash_clone", "cipher_abort", "aead_decrypt")] == [
        6, 11, 15, 35, 37,
    ]  # fmt: skip
    assert [old[name] for name in ("export_key", "hash_compute", "hash_clone", "cipher_abort", "aead_decrypt")] == [
        6, 9, 16, 33, 35,
    ]  # fmt: skip


def test_a_nonce_that_does_not_fit_is_refused() -> None:
    assert len(CRYPTO_FORMS[0].pack("aead_decrypt", nonce=bytes(16))) == CRYPTO_FORMS[0].size
    with pytest.raises(ValueError, match="17 bytes"):
        CRYPTO_FORMS[0].pack("aead_decrypt", nonce=bytes(17))
