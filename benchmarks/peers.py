"""Environments of the benchmarks' own, in which the peers are installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PEERS = {
    "pexpect": ["pexpect==4.9.0", "pyserial==3.5"],
    "labgrid": ["labgrid==26.0.1"],
    "pytest-embedded": ["pytest-embedded==2.9.3"],
    "pycose": ["pycose==1.1.0", "cbor2==5.9.0"],  # pycose cannot decode anything with cbor2 6
    "cwt": ["cwt==3.3.0", "cbor2==5.9.0"],
}


def venv(name: str) -> Path:
    """The Python of a peer's venv, made at first use."""
    folder = ROOT / ".cache" / "benchmarks" / name
    python = folder / "bin" / "python"
    ready = folder / "installed"
    if not ready.exists():
        print(f"installing {', '.join(PEERS[name])} into {folder.relative_to(ROOT)}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        install = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *PEERS[name]]
        subprocess.run(install, check=True)
        ready.touch()
    return python
