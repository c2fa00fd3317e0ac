"""The keys that the reference firmware's answers may have (docs/protocol.cddl); others are reported, not refused.

An undocumented key may disclose something that nobody outside should know.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from tfm_harness.protocol.smp.header import GROUP_INFERENCE, GROUP_OS, Command, OsCommand
from tfm_harness.verify import cbor

__all__ = ["ANSWER_KEYS", "undocumented_keys"]

_ACTIVE = "name mid"
_FAULT = "t pc ns cfsr sfsr ad ppc"
_KEYS: Final[dict[tuple[int, int], str]] = {
    (GROUP_OS, OsCommand.ECHO): "r",
    (GROUP_OS, OsCommand.RESET): "",
    (GROUP_OS, OsCommand.PARAMETERS): "buf_size buf_count",
    (GROUP_INFERENCE, Command.DESCRIBE): (
        "proto fw ver spe nspe speh boot seed life otp uuid hz win mtu prof feat model mid in out"
    ),
    (GROUP_INFERENCE, Command.SAMPLE): "st n seq",
    (GROUP_INFERENCE, Command.INFER): "res ph",
    (GROUP_INFERENCE, Command.ATTEST): "tok",
    (GROUP_INFERENCE, Command.ATTEST_SIZE): "size",
    (GROUP_INFERENCE, Command.PUBLIC_KEY): "key",
    (GROUP_INFERENCE, Command.CSR): "csr",
    (GROUP_INFERENCE, Command.PROBE): f"fault val n info {_FAULT}",
    (GROUP_INFERENCE, Command.FAULTS): f"n last {_FAULT}",
    (GROUP_INFERENCE, Command.PSA_CALL): "st t",
    (GROUP_INFERENCE, Command.BATCH): "out",
    (GROUP_INFERENCE, Command.LATENCY): "t e hz t0 t1",
    (GROUP_INFERENCE, Command.MODELS): "models slot name id ver cnt len st act",
    (GROUP_INFERENCE, Command.MODEL_SELECT): _ACTIVE,
    (GROUP_INFERENCE, Command.MODEL_UPLOAD): "off",
    (GROUP_INFERENCE, Command.MODEL_ACTIVATE): _ACTIVE,
    (GROUP_INFERENCE, Command.TRACE): "ops out len",
    (GROUP_INFERENCE, Command.STATS): "rx crc bad big cbor ovr tx",
    (GROUP_INFERENCE, Command.LOG): "",
    (GROUP_INFERENCE, Command.HOLD): "n room",
    (GROUP_INFERENCE, Command.INPUT_UPLOAD): "off",
    (GROUP_INFERENCE, Command.PS_SET): "",
    (GROUP_INFERENCE, Command.PS_GET): "size fl data",
    (GROUP_INFERENCE, Command.PS_REMOVE): "",
}
ANSWER_KEYS: Final[dict[tuple[int, int], frozenset[str]]] = {
    command: frozenset(keys.split()) for command, keys in _KEYS.items()
}
"""By group and command: the keys of a right answer's map and of the maps in it."""
_ERROR = frozenset({"rc", "err", "group"})
_DEEPEST = 8
_SMALL = 64  # bytes of an answer whose keys are remembered


def undocumented_keys(group: int, command: int, payload: bytes) -> frozenset[str]:
    """The keys of an answer that its command's documentation does not name, as `group/command: key`.

    A refusal may have only its own keys. Invalid CBOR gives no keys here; the code that decodes it reports it.
    """
    judge = _undocumented if len(payload) <= _SMALL else _undocumented.__wrapped__
    return judge(group, command, payload)


@lru_cache(maxsize=1024)  # refusals and acknowledgements come many times
def _undocumented(group: int, command: int, payload: bytes) -> frozenset[str]:
    try:
        body = cbor.decode(payload).value
    except cbor.CborError:
        return frozenset()
    refused = isinstance(body, dict) and ("err" in body or "rc" in body)
    known = _ERROR if refused else ANSWER_KEYS.get((group, command), frozenset())
    return frozenset(f"{group}/{command}: {key!r:.40}" for key in _keys(body, _DEEPEST) if key not in known)


def _keys(value: object, depth: int) -> Iterator[object]:
    """The keys of a map and of all maps inside of it."""
    if depth == 0:
        return
    if isinstance(value, dict):
        yield from value
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    for each in inside:
        yield from _keys(each, depth - 1)
