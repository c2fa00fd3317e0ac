"""Which register a load or store moves, read from its encoding."""

from __future__ import annotations

import pytest
from tfm_harness.boards.gdb_remote import GdbRemoteError
from tfm_harness.boards.qemu.register_stops import transfer


@pytest.mark.parametrize(
    ("code", "store", "register"),
    [
        ("0168", False, 1),  # ldr r1, [r0]
        ("4368", False, 3),  # ldr r3, [r0, #4]
        ("0260", True, 2),  # str r2, [r0]
        ("4760", True, 7),  # str r7, [r0, #4]
        ("8858", False, 0),  # ldr r0, [r1, r2]
        ("8850", True, 0),  # str r0, [r1, r2]
        ("d0f804c0", False, 12),  # ldr.w ip, [r0, #4]
        ("c0f80080", True, 8),  # str.w r8, [r0]
        ("50f8049b", False, 9),  # ldr r9, [r0], #4
        ("41f822a0", True, 10),  # str.w sl, [r1, r2, lsl #2]
    ],
)
def test_words_are_loaded_and_stored(code: str, store: bool, register: int) -> None:
    assert transfer(bytes.fromhex(code).ljust(4, b"\0")) == (store, register)


@pytest.mark.parametrize("code", ["0178", "0170", "0188", "90f80010", "d0e90012", "00bf00bf", "08bf0168"])
def test_everything_else_is_refused(code: str) -> None:
    with pytest.raises(GdbRemoteError, match="neither"):
        transfer(bytes.fromhex(code).ljust(4, b"\0"))
