"""Judges a recorded session with zephyr_secure_inference by a build's description, without a device.

Each recorded reply is judged as the suite `application_evidence` judges it live, with the same checks. Replies that
the recording does not hold are named as not covered.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tfm_harness.bench.verifier import DEVICE_KEY
from tfm_harness.encodings import whole_number
from tfm_harness.errors import ConfigError, InfrastructureError
from tfm_harness.files import MODEL_LIMIT, read_file
from tfm_harness.findings import Check, Report, Severity
from tfm_harness.protocol.zephyr_shell import parse
from tfm_harness.protocol.zephyr_shell.evidence import (
    INPUTS_KEPT,
    MODELS_LISTED,
    PRINTED,
    SIGNED_IS_PLAIN,
    TOKEN_MODEL,
    TOKEN_STABLE,
    plain_value,
    signed_value,
)
from tfm_harness.protocol.zephyr_shell.recording import RecordedReply
from tfm_harness.verify.csr import verify_csr
from tfm_harness.verify.key_relations import check_device_key
from tfm_harness.verify.keys import PublicKey, VerificationKey
from tfm_harness.verify.result_relations import ResultObservation, check_result_relations
from tfm_harness.verify.results import ResultExpectations, verify_result
from tfm_harness.verify.signatures import SignatureLedger, check_signatures, record_request, record_signature

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tfm_harness.config.build import Build

    Floats = npt.NDArray[np.float32]

__all__ = ["CHECKS", "SessionContent", "judge_session"]

NO_RESET = Check(
    id="session.no-reset",
    title="the device starts again only where it was asked to",
    requirement="the firmware's command interface",
    dev=Severity.FAILURE,
)
ANSWERED = Check(
    id="session.answered",
    title="the device gives what it offers: outputs of its models within the circle, tokens, keys and requests",
    requirement="the firmware's command interface",
    dev=Severity.FAILURE,
)
CHECKS = (SIGNED_IS_PLAIN, TOKEN_MODEL, TOKEN_STABLE, MODELS_LISTED, INPUTS_KEPT, DEVICE_KEY, NO_RESET, ANSWERED)
"""The checks of a recorded session, in addition to those of results, keys, requests and numbers."""

_TFLM = "tflm_sine"
_DEGREES = 0.0051  # the text has two decimals of the input
_ROLES = {0x5001: "client", 0x5002: "result"}
_CIRCLE = 360


@dataclass(slots=True)
class SessionContent:
    """The contents of a session.

    Attributes:
        commands: number of recorded replies.
        boots: number of starts of the device.
        signed, plain: number of results by form.
        missing: things that the recording does not hold, in words: not covered.
        damaged: replies that could not be read, in words: they are not judged.
    """

    commands: int = 0
    boots: int = 0
    signed: int = 0
    plain: int = 0
    missing: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, object]:
        """A JSON-ready mapping."""
        return {
            "kind": "session", "commands": self.commands, "boots": self.boots, "signed": self.signed,
            "plain": self.plain, "not_covered": self.missing, "damaged": self.damaged,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Value:
    """One output: its model, its input (degrees), its value, and its place in the recording."""

    model: str
    degrees: float
    value: float
    where: str


class _Session:
    def __init__(self, build: Build, keys: dict[str, VerificationKey], report: Report) -> None:
        self.build, self.keys, self.report = build, keys, report
        self.content = SessionContent()
        self.plain: list[_Value] = []
        self.signed: list[_Value] = []
        self.results: list[ResultObservation] = []
        self.tokens: list[bytes] = []
        self.uuid: str | None = None
        self.seen: set[str] = set()
        self.ledger = SignatureLedger()
        self.asked: int | None = 0  # signed results that were requested since the last one; None: not known

    def take(self, reply: RecordedReply) -> None:
        words = reply.command.split()
        asked_to = words[:2] == ["kernel", "reboot"]
        if reply.interrupted:
            self.report.add(NO_RESET, asked_to, expected="no start, or one that was asked for",
                            seen="the device started again", where=reply.command)  # fmt: skip
            return
        if not reply.echoed:
            if words[:1] in (["infer"], ["keys"]):
                raise InfrastructureError(
                    "the echo of the command is missing, and so is its reply", kind="echo-missing"
                )
            return
        offered = self.offers(words)
        if parse.is_refused(reply.lines):
            if words[:2] == ["infer", "get"] and "SIGN1" in words:
                self.asked = None  # whether a refused request counts depends on the firmware
            if offered:
                self.report.add(ANSWERED, False, expected="an answer", seen=" ".join(filter(None, reply.lines[:4])),
                                where=reply.command)  # fmt: skip
            return
        if offered:
            self.report.add(ANSWERED, True, where=reply.command)
        match words:
            case ["infer", "get", model, ("CBOR" | "SIGN1") as form, *numbers]:
                self.values(reply, model, form, numbers)
            case ["infer", "token"]:
                self.token(reply)
            case ["infer", "model"]:
                self.models(reply)
            case ["keys", "public", *_]:
                for number, pem in parse.public_keys(reply.lines).items():
                    self.public_key(_ROLES.get(number, f"{number:#x}"), pem)
            case ["keys", "csr", ("PEM" | "JSON") as form, number]:
                read = parse.csr_from_pem if form == "PEM" else parse.csr_from_json
                self.request(_ROLES.get(int(number, 16), number), read(reply.lines), reply.command)
            case ["info", "uuid"]:
                self.uuid = parse.single_line(reply.lines, r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
            case _:
                return
        self.seen.add(" ".join(words[:2]))

    def offers(self, words: Sequence[str]) -> bool:
        """Whether the device must answer: a right request about things that the build declares or that all have."""
        match words:
            case ["infer", "get", model, ("CBOR" | "SIGN1"), start]:
                return model in self.build.models and _within_circle(start)
            case ["infer", "get", model, ("CBOR" | "SIGN1"), start, stop, stride]:
                whole = [number for text in (start, stop, stride) if (number := whole_number(text)) is not None]
                if model not in self.build.models or len(whole) != 3:
                    return False
                first, last, step = whole
                return first < first + step <= last < _CIRCLE
            case ["infer", "token"] | ["infer", "model"]:
                return True
            case ["keys", "public", number] | ["keys", "csr", "PEM" | "JSON", number]:
                return number in {f"{known:x}" for known in _ROLES}
            case _:
                return False

    def values(self, reply: RecordedReply, model: str, form: str, numbers: Sequence[str]) -> None:
        found = parse.inferences(reply.lines)
        start, step = float(numbers[0]), float(numbers[2]) if len(numbers) > 2 else 1.0
        for index, entry in enumerate(found):
            degrees = start + index * step
            subject = f"{model} at {degrees:g} degrees, boot {reply.boot}"
            self.report.add(INPUTS_KEPT, abs(entry.degrees - degrees) <= _DEGREES, expected=f"{degrees:g}",
                            seen=f"{entry.degrees:g}", subject=subject, where=reply.command)  # fmt: skip
            if form == "CBOR":
                self.content.plain += 1
                value = plain_value(entry.message)
                self.plain.append(_Value(model, degrees, value, reply.command))
                self.report.add(SIGNED_IS_PLAIN, abs(value - entry.value) <= PRINTED, expected=entry.value, seen=value,
                                subject=f"{subject}, text of CBOR", where=reply.command)  # fmt: skip
                continue
            self.content.signed += 1
            self.asked = None if self.asked is None else self.asked + 1
            value = self.result(entry.message, reply.boot, subject)
            self.signed.append(_Value(model, degrees, value, f"{reply.command}, boot {reply.boot}"))
            self.report.add(SIGNED_IS_PLAIN, abs(value - entry.value) <= PRINTED, expected=entry.value, seen=value,
                            subject=f"{subject}, text", where=reply.command)  # fmt: skip

    def result(self, message: bytes, boot: int, subject: str) -> float:
        from tfm_harness.config.result_profile import build_result_profile

        result = verify_result(message, profile=build_result_profile(self.build), keys=[self.keys["result"]],
                               expected=ResultExpectations(), report=self.report, subject=subject)  # fmt: skip
        between, self.asked = self.asked, 0
        self.results.append(
            ResultObservation(result=result, request=len(self.results), boot=boot, requests_between=between)
        )
        return signed_value(result)

    def token(self, reply: RecordedReply) -> None:
        found = parse.hexdumps(reply.lines[1:])
        if len(found) != 1:
            raise InfrastructureError("one token was expected", kind="reply-damaged", seen=f"{len(found)} messages")
        token = verify_result(found[0], profile="linaro-cai-token", keys=[self.keys["result"]],
                              expected=ResultExpectations(), report=self.report, subject="token")  # fmt: skip
        if token.message is not None:
            self.tokens.append(token.message.payload)
            if token.verified and isinstance(token.key, PublicKey):
                check_signatures([(record_signature(token.message, token.key, where="token"), token.key)], self.report,
                                 ledger=self.ledger)  # fmt: skip
        model = self.build.models.get(_TFLM)
        if model is None or model.deployed is None:
            self.content.missing.append("the token's model digest: the build names no file for it")
            return
        digest = hashlib.md5(read_file(model.deployed, MODEL_LIMIT), usedforsecurity=False).hexdigest()
        claimed = token.values.get("tflm_model") if token.verified else None
        self.report.add(TOKEN_MODEL, claimed == digest, expected=digest, seen=claimed, subject="token")

    def models(self, reply: RecordedReply) -> None:
        active = {entry.label for entry in parse.models(reply.lines) if entry.status == "Active"}
        missing = [name for name in self.build.models if name not in active]
        self.report.add(MODELS_LISTED, not missing, expected="every model of the build",
                        seen=f"no {', '.join(missing)}" if missing else "all of them")  # fmt: skip
        self.content.missing += [
            f"{name}: the device lists it, and the build describes no reference for it"
            for name in sorted(active - self.build.models.keys())
        ]

    def public_key(self, role: str, pem: bytes) -> None:
        shown, trusted = check_device_key(pem, report=self.report, subject=role), self.keys.get(role)
        if trusted is None:
            self.content.missing.append(f"the {role} key: the build names none to compare with")
            return
        self.report.add(
            DEVICE_KEY, shown == trusted, expected=trusted, seen=shown or "no usable public key", subject=role
        )

    def request(self, role: str, der: bytes, where: str) -> None:
        trusted = self.keys.get(role)
        request = verify_csr(der, expected_key=trusted if isinstance(trusted, PublicKey) else None,
                             expected_cn=self.uuid, report=self.report, subject=role)  # fmt: skip
        record = record_request(request, where=where) if request else None
        if record is not None and request is not None and request.key is not None:
            check_signatures([(record, request.key)], self.report, ledger=self.ledger)

    def finish(self) -> None:
        plain = {(entry.model, entry.degrees): entry for entry in self.plain}
        for entry in self.signed:
            other = plain.get((entry.model, entry.degrees))
            if other is not None:
                subject = f"{entry.model} at {entry.degrees:g} degrees, CBOR"
                self.report.add(SIGNED_IS_PLAIN, entry.value == other.value, expected=other.value, seen=entry.value,
                                subject=subject, where=entry.where)  # fmt: skip
        if len(self.tokens) > 1:
            same = all(token == self.tokens[0] for token in self.tokens)
            self.report.add(TOKEN_STABLE, same, expected="equal payloads", seen="equal" if same else "different ones")
        if self.results:
            check_result_relations(self.results, self.report, ledger=self.ledger)
        self.numbers()
        wanted = {"infer token": "the application token", "infer model": "the list of models",
                  "keys public": "public keys", "keys csr": "signing requests"}  # fmt: skip
        self.content.missing += [f"{words}: no '{command}'" for command, words in wanted.items()
                                 if command not in self.seen]  # fmt: skip
        if self.content.boots < 2:
            self.content.missing.append("counters and secret numbers over a reset: one start was recorded")

    def numbers(self) -> None:
        """Compare every recorded value, signed or not, with the reference: bit-exact or within a tolerance."""
        by_model: dict[str, dict[str, list[_Value]]] = defaultdict(lambda: defaultdict(list))
        for form, entries in (("CBOR", self.plain), ("SIGN1", self.signed)):
            for entry in entries:
                by_model[entry.model][form].append(entry)
        self.content.missing += [
            f"{name}: no {'signed' if form == 'SIGN1' else 'unsigned'} value"
            for name in self.build.models
            for form in ("CBOR", "SIGN1")
            if not by_model.get(name, {}).get(form)
        ]
        for name, forms in by_model.items():
            if name not in self.build.models:
                self.content.missing.append(f"{name}: the build describes no reference for it")
                continue
            for form, entries in forms.items():
                self._compare(name, form, entries)

    def _compare(self, name: str, form: str, entries: list[_Value]) -> None:
        import numpy as np

        from tfm_harness.parity.compare import compare

        inputs = np.array([entry.degrees for entry in entries], dtype=np.float32)
        seen = np.array([entry.value for entry in entries], dtype=np.float32)
        try:
            expected = _reference_values(self.build, name, inputs)
        except ConfigError as error:
            if error.kind != "not-in-table":
                raise
            kept = [entry for entry in entries if entry.degrees.is_integer()]
            self.content.missing.append(f"{name}: the table has no value for {len(entries) - len(kept)} of the inputs")
            if kept and len(kept) < len(entries):
                self._compare(name, form, kept)
            return
        compare([expected.reshape(-1, 1)], [seen.reshape(-1, 1)], self.build.parity.granted(self.build.document),
                self.report, model=name, subject=f"{name}, {form}")  # fmt: skip


def _within_circle(number: str) -> bool:
    """Whether the firmware accepts this as degrees: 0 to below 360, fractions too."""
    return re.fullmatch(r"\d{1,3}(\.\d+)?", number) is not None and float(number) < _CIRCLE


def _reference_values(build: Build, name: str, inputs: Floats) -> Floats:
    from tfm_harness.parity.values import interpreted_values, reference_values

    declared = build.models[name]
    factor = declared.degrees_factor
    if declared.reference is not None and declared.reference.tells_values:
        return reference_values(declared.reference, inputs, factor=factor, time_limit=build.parity.time_limit)
    from tfm_harness.parity.engine_choice import get_engine

    model = read_file(build.model_file(name), MODEL_LIMIT)
    with contextlib.closing(get_engine()) as engine:
        info = engine.info(model, name)
        values, _, _ = interpreted_values(
            inputs, info, lambda tensors: engine.run(model, tensors, name=info.name), factor=factor,
            rule=build.quantisation(name),
        )  # fmt: skip
    return values


def judge_session(
    recorded: Sequence[RecordedReply], build: Build, keys: dict[str, VerificationKey], report: Report
) -> SessionContent:
    """Judge every reply of a recording, and all of them together.

    Args:
        recorded: from `protocol.zephyr_shell.recording.replies`.
        build: gives result profile, models, references and tolerances.
        keys: trusted keys by role: ``result`` must be there, ``client`` may be.
        report: gets the findings.

    Raises:
        ConfigError: a reference that the build names cannot be used.
    """
    session = _Session(build, keys, report)
    content = session.content
    content.commands = len(recorded)
    content.boots = 1 + max((reply.boot for reply in recorded), default=-1)
    session.uuid = next((reply.lines[0] for reply in recorded if reply.command == "info uuid" and reply.lines), None)
    for reply in recorded:
        try:
            session.take(reply)
        except (InfrastructureError, ValueError) as error:
            words = error.message if isinstance(error, InfrastructureError) else str(error)
            content.damaged.append(f"{reply.command}: {words}")
    session.finish()
    content.missing = list(dict.fromkeys(content.missing))  # one line, although both forms of a value lack it
    return content
