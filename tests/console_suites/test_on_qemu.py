"""A console suite on an emulated AN521: from the ELF on disk to one pytest item a case."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.console_suites.helpers import GOOD
from tests.warm import run_pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

LAYOUT = """\
MEMORY { CODE (rx) : ORIGIN = 0x10000000, LENGTH = 512K  DATA (rw) : ORIGIN = 0x38000000, LENGTH = 64K }
SECTIONS { .text : { *(.vectors) *(.text*) *(.rodata*) } > CODE  stack_top = ORIGIN(DATA) + LENGTH(DATA); }
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    for tool in ("qemu-system-arm", "arm-none-eabi-gcc"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    monkeypatch.setenv("TFM_HARNESS_STATE_DIR", str(pytester.path / "state"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("COLUMNS", "160")
    shutil.copytree(ROOT / "suites" / "console", pytester.path / "console")
    (pytester.path / "layout.ld").write_text(LAYOUT)
    (pytester.path / "fw.yaml").write_text(
        "images: [{file: fw.elf, world: secure}]\nconsole_suites: [{suite: tf-m, timeout: 200, silence: 5}]\n"
    )
    return pytester


def build(project: pytest.Pytester, transcript: bytes) -> None:
    (project.path / "transcript.bin").write_bytes(transcript)
    words = [
        "arm-none-eabi-gcc",
        "-mcpu=cortex-m33",
        "-mthumb",
        "-O1",
        "-nostdlib",
        "-ffreestanding",
        "-Wall",
        "-Werror",
    ]
    words += ["-T", "layout.ld", "-Wl,--build-id=none", "-o", "fw.elf", str(HERE / "printer.c")]
    done = subprocess.run(words, cwd=project.path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def run(project: pytest.Pytester, machine: str = "qemu-an521") -> pytest.RunResult:
    target = ROOT / "targets" / f"{machine}.yaml"
    words = ("--tfm-target", str(target), "--tfm-build", "fw.yaml", "-p", "no:cacheprovider", "console")
    return run_pytest(project, *words, timeout=300)


@pytest.mark.qemu
def test_a_suite_on_the_an521(project: pytest.Pytester) -> None:
    build(project, GOOD.encode("latin-1"))
    result = run(project)
    result.assert_outcomes(passed=5)
    assert result.ret == 0


@pytest.mark.qemu
def test_a_hang_in_the_middle(project: pytest.Pytester) -> None:
    build(project, GOOD[: GOOD.index("  TEST: T_2001")].encode("latin-1"))
    result = run(project)
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(["*not a byte for 5 s; the run stopped in case T_2001*"])


IDLE = """\
extern char stack_top[];
static void reset(void);
__attribute__((section(".vectors"), used)) static const void *vectors[16] = { stack_top, reset };
static void reset(void)
{
	if (RESETS)
		*(volatile unsigned *)0xE000ED0C = 0x05FA0004; /* AIRCR.SYSRESETREQ */
	for (;;)
		__asm__ volatile("wfi");
}
"""


@pytest.mark.qemu
@pytest.mark.parametrize(("resets", "word"), [(0, "QSPI"), pytest.param(1, "CCR.TRD", marks=pytest.mark.nightly)])
def test_a_silent_an547_gets_the_hint(project: pytest.Pytester, resets: int, word: str) -> None:
    (project.path / "idle.c").write_text(IDLE)
    words = ["arm-none-eabi-gcc", "-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=hard", "-nostdlib", "-ffreestanding",
             f"-DRESETS={resets}", "-T", "layout.ld", "-Wl,--build-id=none", "-o", "fw.elf", "idle.c"]  # fmt: skip
    done = subprocess.run(words, cwd=project.path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = run(project, "qemu-an547-bare")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*infrastructure:emulator-limit*" if resets else "*not one byte came*", f"*{word}*"])
    assert result.ret == 10
