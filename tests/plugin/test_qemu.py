"""The plugin on the reference firmware under QEMU, as users run it: one pass end to end, and every way to fail."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.reference_firmware import FIRMWARE, ROOT, needs_firmware
from tests.warm import run_in

pytestmark = [pytest.mark.qemu, needs_firmware]

FIVE_LINES = """
def test_shaking_is_seen(device, stimulus, verifier, reference):
    stimulus.play("vibration.csv")
    inference = device.infer_window()
    verifier.result(inference)
    reference.matches(inference)
"""
DESCRIBES = "def test_describes(device):\n    assert device.describe().firmware == 'tfm-harness-reference'\n"
KILLS_THE_EMULATOR = """
import os, pathlib, signal

def children(parent):
    tasks = pathlib.Path(f"/proc/{parent}/task").glob("*/children")
    found = [int(n) for task in tasks for n in task.read_text().split()]
    return found + [pid for child in found for pid in children(child)]

def emulators():
    return [pid for pid in children(os.getpid()) if b"qemu-system" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()]

def test_kills(device):
    (pid,) = emulators()
    os.kill(pid, signal.SIGKILL)
    device.describe()

def test_next(device):
    assert device.describe().boot == 0
"""
WAITS = """
import pathlib, time

def test_waits(device):
    pathlib.Path("ready").write_text("")
    time.sleep(60)
"""

TEST_ONLY_PUBLIC_KEY = (
    ec.generate_private_key(ec.SECP256R1())
    .public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode()
)


class User:
    """Someone with a folder, a test and the reference firmware."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.env = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "150"}

    def words(self, *args: str, target: str = "qemu-an547", build: str = str(FIRMWARE)) -> list[str]:
        # With "=", or pytest takes the paths for tests and looks for its rootdir there.
        chosen = [f"--tfm-target={target}", f"--tfm-build={build}", "--tfm-state-dir=state", "--tfm-run-dir=run"]
        plain = ["-pno:cacheprovider", "-pno:hypothesispytest", "-pno:anyio"]
        return [*plain, *chosen, *args]

    def command(self, *args: str, **chosen: str) -> list[str]:
        return [sys.executable, "-m", "pytest", *self.words(*args, **chosen)]

    def run(self, test: str, *args: str, **chosen: str) -> subprocess.CompletedProcess[str]:
        """In a forked process; what is about the start or the end of one has a new interpreter."""
        (self.path / "test_user.py").write_text(test)
        return run_in(self.path, self.words("test_user.py", *args, **chosen), self.env, timeout=120)

    def run_new(self, test: str, *args: str) -> subprocess.CompletedProcess[str]:
        (self.path / "test_user.py").write_text(test)
        return subprocess.run(
            self.command("test_user.py", *args),
            cwd=self.path, env=self.env, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def start(self, test: str, ready: Path, *args: str) -> subprocess.Popen[str]:
        (self.path / "test_user.py").write_text(test)
        process = subprocess.Popen(
            self.command("test_user.py", *args),
            cwd=self.path, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while not ready.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert ready.exists(), process.communicate(timeout=5)[0]
        return process

    def target(self, **changes: object) -> str:
        said = yaml.safe_load((ROOT / "targets" / "qemu-an547.yaml").read_text())
        path = self.path / "mine.yaml"
        path.write_text(yaml.safe_dump({**said, **changes}))
        return str(path)

    def build(self, **changes: object) -> str:
        said = yaml.safe_load((FIRMWARE / "build.yaml").read_text())
        path = FIRMWARE / "build.yaml"
        text = yaml.safe_dump({**said, **changes})
        for folder in ("out/", "models/", "keys/"):
            text = text.replace(f": {folder}", f": {FIRMWARE}/{folder}")
        path = self.path / "build.yaml"
        path.write_text(text)
        return str(path)

    def emulators(self) -> list[int]:
        """Emulators whose files lie in this user's folder."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                line = (folder / "cmdline").read_bytes()
                state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if b"qemu-system" in line and str(self.path).encode() in line and state != "Z":
                found.append(int(folder.name))
        return found


@pytest.fixture
def user(tmp_path: Path) -> User:
    return User(tmp_path)


def test_five_lines_from_sensor_to_verdict(user: User) -> None:
    done = user.run_new(FIVE_LINES, "--junitxml", "out.xml", "--tfm-html-report", "report.html")
    assert done.returncode == 0, done.stdout
    assert "qemu-an547+reference: tfm-harness-reference" in done.stdout
    record = json.loads((user.path / "run" / "run.json").read_text())
    ids = {finding["id"] for finding in record["tests"][0]["findings"]}
    assert {"cose.signature", "result.nonce", "result.input-digest", "parity.bit-exact"} <= ids
    assert "vibration" not in (user.path / "run" / "qemu-an547-ns.log").read_text(errors="replace")
    assert (user.path / "report.html").stat().st_size > 10_000
    assert user.emulators() == []


def test_a_wrong_number_is_seen_in_five_lines(user: User) -> None:
    """The device that must fail: what is played is not what the test says was played."""
    lying = FIVE_LINES.replace(
        "    verifier.result", "    import dataclasses\n    first, *rest = inference.samples\n"
        "    other = dataclasses.replace(first, x=first.x ^ 1)\n"
        "    inference = dataclasses.replace(inference, samples=(other, *rest))\n    verifier.result",
    )  # fmt: skip
    done = user.run(lying)
    assert done.returncode == 1
    assert "[product:result.input-digest]" in done.stdout


def test_an_emulator_killed_in_mid_test_is_the_benchs_fault_and_the_next_test_goes_on(user: User) -> None:
    done = user.run(KILLS_THE_EMULATOR)
    assert done.returncode == 10, done.stdout
    assert "[infrastructure:emulator-" in done.stdout, "a dead emulator was waited for"
    assert "1 passed, 1 error" in done.stdout
    assert user.emulators() == []


def test_nothing_outlives_a_harness_that_was_killed(user: User) -> None:
    process = user.start(WAITS, user.path / "ready")
    assert len(user.emulators()) == 1
    process.kill()
    process.communicate(timeout=10)
    deadline = time.monotonic() + 10
    while user.emulators() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert user.emulators() == []
    (user.path / "ready").unlink()
    assert user.run(DESCRIBES).returncode == 0, "the lock outlived the process"


def test_ctrl_c_in_a_test_ends_everything(user: User) -> None:
    process = user.start(WAITS, user.path / "ready")
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 2, output
    assert "KeyboardInterrupt" in output
    assert user.emulators() == []


def test_a_second_session_has_a_board_of_its_own_unless_the_build_trusts_the_first_ones_key(user: User) -> None:
    process = user.start(WAITS, user.path / "ready")
    try:
        (user.path / "second").mkdir()
        (user.path / "second" / "test_other.py").write_text(DESCRIBES + DESCRIBES.replace("describes(", "again("))

        def second(*args: str, **chosen: str) -> subprocess.CompletedProcess[str]:
            words = [*user.words("test_other.py", *args, **chosen), "--tfm-state-dir", str(user.path / "state")]
            return run_in(user.path / "second", words, user.env, timeout=60)

        own = second()
        assert own.returncode == 0, own.stdout
        assert own.stdout.count(f"virtual board 'qemu-an547' is held by process {process.pid} since ") == 1
        assert "this run has one of its own, with an identity that ends with it" in own.stdout
        spread = second("-n", "1")
        assert spread.returncode == 0, spread.stdout
        assert (spread.stdout + spread.stderr).count(f"is held by process {process.pid} since ") == 1

        (user.path / "key.pem").write_text(TEST_ONLY_PUBLIC_KEY)
        pinned = second(build=user.build(trust={"iak": "key.pem"}))
        assert pinned.returncode == 10, pinned.stdout
        assert "[infrastructure:board-busy]" in pinned.stdout
        assert str(process.pid) in pinned.stdout
        assert pinned.stdout.count("expected: a free board") == 1
        assert "--fresh-identity" in " ".join(pinned.stdout.split())
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)


def test_a_missing_emulator_is_said(user: User) -> None:
    done = user.run(DESCRIBES, target=user.target(binary="qemu-system-nowhere"))
    assert done.returncode == 10, done.stdout
    assert "[infrastructure:tool-missing] qemu-system-nowhere" in done.stdout
    assert "what to do:" in done.stdout + done.stderr


def test_an_emulator_that_is_too_old_is_said(user: User) -> None:
    done = user.run(DESCRIBES, target=user.target(minimum_version="99.0"))
    assert done.returncode == 10, done.stdout
    assert "[infrastructure:emulator-version]" in done.stdout
    assert "99.0" in done.stdout


def test_an_image_of_another_build_is_not_taken_for_this_one(user: User) -> None:
    """The device runs another secure image than the build says: here the build's own file changes after flashing."""
    other = user.path / "other.elf"
    other.write_bytes((FIRMWARE / "out" / "secure.elf").read_bytes())
    build = Path(user.build())
    build.write_text(build.read_text().replace(str(FIRMWARE / "out" / "secure.elf"), str(other)))
    (user.path / "conftest.py").write_text(
        "from pathlib import Path\nimport pytest\n"
        "from tfm_harness.boards.qemu.board import QemuBoard\nflash = QemuBoard.flash\n"
        "def changed(self, build):\n    flash(self, build)\n"
        f"    path = Path({str(other)!r})\n    data = bytearray(path.read_bytes())\n"
        "    at = data.find(b'tfm-harness')\n    data[at] ^= 1\n    path.write_bytes(data)\n"
        "QemuBoard.flash = changed\n"
    )
    done = user.run(DESCRIBES, build=str(build))
    assert done.returncode == 10, done.stdout
    assert "[infrastructure:wrong-firmware]" in done.stdout


def test_an_image_that_the_board_refuses_never_answers_and_the_reason_is_shown(user: User) -> None:
    """One that is damaged is refused by the host, which reads it first; one that names no key is left to the board."""
    tampered = user.path / "tampered.bin"
    data = bytearray((FIRMWARE / "out" / "nonsecure.signed.bin").read_bytes())
    data[0x500] ^= 1
    tampered.write_bytes(data)
    build = Path(user.build())
    build.write_text(build.read_text().replace(str(FIRMWARE / "out" / "nonsecure.signed.bin"), str(tampered)))
    done = user.run(DESCRIBES, "--tfm-boot-timeout", "2", build=str(build))
    assert done.returncode == 4, done.stdout
    assert "[configuration:image-signer]" in done.stderr
    assert "not signed by trust.images" in done.stderr
    build.write_text("".join(line for line in build.read_text().splitlines(True) if not line.startswith("  images: ")))
    done = user.run(DESCRIBES, "--tfm-boot-timeout", "2", build=str(build))
    assert done.returncode == 1, done.stdout
    assert "[product:boot-hung]" in done.stdout
    assert "NSPE image refused" in done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_for_the_record_is_no_pass(user: User) -> None:
    (user.path / "run").mkdir()
    (user.path / "conftest.py").write_text(
        "import errno, pathlib\n"
        "whole = pathlib.Path.replace\n"
        "def full(self, target):\n"
        "    if self.name.startswith('.report-'): raise OSError(errno.ENOSPC, 'No space left on device')\n"
        "    return whole(self, target)\n"
        "pathlib.Path.replace = full\n"
    )
    done = user.run(DESCRIBES)
    assert done.returncode == 10, done.stdout
    assert "No space left on device" in done.stdout
