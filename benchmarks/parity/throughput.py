"""Parity vectors a second through the harness against a bare loop with the same messages.

    python -m benchmarks.parity.throughput [--vectors 400] [--rounds 3] [--model tamper]

Both sides talk to the same kind of freshly booted emulated board. The harness side is the whole session:
reference interpreter, comparison, vacuity, progress. The bare side sends frames encoded beforehand and
only counts the bytes that come back. Goal: at least 80 %.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tfm_harness.boards.base import RunContext
from tfm_harness.boards.registry import make_board
from tfm_harness.config.loading import load_build, load_target
from tfm_harness.console.stream import StreamConsole
from tfm_harness.errors import HarnessError
from tfm_harness.findings import Report
from tfm_harness.parity.engine_choice import get_engine
from tfm_harness.parity.engines import ReferenceEngine
from tfm_harness.parity.session import run_session
from tfm_harness.protocol.smp.client import SmpDriver
from tfm_harness.protocol.smp.frame import encode_frame
from tfm_harness.protocol.smp.header import GROUP_INFERENCE, Command, Header, Op
from tfm_harness.protocol.smp.test_commands import _BATCH_ROOM
from tfm_harness.verify import cbor

from benchmarks.results import Results, rounds_within
from benchmarks.uart import BareUart

GOAL = 0.80
ANSWER = 60.0  # seconds for one answer


@contextlib.contextmanager
def board(model: str) -> Iterator[tuple[SmpDriver, BareUart]]:
    """A booted board with `model` active: its client, and its UART for the bare loop."""
    build = load_build("reference")
    with tempfile.TemporaryDirectory() as folder:
        context = RunContext(run_dir=Path(folder), state_dir=Path(folder) / "state", fresh_identity=True)
        with make_board(load_target("qemu-an547"), context) as live:
            live.flash(build)
            console = live.console(build.console)
            assert isinstance(console, StreamConsole)
            client = SmpDriver(console, timeout=30)
            client.wait_ready(timeout=30)
            client.select_model(model)
            with BareUart(console, ANSWER) as bare:
                yield client, bare


def harness_side(
    engine: ReferenceEngine, model: str, data: bytes, inputs: npt.NDArray[np.int8], client: SmpDriver
) -> float:
    """Vectors a second of a whole session."""
    report = Report()
    began = time.monotonic()
    run_session(engine, data, inputs, client.batch, report, name=model, progress=lambda _done, _all: None)
    seconds = time.monotonic() - began
    if not report.ok:
        sys.exit(f"the device is wrong: {[f.id for f in report.failed]}")
    return len(inputs) / seconds


def frames(inputs: npt.NDArray[np.int8], width: int) -> list[bytes]:
    """The requests of the session, encoded."""
    rows = inputs.reshape(len(inputs), -1)
    count = max(1, _BATCH_ROOM // max(rows.shape[1], width))
    packets = []
    for number, at in enumerate(range(0, len(rows), count)):
        payload = cbor.encode({"in": rows[at : at + count].tobytes()})
        packets.append(
            encode_frame(Header.pack(Op.WRITE, GROUP_INFERENCE, Command.BATCH, number % 256, len(payload)) + payload)
        )
    return packets


def bare_side(requests: list[bytes], vectors: int, uart: BareUart) -> float:
    """Vectors a second of a loop that sends and counts."""
    began = time.monotonic()
    for request in requests:
        uart.send(request)
        answer, wanted = b"", None
        while wanted is None or len(answer) < wanted:
            answer += uart.receive(65536)
            if wanted is None and len(answer) >= 6:
                length = int.from_bytes(base64.b64decode(answer[2:6])[:2], "big") + 2
                characters = -(-length // 3) * 4
                wanted = characters + 3 * -(-characters // 124)  # start and end of each line
    return vectors / (time.monotonic() - began)


def main() -> int:
    """Print the rates and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="tamper")
    args = parser.parse_args()
    data = load_build("reference").model_file(args.model).read_bytes()
    results = Results("parity")
    with get_engine() as engine:
        info = engine.info(data, args.model)
        shape = (args.vectors, *info.inputs[0].shape)
        inputs = np.random.default_rng(1).integers(-128, 128, shape, dtype=np.int8)
        requests = frames(inputs, info.output_bytes)

        def once() -> tuple[float, float]:
            with board(args.model) as (client, bare):
                ours = harness_side(engine, args.model, data, inputs, client)
                client.console.close()
                return ours, bare_side(requests, args.vectors, bare)

        rates = rounds_within(results, "session", args.rounds, once, (HarnessError, OSError))
    for ours, bare in rates:
        print(f"harness {ours:8.1f} vectors/s   bare loop {bare:8.1f} vectors/s")
    ratio = statistics.median(ours / bare for ours, bare in rates)
    results.add(f"vectors a second, model {args.model}", ratio, to="a bare loop", at_least=GOAL)
    return results.finish()


if __name__ == "__main__":
    sys.exit(main())
