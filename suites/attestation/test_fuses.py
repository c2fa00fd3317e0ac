"""The token tells what the fuses say: every lifecycle, every optional claim, another board."""

from __future__ import annotations

import hashlib
import secrets

import pytest
from tfm_harness import Bench, Burned, Check, Checks, Device, Refused, ResetKind, Stimulus, Verifier, VirtualBoard
from tfm_harness.protocol.smp import Command, status_of

pytestmark = pytest.mark.needs("psa-token", "trusted-iak", "provision", "cold-reset")

LIFECYCLE = Check(
    id="attestation.lifecycle-provisioned",
    title="in every lifecycle state the claim is the value in the fuses, to the last bit",
    requirement="RFC 9783 s.4.3.1",
)
RESULTS = Check(
    id="attestation.results-by-lifecycle",
    title="in every lifecycle state results are signed with the key for results, too",
    requirement="PSA Security Model 1.1 s.5.1; docs/protocol.md, Identity",
)
SAME_BOARD = Check(
    id="attestation.same-board-in-lifecycle",
    title="in every lifecycle state identity and keys are the board's own, the seed is this boot's, counters go on",
    requirement="PSA Security Model 1.1 s.4.3, s.5.1; docs/protocol.md, Identity",
)
TRUE = Check(
    id="attestation.true-in-lifecycle",
    title="in every lifecycle state everything else that a token and results say is true",
    requirement="PSA Security Model 1.1 s.5.1; RFC 9783 s.4",
)
RULES = Check(
    id="attestation.refusals-by-lifecycle",
    title="in every lifecycle state the same requests are refused: of results, tokens, keys and requests for keys",
    requirement="PSA Security Model 1.1 s.5.1; docs/protocol.md, Group 64 and Services",
)
INVALID_ARGUMENT, BAD_STATE, DOES_NOT_EXIST = -135, -137, -140
READ = (Command.PUBLIC_KEY, Command.CSR)
FITS = Check(
    id="attestation.all-claims-fit",
    title="a token is given with every optional claim, the longest texts and the longest challenge",
    requirement="RFC 9783 s.4.1.1, s.4.2.3, s.4.5.1; PSA Attestation API 1.0 s.3.2",
)
STATES = (0x0000, 0x00A5, 0x1000, 0x10FF, 0x2000, 0x3000, 0x3042, 0x4000, 0x5000, 0x6000, 0xFFFF)
"""All states of RFC 9783 s.4.3.1, some with bits of the implementation's own, and the highest value."""


QUICK = (0x1000, 0x3042, 0x5000)


@pytest.mark.parametrize(
    "states",
    [
        pytest.param(QUICK, id="some"),
        pytest.param(tuple(state for state in STATES if state not in QUICK), id="others", marks=pytest.mark.thorough),
    ],
)
def test_the_lifecycle_is_that_of_the_fuses(
    bench: Bench,
    device: Device,
    checks: Checks,
    verifier: Verifier,
    virtual: VirtualBoard,
    request: pytest.FixtureRequest,
    states: tuple[int, ...],
) -> None:
    known = device.client.key_names if not bench.missing(["public-keys"]) else ()

    def identity() -> dict[str, object]:
        asked = () if bench.missing(["csr"]) else ("result", "client")
        return {
            "UUID": device.describe().uuid,
            **{f"{name} key": device.public_key(name).hex() for name in known},
            **{f"request for the {name} key": device.csr(name).hex() for name in asked},
        }

    before, counter = identity(), 0
    kept = not bench.missing(["nonvolatile"])  # else counters begin anew with each cold start, as the board declares
    needs = ["infer", "signed-result", "trusted-results", "sensor", "stimulus", "sensor-model"]
    sensed = not bench.missing(needs)
    with virtual.fuses() as burn:
        for state in states:
            burn(Burned(lifecycle=state))
            counter = counter if kept else 0
            checks.equal(LIFECYCLE, device.describe().lifecycle, state, subject=f"{state:#06x}, described")
            for name, value in identity().items():
                checks.equal(SAME_BOARD, value, before[name], subject=f"{name}, {state:#06x}")
            challenge, token = device.attest()
            apart = verifier.apart()  # a policy may not trust this state, which is not the question here
            parsed = apart.token(challenge, token, subject=f"{state:#06x}")
            checks(LIFECYCLE, parsed.verified, expected="a token that verifies", seen="none", subject=f"{state:#06x}")
            checks.equal(LIFECYCLE, parsed.security_lifecycle, state, subject=f"{state:#06x}")
            if bench.boot_seed is not None:
                checks.equal(SAME_BOARD, parsed.boot_seed, bench.boot_seed, subject=f"boot seed, {state:#06x}")
            if not bench.missing(["infer", "signed-result", "trusted-results"]):
                result = apart.result(device.infer_input(device.any_input()), subject=f"{state:#06x}")
                seen = "none that verifies with that key"
                checks(RESULTS, result.verified, expected="a result", seen=seen, subject=f"{state:#06x}")
                above = f"above {counter}, the one before"
                now = result.counter or 0
                checks(SAME_BOARD, now > counter, expected=above, seen=now, subject=f"counter, {state:#06x}")
                counter = now
            judge_refusals(bench, device, checks, f"{state:#06x}")
            if sensed:
                stimulus: Stimulus = request.getfixturevalue("stimulus")
                stimulus.set("mag.x", 30.0 + (state >> 8) % 128)
                inference = device.infer_window()
                result = apart.result(inference, subject=f"window, {state:#06x}")
                counter = result.counter or 0
                played = hashlib.sha256(b"".join(sample.record() for sample in inference.samples)).digest()
                if result.profile.rule("input_digest") is not None:
                    digest = result.octets("input_digest")
                    checks.equal(RESULTS, digest, played, subject=f"digest of what the sensor played, {state:#06x}")
            wrong = {finding.id for finding in apart.report.findings if not finding.passed}
            told = {id_ for id_ in wrong if not id_.startswith("attestation.lifecycle")}
            checks.equal(TRUE, told, set(), subject=f"all else that is judged of token and results, {state:#06x}")


def judge_refusals(bench: Bench, device: Device, checks: Checks, subject: str) -> None:
    """Right after a boot: no window has been sampled."""
    wrong: dict[str, tuple[Command, dict[str, object], int]] = {
        "a challenge of 33 bytes": (Command.ATTEST, {"ch": bytes(33)}, INVALID_ARGUMENT),
    }
    if not bench.missing(["public-keys", "csr"]):
        wrong["a key that there is not"] = (Command.PUBLIC_KEY, {"key": 4}, INVALID_ARGUMENT)
        wrong["a request for the attestation key"] = (Command.CSR, {"key": 1}, INVALID_ARGUMENT)
    if not bench.missing(["infer", "nonce"]):
        data = device.any_input()
        right: dict[str, object] = {"nonce": bytes(range(16)), "src": 1, "in": data}
        results: dict[str, tuple[dict[str, object], int]] = {
            "a nonce of 7 bytes": ({"nonce": bytes(7)}, INVALID_ARGUMENT),
            "an input that is a byte too long": ({"in": data + b"\0"}, INVALID_ARGUMENT),
            "another model": ({"mid": bytes(32)}, DOES_NOT_EXIST),
        }
        if not bench.missing(["encrypted-result"]):
            results["another model, encrypted"] = ({"mid": bytes(32), "enc": 1}, DOES_NOT_EXIST)
        wrong |= {name: (Command.INFER, right | change, status) for name, (change, status) in results.items()}
        if not bench.missing(["sensor", "sensor-model"]):
            wrong["no window"] = (Command.INFER, {"nonce": bytes(range(16)), "src": 0}, BAD_STATE)
    for name, (command, arguments, wanted) in wrong.items():
        status = status_of(device.test_commands.ask, command, arguments, read=command in READ)
        checks.equal(RULES, status, wanted, subject=f"{name}, {subject}")


@pytest.mark.thorough
@pytest.mark.needs("nv-access")
def test_optional_claims_and_identity_are_those_of_the_fuses(
    device: Device, verifier: Verifier, virtual: VirtualBoard, checks: Checks
) -> None:
    """Absent, shortest and longest texts; implementation ids; another hardware unique key is another board."""
    with virtual.fuses() as burn:
        for subject, burned in {
            "no optional claim": Burned(certification_reference="", verification_service=""),
            "longest texts": Burned(certification_reference="1234567890123-12345", verification_service="v" * 60),
            "text of every character that may stand in one": Burned(verification_service=" azAZ09~"),
            "shortest text": Burned(verification_service="v"),
            "a certification reference alone": Burned(
                certification_reference="1234567890123-12345", verification_service=""
            ),
            "a verification service alone": Burned(certification_reference="", verification_service="v" * 59),
            "another implementation": Burned(implementation_id=secrets.token_bytes(32)),
        }.items():
            burn(burned)
            for size in (32, 64):
                words = f"{subject}, {size} bytes"
                try:
                    announced = device.test_commands.attest_size(size)
                    challenge, token = device.attest(bytes(range(size)))
                except Refused as refused:
                    checks(FITS, False, expected="a token", seen=refused.message, subject=words)
                    continue
                verifier.token(challenge, token, announced_size=announced, subject=words)
    with virtual.other_board(Burned(huk=secrets.token_bytes(32))):
        verifier.token(*device.attest(), subject="another board")


@pytest.mark.needs("warm-reset")
@pytest.mark.parametrize("boots", [2, pytest.param(6, marks=pytest.mark.thorough(boots=2))])
def test_boot_seeds_are_random_over_boots(device: Device, verifier: Verifier, boots: int) -> None:
    for number in range(boots):
        device.reset(ResetKind.COLD if number % 2 else ResetKind.WARM)
        verifier.token(*device.attest(), subject=f"boot {number}")
    verifier.relations()
