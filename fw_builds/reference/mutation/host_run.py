"""Faults that no suite can see in QEMU, held against a test of the firmware's parts on the host."""

from __future__ import annotations

import subprocess
from pathlib import Path

from mutation.suite_run import REFERENCE

LIMIT = 600  # seconds


def survives(patch: Path, test: str, work: Path) -> str:
    """Build `test` (folder/program below host_tests) with the faulty sources and run it; empty when it fails.

    A test that cannot be built has noticed nothing.
    """
    copy, objects = work / "sources", work / "host"
    folder, program = test.split("/")
    subprocess.run([str(REFERENCE / "tools" / "faulty_sources.sh"), str(REFERENCE), str(patch), str(copy)], check=True)
    makefile = REFERENCE / "host_tests" / folder
    variables = [f"PARTITION={copy}/partition", f"DRIVER={copy}/pseudo_driver", f"SPE={copy}/spe", f"BUILD={objects}"]
    built = subprocess.run(
        ["make", "-s", "-C", str(makefile), *variables, str(objects / program)],
        capture_output=True, text=True, timeout=LIMIT, check=False,
    )  # fmt: skip
    if built.returncode:
        return f"{test} does not build with the fault: {built.stderr[-500:]}"
    done = subprocess.run([str(objects / program)], capture_output=True, timeout=LIMIT, check=False, cwd=makefile)
    return "" if done.returncode else f"SURVIVES: {test} passes"
