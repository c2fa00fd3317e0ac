"""A run with something of everything."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from tfm_harness.latency import Clock, ClockQuality, Series
from tfm_harness.report import (
    BoardEntry,
    CheckEntry,
    CombinationEntry,
    ConsoleExcerpt,
    EventEntry,
    FindingEntry,
    LatencyEntry,
    MoveEntry,
    ParityEntry,
    ParityOutput,
    RequirementEntry,
    RunRecord,
    SuiteEntry,
    TestEntry,
    TraceEntry,
    WaiverEntry,
)

HOSTILE = "</pre><script>document.title='owned'</script><img src=x onerror=alert(1)>\x1b[31mred\x1b[m\x00\x07\r\nnext"


def output(index: int, histogram: dict[str, int], *, passed: bool, op: str, tolerance: str = "") -> ParityOutput:
    elements = sum(histogram.values())
    exact = histogram.get("0", 0)
    return ParityOutput(
        index=index,
        name="out",
        dtype="int8",
        op=op,
        elements=elements,
        exact_elements=exact,
        vectors=1000,
        exact_vectors=1000 - (elements - exact),
        histogram=histogram,
        max_lsb=max(abs(int(k)) for k in histogram),
        max_abs=0.01,
        max_rel=0.1,
        sqnr_db=None if exact == elements else 41.3,
        cosine_min=0.9991,
        cosine_mean=0.9999,
        top1=0.998,
        tolerance=tolerance,
        passed=passed,
    )


@pytest.fixture(scope="session")
def sample_run() -> RunRecord:
    rng = np.random.default_rng(4)
    boards = ("qemu-an547 reference", "mps3-bench1 reference")
    suites = ("boot", "isolation", "sensor", "results", "attestation", "parity", "latency", "update")
    tests = [
        TestEntry(
            nodeid=f"suites/{suite}/test_{suite}.py::test_{suite}_{n}[{board}]",
            combination=board,
            board=board.split()[0],
            suite=suite,
            outcome="not covered" if suite == "update" and board == boards[1] else "passed",
            message="not covered: the firmware has no feature update" if suite == "update" else "",
            seconds=0.4,
            findings=(FindingEntry(id=f"{suite}.check-{n}"),),
        )
        for board in boards
        for suite in suites
        for n in range(3)
    ]
    failing = FindingEntry(
        id="parity.bit-exact",
        severity="failure",
        status="failed",
        expected="bit-exact",
        seen="12 of 3000 elements differ (990 of 1000 vectors exact), max 2 LSB, SQNR 41.3 dB",
        where="op SOFTMAX; vector 17, index [0, 2]: reference -12, device -11",
        subject="tamper",
    )
    waived = replace(
        failing,
        id="attestation.dummy-key",
        status="waived",
        severity="critical",
        waiver="development board, keys are public by design",
        waived_by="attestation.dummy-*",
        seen=HOSTILE,
    )
    noted = replace(failing, id="latency.budget-judged", status="noted", severity="info", seen="not judged")
    tests[15] = replace(tests[15], outcome="failed", responsibility="product", findings=(failing, waived, noted))
    tests[30] = replace(
        tests[30],
        outcome="error",
        responsibility="infrastructure",
        kind="console-closed",
        message="[infrastructure:console-closed] the console's transport is gone\n  " + HOSTILE,
        findings=(),
    )
    clock = Clock(source="sse-counter", hz=32_000_000, bits=64, quality=ClockQuality.DETERMINISTIC)
    board_clock = Clock(source="dwt-cyccnt", hz=32_000_000, bits=32)

    def series(centre: float, which: Clock) -> Series:
        ticks = tuple(int(v) for v in rng.lognormal(math.log(centre), 0.004, 120))
        return Series(name="tamper", ticks=ticks, clock=which, empty=(41, 40, 41), warmup=10)

    return RunRecord(
        name="2026-11-23T02-00-00 nightly",
        verdict="failed",
        headline="1 check of the product failed on qemu-an547 reference: parity.bit-exact (tamper)",
        started="2026-11-23T02:00:00+00:00",
        seconds=73.4,
        version="0.1.0",
        boards=(
            BoardEntry(
                combination=boards[0],
                name="qemu-an547",
                firmware="tfm-harness-reference 1.0.0",
                clock="deterministic",
                facts={"qemu": "7.2.22", "not proven": "the secure side's console is not read"},
                measurements={"SPE": "ab" * 32},
                boots=3,
                events=(EventEntry(at=12.1, kind="host-reset", detail="warm"),),
            ),
            BoardEntry(combination=boards[1], name="mps3-bench1", lost="board-silent: " + HOSTILE),
        ),
        combinations=(
            CombinationEntry(
                name=boards[0],
                target="qemu-an547",
                build="reference",
                policy="validation",
                kind="qemu",
                firmware="tfm-harness-reference 1.0.0",
                image={"SPE": "abababababab"},
            ),
            CombinationEntry(name=boards[1], target="mps3-bench1", build="reference", policy="validation"),
        ),
        moves=(
            MoveEntry(
                nodeid="suites/boot/test_boot.py::test_boot_0",
                combination=boards[0],
                before="mps3-bench1",
                after="qemu-an547",
                why="board-silent",
            ),
        ),
        suites=(
            SuiteEntry(
                combination=boards[0], suite="boot", claim="What was flashed runs.", state="partly", passed=2, total=3
            ),
        ),
        requirements=(
            RequirementEntry(combination=boards[0], suite="boot", checks=("boot.check-*",), state="proven"),
            RequirementEntry(
                combination=boards[0],
                suite="boot",
                checks=("boot.other",),
                proves="another thing",
                requirement="PSA 1.1",
                state="not proven",
                missing=("boot.other",),
            ),
        ),
        checks={
            **{
                f"{suite}.check-{n}": CheckEntry(f"what {suite} must hold", "RFC 9783 s.4.1")
                for suite in suites
                for n in range(3)
            },
            "parity.bit-exact": CheckEntry(
                "every output element equals the reference's bit for bit", "TFLM evaluate_test practice"
            ),
        },
        tests=tuple(tests),
        waivers=(
            WaiverEntry(
                combination=boards[0],
                finding="attestation.dummy-*",
                reason="development board, keys are public by design",
                where="fw_builds/reference/build.yaml:41",
            ),
        ),
        latency=(
            LatencyEntry(
                combination=boards[0],
                series=series(200_000, clock),
                baseline=series(197_000, clock),
                baseline_name="2026-11-20 nightly",
                budgets={"p99": 0.0068},
                gate={"verdict": "slower", "change": "+1.52 %", "p": "2e-36"},
                phases={
                    "dispatch": 0.0001,
                    "sample": 0.0011,
                    "prepare": 0.00002,
                    "inference": 0.0062,
                    "claims": 0.00004,
                    "signing": 0.0187,
                    "response": 0.0002,
                    "wire": 0.0042,
                },
            ),
            LatencyEntry(combination=boards[1], series=series(200_000, board_clock), budgets={"p99": 0.0064}),
        ),
        parity=(
            ParityEntry(
                combination=boards[0],
                model="tamper",
                vectors=1000,
                outputs=(output(0, {"0": 2988, "1": 7, "-1": 3, "2": 2}, passed=False, op="SOFTMAX"),),
                failing=(17,),
                distinct=941,
                saturated=0.013,
                engine={"name": "tflite-runtime", "version": "2.14.0", "resolver": "BUILTIN_REF"},
                first_op="op 11 SOFTMAX: 1 of 3 elements differ, max 1 LSB, first at [0, 2] (device trace)",
                failure="run/parity-tamper-00c0ffee.json",
                device_seconds=3.1,
                seed=7,
            ),
            ParityEntry(
                combination=boards[0],
                model="sine",
                vectors=1000,
                outputs=(output(0, {"0": 1000}, passed=True, op="FULLY_CONNECTED"),),
            ),
        ),
        traces=(
            TraceEntry(
                combination=boards[0],
                name="tamper.csv",
                channels={
                    "mag.x [uT]": tuple(float(48 + 20 * math.sin(i / 9)) for i in range(128)),
                    "mag.y [uT]": tuple(float(30 + (i > 70) * 35 + rng.normal(0, 0.6)) for i in range(128)),
                    "temp [degC]": tuple(21 + i * 0.02 for i in range(128)),
                },
                outputs=tuple((31 + 8 * k, (0.9 - 0.07 * k, 0.05 + 0.07 * k, 0.05)) for k in range(13)),
                labels=("idle", "tamper", "vibration"),
            ),
        ),
        consoles=(
            ConsoleExcerpt(combination=boards[0], name="ns", text="*** booted\r\n" + HOSTILE),
            ConsoleExcerpt(combination=boards[0], name="secure", text="\n".join(f"[SPE] line {i}" for i in range(400))),
        ),
        environment={"python": "3.11.9", "host": "Linux 6.1", "tflite-runtime": "2.14.0"},
    )
