"""Build one mutant and run the suites on it until something fails: the likeliest tests first."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from mutation.c_mutator import Mutant
from mutation.suite_run import Outcome, make, run_suites
from mutation.verdicts import Results, Verdict

SUITES = (
    *("results", "attestation", "sensor", "provisioning", "robustness", "storage", "confidentiality", "abuse", "skip"),
    *("bus", "boot", "isolation", "update", "latency", "parity"),
)
NEAREST = (
    ("partition/nn/sensor_frontend.h", ("sensor", "parity")),
    ("partition/nn/nn_loader", ("parity", "update")),
    ("partition/nn/nn_tensors", ("parity", "update")),
    ("partition/nn/nn_flatbuffer", ("parity", "update")),
    ("partition/nn/", ("parity",)),
    ("partition/sensor", ("sensor", "bus")),
    ("partition/encrypt", ("storage",)),
    ("partition/sampler", ("sensor",)),
    ("partition/measure", ("latency", "parity", "isolation")),
    ("partition/model", ("update", "parity")),
    ("partition/csr", ("provisioning",)),
    ("partition/der", ("provisioning",)),
    ("partition/identity", ("provisioning",)),
    ("partition/service", ("results", "provisioning", "sensor", "isolation")),
    ("partition/", ("results",)),
    ("spe/services/attest", ("attestation", "isolation")),
    ("spe/services/model", ("update", "boot")),
    ("spe/services/platform", ("boot", "attestation", "isolation")),
    ("spe/boot", ("boot", "update")),
    ("spe/storage/otp", ("provisioning", "boot")),
    ("spe/storage/ps", ("storage",)),
    ("spe/services/ps", ("storage",)),
    ("spe/crypto/aead", ("storage",)),
    ("spe/storage", ("update", "results")),
    ("spe/crypto", ("results", "attestation", "provisioning")),
    ("spe/core", ("isolation", "boot")),
    ("spe/", ("attestation", "isolation")),
    ("pseudo_driver/measure", ("latency", "parity")),
    ("pseudo_driver/model", ("update",)),
    ("pseudo_driver/probe", ("isolation",)),
    ("pseudo_driver/identity", ("provisioning", "attestation")),
    ("pseudo_driver/storage", ("storage",)),
    ("pseudo_driver/inference", ("results", "sensor")),
    ("pseudo_driver/describe", ("boot", "provisioning", "attestation")),
    ("pseudo_driver/", ("robustness",)),
)
"""Which suites are nearest to a file: their tests run sooner than others of the same cost."""
QUICK, THOROUGH = ("-x", "--tfm-quick"), ("-x", "-m", "thorough")
STEPS = {"near": (True, QUICK), "near-all": (True, THOROUGH), "quick": (False, QUICK), "all": (False, THOROUGH)}
"""How a mutant is held against the suites, step by step: the nearest or the others, and which of their tests."""
OTHER_BUILD = ("pseudo_driver/mlperf_tiny/",)
"""Sources that the build on which the suites run does not have (they are built with PROTOCOL=mlperf-tiny)."""


def suites_for(file: str) -> tuple[list[str], list[str]]:
    """The nearest suites, and the others."""
    near = next((list(suites) for prefix, suites in NEAREST if file.startswith(prefix)), [])
    return near, [suite for suite in SUITES if suite not in near]


def image_bytes(images: Path) -> bytes:
    """What runs: both ELFs' loadable bytes."""
    found = b""
    for name in ("secure", "nonsecure"):
        target = images / f"{name}.flat"
        command = ["arm-none-eabi-objcopy", "-O", "binary", str(images / f"{name}.elf"), str(target)]
        subprocess.run(command, check=True, capture_output=True)
        found += target.read_bytes()
        target.unlink()
    return found


class Judge:
    """Judges mutants against the suites.

    Args:
        work: a folder for images and records.
        results: tells which tests to try first; the caller adds the verdicts.

    Raises:
        SystemExit: the right build cannot be built, or fails something (its failure would kill every mutant).
    """

    def __init__(self, work: Path, results: Results) -> None:
        self.work = work
        self.results = results
        problem = make(work / "right", "warnings=-w")
        if problem:
            raise SystemExit(problem)
        self.right = image_bytes(work / "right")
        if not results.costs:
            self._check_the_right_build(work / "baseline")

    def _check_the_right_build(self, folder: Path) -> None:
        problem = make(folder / "out")
        outcome = Outcome("the right build")
        if not problem:
            self._run(outcome, folder, SUITES, (), QUICK, few_vectors=True)
        failed = [f"{suite}: {ids}" for suite, ids in outcome.failed.items()]
        wrong = [text for text in (problem or outcome.broken, *outcome.errors, *failed) if text]
        if wrong:
            raise SystemExit("the right build fails, so nothing can be said of faulty ones:\n" + "\n".join(wrong))
        print(f"the right build passes {sum(outcome.passed.values())} tests in {outcome.seconds:.0f} s", flush=True)
        self.results.add_costs({name: round(seconds, 2) for name, seconds in outcome.costs.items()})

    def _run(
        self,
        outcome: Outcome,
        folder: Path,
        suites: Sequence[str],
        first: Sequence[str],
        options: Sequence[str],
        *,
        few_vectors: bool,
        near: Sequence[str] = (),
    ) -> None:
        """Run tests of suites in an order that this mutant asks for."""
        order = folder / "order.json"
        order.write_text(json.dumps({"first": list(first), "near": list(near), "costs": self.results.costs}))
        run_suites(
            outcome, folder, suites, few_vectors=few_vectors, options=("-p", "mutation.order", *options), order=order
        )

    def judged(self, mutant: Mutant, step: str) -> Verdict:
        """Build the change and run tests on it: those of the nearest suites, or the rest when it has survived these.

        Args:
            mutant: the change.
            step: one of STEPS; the verdict of a survivor adds it to those before.
        """
        began = time.monotonic()
        folder = self.work / mutant.name
        folder.mkdir(parents=True)
        near, others = suites_for(mutant.file)
        nearest, options = STEPS[step]
        suites = near if nearest else others
        try:
            found = self._build(mutant, folder) or self._killed(mutant, folder, suites, near, options)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        before = self.results.known.get(mutant.name)
        reach = f"{before.reach} {step}".strip() if before else step
        return _verdict(mutant, began, *(found or ("survived", "", "", reach)))

    def _build(self, mutant: Mutant, folder: Path) -> tuple[str, str, str] | None:
        """State and reason of a change that needs no run."""
        patch = folder / f"{mutant.name}.patch"
        patch.write_text(mutant.patch())
        # Warnings are off: a change may leave a variable without use.
        if make(folder / "out", f"PATCH={patch}", "warnings=-w"):
            return "unbuildable", "", ""
        return ("equivalent", "the same bytes", "") if image_bytes(folder / "out") == self.right else None

    def _killed(
        self, mutant: Mutant, folder: Path, suites: Sequence[str], near: Sequence[str], options: Sequence[str]
    ) -> tuple[str, str, str] | None:
        """State, check and test of a kill.

        What failed a test, or ended in an error that is not the product's, is tried again, that test first: a busy
        bench is no kill.
        """
        first = self.results.likely(mutant)
        few_vectors = "partition/nn" not in mutant.file
        said = ""
        for _ in range(2):
            outcome = Outcome(mutant.name)
            self._run(outcome, folder, suites, first, options, few_vectors=few_vectors, near=near)
            test = outcome.ended_at
            if outcome.failed:
                suite, checks = next(iter(outcome.failed.items()))
                said = f"{suite}/{min(checks)}"
            elif outcome.errors or outcome.broken:
                said = "the board: " + (outcome.errors or [outcome.broken])[0][:160]
            else:
                return None
            first = [test, *first]
        return "killed", said, test


def _verdict(mutant: Mutant, began: float, state: str, by: str = "", test: str = "", reach: str = "") -> Verdict:
    seconds = round(time.monotonic() - began, 1)
    return Verdict(
        *(mutant.name, mutant.file, mutant.line, mutant.function, mutant.operator, mutant.change, state, by),
        seconds,
        test,
        reach,
    )
