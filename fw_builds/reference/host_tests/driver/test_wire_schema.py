"""The CDDL file itself: it has the rules that the protocol's table names, and refuses what is not a message."""

from __future__ import annotations

import re

import cbor2
import pytest
from wire_schema import CDDL, COMMANDS, ValidationError, WireSchema

SHA = bytes(32)
GOOD: dict[str, object] = {
    "echo-request": {"d": "x"},
    "parameters-response": {"buf_size": 4096, "buf_count": 2},
    "sample-request": {"mode": "free", "ms": 5},
    "sample-response": {"st": 0, "n": 32, "seq": 77},
    "infer-request": {"nonce": bytes(8), "src": 1, "in": b"abc", "mid": SHA},
    "attest-request": {"ch": bytes(32), "buf": 100},
    "public-key-request": {"key": 3},
    "csr-request": {"key": 2},
    "probe-request": {"op": 1, "addr": 0x21200000, "size": 4, "val": 7},
    "probe-response": {
        "fault": True,
        "n": 1,
        "info": {"t": "PPC", "pc": 1, "ns": True, "cfsr": 0, "sfsr": 0, "ppc": 32},
    },
    "faults-response": {"n": 0, "last": []},
    "psa-call-request": {"h": 0x40000105, "type": -1, "in": [[1, 2]], "out": [], "tm": 128, "mv": 32},
    "psa-call-response": {"st": -132, "t": bytes(512)},
    "batch-response": {"out": b"abc"},
    "latency-request": {"n": 512, "warm": 0},
    "latency-response": {"t": bytes(4), "e": bytes(64), "hz": 32_000_000, "t0": 1, "t1": 2},
    "models-response": {
        "models": [
            {"slot": 4, "name": "sine", "id": SHA, "ver": "1.0.0", "cnt": 1, "len": 2568, "st": 0, "act": True},
        ]
    },
    "model-select-response": {"name": "sine", "mid": SHA},
    "model-upload-request": {"off": 0, "data": b"abc", "len": 3, "sha": SHA},
    "model-activate-request": {"sha": SHA},
    "input-upload-request": {"off": 0, "data": b"abc", "len": 3},
    "input-upload-response": {"off": 3},
    "ps-set-request": {"uid": 1, "data": b"abc", "fl": 1},
    "ps-get-request": {"uid": 1 << 63, "off": 256},
    "ps-get-response": {"size": 3, "fl": 0, "data": b"abc"},
    "ps-remove-request": {"uid": 7},
    "trace-response": {"ops": [[0, 9, 3, 0xFFFFFFFF]]},
    "stats-response": {"rx": 0, "crc": 0, "bad": 0, "big": 0, "cbor": 0, "ovr": 0, "tx": 0},
    "error-response": {"err": {"group": 64, "rc": 135}},
    "cose-key": {1: 2, -1: 1, -2: SHA, -3: SHA},
}
OPTIONAL = {
    ("probe-response", "info"),
    ("psa-call-request", "tm"), ("psa-call-request", "mv"), ("psa-call-response", "t"),
}  # fmt: skip
BAD: list[tuple[str, object]] = [
    ("sample-request", {"mode": "sometimes"}),
    ("sample-request", {"mode": "step", "ms": 5}),
    ("sample-response", {"st": 5, "n": 32, "seq": 0}),
    ("sample-response", {"st": 0, "n": 33, "seq": 0}),
    ("infer-request", {"nonce": bytes(7), "src": 0}),
    ("infer-request", {"nonce": bytes(8), "src": 1}),
    ("infer-request", {"nonce": bytes(8), "src": 2}),
    ("infer-request", {"nonce": bytes(8), "src": 1, "in": b"a", "up": 1}),
    ("batch-request", {"in": b"a", "up": 1}),
    ("trace-request", {"up": 0}),
    ("input-upload-request", {"off": 0, "data": b"a"}),
    ("input-upload-request", {"off": 0, "data": b"a", "len": 32769}),
    ("infer-request", {"nonce": bytes(8), "src": 0, "enc": 2}),
    ("ps-set-request", {"uid": 0, "data": b""}),
    ("ps-set-request", {"uid": 1, "data": bytes(257)}),
    ("ps-get-request", {"uid": 1, "off": 257}),
    ("public-key-request", {"key": 4}),
    ("csr-request", {"key": 1}),
    ("probe-request", {"op": 1, "addr": 0, "size": 3, "val": 0}),
    ("probe-request", {"op": 1, "addr": 0, "size": 4}),
    ("faults-response", {"n": 9, "last": [{}]}),
    ("psa-call-request", {"h": 1, "type": 0, "in": [[1]], "out": []}),
    ("psa-call-request", {"h": 1, "type": 0, "in": [], "out": [], "tm": 129}),
    ("latency-request", {"n": 513, "warm": 0}),
    ("error-response", {"err": {"group": 64, "rc": 0}}),
    ("error-response", {"rc": 0}),
    ("describe-response", {"proto": 1}),
]


@pytest.fixture(scope="module")
def schema() -> WireSchema:
    return WireSchema()


SENT_AND_ANSWERED = [
    ({"h": 1, "type": 40000, "in": [], "out": []}, {"st": 0}),
    ({"h": 1, "type": 0, "in": [], "out": []}, {"st": 1 << 31}),
]


@pytest.mark.parametrize(("request_body", "response_body"), SENT_AND_ANSWERED)
def test_ranges_below_zero_are_checked_too(schema: WireSchema, request_body: object, response_body: object) -> None:
    head = bytes([0, 0, 0, 0, 64, 1, 9])
    with pytest.raises(AssertionError):
        schema.check(b"\x0a" + head + cbor2.dumps(request_body), b"\x0b" + head + cbor2.dumps(response_body))


def test_every_command_of_the_table_has_its_rules() -> None:
    table = re.findall(r"^\| (\d+) \| [RW] \| ([a-z-]+) \|", CDDL.with_suffix(".md").read_text(), re.MULTILINE)
    assert {(64, int(number)): name for number, name in table} == {k: v for k, v in COMMANDS.items() if k[0] == 64}
    rules = CDDL.read_text()
    for name in COMMANDS.values():
        assert re.search(rf"^{name}-request = ", rules, re.MULTILINE), name
        assert re.search(rf"^{name}-response = ", rules, re.MULTILINE), name


@pytest.mark.parametrize("rule", GOOD)
def test_a_message_is_accepted(schema: WireSchema, rule: str) -> None:
    schema.validate(rule, cbor2.dumps(GOOD[rule]))


@pytest.mark.parametrize(
    "rule",
    [
        r
        for r in GOOD
        if r not in {"sample-request", "infer-request", "attest-request", "ps-set-request", "ps-get-request"}
    ],
)
def test_a_message_without_one_of_its_keys_is_refused(schema: WireSchema, rule: str) -> None:
    message = GOOD[rule]
    assert isinstance(message, dict)
    for key in message:
        if (rule, key) in OPTIONAL:
            continue
        with pytest.raises(ValidationError):
            schema.validate(rule, cbor2.dumps({k: v for k, v in message.items() if k != key}))


@pytest.mark.parametrize("rule", GOOD)
def test_a_message_with_a_key_too_many_or_of_another_type_is_refused(schema: WireSchema, rule: str) -> None:
    message = GOOD[rule]
    assert isinstance(message, dict)
    with pytest.raises(ValidationError):
        schema.validate(rule, cbor2.dumps({**message, "more": 1}))
    for key in message:
        with pytest.raises(ValidationError):
            schema.validate(rule, cbor2.dumps({**message, key: 1.5}))


@pytest.mark.parametrize(("rule", "message"), BAD)
def test_a_value_out_of_range_is_refused(schema: WireSchema, rule: str, message: object) -> None:
    with pytest.raises(ValidationError):
        schema.validate(rule, cbor2.dumps(message))


def test_an_answer_that_breaks_the_protocol_is_noticed(schema: WireSchema) -> None:
    request = bytes([2 | 8, 0, 0, 0, 0, 64, 1, 1]) + cbor2.dumps({"mode": "step"})
    response = bytes([3 | 8, 0, 0, 0, 0, 64, 1, 1])
    schema.check(request, response + cbor2.dumps({"st": 0, "n": 1, "seq": 1}))
    schema.check(request, response + cbor2.dumps({"rc": 3}))
    with pytest.raises(AssertionError, match="sample-response"):
        schema.check(request, response + cbor2.dumps({"st": 0, "n": 1}))
    with pytest.raises(AssertionError, match="unknown command"):
        schema.check(request[:7] + b"\x63" + request[8:], response + cbor2.dumps({}))
