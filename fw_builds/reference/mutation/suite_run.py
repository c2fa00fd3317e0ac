"""Build one firmware, right or faulty, and run suites on it in QEMU."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import yaml
from tfm_harness.report.storage import load_run

from mutation.order import test_name

REFERENCE = Path(__file__).resolve().parents[1]
ROOT = REFERENCE.parents[1]
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))

from tests.warm import WarmServer  # noqa: E402  # found by the lines above

CLEAN = "NONE"
BUILD_LIMIT = 900  # seconds; against hanging, not against a busy machine
RUN_LIMIT = 1800


@dataclass
class Outcome:
    """What happened to one build. `failed` holds the failed checks by suite; `errors` what the bench could not do."""

    name: str
    seconds: float = 0.0
    failed: dict[str, set[str]] = field(default_factory=dict)
    places: dict[str, set[str]] = field(default_factory=dict)  # by suite: where the failed checks point
    passed: dict[str, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    broken: str = ""
    again: str = ""  # why a narrow run was followed by one of the whole suite
    costs: dict[str, float] = field(default_factory=dict)  # seconds, by test whatever its parameters (mutation.order)
    ended_at: str = ""  # the first test that did not pass


def make(images: Path, *variables: str) -> str:
    """Build into a folder; empty, or why not."""
    command = ["make", "-C", str(REFERENCE), f"OUT={images}", f"PYTHON={sys.executable}", *variables]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    try:
        built = subprocess.run(
            command, capture_output=True, text=True, timeout=BUILD_LIMIT, check=False, env=environment
        )
    except subprocess.TimeoutExpired:
        return f"not built within {BUILD_LIMIT} s"
    if built.returncode:
        return "does not build:\n" + "\n".join((built.stdout + built.stderr).splitlines()[-15:])
    return ""


_LOADED: Final = (
    "numpy.random",
    "tflite",
    "tfm_harness.bench.opened",
    "tfm_harness.boards.qemu.board",
    "tfm_harness.plugin.signed",
)
_servers = threading.local()


def _server() -> WarmServer:
    """What forks this thread's runs: two thirds of a short run are imports. It ends with this process."""
    if not hasattr(_servers, "server"):
        _servers.server = WarmServer(modules=_LOADED)
        atexit.register(_servers.server.stop)
    server: WarmServer = _servers.server
    return server


def run_suites(
    outcome: Outcome,
    folder: Path,
    suites: Sequence[str],
    *,
    few_vectors: bool,
    options: Sequence[str] = (),
    order: Path | None = None,
) -> None:
    """Run suites on the images in `folder`/out; what happened is added to `outcome`. `order`: see mutation.order."""
    began = time.monotonic()
    description = write_build(folder, folder / "out", few_vectors=few_vectors)
    run = folder / "run"
    words = [str(ROOT / "suites" / suite) for suite in suites]
    words += ["--import-mode=importlib", f"--rootdir={ROOT}", f"--config-file={ROOT / 'pyproject.toml'}"]
    words += ["-o", "faulthandler_timeout=0", "--tfm-target=qemu-an547", f"--tfm-build={description}"]
    # Hypothesis's plugin takes a third of a short run, AnyIO's a tenth, and the suites need neither.
    words += [f"--tfm-run-dir={run}", "-q", "-pno:cacheprovider", "-pno:hypothesispytest", "-pno:anyio", *options]
    environment = dict(os.environ, TFM_HARNESS_STATE_DIR=str(folder / "state"))
    if order is not None:
        environment["MUTATION_ORDER"] = str(order)
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(REFERENCE), os.environ.get("PYTHONPATH"))))
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # hundreds of runs: each would compile all that it imports
    output = folder / "output.txt"
    try:
        with output.open("wb") as file:
            status = _server().run(words, file.fileno(), file.fileno(), environment, RUN_LIMIT, ROOT)
    except RuntimeError as error:
        outcome.broken = str(error)
        return
    finally:
        outcome.seconds += time.monotonic() - began
    if status is None:
        outcome.broken = f"the suites did not end within {RUN_LIMIT} s"
        return
    record = run / "run.json"
    if not record.is_file():
        said = output.read_text(errors="replace")
        outcome.broken = "no record:\n" + "\n".join(said.splitlines()[-15:])
        return
    read_record(outcome, record)
    record.unlink()


def read_record(outcome: Outcome, record: Path) -> None:
    """Add what a run's record says."""
    for test in load_run(record).tests:
        suite = test.suite
        name = test_name(test.nodeid)
        outcome.costs[name] = outcome.costs.get(name, 0.0) + test.seconds
        if not outcome.ended_at and test.outcome in {"failed", "error", "blocked"}:
            outcome.ended_at = name
        outcome.passed[suite] = outcome.passed.get(suite, 0) + (test.outcome == "passed")
        failed = {finding.id for finding in test.findings if finding.status == "failed"}
        places = {finding.where for finding in test.findings if finding.status == "failed"}
        outcome.places.setdefault(suite, set()).update(places)
        if test.outcome == "failed" and not failed:
            failed = {test.kind}
        if failed:
            outcome.failed.setdefault(suite, set()).update(failed)
        if test.outcome in {"error", "blocked"}:
            outcome.errors.append(f"{test.nodeid}: {test.outcome}: {test.kind or test.message or test.blocked_by}")


def write_build(folder: Path, images: Path, *, few_vectors: bool) -> Path:
    """A build description like build.yaml's, with the images of another folder.

    Only the mutants that parity claims, and the right build at night, get all its vectors: they take most of the time.
    """
    said = yaml.safe_load((REFERENCE / "build.yaml").read_text())

    def moved(path: str) -> str:
        return str(images / path.removeprefix("out/")) if path.startswith("out/") else str(REFERENCE / path)

    for image in said["images"]:
        image["file"] = moved(image["file"])
    for model in said["models"].values():
        model["file"] = moved(model["file"])
        if "image" in model:
            model["image"] = moved(model["image"])
    for section in ("trust", "files"):
        for key, value in said.get(section, {}).items():
            if value != "provisioned":
                said[section][key] = moved(value)
    if few_vectors:
        said["parity"] = {**said.get("parity", {}), "vectors": 24, "min_distinct": 2}
    path = folder / "build.yaml"
    path.write_text(yaml.safe_dump(said))
    return path
