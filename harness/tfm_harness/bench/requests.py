"""One right request of each kind, for tests that other requests must not disturb them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Final, Protocol

from tfm_harness.protocol.smp.header import Command

if TYPE_CHECKING:
    from tfm_harness.protocol.smp.client import SmpDriver

__all__ = ["right_requests"]

_UID: Final = 0x5245_5155
"""The uid of an object in protected storage that exists only for a moment."""


class Asked(Protocol):
    """The device of the requests: see `tfm_harness.bench.device.Device`."""

    @property
    def test_commands(self) -> SmpDriver: ...
    def any_input(self) -> bytes: ...
    def infer_input(self, data: bytes, *, encrypted: bool = False) -> object: ...
    def attest(self) -> object: ...
    def public_key(self, name: str) -> object: ...
    def csr(self, name: str) -> object: ...


def right_requests(
    device: Asked, missing: Callable[[Collection[str]], list[str]], data: bytes | None, without: Collection[str]
) -> dict[str, Callable[[], object]]:
    """See `Device.requests`.

    Args:
        device: the device of the requests.
        missing: returns the wanted features that are missing.
        data: one input of the active model (None: any).
        without: requests to leave out, by their names in `Device.requests`.

    Raises:
        NotCovered: the firmware does not speak the reference firmware's protocol.
        ValueError: `without` names no request.
    """
    commands, given = device.test_commands, device.any_input() if data is None else data

    def announced() -> object:
        part: dict[str, object] = {"off": 0, "data": given[:1024], "len": len(given)}
        return commands.ask(Command.INPUT_UPLOAD, part)

    found: dict[str, tuple[str, Callable[[], object]]] = {
        "a result": ("infer", lambda: device.infer_input(given)),
        "an encrypted result": ("encrypted-result", lambda: device.infer_input(given, encrypted=True)),
        "a token": ("psa-token", device.attest),
        "the size of a token": ("psa-token", lambda: commands.attest_size(32)),
        "a public key": ("public-keys", lambda: device.public_key("result")),
        "a signing request": ("csr", lambda: device.csr("client")),
        "a batch": ("batch", lambda: commands.ask(Command.BATCH, {"in": given})),
        "timings": ("latency", lambda: commands.latency(2)),
        "a sample": ("sensor", lambda: commands.sample("step")),
        "a list of the models": ("models", commands.models),
        "an object stored": ("protected-storage", lambda: commands.ps_set(_UID, bytes(range(200)))),
        "an object read": ("protected-storage", lambda: commands.ps_get(_UID)),
        "an object removed": ("protected-storage", lambda: commands.ps_remove(_UID)),
        "an input in parts": ("input-upload", announced),
    }
    if unknown := [name for name in without if name not in found]:
        raise ValueError(f"there is no request {', '.join(map(repr, unknown))}; there are: {', '.join(found)}")
    return {name: ask for name, (feature, ask) in found.items() if name not in without and not missing([feature])}
