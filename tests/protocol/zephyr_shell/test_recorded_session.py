"""Recorded sessions, judged by the shipped description without any device."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tfm_harness.bench.recorded_session import CHECKS
from tfm_harness.cli.main import main
from tfm_harness.findings import Check
from tfm_harness.protocol.zephyr_shell import parse
from tfm_harness.protocol.zephyr_shell.recording import read_session, read_transcript, replies

from tests.protocol.zephyr_shell.simulated import Simulated, write_build
from tests.protocol.zephyr_shell.simulator import path_of
from tests.protocol.zephyr_shell.test_suite import recorded_tables

ROOT = Path(__file__).resolve().parents[3]
GOOD, FAULTY = "uart-tfm17-an521.log", "uart-mutant-signs-wrong-values.log"
Judge = Callable[[Path], tuple[int, dict[str, set[str]], dict[str, Any]]]
WAIVED = {"result.freshness", "result.counter-over-resets", "result.stray-bytes", "csr.signature-algorithm"}


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """The shipped description with the recorded device's keys, model and table, and its documented waivers."""
    keys = parse.public_keys(json.loads(path_of("cose.json").read_text())["public"].splitlines())

    class Recorded(Simulated):
        def pem(self, number: int) -> bytes:
            return keys[number]

    source = ROOT / "fw_builds" / "linaro-zephyr" / "build.yaml"
    return write_build(tmp_path / "build", Recorded(), source, waived=True, model=path_of("hello_world.tflite"),
                       table=path_of("device_utvm_sine.txt"))  # fmt: skip


@pytest.fixture
def judge(build: Path, capsys: pytest.CaptureFixture[str]) -> Judge:
    def go(recording: Path) -> tuple[int, dict[str, set[str]], dict[str, Any]]:
        status = main(["verify", "session", str(recording), "--build", str(build), "--json"])
        document = json.loads(capsys.readouterr().out)
        found: dict[str, set[str]] = {"failed": set(), "waived": set(), "passed": set(), "noted": set()}
        for finding in document["findings"]:
            found[finding["status"]].add(finding["id"])
        return status, found, document["content"]

    return go


def edited(tmp_path: Path, name: str, edit: Callable[[str], str]) -> Path:
    path = tmp_path / name
    path.write_text(edit(path_of(name).read_text("latin-1")), "latin-1")
    return path


def test_the_good_recording_passes_with_its_documented_waivers(judge: Judge) -> None:
    status, found, content = judge(path_of(GOOD))
    assert status == 0
    assert not found["failed"]
    assert found["waived"] == WAIVED
    assert found["passed"] >= {"cose.signature", "result.signed-is-plain", "parity.bit-exact", "token.model-digest",
                               "key.trusted", "csr.signature", "parity.models-listed",
                               "result.counter-rises"}  # fmt: skip
    assert content == {"kind": "session", "commands": 22, "boots": 2, "signed": 9, "plain": 377, "not_covered": [],
                       "damaged": []}  # fmt: skip


def test_the_faulty_recording_fails_in_its_three_points(judge: Judge) -> None:
    status, found, content = judge(path_of(FAULTY))
    assert status == 1
    assert found["failed"] == {"result.signed-is-plain", "parity.bit-exact", "token.model-digest"}
    assert "cose.signature" in found["passed"]
    assert len(content["not_covered"]) == 4


@pytest.mark.parametrize("name", ["uart-an547.log", "uart-an547-nocolor.log"])
def test_other_recordings_of_the_same_device_pass(judge: Judge, name: str) -> None:
    status, found, _ = judge(path_of(name))
    assert (status, found["failed"]) == (0, set())


def test_a_transcript_of_the_harness_is_the_same_evidence(judge: Judge, tmp_path: Path) -> None:
    log, events = b"", []
    for sent, data in read_session(path_of(FAULTY).read_bytes()):
        if sent:
            events.append(json.dumps({"t": 1.0, "at": len(log), "sent": data.hex()}))
        else:
            log += data
            events.append(json.dumps({"t": 1.0, "at": len(log)}))
    (tmp_path / "ns.log").write_bytes(log)
    (tmp_path / "ns.log.events").write_text("\n".join(events))
    assert judge(tmp_path / "ns.log") == judge(path_of(FAULTY))


@pytest.mark.parametrize("name", [GOOD, "uart-an547.log"])
def test_replies_do_not_depend_on_the_pieces_they_came_in(name: str) -> None:
    pieces = read_session(path_of(name).read_bytes())
    rng = random.Random(15)
    cut = []
    for sent, data in pieces:
        places = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randrange(6)))
        cut += [(sent, data[a:b]) for a, b in zip([0, *places], [*places, len(data)], strict=True) if a < b]
    assert list(replies(cut)) == list(replies(pieces))


def test_a_start_that_nobody_asked_for_fails(judge: Judge, tmp_path: Path) -> None:
    boot = "Booting TF-M v1.7.0"

    def restart(text: str) -> str:
        at = text.index("TX infer token")
        return text[:at] + text[at:].replace("AAT token:", f"{boot}\\r\\nAAT token:", 1)

    status, found, _ = judge(edited(tmp_path, GOOD, restart))
    assert status == 1
    assert "session.no-reset" in found["failed"]


def test_a_start_that_the_host_gave_is_none(judge: Judge, tmp_path: Path) -> None:
    """The harness's transcript says of each reset that it was the host's."""
    log, events = b"", []
    for sent, data in read_session(path_of(GOOD).read_bytes()):
        if data == b"kernel reboot cold\r":
            events.append({"t": 1.0, "at": len(log), "event": "host-reset: cold reset by the user's command"})
        elif sent:
            events.append({"t": 1.0, "at": len(log), "sent": data.hex()})
        else:
            log += data
    path = tmp_path / "ns.log"
    path.write_bytes(log)
    for kept, status in ((events, 0), ([entry for entry in events if "event" not in entry], 1)):
        path.with_name("ns.log.events").write_text("\n".join(map(json.dumps, kept)))
        assert judge(path)[0] == status


def test_a_recording_that_lost_bytes_is_no_pass_and_no_fault(
    build: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = edited(tmp_path, GOOD, lambda text: text.replace("00000010: 38 7f", "00000010: 38", 1))
    if path.read_text("latin-1") == path_of(GOOD).read_text("latin-1"):
        path = edited(tmp_path, GOOD, lambda text: text.replace("00000020: ", "00000020: 0", 1))
    assert main(["verify", "session", str(path), "--build", str(build)]) == 10
    shown = capsys.readouterr()
    assert "damaged: infer get" in shown.out
    assert "reply-damaged" in shown.err


def test_another_key_never_passes(build: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = build.parent / "keys" / "client_tls_5001_pub.pem"
    assert main(["verify", "session", str(path_of(GOOD)), "--build", str(build), "--key", str(other)]) == 1
    assert "cose.signature" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"hello\n", "line 1"),
        (b"0.1 RX boot\\r\\nuart:~$ \n", "no command"),
        (b"0.1 RX uart:~$ \n0.2 TX device\\r\n0.3 RX device\\r\\nx\\r\\nuart:~$ \n", "nothing that is judged"),
        (b"0.1 RX \\xzz\n", "line 1"),
    ],
)
def test_what_is_no_session_is_refused(
    content: bytes, words: str, build: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "recording.log"
    path.write_bytes(content)
    assert main(["verify", "session", str(path), "--build", str(build)]) == 4
    shown = capsys.readouterr().err
    assert "recording-unreadable" in shown
    assert words in shown


def test_damaged_events_are_refused() -> None:
    for line in (b"{", b"[]", b'{"at": "x"}', b'{"at": 1, "sent": "zz"}', b'{"at": true}'):
        with pytest.raises(Exception, match="recording cannot be read"):
            read_transcript(b"x", line)


def test_the_suite_and_the_judge_of_recordings_have_the_same_checks() -> None:
    path = ROOT / "suites" / "application_evidence" / "test_application_evidence.py"
    spec = importlib.util.spec_from_file_location("application_evidence_of_this_test", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    live = {check.id: check for check in vars(module).values() if isinstance(check, Check)}
    assert {check.id: check for check in CHECKS if check.id in live} == {
        check.id: live[check.id] for check in CHECKS if check.id in live
    }
    assert len([check for check in CHECKS if check.id in live]) == 5


COMMANDS = (
    "infer model", "infer token", "infer token", "keys public 5001", "keys public 5002", "keys csr PEM 5002",
    "infer get tflm_sine CBOR 0 180 45", "infer get tflm_sine SIGN1 0 180 45", "infer get utvm_sine CBOR 90",
    "infer get utvm_sine SIGN1 90", "infer get tflm_sine SIGN1 400", "kernel reboot cold",
    "infer get tflm_sine SIGN1 45", "infer get tflm_sine SIGN1 90",
)  # fmt: skip
REFUSED = b'Error: Failed to get output: "-134"\r\n\r\n'


class Interface(Simulated):
    """Refuses what the real one refuses."""

    def run(self, line: str) -> bytes:
        return b'Error: invalid argument "400"\r\n\r\n' if line.endswith(" 400") else super().run(line)


class Refuses(Interface):
    """Gives no signed results."""

    def run(self, line: str) -> bytes:
        return REFUSED if "SIGN1" in line else super().run(line)


class OneSecretNumber(Interface):
    """Signs a whole boot with the same secret number."""

    def repeating(self, data: bytes) -> bytes:
        counter, self.counter = self.counter, 7
        try:
            return super().repeating(data)
        finally:
            self.counter = counter


class CounterStands(Interface):
    def infer(self, form: str, degrees: float, model: str = "tflm_sine") -> bytes:
        self.counter = 3
        return super().infer(form, degrees, model)


class WrongText(Interface):
    """Shows another value beside the unsigned message than stands in it."""

    def infer(self, form: str, degrees: float, model: str = "tflm_sine") -> bytes:
        shown = super().infer(form, degrees, model)
        head = b"Model: Sine of 90.00 deg is: "
        return shown.replace(head, head + b"7") if form == "CBOR" else shown


class ClaimsSwapped(Interface):
    """Names the one model's digest in place of the other's."""

    def token(self) -> bytes:
        self.model_digest = b"b8085238f6e790f25de393e203136776"
        return super().token()


def recorded(device: Simulated, path: Path, lose: str = "") -> Path:
    """A session with a simulated device, in the form of the recordings; of the command `lose` nothing comes back."""

    def line(way: str, data: bytes) -> str:
        return f"1.0 {way} {data.decode('latin-1').encode('unicode_escape').decode()}"

    lines = [line("RX", device.boot())]
    for command in COMMANDS:
        sent = command.encode() + b"\r"
        answer = device(sent)
        lines += [line("TX", sent)] if command == lose else [line("TX", sent), line("RX", answer)]
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize(
    ("kind", "lose", "status", "failed"),
    [
        (Interface, "", 0, set()),
        (Refuses, "", 1, {"session.answered"}),
        (OneSecretNumber, "", 1, {"result.ecdsa-nonce-in-boot"}),
        (CounterStands, "", 1, {"result.counter-rises", "result.replayed", "result.ecdsa-nonce-in-boot"}),
        (WrongText, "", 1, {"result.signed-is-plain"}),
        (ClaimsSwapped, "", 1, {"token.model-digest"}),
        (Interface, "infer get utvm_sine SIGN1 90", 10, set()),
    ],
)
def test_faults_of_our_own_fail_by_name_beside_every_documented_waiver(
    kind: type[Simulated], lose: str, status: int, failed: set[str], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    tflm, utvm = recorded_tables()
    digest = hashlib.md5(path_of("hello_world.tflite").read_bytes(), usedforsecurity=False).hexdigest()
    device = kind(weak=True, values=tflm, utvm=utvm, model_digest=digest.encode())
    source = ROOT / "fw_builds" / "linaro-zephyr" / "build.yaml"
    build = write_build(tmp_path / "build", device, source, waived=True, model=path_of("hello_world.tflite"),
                        table=path_of("device_utvm_sine.txt"))  # fmt: skip
    path = recorded(device, tmp_path / "session.log", lose)
    assert main(["verify", "session", str(path), "--build", str(build), "--json"]) == status
    document = json.loads(capsys.readouterr().out)
    assert {finding["id"] for finding in document["findings"] if finding["status"] == "failed"} == failed
    content = document["content"]
    assert (content["damaged"] != []) == bool(lose)
    unsigned = ["utvm_sine", "tflm_sine"] if kind is Refuses else ["utvm_sine"] if lose else []
    assert content["not_covered"] == [f"{name}: no signed value" for name in unsigned]


def test_a_recording_with_too_many_commands_is_refused_not_cut(
    build: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "long.log"
    path.write_text("1.0 RX uart:~$ \n" + "1.0 TX device\\r\n" * 20_001)
    assert main(["verify", "session", str(path), "--build", str(build)]) == 4
    assert "more than 20000 commands" in capsys.readouterr().err
