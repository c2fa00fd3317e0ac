"""What counts as the host's refusal, and what stays a bug."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tfm_harness.foreign import frames_of, host_refusal


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device", "/x"),
        PermissionError(13, "no", "/x"),
        TimeoutError("late"),
        MemoryError(),
        RuntimeError("can't start new thread"),
        RuntimeError("Symlink loop from '/x'"),
    ],
    ids=repr,
)
def test_the_hosts(error: Exception) -> None:
    found = host_refusal(error)
    assert found is not None
    assert found.kind == "host-refused"
    assert found.hint


@pytest.mark.parametrize("error", [ValueError("x"), RuntimeError("another"), KeyError(1), RecursionError()], ids=repr)
def test_no_matter_of_the_host(error: Exception) -> None:
    assert host_refusal(error) is None


def test_the_place() -> None:
    def inner() -> None:
        raise MemoryError

    with pytest.raises(MemoryError) as caught:
        inner()
    assert frames_of(caught.value).splitlines()[-1].endswith(" in inner")
    assert "test_foreign.py:" in str(host_refusal(caught.value))


def test_a_command_without_memory_ends_as_the_hosts_fault(tmp_path: Path) -> None:
    image = tmp_path / "image.bin"
    with image.open("wb") as file:
        file.truncate(200 << 20)  # as large as an image may be, and a hole on the disk
    code = (
        "import resource, sys\n"
        "from tfm_harness.cli import verify_files\n"
        "from tfm_harness.cli.main import main\n"
        "size = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (size + (64 << 20), -1))\n"
        f"sys.exit(main(['verify', 'image', {str(image)!r}]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 10, done.stderr
    assert "MemoryError" in done.stderr
    assert "Traceback" not in done.stderr
