"""The suite for firmware with evidence of its own, as a user runs it: weaknesses found, waivers shown."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tfm_harness.config.loading import load_build
from tfm_harness.findings import Report
from tfm_harness.parity.values import read_table
from tfm_harness.protocol.zephyr_shell import parse
from tfm_harness.provisioning.ca import BOOTSTRAP_OU, SmallCa
from tfm_harness.provisioning.server import BootstrapServer, Tamper
from tfm_harness.verify.keyfiles import parse_public_key
from tfm_harness.verify.results import verify_result

from tests.protocol.zephyr_shell.simulated import Server, Simulated, write_build
from tests.protocol.zephyr_shell.simulator import path_of, turns
from tests.warm import run_pytest

ROOT = Path(__file__).resolve().parents[3]
BUILD = ROOT / "fw_builds" / "linaro-zephyr" / "build.yaml"

Run = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Run:
    monkeypatch.setenv("TFM_HARNESS_STATE_DIR", str(pytester.path / "state"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("COLUMNS", "160")

    def go(*args: str, weak: bool, edit: Callable[[str], str] = lambda text: text, policy: str = "validation",
           suite: str = "application_evidence", values: list[float] | None = None,
           test: str = "", signs: float | None = None, utvm: list[float] | None = None,
           fractions: dict[float, float] | None = None, model_digest: str = "",
           signs_at: float | None = None) -> pytest.RunResult:  # fmt: skip
        fractions = recorded_fractions() if fractions is None and values else fractions
        faults = {"model_digest": model_digest.encode()} if model_digest else {}
        device = Simulated(
            weak=weak, values=values, signs=signs, signs_at=signs_at, utvm=utvm, fractions=fractions, **faults
        )
        server = Server(device, device.boot)
        request.addfinalizer(server.stop)
        words = ", ".join(f'"{word}"' for word in server.reset_words(sys.executable))
        (pytester.path / "targets").mkdir()
        (pytester.path / "targets" / "bench.yaml").write_text(
            f"kind: attach\nconsoles:\n  ns: {{kind: tcp, host: 127.0.0.1, port: {server.port}}}\n"
            + ("" if test else f"reset: {{warm: [{words}], cold: [{words}], at_start: false}}\n")
        )
        path = write_build(pytester.path / "fw_builds" / "linaro", device, BUILD, waived=False,
                           model=path_of("hello_world.tflite") if values else None,
                           table=path_of("device_utvm_sine.txt") if utvm else None)  # fmt: skip
        path.write_text(edit(path.read_text()))
        if test:
            (pytester.path / "suites").mkdir()
            (pytester.path / "suites" / "test_mine.py").write_text(test)
        else:
            shutil.copytree(ROOT / "suites" / suite, pytester.path / "suites" / suite)
        chosen = ["--tfm-target", "bench", "--tfm-build", str(path), "--tfm-policy", policy]
        return run_pytest(pytester, *chosen, "-p", "no:cacheprovider", *args, "suites", timeout=300)

    return go


def test_known_weaknesses_are_found(run: Run) -> None:
    result = run("-rf", weak=True)
    out = result.stdout.str()
    assert "secure  [TFLM SERVICE] Starting secure inferencing" in out  # attached to the test that failed
    for check in ("result.freshness", "result.ecdsa-nonce-reuse", "result.counter-over-resets", "result.stray-bytes",
                  "csr.signature-algorithm"):  # fmt: skip
        assert f"product:{check}" in out, check
    assert result.ret == 1


def test_a_device_without_them_fails_for_its_missing_nonce_only(run: Run) -> None:
    result = run("-rf", weak=False)
    assert set(re.findall(r"product:([a-z.-]+)", result.stdout.str())) == {"result.freshness"}


def test_a_reasoned_waiver_excuses_and_is_shown(run: Run) -> None:
    def switch_on(text: str) -> str:
        return text.replace("# waivers:\n#   - {finding: result.freshness", "waivers:\n  - {finding: result.freshness")

    result = run(weak=False, edit=switch_on)
    assert result.ret == 0, result.stdout.str()
    result.stdout.fnmatch_lines(["waived (shown*", "*result.freshness*the firmware*protocol has no*"])
    result.stdout.fnmatch_lines(["*nothing was flashed*"])


def test_all_bundled_waivers_are_what_the_firmware_needs(run: Run) -> None:
    """With every waiver switched on the weak firmware passes: each matches something, and nothing else is wrong."""

    def switch_on(text: str) -> str:
        return text.replace("# waivers:", "waivers:").replace("#   - {finding", "  - {finding")

    result = run("-rf", weak=True, edit=switch_on)
    assert result.ret == 0, result.stdout.str()
    result.stdout.fnmatch_lines(["waived (shown*", "*csr.signature-algorithm*requests carry NULL*"])


WITHOUT_RESET = """\
import pytest
from tfm_harness.boards.base import PowerState, ResetKind
from tfm_harness.errors import InfrastructureError
from tfm_harness.findings import Check

CHECK = Check(id="mine.check", title="a check", requirement="none")

def test_reset(device, checks):
    checks(CHECK, True, expected=1, seen=1)
    device.reset(ResetKind.WARM)

def test_power(board):
    board.power(PowerState.OFF)

def test_found_before_the_reset(device, checks):
    checks(CHECK, False, expected=1, seen=2)
    device.reset(ResetKind.COLD)

def test_another_fault_of_the_bench(board):
    raise InfrastructureError("the tool hangs", kind="tool-hung")

@pytest.fixture
def broken(device):
    raise KeyError("what the suite needs")

@pytest.mark.needs("x.no-such-feature")
def test_fixture_that_counts_on_a_feature(broken):
    pass

@pytest.mark.needs("describe")
def test_fixture_that_is_broken(broken):
    pass
"""


def test_what_a_target_cannot_do_is_not_covered(run: Run) -> None:
    """A reset that nobody can give covers nothing; a finding before it, or another fault, counts all the same."""
    result = run("-rsfE", weak=False, test=WITHOUT_RESET)
    out = result.stdout.str()
    result.assert_outcomes(skipped=3, failed=1, errors=2)
    assert out.count("not covered: board 'bench' cannot be reset") == 1
    assert "not covered: board 'bench' has no power control" in out
    assert "not covered: bench+linaro-zephyr has no x.no-such-feature" in out
    assert "infrastructure:tool-hung" in out
    assert "product:mine.check" in out
    assert re.search(r"ERROR .*test_fixture_that_is_broken", out)


def test_every_suite_runs_or_says_what_is_missing(run: Run) -> None:
    """All suites on this firmware: what it has is tested, the rest is not covered, and nothing ends in an error."""

    def switch_on(text: str) -> str:
        return text.replace("# waivers:\n#   - {finding: result.freshness", "waivers:\n  - {finding: result.freshness")

    result = run("-rfEs", weak=False, edit=switch_on, suite="")
    assert result.ret == 0, result.stdout.str()
    outcomes = result.parseoutcomes()
    assert outcomes.keys() == {"passed", "skipped"}
    assert outcomes["passed"] >= 13
    for line in ("*has no update, models*", "*has no psa-token*", "*has no nonce*"):
        result.stdout.fnmatch_lines([line])
    result.stdout.fnmatch_lines(["*provisioning * 12 * 0 * 0 *"])


def test_a_wrong_key_never_passes(run: Run) -> None:
    def other_key(text: str) -> str:
        return text.replace("results: keys/cose_5002_pub.pem", "results: keys/client_tls_5001_pub.pem")

    result = run("-rf", weak=False, edit=other_key)
    assert "product:cose.signature" in result.stdout.str()
    assert result.ret == 1


def test_values_are_compared_with_the_reference(run: Run) -> None:
    """The recorded device's values with its model are bit-exact; one changed value is found."""
    recorded = json.loads(path_of("device_sine.json").read_text())["tflm"]
    recorded[200] += 0.01
    result = run("-rf", "-k", "test_the_values_are", weak=False, values=recorded)
    result.stdout.fnmatch_lines(["*product:parity.bit-exact*"])
    result.assert_outcomes(failed=1, deselected=10)


def test_a_signed_value_that_is_not_the_output_is_found(run: Run) -> None:
    """0.25 signed at every angle but one, with a good signature: the text agrees with it, the unsigned map does not."""
    result = run("-rf", "-k", "plain_one", weak=False, signs=0.25)
    result.stdout.fnmatch_lines(["*product:result.signed-is-plain*"])
    result.assert_outcomes(failed=1, deselected=10)


def test_one_angle_that_is_signed_wrongly_is_found(run: Run) -> None:
    """At 233 degrees another value is signed, with a good signature, and shown as text; the unsigned map is right."""
    result = run("-rf", "-k", "every_whole_degree", weak=False, signs=0.25, signs_at=233)
    result.stdout.fnmatch_lines(["*product:result.signed-is-plain*tflm_sine at 233 degrees*"])
    result.assert_outcomes(failed=1, deselected=10)


def recorded_tables() -> tuple[list[float], list[float]]:
    """What the real device gave for 0 to 359 degrees: tflm_sine and utvm_sine."""
    _, outputs = read_table(path_of("device_utvm_sine.txt"))
    return json.loads(path_of("device_sine.json").read_text())["tflm"], outputs.tolist()


def recorded_fractions() -> dict[float, float]:
    """What the real device gave between whole degrees, unsigned and signed."""
    found: dict[float, float] = {}
    for command, reply in turns("uart-tfm17-an521.log")[1]:
        words = command.split()
        if words[:3] != ["infer", "get", "tflm_sine"] or "." not in command:
            continue
        rows = [line for line in reply.decode("latin-1").splitlines() if re.match("[0-9A-F]{8}: ", line)]
        start, step = float(words[4]), float(words[6]) if len(words) > 6 else 1.0
        for index, message in enumerate(parse.hexdumps(rows)):
            at = message.index(bytes.fromhex("3a0001387f44")) + 6
            found[start + index * step] = struct.unpack("<f", message[at : at + 4])[0]
    assert {0.125, 1.625, 123.456789} <= found.keys()
    return found


def all_waivers(text: str) -> str:
    return text.replace("# waivers:", "waivers:").replace("#   - {finding", "  - {finding")


def test_the_recorded_device_passes_with_its_documented_waivers(run: Run) -> None:
    """Both models of the real device, by the values it gave; models and parity in the description."""
    tflm, utvm = recorded_tables()
    result = run("-rfEs", weak=True, values=tflm, utvm=utvm, edit=all_waivers)
    assert result.ret == 0, result.stdout.str()
    assert result.parseoutcomes() == {"passed": 10, "skipped": 1}
    result.stdout.fnmatch_lines(["*not covered: the table of utvm_sine has no value between whole degrees*"])


def test_the_recorded_faults_are_found_by_name(run: Run) -> None:
    """What the faulty firmware of the recording does: 0.25 signed, utvm_sine always 0.5, another model digest."""
    tflm, _ = recorded_tables()
    result = run("-rf", weak=True, values=tflm, utvm=[0.5] * 360, signs=0.25, edit=all_waivers,
                 model_digest="27036dd122bc820054fc0f2d7d99497b")  # fmt: skip
    out = result.stdout.str()
    for check in ("result.signed-is-plain", "parity.bit-exact", "token.model-digest"):
        assert f"product:{check}" in out, check
    assert "utvm_sine" in out
    assert result.parseoutcomes()["failed"] == 5


def test_the_recorded_faulty_messages_are_what_the_stand_in_does() -> None:
    """The faults of the test above, as they stand in the recording itself."""
    keys = parse.public_keys(json.loads(path_of("cose.json").read_text())["public"].splitlines())
    key = parse_public_key(keys[0x5002])
    signed: dict[str, float] = {}
    shown: dict[str, float] = {}
    for command, reply in turns("uart-mutant-signs-wrong-values.log")[1]:
        rows = [line for line in reply.decode("latin-1").splitlines() if re.match("[0-9A-F]{8}: ", line)]
        if " SIGN1 " in command:
            report = Report()
            result = verify_result(parse.hexdumps(rows)[0], profile="linaro-cai", keys=[key], report=report)
            assert result.verified
            value = result.values["value"]
            assert isinstance(value, float)
            signed[command.replace("SIGN1", "X")] = value
        elif " CBOR " in command:
            shown[command.replace("CBOR", "X")] = struct.unpack("<f", parse.hexdumps(rows)[0][-4:])[0]
        elif command == "infer token":
            token = verify_result(parse.hexdumps(rows)[0], profile="linaro-cai-token", keys=[key], report=Report())
            assert token.verified
            digest = hashlib.md5(path_of("hello_world.tflite").read_bytes(), usedforsecurity=False).hexdigest()
            assert token.values["tflm_model"] not in {None, digest}
    differing = {command for command in signed.keys() & shown.keys() if signed[command] != shown[command]}
    assert differing == {"infer get tflm_sine X 0", "infer get tflm_sine X 90"}
    assert shown["infer get utvm_sine X 90"] == 0.5


def test_a_wrong_value_between_whole_degrees_is_found(run: Run) -> None:
    """Signed and shown alike, so that only the reference tells."""
    tflm, _ = recorded_tables()
    wrong = recorded_fractions() | {1.625: 0.25}
    result = run("-rf", "-k", "values_between", weak=False, values=tflm, fractions=wrong)
    result.stdout.fnmatch_lines(["*product:parity.bit-exact*"])
    result.assert_outcomes(failed=1, passed=1, deselected=9)


@pytest.mark.parametrize(("told", "failed"), [("3efce5f3", 0), ("3efce5f4", 1)])
def test_a_tables_values_between_whole_degrees_are_compared(run: Run, told: str, failed: int) -> None:
    """The simulated device gives the sine itself there: of 29.6 degrees, as a float32."""
    tflm, utvm = recorded_tables()

    def with_line(text: str) -> str:
        table = Path("fw_builds/linaro/utvm_sine.txt")
        table.write_text(f"{table.read_text()}29.6 {told}\n")
        return text

    result = run("-rfs", "-k", "references or every_reference", weak=False, values=tflm, utvm=utvm, edit=with_line)
    result.assert_outcomes(passed=3 - failed, failed=failed, deselected=8)


@pytest.mark.parametrize("good", [True, False])
def test_the_tokens_model_digest_is_that_of_the_file(run: Run, good: bool) -> None:
    recorded = json.loads(path_of("device_sine.json").read_text())["tflm"]

    def switch_on(text: str) -> str:
        return text.replace("# waivers:\n#   - {finding: result.freshness", "waivers:\n  - {finding: result.freshness")

    result = run("-rf", "-k", "application_token", weak=False, values=recorded, edit=switch_on,
                 model_digest="" if good else "0" * 32)  # fmt: skip
    result.assert_outcomes(passed=int(good), failed=int(not good), deselected=10)
    assert ("product:token.model-digest" in result.stdout.str()) is not good


def test_a_model_without_a_reference_is_not_covered(run: Run) -> None:
    result = run("-rs", "-k", "has_a_reference", weak=False)
    result.stdout.fnmatch_lines(["*not covered: the build describes no reference for tflm_sine, utvm_sine*"])


def test_recorded_values_are_bit_exact(run: Run) -> None:
    recorded = json.loads(path_of("device_sine.json").read_text())["tflm"]
    result = run("-k", "references", weak=False, values=recorded)
    result.assert_outcomes(passed=2, deselected=9)


def test_other_suites_are_not_covered(run: Run) -> None:
    """The reference firmware's suites run on any firmware that has what they need; here they say what is missing."""
    result = run("-rs", weak=False, suite="attestation")
    assert result.parseoutcomes().keys() == {"skipped"}
    result.stdout.fnmatch_lines(["*not covered*psa-token*"])


@pytest.fixture
def named_server(tmp_path: Path) -> Iterator[Callable[[Tamper], str]]:
    """Starts a bootstrap server; the lines of a build that name it."""
    with contextlib.ExitStack() as stack:

        def start(tamper: Tamper) -> str:
            ca = SmallCa()
            server = stack.enter_context(BootstrapServer(ca, tamper=tamper))
            identity = ca.identity("installation", organizational_unit=BOOTSTRAP_OU)
            (tmp_path / "ca.pem").write_text(ca.pem)
            with identity.files() as files:
                for name, source in zip(("certificate.pem", "key.TEST_ONLY.pem"), files, strict=True):
                    (tmp_path / name).write_bytes(source.read_bytes())
            return (
                f"\nprovisioning: {{server: 'https://127.0.0.1:{server.port}', ca: {tmp_path}/ca.pem,"
                f" certificate: {tmp_path}/certificate.pem, key: {tmp_path}/key.TEST_ONLY.pem}}\n"
            )

        yield start


@pytest.mark.parametrize(
    ("tamper", "found"),
    [
        (Tamper.NONE, None),
        (Tamper.NO_POSSESSION, "ca.proof-of-possession"),
        (Tamper.REPEATS, "ca.repeated-request"),
        (Tamper.OTHER_CA, "certificate.chain"),
    ],
)
def test_the_provisioning_suite_asks_the_server_that_is_named(
    run: Run, named_server: Callable[[Tamper], str], tamper: Tamper, found: str | None
) -> None:
    lines = named_server(tamper)

    def edit(text: str) -> str:
        return (
            text.replace("# waivers:\n#   - {finding: result.freshness", "waivers:\n  - {finding: result.freshness")
            + lines
        )

    result = run(
        "-rfEs", "-k", "certif or wants or asks", weak=False, suite="provisioning", edit=edit, policy="production"
    )
    if found is None:
        assert result.ret == 0, result.stdout.str()
        assert result.parseoutcomes()["passed"] == 9
    else:
        assert f"product:{found}" in result.stdout.str()
        assert result.ret == 1


@pytest.mark.parametrize("waived", [False, True])
def test_the_bundled_description_is_valid(tmp_path: Path, waived: bool) -> None:
    build = load_build(write_build(tmp_path / "b", Simulated(), BUILD, waived=waived))
    assert build.protocol == "zephyr-shell"
    assert build.results is not None
    assert build.results.profile == "linaro-cai"
    assert len(build.granted()) == (5 if waived else 0)
    assert all(len(waiver.reason) > 20 for waiver in build.granted())
