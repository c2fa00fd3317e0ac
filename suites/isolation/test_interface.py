"""The services' interface: pointers of the caller are checked, secrets do not leave."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest
from tfm_harness.console.base import Mark
from tfm_harness.findings import Check
from tfm_harness.plugin.bench import Bench
from tfm_harness.plugin.checks import Checks
from tfm_harness.plugin.device import Device
from tfm_harness.verify.derive import reference_private_key

OWN = 0x2110_0000  # non-secure RAM, away from what the firmware uses
ANSWER = OWN + 0x1000
Vectors = list[tuple[int, int]]
SERVICES: dict[str, tuple[int, int, Vectors, Vectors]] = {
    # psa_manifest/sid.h and the services' headers: handle, message type, and vectors with which the call works
    "attestation": (0x4000_0103, 1001, [(OWN, 32)], [(ANSWER, 2048)]),
    "platform": (0x4000_0104, 1013, [(OWN, 4)], [(ANSWER, 244)]),
    "inference": (0x4000_0105, 4, [(OWN, 4)], [(ANSWER, 96)]),
    "model store": (0x4000_0106, 1001, [], [(ANSWER, 152)]),
}
SECURE = {"secure data": 0x3000_0000, "secure code": 0x1000_0000, "secure SRAM": 0x3120_0000, "OTP": 0x3800_0000}
LIMIT = 1 << 22

POINTER_CHECKED = Check(
    id="isolation.pointer-checked",
    title="a service refuses a vector that the caller may not access itself",
    requirement="PSA Firmware Framework 1.0 s.3.3.2 (memory references are validated)",
)
CALL_WORKS = Check(
    id="isolation.call-works",
    title="the call whose pointers are tested works with the caller's own memory",
    requirement="tfm-harness: a call that always fails proves nothing",
    waivable=False,
)
BAD_CALL = Check(
    id="isolation.bad-call-refused",
    title="a call with a bad handle or too many vectors is refused",
    requirement="PSA Firmware Framework 1.0 s.4.3.3",
)
SECRET = Check(
    id="isolation.secret-on-console",
    title="no private key and no hardware secret appears on a console",
    requirement="PSA Security Model 1.1 s.4.5 (confidentiality of secrets)",
)


@pytest.mark.needs("psa-call", "probe")
@pytest.mark.parametrize("service", SERVICES)
def test_pointers_into_secure_memory_are_refused(device: Device, checks: Checks, service: str) -> None:
    """The same call that works with the caller's own memory, with one vector moved where the caller may not look."""
    handle, kind, inputs, outputs = SERVICES[service]
    device.lab.probe(OWN, write=1)  # the request or key number that the calls above pass
    status = device.lab.psa_call(handle, kind, inputs, outputs)
    checks(CALL_WORKS, status >= 0, expected="PSA_SUCCESS", seen=status, subject=service)
    for name, address in SECURE.items():
        # Reading comes first: where it is not refused, nothing of the secure side has been overwritten yet.
        for what, moved in (("input", inputs), ("output", outputs)):
            for where in (address, address - 16, 0x1_0000_0000 - 16):
                if not moved:
                    continue
                vectors = [(where, moved[0][1]), *moved[1:]]
                given = (vectors, outputs) if what == "input" else (inputs, vectors)
                status = device.lab.psa_call(handle, kind, *given)
                checks(
                    POINTER_CHECKED,
                    status < 0,
                    expected="PSA_ERROR_PROGRAMMER_ERROR (-129) or another error",
                    seen=status,
                    subject=f"{service}: {what} vector of {moved[0][1]} bytes at {where:#x} ({name})",
                )


@pytest.mark.needs("psa-call")
def test_bad_calls_are_refused(device: Device, checks: Checks) -> None:
    for subject, handle, kind, inputs, outputs in (
        ("unknown handle", 0x4000_01FF, 1001, [(OWN, 4)], [(OWN + 64, 4)]),
        ("handle zero", 0, 1001, [], []),
        ("negative type", SERVICES["platform"][0], -7, [], []),
    ):
        status = device.lab.psa_call(handle, kind, inputs, outputs)
        checks(BAD_CALL, status < 0, expected="an error", seen=status, subject=subject)


@pytest.mark.needs("known-secrets", "public-keys", "infer")
def test_no_secret_appears_on_a_console(bench: Bench, device: Device, checks: Checks) -> None:
    """After every key has been used, everything the consoles ever printed is searched."""
    size = bench.description.raw["in"]
    assert isinstance(size, int)
    for number in range(2):
        device.infer_input(bytes([number]) * size)
    device.attest()
    for role in ("result", "client"):
        device.csr(role)
    huk = bench.board.identity.huk
    assert huk is not None
    secrets = {"hardware unique key": huk}
    for role in ("iak", "result", "client"):
        scalar = reference_private_key(huk, role).private_numbers().private_value
        secrets[f"private {role} key"] = scalar.to_bytes(32, "big")
    for name, console in bench.board.consoles.items():
        printed = console.read_from(Mark(0), limit=LIMIT)
        # Spaces and separators between hexadecimal digits must not hide anything.
        digits = printed.lower().translate(None, b" :,-\r\n\t")
        for secret, value in secrets.items():
            form = next((form for form, data in forms(value) if data in printed or data in digits), None)
            checks(SECRET, form is None, expected="nothing of it", seen=f"{form}", subject=f"{secret} on {name}")


def forms(secret: bytes) -> Iterator[tuple[str, bytes]]:
    """How a secret may be printed; halves too, since logs cut lines."""
    for order, value in (("", secret), ("reversed ", secret[::-1])):
        for part, data in (("whole", value), ("first half", value[:16]), ("second half", value[16:])):
            yield f"{order}{part}, raw", data
            yield f"{order}{part}, hexadecimal", data.hex().encode()
        yield f"{order}base64", base64.b64encode(value)[:40]
