"""The shell's client on a real emulator: small firmware there answers as the real one was recorded, and resets."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from tfm_harness.protocol.zephyr_shell import parse

from tests.protocol.zephyr_shell.simulator import PROMPTS, Device, path_of
from tests.warm import run_pytest

ROOT = Path(__file__).resolve().parents[3]
FIRMWARE = ROOT / "tests" / "protocol" / "zephyr_shell" / "firmware"
BOARDS = ROOT / "tests" / "boards" / "firmware"
ASKED = ("info version", "info uuid", "infer model", "keys public 5001", "keys public 5002")
REBOOTS = """
import pytest

@pytest.mark.needs("describe")
def test_the_client_reboots_it(device):
    before = device.describe()
    assert device.client.reboot().uuid == before.uuid
    assert device.describe().uuid == before.uuid
"""

pytestmark = pytest.mark.qemu


def as_c(name: str, data: bytes) -> str:
    return f"static const unsigned char {name}[] = {{{','.join(map(str, data))}}};\n"


def header(keys: Mapping[int, bytes]) -> str:
    """What the recorded device says at its start, to each line, and to what it does not know."""
    device = Device("plain")
    shown, pem = device.reply("keys public 5002"), keys[0x5001].strip().replace(b"\n", b"\r\n")
    other = re.sub(rb"-----BEGIN.*-----END PUBLIC KEY-----", pem, shown, flags=re.DOTALL)
    device.replies["keys public 5001"] = deque([other.replace(b"5002", b"5001")])  # was asked for with others only
    unknown = b"what: command not found\r\n" + PROMPTS["plain"]
    said = {"BOOT": device.boot, "INTERRUPTED": b"\r\n" + PROMPTS["plain"], "UNKNOWN": unknown}
    text = "#include <stdint.h>\n\nstruct bytes { const unsigned char *data; uint32_t size; };\n"
    for name, data in said.items():
        text += as_c(f"{name}_DATA", data)
        text += f"static const struct bytes {name} = {{{name}_DATA, {len(data)}}};\n"
    rows = []
    for number, line in enumerate(ASKED):
        reply = device.reply(line)
        text += as_c(f"REPLY_{number}", reply)
        rows.append(f'    {{"{line}", {{REPLY_{number}, {len(reply)}}}}},\n')
    table = "static const struct { const char *line; struct bytes reply; } REPLIES[]"
    return f"{text}{table} = {{\n{''.join(rows)}}};\n"


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Makes a user's folder with target, build and firmware; `defines` go to the compiler."""
    for tool in ("arm-none-eabi-gcc", "qemu-system-arm"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    monkeypatch.setenv("TFM_HARNESS_STATE_DIR", str(pytester.path / "state"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def make(*defines: str) -> Path:
        folder = pytester.path
        keys = parse.public_keys(json.loads(path_of("cose.json").read_text())["public"].splitlines())
        for number, name in ((0x5002, "cose"), (0x5001, "client")):
            (folder / f"{name}.pem").write_bytes(keys[number])
        (folder / "replies.h").write_text(header(keys))
        flags = ["-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=soft", "-Os", "-ffreestanding", "-nostdlib", "-Wall",
                 "-Wextra", "-Werror", "-Wl,--no-warn-rwx-segments", f"-Wl,-T,{BOARDS / 'probe.ld'}"]  # fmt: skip
        words = ["arm-none-eabi-gcc", *flags, *defines, f"-I{BOARDS}", f"-I{folder}", str(FIRMWARE / "replay.c")]
        subprocess.run([*words, "-o", str(folder / "replay.elf")], check=True, timeout=120)
        (folder / "bench.yaml").write_text("kind: qemu\nmachine: mps3-an547\nconsoles: {ns: uart0}\n")
        (folder / "build.yaml").write_text(
            "name: replay\nimages: [{file: replay.elf, world: secure}]\nprotocol: zephyr-shell\n"
            "trust: {results: cose.pem, client: client.pem}\nresults: {profile: linaro-cai}\n"
        )
        (folder / "suites" / "mine").mkdir(parents=True)
        (folder / "suites" / "mine" / "test_reboot.py").write_text(REBOOTS)
        shutil.copytree(ROOT / "suites" / "provisioning", folder / "suites" / "provisioning")
        return folder

    return make


def run(pytester: pytest.Pytester, *words: str) -> pytest.RunResult:
    given = ["--tfm-target=bench.yaml", "--tfm-build=build.yaml", "-p", "no:cacheprovider"]
    return run_pytest(pytester, *given, *words, "suites", timeout=100)


def test_it_is_reset_by_the_target_and_by_the_client(pytester: pytest.Pytester, project: Callable[..., Path]) -> None:
    """Warm and cold by the target, and by the firmware's own command, which the emulator tells of as its own."""
    project()
    result = run(pytester, "-k", "keys_stay or reboots", "-rfEs")
    assert result.ret == 0, result.stdout.str()
    assert result.parseoutcomes()["passed"] == 3


def test_an_identity_that_a_reset_changes_is_found(pytester: pytest.Pytester, project: Callable[..., Path]) -> None:
    project("-DFORGETS")
    result = run(pytester, "-k", "keys_stay and warm", "-rf")
    result.stdout.fnmatch_lines(["*product:provisioning.stable*"])
    assert result.parseoutcomes()["failed"] == 1
