"""Signed results: one by one against their profile, and together."""

from __future__ import annotations

import dataclasses
import hashlib
import struct
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tfm_harness.errors import ConfigError
from tfm_harness.findings import Policy, Report, Status, Waiver
from tfm_harness.verify.keys import PublicKey
from tfm_harness.verify.profiles_psa import RFC9783
from tfm_harness.verify.psa_token import PsaToken
from tfm_harness.verify.published import PUBLISHED_P256
from tfm_harness.verify.relations import TokenObservation
from tfm_harness.verify.result_profile import builtin_profiles, load_profile
from tfm_harness.verify.result_relations import check_one_identity
from tfm_harness.verify.results import (
    ResultExpectations,
    ResultObservation,
    SignedResult,
    TensorSpec,
    check_result_relations,
    signature_of_result,
    verify_result,
)

from tests.verify.verify_kit import (
    KEY,
    OTHER_KEY,
    TEST_ONLY_OTHER_P256,
    Pairs,
    Raw,
    Tagged,
    broken,
    enc,
    held,
    message,
    not_held,
)

NONCE = hashlib.sha256(b"nonce").digest()[:16]
SEED = hashlib.sha256(b"seed").digest()
MODEL = hashlib.sha256(b"model").digest()
INPUT = bytes(range(256))
TENSOR = [bytes([1, 2, 3]), "int8", [1, 3], 0.5, -3]


def claims(**changes: Any) -> dict[object, object]:
    made: dict[object, object] = {
        10: NONCE,
        256: OTHER_KEY.instance_id,
        268: SEED,
        -70001: MODEL,
        -70002: 0,
        -70003: hashlib.sha256(INPUT).digest(),
        -70004: [list(TENSOR)],
        -70005: 7,
        -70006: 1000,
        -70007: 33_000,
        -70008: 32_000_000,
    }
    for name, value in changes.items():
        label = int(name.removeprefix("c")) * (1 if len(name) < 5 else -1)
        if value is None:
            del made[label]
        else:
            made[label] = value
    return made


def test_the_signature_of_a_result_is_taken_where_the_key_made_it() -> None:
    data = message(enc(claims()))
    record = signature_of_result(data, profile="tfm-harness-reference", key=KEY)
    assert record is not None
    assert (record.r + record.s) == data[-64:]
    assert signature_of_result(data, profile="tfm-harness-reference", key=OTHER_KEY) is None
    assert signature_of_result(data[:-1], profile="tfm-harness-reference", key=KEY) is None


EXPECTED = ResultExpectations(
    nonce=NONCE,
    instance_id=OTHER_KEY.instance_id,
    boot_seed=SEED,
    model_id=MODEL,
    input_source=0,
    input_data=INPUT,
    outputs=(TensorSpec("int8", (1, 3), 0.5, -3),),
    attestation_key=OTHER_KEY,
    tick_hz=32_000_000,
    waited=0.5,
)


def judge(
    data: bytes,
    *,
    expected: ResultExpectations = EXPECTED,
    policy: Policy = Policy.VALIDATION,
    keys: Any = KEY,
    profile: Any = "tfm-harness-reference",
) -> tuple[Report, SignedResult]:
    report = Report(policy=policy)
    return report, verify_result(data, profile=profile, keys=keys, expected=expected, report=report)


def result(**changes: Any) -> bytes:
    return message(enc(claims(**changes)))


def tensor(**members: Any) -> list[object]:
    names = ("data", "type", "shape", "scale", "zero_point")
    return [members.get(name, value) for name, value in zip(names, TENSOR, strict=True)]


@pytest.mark.parametrize("policy", Policy)
def test_a_right_result_passes(policy: Policy) -> None:
    report, parsed = judge(result(), policy=policy)
    assert report.ok, report.failed
    assert parsed.verified
    assert parsed.counter == 7
    assert parsed.outputs[0].shape == (1, 3)
    assert {"result.nonce", "result.model-id", "result.input-digest", "result.ticks", "result.outputs"} <= held(report)


MUTATIONS: dict[str, tuple[bytes, str]] = {
    "another key": (message(enc(claims()), key=TEST_ONLY_OTHER_P256), "cose.signature"),
    "algorithm outside the profile": (message(enc(claims()), alg=-35), "cose.algorithm-allowed"),
    "no map": (message(enc([1])), "result.payload-map"),
    "no CBOR": (message(b"\xff"), "cbor.well-formed"),
    "duplicate": (message(enc(Pairs((*claims().items(), (-70005, 8))))), "cbor.unique-keys"),
    "trailing": (message(enc(claims()) + b"\x00"), "cbor.trailing"),
    "tagged": (result(c70005=Tagged(2, b"\x07")), "cbor.tags"),
    "unknown claim": (message(enc(claims() | {-70009: 1})), "result.unknown"),
    "another nonce": (result(c10=bytes(16)), "result.nonce"),
    "a key id beside the algorithm": (message(enc(claims()), unprotected={4: b"result"}), "result.headers"),
    "a protected key id": (message(enc(claims()), protected={1: -7, 4: b"result"}), "result.headers"),
    "a counter of eight bytes": (result(c70005=Raw(b"\x1b" + bytes(7) + b"\x07")), "result.encoding"),
    "claims in another order": (message(enc(Pairs(tuple(reversed(claims().items()))))), "result.encoding"),
    "nonce missing": (result(c10=None), "result.nonce"),
    "nonce 7 bytes": (result(c10=NONCE[:7]), "result.types"),
    "nonce 65 bytes": (result(c10=bytes(65)), "result.types"),
    "another board": (result(c256=KEY.instance_id), "result.instance-id"),
    "instance id short": (result(c256=bytes(32)), "result.types"),
    "another boot": (result(c268=bytes(32)), "result.boot-seed"),
    "another model": (result(c70001=bytes(32)), "result.model-id"),
    "model missing": (result(c70001=None), "result.mandatory"),
    "input from the host": (result(c70002=1), "result.input-source"),
    "source false": (result(c70002=False), "result.types"),
    "source 2": (result(c70002=2), "result.types"),
    "another input": (result(c70003=bytes(32)), "result.input-digest"),
    "digest text": (result(c70003="d" * 32), "result.types"),
    "outputs empty": (result(c70004=[]), "result.outputs"),
    "outputs bytes": (result(c70004=b"\x01"), "result.outputs"),
    "tensor of four": (result(c70004=[TENSOR[:4]]), "result.outputs"),
    "data too short": (result(c70004=[tensor(data=b"\x01\x02")]), "result.outputs"),
    "data text": (result(c70004=[tensor(data="abc")]), "result.outputs"),
    "type unknown": (result(c70004=[tensor(type="int4")]), "result.outputs"),
    "shape zero": (result(c70004=[tensor(shape=[0, 3], data=b"")]), "result.outputs"),
    "shape negative": (result(c70004=[tensor(shape=[-1, -3])]), "result.outputs"),
    "shape huge": (result(c70004=[tensor(shape=[1 << 31] * 8)]), "result.outputs"),
    "shape true": (result(c70004=[tensor(shape=[True, 3])]), "result.outputs"),
    "scale zero": (result(c70004=[tensor(scale=0.0)]), "result.outputs"),
    "scale NaN": (result(c70004=[tensor(scale=Raw(b"\xfa\x7f\xc0\x00\x00"))]), "result.outputs"),
    "scale infinite": (result(c70004=[tensor(scale=Raw(b"\xfa\x7f\x80\x00\x00"))]), "result.outputs"),
    "scale negative": (result(c70004=[tensor(scale=-0.5)]), "result.outputs"),
    "zero point 128": (result(c70004=[tensor(zero_point=128)]), "result.outputs"),
    "another shape": (result(c70004=[tensor(shape=[3])]), "result.output-shape"),
    "another scale": (result(c70004=[tensor(scale=0.25)]), "result.output-shape"),
    "another zero point": (result(c70004=[tensor(zero_point=0)]), "result.output-shape"),
    "two tensors": (result(c70004=[list(TENSOR), list(TENSOR)]), "result.output-shape"),
    "counter negative": (result(c70005=-1), "result.types"),
    "counter bytes": (result(c70005=b"\x07"), "result.types"),
    "ticks backwards": (result(c70006=40_000), "result.ticks"),
    "no time passed": (result(c70006=33_000), "result.ticks"),
    "longer than the host waited": (result(c70007=32_000_000), "result.ticks"),
    "another clock": (result(c70008=25_000_000), "result.ticks"),
    "clock zero": (result(c70008=0), "result.types"),
    "end ticks text": (result(c70007="33000"), "result.types"),
    "signature cut": (result()[:-1], "cbor.well-formed"),
}


@pytest.mark.parametrize("name", MUTATIONS)
@pytest.mark.parametrize("policy", [Policy.VALIDATION, Policy.PRODUCTION])
def test_a_broken_result_fails_by_its_check(name: str, policy: Policy) -> None:
    data, expected = MUTATIONS[name]
    report, _ = judge(data, policy=policy)
    assert not report.ok
    assert expected in broken(report)


def test_a_shape_has_up_to_eight_dimensions() -> None:
    for dimensions in range(1, 12):
        report, _ = judge(result(c70004=[tensor(shape=[3] + [1] * (dimensions - 1))]))
        assert ("result.outputs" in broken(report)) == (dimensions > 8), dimensions


def test_every_check_that_a_broken_result_fails_is_counted_where_it_holds() -> None:
    assert {check for _, check in MUTATIONS.values()} <= held(judge(result())[0])


def test_the_attestation_key_must_not_sign_results() -> None:
    report, _ = judge(message(enc(claims()), key=TEST_ONLY_OTHER_P256), keys=OTHER_KEY)
    assert broken(report) == {"result.key-separate"}


def test_a_key_of_another_role_that_signed_is_named() -> None:
    client = ec.derive_private_key(0x1F5E_D0A1_0011, ec.SECP256R1())
    expected = dataclasses.replace(EXPECTED, other_keys={"the client key": PublicKey.from_handle(client.public_key())})
    for key, name in ((TEST_ONLY_OTHER_P256, "the attestation key"), (client, "the client key")):
        report, verified = judge(message(enc(claims()), key=key), expected=expected)
        assert not verified.verified
        assert broken(report) == {"cose.signature", "result.key-separate"}
        assert [f.seen for f in report.failed if f.id == "result.key-separate"] == [f"signed with {name}"]


def test_a_published_key_that_signed_is_named() -> None:
    root = ec.derive_private_key(PUBLISHED_P256["MCUboot's and TF-M's root-ec-p256"], ec.SECP256R1())
    report, _ = judge(message(enc(claims()), key=root))
    assert broken(report) == {"cose.signature", "result.dummy-key"}
    assert any("root-ec-p256" in (f.seen or "") for f in report.failed)


def test_a_signature_of_nobody_known_names_nobody() -> None:
    stranger = ec.derive_private_key(0x1F5E_D0A1_0012, ec.SECP256R1())
    report, _ = judge(message(enc(claims()), key=stranger))
    assert broken(report) == {"cose.signature"}


def test_a_published_key_is_lost_under_every_policy() -> None:
    private = ec.derive_private_key(1, ec.SECP256R1())
    for policy in Policy:
        report, parsed = judge(
            message(enc(claims()), key=private), keys=PublicKey.from_handle(private.public_key()), policy=policy
        )
        assert parsed.verified
        assert broken(report) == {"result.dummy-key"}


@pytest.mark.parametrize(("high", "counter"), [(2, (2 << 32) + 7), (0, 7), (None, None)])
def test_a_rollover_counter_is_the_upper_half(high: int | None, counter: int | None) -> None:
    claims = {-80000: struct.pack("<f", 0.5), -80006: struct.pack("<I", 7)}
    claims |= {} if high is None else {-80005: struct.pack("<I", high)}
    parsed = verify_result(message(enc(claims)), profile="linaro-cai", keys=KEY, report=Report())
    assert parsed.verified
    assert parsed.counter == counter


def test_a_role_that_nobody_knows_is_an_error() -> None:
    _, parsed = judge(result())
    assert parsed.integer("tick_hz") == 32_000_000
    assert parsed.integer("counter_high") is None  # of other profiles
    assert parsed.octets("counter") is None
    for ask in (parsed.integer, parsed.octets):
        with pytest.raises(ValueError, match="tick_hz"):
            ask("counter_hz")


def test_no_key_is_an_error() -> None:
    with pytest.raises(ConfigError):
        judge(result(), keys=None)


def test_no_nonce_given_is_said() -> None:
    report, _ = judge(result(), expected=ResultExpectations())
    assert report.ok
    assert "result.nonce-given" in not_held(report)
    report, _ = judge(result(), expected=ResultExpectations(), policy=Policy.PRODUCTION)
    assert broken(report) == {"result.nonce-given"}


VENDOR = {
    "name": "vendor",
    "algorithms": ["ES256", "ES384"],
    "claims": [
        {"label": 1, "name": "text", "type": "text", "pattern": "[a-z]+", "size": [1, 5]},
        {"label": "t", "name": "carried", "type": "text-bytes", "optional": True},
        {"label": 3, "name": "signed", "type": "int", "min": -5, "max": 5},
        {"label": 4, "name": "real", "type": "float", "optional": True},
        {"label": 5, "name": "count", "type": "le-uint32", "role": "counter", "optional": True},
        {"label": 6, "name": "value", "type": "le-float32", "role": "value", "optional": True},
    ],
}


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({1: "abc", 3: -5}, set()),
        ({1: "abc", "t": b"text", 3: 5, 4: 1.5, 5: b"\x01\0\0\0", 6: b"\0\0\x80\x3f"}, set()),
        ({1: "abcdef", 3: 0}, {"result.types"}),
        ({1: "a1", 3: 0}, {"result.stray-bytes"}),
        ({1: "1a", 3: 0}, {"result.types"}),
        ({1: "ab\n", 3: 0}, {"result.stray-bytes"}),
        ({1: "ab\u200b", 3: 0}, {"result.stray-bytes"}),
        ({1: b"abc", 3: 0}, {"result.types"}),
        ({1: "abc", 3: 6}, {"result.types"}),
        ({1: "abc", 3: 0, "t": b"x\x00"}, {"result.stray-bytes"}),
        ({1: "abc", 3: 0, "t": b"x\xc3\xa4"}, {"result.stray-bytes"}),
        ({1: "abc", 3: 0, "t": "x"}, {"result.types"}),
        ({1: "abc", 3: 0, 4: 1}, {"result.types"}),
        ({1: "abc", 3: 0, 5: b"\x01"}, {"result.types"}),
        ({1: "abc", 3: 0, 6: b"\0\0\xc0\x7f"}, {"result.types"}),
        ({3: 0}, {"result.mandatory"}),
    ],
)
def test_a_vendor_s_profile(payload: dict[object, object], expected: set[str]) -> None:
    report, _ = judge(message(enc(payload)), profile=VENDOR, expected=ResultExpectations(), policy=Policy.DEV)
    assert broken(report) == expected
    assert "result.freshness" in not_held(report)


def test_stray_bytes_are_excused_in_the_claim_that_is_named_only() -> None:
    for at, excused in (
        ("", {"claim 1 (text)", "claim t (carried)"}), ("claim t *", {"claim t (carried)"}),
        ("claim 1 (text)", {"claim 1 (text)"}), ("claim 2 *", set()),
    ):  # fmt: skip
        waiver = Waiver(finding="result.stray-bytes", reason="known to leak here", at=at)
        report = Report(policy=Policy.DEV, waivers=(waiver,))
        leaks = message(enc({1: "ab\n", 3: 0, "t": b"x\0"}))
        verify_result(leaks, profile=VENDOR, keys=KEY, expected=ResultExpectations(), report=report)
        stray = [finding for finding in report.findings if finding.id == "result.stray-bytes"]
        assert [finding.where for finding in stray] == ["claim 1 (text)", "claim t (carried)"]
        assert {f.where for f in stray if report.status(f) is Status.WAIVED} == excused, at


@pytest.mark.parametrize(
    "change",
    [
        {"algoritms": []},
        {"algorithms": ["RS256"]},
        {"algorithms": []},
        {"headers": 1},
        {"headers": [1.5]},
        {"headers": [True]},
        {"encoding": "canonical"},
        {"encoding": ["deterministic"]},
        {"claims": []},
        {"claims": [5]},
        {"claims": {}},
        {"claims": [{"label": 1, "name": "x"}]},
        {"claims": [{"label": 1, "name": "x", "type": "blob"}]},
        {"claims": [{"label": 1.5, "name": "x", "type": "int"}]},
        {"claims": [{"label": True, "name": "x", "type": "int"}]},
        {"claims": [{"label": 1, "name": "x", "type": "int", "role": "nonce"}]},
        {"claims": [{"label": 1, "name": "x", "type": "int"}] * 2},
        {"claims": [{"label": 1, "name": "x", "type": "bytes", "size": [5, 2]}]},
        {"claims": [{"label": 1, "name": "x", "type": "bytes", "size": "big"}]},
        {"claims": [{"label": 1, "name": "x", "type": "text", "pattern": "("}]},
        {"claims": [{"label": 1, "name": "x", "type": "int", "min": "0"}]},
        {"claims": [{"label": 1, "name": "x", "type": "int", "values": ["a"]}]},
        {"claims": [{"label": 1, "name": "x", "type": "int", "roel": "counter"}]},
    ],
)
def test_a_wrong_profile_is_a_config_error(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as caught:
        load_profile({**VENDOR, **change})
    assert caught.value.kind == "result-profile"
    assert "vendor" in (caught.value.where or "")


def test_a_wrong_profile_says_what_it_holds() -> None:
    with pytest.raises(ConfigError) as caught:
        load_profile({**VENDOR, "algorithms": ["RS256"]})
    assert caught.value.seen == "['RS256']"


def test_built_in_profiles_load_and_unknown_ones_name_the_nearest() -> None:
    assert builtin_profiles() == ["linaro-cai", "linaro-cai-token", "tfm-harness-reference"]
    for name in builtin_profiles():
        assert load_profile(name).name == name
    with pytest.raises(ConfigError) as caught:
        load_profile("linaro-ca")
    assert "linaro-cai" in (caught.value.hint or "")


def observe(
    number: int, *, boot: int = 0, board: str = "a", request: int | None = None, **changes: Any
) -> ResultObservation:
    defaults: dict[str, Any] = {
        "c10": hashlib.sha256(b"%d" % number).digest(),
        "c70005": number,
        "c70006": number * 100_000,
        "c70007": number * 100_000 + 50_000,
        "c268": hashlib.sha256(f"{board}{boot}".encode()).digest(),
        "c70003": hashlib.sha256(b"input %d" % number).digest(),
    }
    _, parsed = judge(result(**defaults | changes), expected=ResultExpectations())
    return ResultObservation(
        result=parsed,
        request=number if request is None else request,
        stimulus=b"input %d" % number,
        board=board,
        boot=boot,
    )


def together(*observations: ResultObservation) -> Report:
    report = Report()
    check_result_relations(observations, report)
    return report


def test_right_results_over_a_reset_pass() -> None:
    report = together(observe(1), observe(2), observe(3, boot=1, c70006=10, c70007=20), observe(4, boot=1))
    assert report.ok, report.failed
    assert held(report) == {
        "result.counter-rises",
        "result.counter-over-resets",
        "result.counter-step",
        "result.replayed",
        "result.ticks-ordered",
        "result.boot-seed-relation",
        "result.stuck-output",
        "result.ecdsa-nonce-reuse",
        "result.ecdsa-nonce-in-boot",
    }


TOGETHER: dict[str, tuple[list[ResultObservation], str]] = {
    "counter stands": ([observe(1), observe(2, c70005=1)], "result.counter-rises"),
    "counter falls over a reset": ([observe(121), observe(122, boot=1, c70005=101)], "result.counter-over-resets"),
    "counter stands within the second boot": (
        [observe(121), observe(122, boot=1), observe(123, boot=1, c70005=122)],
        "result.counter-rises",
    ),
    "counter falls and rises again": (
        [observe(9), observe(10, c70005=3), observe(11, c70005=4)],
        "result.counter-rises",
    ),
    "counter unreadable": ([observe(1), observe(2, c70005=-1)], "result.counter-rises"),
    "an old result for a new request": ([observe(1), observe(1, request=2)], "result.replayed"),
    "ticks run backwards": ([observe(2), observe(3, c70006=10, c70007=20)], "result.ticks-ordered"),
    "seed changes within a boot": ([observe(1), observe(2, c268=bytes(32))], "result.boot-seed-relation"),
    "seed constant over a reset": (
        [observe(1), observe(2, boot=1, c268=hashlib.sha256(b"a0").digest())],
        "result.boot-seed-relation",
    ),
    "one digest for two inputs": (
        [observe(1), observe(2, c70003=hashlib.sha256(b"input 1").digest())],
        "result.stuck-output",
    ),
}


@pytest.mark.parametrize("name", TOGETHER)
def test_broken_relations_are_found(name: str) -> None:
    observations, expected = TOGETHER[name]
    assert expected in broken(together(*observations))


def test_a_digest_counts_where_its_input_is_known() -> None:
    """A result of an input that nobody knows may have the digest of any."""
    unknown = dataclasses.replace(observe(2, c70003=hashlib.sha256(b"input 1").digest()), stimulus=None)
    report = together(observe(1), unknown, observe(3))
    assert report.ok, report.failed
    assert "result.stuck-output" in held(report)


def test_a_replay_with_the_other_signature_form_is_found() -> None:
    from tfm_harness.verify.algorithms import P256

    first = observe(1)
    raw = first.result.raw
    s = int.from_bytes(raw[-32:], "big")
    _, copy = judge(raw[:-32] + (P256.order - s).to_bytes(32, "big"), expected=ResultExpectations())
    assert copy.verified
    again = ResultObservation(result=copy, request=2, board="a")
    assert "result.replayed" in broken(together(first, again))


def test_a_counter_that_jumps_is_noted() -> None:
    report = together(observe(1), observe(5))
    assert report.ok
    assert "result.counter-step" in not_held(report)


@pytest.mark.parametrize("boot", [0, 1])
@pytest.mark.parametrize(("counter", "holds"), [(4, True), (3, False), (5, False)])
def test_a_counter_goes_by_one_for_each_request_also_over_a_reset(boot: int, counter: int, holds: bool) -> None:
    later = dataclasses.replace(observe(counter, boot=boot), requests_between=3)
    report = together(observe(1), later)
    assert ("result.counter-step" in held(report)) == holds
    assert ("result.counter-step" in not_held(report)) == (not holds)


def test_boards_have_counters_of_their_own() -> None:
    assert together(observe(5), observe(1, board="b"), observe(6), observe(2, board="b")).ok


def identities(board: str, *ids: bytes | None) -> list[TokenObservation]:
    """Tokens of a board that name these instance ids."""
    label = RFC9783.labels["instance_id"]
    tokens = [PsaToken(raw=b"", profile=RFC9783, claims={} if one is None else {label: one}) for one in ids]
    return [TokenObservation(token=token, challenge=b"", board=board) for token in tokens]


POINT = next(one for one, scheme in OTHER_KEY.instance_ids.items() if scheme == "point")


@pytest.mark.parametrize(
    ("named", "in_tokens", "says"),
    [
        ([OTHER_KEY.instance_id], [OTHER_KEY.instance_id, OTHER_KEY.instance_id], True),
        ([OTHER_KEY.instance_id], [OTHER_KEY.instance_id, None], True),  # what names nobody names no other
        ([OTHER_KEY.instance_id], [POINT], False),
        ([POINT], [POINT], True),
        ([OTHER_KEY.instance_id, POINT], [POINT], False),  # the board has two names
        ([POINT], [POINT, OTHER_KEY.instance_id], False),
        ([OTHER_KEY.instance_id], [None], None),
        ([OTHER_KEY.instance_id], [], None),
        ([], [POINT], None),
    ],
)
def test_a_board_calls_itself_the_same_in_results_and_tokens(
    named: list[bytes], in_tokens: list[bytes], says: bool | None
) -> None:
    """Other boards have other names, and are not looked at."""
    results = [observe(n, c256=one) for n, one in enumerate(named)] + [observe(9, board="b", c256=KEY.instance_id)]
    report = Report()
    check_one_identity(results, [*identities("a", *in_tokens), *identities("b", KEY.instance_id)], report)
    assert sorted(finding.passed for finding in report) == sorted([True] if says is None else [True, says])
    assert all((finding.id, finding.where) == ("result.instance-id-of-token", "a") for finding in report.failed)


@pytest.mark.parametrize("promised", [True, False])
@pytest.mark.parametrize(
    ("signatures", "equal"),
    [
        ("aa", True),
        ("ab", False),
        ("aaa", True),
        ("aab", False),
        ("a", None),
        ("a|b", None),
        ("a|a", None),
        ("ab|a", False),
    ],
)
def test_signatures_over_one_payload_are_equal_where_that_is_promised_and_nowhere_else(
    signatures: str, equal: bool | None, promised: bool
) -> None:
    """Letters are signatures over one payload, `|` goes on with another board."""
    data = {letter: result() for letter in "ab"}
    seen: list[ResultObservation] = []
    for number, board in enumerate(signatures.split("|")):
        for letter in board:
            _, parsed = judge(data[letter])
            parsed = dataclasses.replace(parsed, profile=dataclasses.replace(parsed.profile, deterministic=promised))
            seen.append(ResultObservation(result=parsed, request=len(seen), board=f"board {number}"))
    found = [finding for finding in together(*seen) if finding.id == "result.ecdsa-deterministic"]
    assert [finding.passed for finding in found] == ([] if equal is None else [equal == promised])
    if equal is not None and equal != promised:
        assert found[0].seen == ("equal signatures" if equal else "different signatures over one payload")
