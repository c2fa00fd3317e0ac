"""Verifies the evidence of one device, with its known keys and measurements, and the requests that were made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from tfm_harness.bench.challenges import challenge_and_token
from tfm_harness.bench.device import Inference
from tfm_harness.bench.output_specs import output_specs
from tfm_harness.bench.state import DeviceState
from tfm_harness.errors import ConfigError
from tfm_harness.findings import Check, Finding, Report
from tfm_harness.trust.board_keys import remember_key
from tfm_harness.trust.expectations import board_token_expectations
from tfm_harness.trust.kept import KeptEvidence, Kind, named_profile
from tfm_harness.verify.checks.keys import KEY_BOARDS_DIFFER
from tfm_harness.verify.cose import CoseMessage
from tfm_harness.verify.cose_encrypt0 import decrypt_cose
from tfm_harness.verify.csr import CertificationRequest, verify_csr
from tfm_harness.verify.deterministic import check_rfc6979
from tfm_harness.verify.key_relations import check_device_key
from tfm_harness.verify.keys import PublicKey, VerificationKey
from tfm_harness.verify.nonces import NonceLedger, check_nonces, record_nonce
from tfm_harness.verify.relations import TokenObservation, check_token_relations
from tfm_harness.verify.result_relations import check_one_identity
from tfm_harness.verify.results import (
    ResultExpectations,
    ResultObservation,
    SignedResult,
    TensorSpec,
    check_result_relations,
    verify_result,
)
from tfm_harness.verify.signatures import (
    SignatureLedger,
    SignatureRecord,
    check_seen_before,
    check_signatures,
    record_request,
    record_signature,
)
from tfm_harness.verify.token import PsaToken, verify_psa_token

__all__ = ["Verifier"]

DEVICE_KEY = Check(
    id="key.trusted",
    title="the public key the device shows is the one trusted for this board",
    requirement="PSA Security Model 1.1 s.4.3 (attestable identity)",
)
_MOST_OF_SECTOR = 4096
_ROLES = {"iak": "the attestation key", "result": "the key for results", "client": "the client key"}


class Verifier:
    """Verifies evidence of one device; all findings go to the test's report.

    `relations` judges all evidence of one test together.

    Args:
        state: gives the known facts about the device; called for each judgement.
        report: gets the findings.
        ledger: the signatures of all runs, opened when first needed.
        nonces: the nonces of encryptions of this run, likewise.
        board_keys: the file in which the boards of this run remember the keys that they showed.
        tick_hz: ticks a second of the device's clock; None when the target does not declare it.
        kept: keeps the judged evidence as raw evidence; None: nothing is kept.
    """

    def __init__(
        self,
        state: Callable[[], DeviceState],
        report: Report,
        *,
        ledger: Callable[[], SignatureLedger],
        nonces: Callable[[], NonceLedger],
        board_keys: Path,
        tick_hz: int | None = None,
        kept: KeptEvidence | None = None,
    ) -> None:
        self._state = state
        self.report = report
        self._ledger = ledger
        self._nonces = nonces
        self._board_keys = board_keys
        self._tick_hz = tick_hz
        self._kept = kept
        self._results: list[ResultObservation] = []
        self._tokens: list[TokenObservation] = []
        self._asked_before = state().asked_results

    def apart(self) -> Verifier:
        """A verifier whose findings do not count, for a test that itself judges the parsed evidence."""
        return Verifier(
            self._state,
            Report(),
            ledger=self._ledger,
            nonces=self._nonces,
            board_keys=self._board_keys,
            tick_hz=self._tick_hz,
        )

    def result(self, inference: Inference, *, subject: str = "") -> SignedResult:
        """Judge a signed result: envelope, signature, and everything the host knows about the request.

        Raises:
            ConfigError: the build names no key for results.
        """
        now = self._state()
        key = self._trusted("result", "results")
        iak = now.trust.key("iak")
        profile = now.trust.result_profile
        expected = ResultExpectations(
            nonce=inference.answer.nonce,
            instance_id=now.trust.instance_id,
            boot_seed=inference.seed,
            model_id=self._model_id(inference),
            # A profile without these claims binds no input: there is nothing to compare.
            input_source=int(inference.answer.source) if profile.rule("input_source") else None,
            input_data=inference.records if profile.rule("input_digest") else None,
            outputs=self._outputs(inference),
            attestation_key=iak if isinstance(iak, PublicKey) else None,
            other_keys=self._others("result", "iak"),
            tick_hz=self._tick_hz,
            waited=None if now.counts_instructions else inference.answer.host_seconds,
        )
        before = len(self.report.findings)
        result = verify_result(
            inference.answer.message,
            profile=profile,
            keys=[key],
            expected=expected,
            report=self.report,
            subject=subject,
        )
        request = inference.answer.nonce or len(self._results)
        between = now.asked_results - self._asked_before
        self._keep(
            "result",
            self.report.findings[before:],
            data=inference.answer.message,
            keys=[key],
            subject=subject,
            profile=named_profile(profile),
            expected=expected,
            stimulus=inference.records,
            boot=inference.boot,
            request=request,
            between=between,
        )
        record = self._remember(result.message, result.key, "result", f"result {now.asked_results} of {now.board}")
        if record is not None and not result.may_repeat:
            check_seen_before(record, self.report, ledger=self._ledger(), subject=subject)
        self._results.append(
            ResultObservation(
                result=result,
                request=request,
                stimulus=inference.records,
                board=now.board,
                boot=inference.boot,
                requests_between=between,
            )
        )
        self._asked_before = now.asked_results
        return result

    def encrypted_result(self, inference: Inference, *, subject: str = "") -> SignedResult | None:
        """Judge an encrypted result: the COSE_Encrypt0, its nonce, and the signed result in it.

        Returns:
            The signed result; None when the message cannot be decrypted.

        Raises:
            ConfigError: the host does not know the key.
        """
        key = self._symmetric_key("result-encryption")
        plaintext = self.decrypted(
            inference.answer.message, key, external_aad=inference.answer.nonce or b"", subject=subject
        )
        if plaintext is None:
            return None
        opened = replace(inference, answer=replace(inference.answer, message=plaintext), encrypted=False)
        return self.result(opened, subject=subject)

    def stored_object(self, sector: bytes, *, external_aad: bytes, subject: str = "") -> bytes | None:
        """Judge an object of protected storage in flash, with the COSE_Encrypt0 and its nonce; returns its bytes.

        Raises:
            ConfigError: the host does not know the key.
        """
        return self.decrypted(
            sector[:_MOST_OF_SECTOR],
            self._symmetric_key("storage"),
            external_aad=external_aad,
            subject=subject,
            rest=True,
        )

    def decrypted(
        self, data: bytes, key: bytes, *, external_aad: bytes, subject: str = "", rest: bool = False
    ) -> bytes | None:
        """Judge a COSE_Encrypt0 under `key`, and its nonce against all of this run; returns the authentic plaintext."""
        where = f"{subject or 'a message'} of {self._state().board}"
        message, plaintext = decrypt_cose(
            data, key=key, external_aad=external_aad, report=self.report, subject=subject, rest=rest
        )
        if message is not None and message.nonce is not None and plaintext is not None:
            record = record_nonce(key, message.nonce, message.ciphertext, where=where, history=self._state().history)
            check_nonces([record], self.report, ledger=self._nonces())
        return plaintext

    def _symmetric_key(self, role: str) -> bytes:
        key = self._state().trust.symmetric_key(role)
        if key is None:
            raise ConfigError(
                f"the host does not know this board's {role} key",
                kind="no-key",
                where=str(self._state().trust.build.path or ""),
                hint="it follows from the secret that the harness gave the board: name `known-secrets` in needs()",
            )
        return key

    def token(
        self,
        challenge: bytes,
        token: bytes | tuple[bytes, bytes],
        *,
        announced_size: int | None = None,
        subject: str = "",
    ) -> PsaToken:
        """Judge an attestation token: envelope, signature, claims, identity, lifecycle, every flashed image.

        Args:
            challenge: the challenge of the request.
            token: the token; or the result of `Device.attest`, a pair of challenge and token.
            announced_size: bytes that the device announced for its token.
            subject: the token's name in findings.

        Raises:
            ConfigError: the build names no attestation key.
            ValueError: the token was requested with another challenge, or the two arguments are swapped: a mistake in
                the test.
            TypeError: one of them is no bytes.
        """
        challenge, token = challenge_and_token(challenge, token)
        now = self._state()
        known = board_token_expectations(
            now.trust.build,
            now.trust.identity,
            instance_id=now.trust.instance_id,
            components=now.trust.components(now.description.model) or (),
            boot_seed=now.boot_seed,
        )
        expected = replace(known, announced_size=announced_size, other_keys=self._others("iak"))
        before, key = len(self.report.findings), self._trusted("iak", "iak")
        parsed = verify_psa_token(
            token, keys=[key], challenge=challenge, expected=expected, report=self.report, subject=subject
        )
        self._keep(
            "token", self.report.findings[before:], data=token, keys=[key], subject=subject, challenge=challenge,
            expected=expected, boot=now.boot, build=now.description.model or "",
        )  # fmt: skip
        self._remember(parsed.message, parsed.key, "iak", f"token of {now.board}, boot {now.boot}")
        if parsed.key is not None:
            self._compare_boards(parsed.key, "iak")
        self._tokens.append(
            TokenObservation(
                token=parsed,
                challenge=challenge,
                board=now.board,
                boot=now.boot,
                build=now.description.model or "",
            )
        )
        return parsed

    def public_key(self, role: str, data: bytes) -> PublicKey | None:
        """Judge a key that the device sent: ``iak``, ``result`` or ``client``."""
        before, trusted = len(self.report.findings), self._state().trust.key(role)
        shown = check_device_key(data, report=self.report, subject=role)
        self._keep("key", self.report.findings[before:], data=data, keys=[trusted], subject=role)
        if trusted is not None:
            self.report.add(
                DEVICE_KEY, shown == trusted, expected=trusted, seen=shown or "no usable public key", subject=role
            )
        if shown is not None:
            self._compare_boards(shown, role)
        return shown

    def csr(self, role: str, der: bytes) -> CertificationRequest | None:
        """Judge a PKCS#10 request for ``result`` or ``client``: proof of possession, key, common name."""
        before, trusted = len(self.report.findings), self._state().trust.key(role)
        request = verify_csr(
            der,
            expected_key=trusted if isinstance(trusted, PublicKey) else None,
            expected_cn=self._uuid(),
            report=self.report,
            subject=role,
        )
        self._keep("csr", self.report.findings[before:], data=der, keys=[trusted], subject=role, name=self._uuid())
        where = f"{role} request of {self._state().board}"
        record = record_request(request, where=where) if request else None
        if record is not None and request is not None and request.key is not None:
            check_signatures([(record, request.key)], self.report, ledger=self._ledger())
            self._check_deterministic(record, role)
        return request

    def _keep(
        self,
        kind: Kind,
        findings: Sequence[Finding],
        *,
        data: bytes = b"",
        keys: Iterable[VerificationKey | None] = (),
        subject: str = "",
        **facts: object,
    ) -> None:
        if self._kept is not None:
            self._kept.keep(kind, findings, data=data, keys=keys, subject=subject, **facts)

    def _compare_boards(self, key: VerificationKey, role: str) -> None:
        """Judge whether another board of this run has the same key, if there is another board."""
        if self._state().trust.identity.huk_of_test:
            return
        others = remember_key(self._board_keys, board=self._state().board, thumbprint=key.thumbprint)
        if others is not None:
            self.report.add(
                KEY_BOARDS_DIFFER, not others, expected="a key of this board alone",
                seen=f"{key}, which {', '.join(others)} has as well" if others else "", subject=role,
            )  # fmt: skip

    def _remember(
        self, message: CoseMessage | None, key: VerificationKey | None, role: str, where: str
    ) -> SignatureRecord | None:
        """Compare a verified signature with all earlier ones under its key."""
        if message is None or not isinstance(key, PublicKey):
            return None
        record = record_signature(message, key, where=where)
        check_signatures([(record, key)], self.report, ledger=self._ledger())
        self._check_deterministic(record, role)
        return record

    def _check_deterministic(self, record: SignatureRecord, role: str) -> None:
        """If the harness made the device's secret, judge that the signature is the one that RFC 6979 gives."""
        private = self._state().trust.private_key(role)
        if private is not None:
            check_rfc6979(record, private, self.report, subject=role)

    def _others(self, *but: str) -> dict[str, PublicKey]:
        """The device's keys of other roles, by names for people."""
        keys = {role: self._state().trust.key(role) for role in _ROLES if role not in but}
        return {_ROLES[role]: key for role, key in keys.items() if isinstance(key, PublicKey)}

    def relations(self) -> None:
        """Judge all evidence that this test has verified so far together: counters, replay, seeds, identity."""
        findings = self.report.findings
        if self._results:
            before = len(findings)
            check_result_relations(self._results, self.report, ledger=self._ledger())
            self._keep("result relations", findings[before:], count=len(self._results))
        if self._tokens:
            before = len(findings)
            check_token_relations(self._tokens, self.report, ledger=self._ledger())
            self._keep("token relations", findings[before:], count=len(self._tokens))
        if self._results and self._tokens:
            before = len(findings)
            check_one_identity(self._results, self._tokens, self.report)
            self._keep("identity relations", findings[before:], results=len(self._results), tokens=len(self._tokens))

    def _uuid(self) -> str | None:
        provisioned = self._state().trust.provisioned
        return str(provisioned.uuid) if provisioned else self._state().description.uuid

    def _trusted(self, role: str, yaml_key: str) -> VerificationKey:
        key = self._state().trust.key(role)
        if key is None:
            raise ConfigError(
                f"the build names no key to verify this with: trust.{yaml_key}",
                kind="no-key",
                where=str(self._state().trust.build.path or ""),
                hint="a pass without a key would be no pass; name the key's file, or `provisioned` on virtual boards",
            )
        return key

    def _model_id(self, inference: Inference) -> bytes | None:
        model = self._state().trust.build.models.get(inference.model or "")
        if inference.model is None or model is None or model.deployed is None:
            return None
        return self._state().trust.model_id(inference.model)

    def _outputs(self, inference: Inference) -> tuple[TensorSpec, ...] | None:
        model = self._state().trust.build.models.get(inference.model or "")
        if model is None or model.deployed is None or model.deployed.suffix != ".tflite":
            return None
        data, name = self._state().trust.model_bytes(inference.model or ""), inference.model or "model"
        if model.signature is not None and not self._state().trust.is_installed(name):
            from tfm_harness.parity.model_rewriting import select_signature

            data = select_signature(data, model.signature, name=name)
        return output_specs(data, name)
