"""What the tests stand on: a bench that is killed leaves no process and no file."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from board_types import REFERENCE

pytestmark = pytest.mark.qemu

_BENCH = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from qemu_board import QemuBoard
board = QemuBoard(Path(sys.argv[2]), [], otp=bytes(256), entropy=bytes(64))
board.device.wait_ready()
print(board.process.pid, flush=True)
sys.stdin.read()
"""


def test_a_killed_bench_leaves_nothing(images: Path, tmp_path: Path) -> None:
    bench = subprocess.Popen(
        [sys.executable, "-c", _BENCH, str(REFERENCE / "tools"), str(images)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert bench.stdout is not None
    qemu = Path("/proc") / bench.stdout.readline().decode().strip()
    assert qemu.name.isdigit()
    assert qemu.exists()
    bench.kill()
    bench.communicate()
    end = time.monotonic() + 60
    while qemu.exists():
        assert time.monotonic() < end, "QEMU outlives the bench that started it"
        time.sleep(0.01)
    assert list(tmp_path.iterdir()) == []
