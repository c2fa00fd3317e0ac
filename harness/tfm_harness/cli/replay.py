"""``tfm-harness replay FILE``: run saved failing vectors again."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfm_harness.cli.output import say
from tfm_harness.errors import ConfigError, InfrastructureError
from tfm_harness.files import MODEL_LIMIT, read_file, resolved
from tfm_harness.safe_text import safe_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from tfm_harness.bench.live import LiveCombination
    from tfm_harness.parity.compare import Comparison
    from tfm_harness.parity.engines import ReferenceEngine, State
    from tfm_harness.parity.firstop import FirstOp
    from tfm_harness.parity.model_info import ModelInfo
    from tfm_harness.parity.replay import Failure

__all__ = ["add_parser", "run"]


_EPILOG = """examples:
  tfm-harness replay runs/x/parity-tamper-1a2b3c4d.json
        the reference again, against what the device answered then
  tfm-harness replay runs/x/parity-tamper-1a2b3c4d.json --target qemu-an547 --build reference
        the device again as well

exit codes: 0 no difference, 1 the difference is there, 4 wrong file or options, 10 the bench failed
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "replay",
        help="run saved failing vectors again",
        description="Run the vectors of a parity failure again: on the reference, and with --target on the device.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", type=Path, help="parity-MODEL-*.json from a run's folder")
    parser.add_argument("--model", type=Path, metavar="PATH", help="the .tflite file (default: the one the run used)")
    parser.add_argument("--engine", metavar="NAME", help="reference engine (default: the first that proves itself)")
    parser.add_argument("--target", metavar="NAME|FILE", help="run on this target too")
    parser.add_argument("--build", metavar="NAME|FILE", help="with this build")
    parser.add_argument("--run-dir", default="", metavar="DIR", help="where transcripts go")
    parser.add_argument("--state-dir", default="", metavar="DIR", help="where locks and identities live")
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run again and print; 1 when a difference is there.

    Raises:
        ConfigError: wrong file or options, or another model.
        InfrastructureError: the reference or the board failed, or the reference has changed its mind.
    """
    from tfm_harness.parity.replay import load_failure

    if bool(args.target) != bool(args.build):
        raise ConfigError("--target and --build belong together", kind="option-missing", expected="both or none")
    failure = load_failure(args.file)
    model = _model(args, failure)
    with _engine(args, failure) as engine:
        model = _packed(args, failure, engine, model)
        reference = engine.run(model, list(failure.inputs), name=failure.model, state=_state(failure))
        _same_reference(failure, reference, engine)
        info = engine.info(model, failure.model)
        recorded = _compare(failure, reference, list(failure.device), info)
        live, first = None, None
        if args.target:
            with _device(args, failure) as bench:
                live, first = _on_device(failure, model, engine, bench, reference)
        else:
            first = _oracle(failure, model, engine)
        outcome = {
            "file": str(args.file),
            "model": failure.model,
            "engine": str(engine.record),
            "recorded": recorded.as_dict(),
            "live": live.as_dict() if live else None,
            "first_op": str(first) if first else "",
        }
    if args.json:
        say(safe_json(outcome))
    else:
        _show(failure, recorded, live, first, str(outcome["engine"]))
    return 0 if (live or recorded).exact else 1


def _engine(args: argparse.Namespace, failure: Failure) -> ReferenceEngine:
    """The engine of the failure's kind of model."""
    if "onnx" not in failure.context:
        from tfm_harness.parity.engine_choice import get_engine

        return get_engine(args.engine)
    from tfm_harness.parity.onnx import get_onnx_engine

    return get_onnx_engine(args.engine or "onnx-reference")


def _packed(args: argparse.Namespace, failure: Failure, engine: ReferenceEngine, model: bytes) -> bytes:
    """An ONNX model with the device's formats; any other model as it is."""
    if "onnx" not in failure.context:
        return model
    from tfm_harness.parity.onnx_model import pack_again

    path = _model_path(args, failure)
    try:
        packed = pack_again(model, str(resolved(path).parent), failure.context["onnx"])
    except ValueError as error:
        raise ConfigError("the failure's formats cannot be read", kind="replay-file", seen=str(error),
                          where=str(args.file)) from error  # fmt: skip
    _same_model(failure, engine.info(packed, failure.model).sha256, path)
    return packed


def _state(failure: Failure) -> State | None:
    """How the device treated a stateful model's state when the failure was saved."""
    if failure.state == "sequence":
        return "sequence"
    return "per-vector" if failure.state else None


def _model_path(args: argparse.Namespace, failure: Failure) -> Path:
    return Path(args.model or failure.context.get("model", ""))


def _model(args: argparse.Namespace, failure: Failure) -> bytes:
    from hashlib import sha256

    path = _model_path(args, failure)
    try:
        model: bytes = read_file(path, MODEL_LIMIT)
    except OSError as exc:
        raise ConfigError(
            "the model of the failure cannot be read",
            kind="replay-model",
            expected=f"{failure.model}, SHA-256 {failure.model_sha256}",
            seen=str(exc),
            where=str(path),
            hint="name it with --model PATH",
        ) from exc
    if key := failure.context.get("signature"):
        from tfm_harness.parity.model_rewriting import select_signature

        model = select_signature(model, key, name=failure.model)
    if "onnx" not in failure.context:  # an ONNX model's digest is that of its external data, too
        _same_model(failure, sha256(model).hexdigest(), path)
    return model


def _same_model(failure: Failure, digest: str, path: Path) -> None:
    if digest != failure.model_sha256:
        raise ConfigError(
            "another model than the one that failed",
            kind="replay-model",
            expected=f"SHA-256 {failure.model_sha256}",
            seen=f"SHA-256 {digest}",
            where=str(path),
            hint="name the right file with --model PATH",
        )


def _same_reference(failure: Failure, reference: list[npt.NDArray[Any]], engine: ReferenceEngine) -> None:
    stored = [a.tobytes() for a in failure.reference]
    if stored != [a.tobytes() for a in reference]:
        then = " ".join(str(failure.engine.get(k, "?")) for k in ("name", "version", "resolver"))
        raise InfrastructureError(
            "the reference now gives other outputs than when the failure was saved",
            kind="replay-reference",
            expected=f"the outputs of {then}",
            seen=f"other outputs of {engine.record}",
            hint="use the engine of the run (--engine)",
        )


def _compare(
    failure: Failure, reference: list[npt.NDArray[Any]], device: list[npt.NDArray[Any]], info: ModelInfo
) -> Comparison:
    from tfm_harness.findings import Report
    from tfm_harness.parity.compare import compare

    return compare(reference, device, None, Report(), info=info, model=failure.model)


@contextlib.contextmanager
def _device(args: argparse.Namespace, failure: Failure) -> Iterator[LiveCombination]:
    """The board, proved to run the build, with the failure's model active."""
    from tfm_harness.bench.combination import load_combination
    from tfm_harness.bench.context import make_context
    from tfm_harness.bench.live import open_bench
    from tfm_harness.protocol.smp.client import SmpDriver

    combination = load_combination(args.target, args.build)
    if combination.build.protocol != "smp":
        raise ConfigError(
            f"protocol {combination.build.protocol} has no batch command",
            kind="replay-protocol",
            expected="a build with `protocol: smp`",
            where=str(combination.build.path or ""),
        )
    with open_bench(combination, make_context(args.run_dir, args.state_dir), answer_timeout=30.0) as bench:
        assert isinstance(bench.client, SmpDriver)  # noqa: S101 - the protocol says so
        bench.select_again(failure.model)
        yield bench


def _on_device(
    failure: Failure,
    model: bytes,
    engine: ReferenceEngine,
    bench: LiveCombination,
    reference: list[npt.NDArray[Any]],
) -> tuple[Comparison, FirstOp | None]:
    from tfm_harness.findings import Report
    from tfm_harness.parity.firstop import check_trace
    from tfm_harness.protocol.smp.test_commands import TRACE_LIFECYCLE

    test_commands = bench.device.test_commands
    info = engine.info(model, failure.model)
    packed = info.pack_inputs(list(failure.inputs))
    size = info.input_bytes
    answers = test_commands.batch([packed[i : i + size] for i in range(0, len(packed), size)], info.output_bytes)
    live = _compare(failure, reference, info.unpack_outputs(b"".join(answers), len(failure.vectors)), info)
    if not live.failing or failure.state == "sequence":  # a trace runs one vector, without those before it
        return live, None
    vector = [a[live.failing[0] : live.failing[0] + 1] for a in failure.inputs]
    if (bench.description.lifecycle or 0) >> 8 == TRACE_LIFECYCLE >> 8:
        return live, check_trace(engine, model, vector, test_commands, Report(), name=failure.model)
    if bench.missing(["provision"]):
        return live, None
    # A virtual board may be started in the lifecycle in which the firmware gives traces.
    with bench.provisioned(TRACE_LIFECYCLE):
        bench.select_again(failure.model)
        return live, check_trace(engine, model, vector, test_commands, Report(), name=failure.model)


def _oracle(failure: Failure, model: bytes, engine: ReferenceEngine) -> FirstOp | None:
    """Does the second oracle side with the device? Only then an operator can be named without one."""
    from tfm_harness.parity.engine_choice import second_oracle
    from tfm_harness.parity.firstop import first_op_by_oracle
    from tfm_harness.parity.onnx import onnx_second_oracle

    oracle = onnx_second_oracle() if "onnx" in failure.context else second_oracle(engine.name)
    if oracle is None:
        return None
    with oracle:
        number = _first_failing(failure) if failure.state == "sequence" else 0
        vector = [a[number : number + 1] for a in failure.inputs]
        before = [a[:number] for a in failure.inputs] if number else None
        with contextlib.suppress(InfrastructureError):  # it cannot run the model; the verdict stands without it
            return first_op_by_oracle(engine, oracle, model, vector, name=failure.model, before=before)
    return None


def _first_failing(failure: Failure) -> int:
    """The first vector of a saved sequence on which device and reference disagreed."""
    pairs = list(zip(failure.reference, failure.device, strict=True))
    return next((n for n in range(len(failure.vectors)) if any(r[n].tobytes() != d[n].tobytes() for r, d in pairs)), 0)


def _show(failure: Failure, recorded: Comparison, live: Comparison | None, first: FirstOp | None, engine: str) -> None:
    lines = [f"{failure.model}: {len(failure.vectors)} vectors, reference {engine}"]
    for title, comparison in (("then", recorded), ("now", live)):
        if comparison is None:
            continue
        for output in comparison.outputs:
            lines.append(f"  device {title}, output {output.index} ({output.op}): {output}")
            if output.first:
                number = failure.vectors[output.first.vector]
                lines.append(f"    first: {output.first} (vector {number} of the session)")
            histogram = ", ".join(f"{k:+d}: {v}" if k else f"0: {v}" for k, v in sorted(output.histogram.items()))
            if histogram:
                lines.append(f"    LSB: {histogram}")
    if first:
        lines.append(f"  first differing operator: {first}")
    elif live is None:
        lines.append("  the difference was made on the device; --target and --build run it there")
    say("\n".join(lines))
