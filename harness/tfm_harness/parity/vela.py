"""Compiles a reference again with the installed ``ethos-u-vela``, and compares the result with the build's model.

Vela runs in a separate process, with a limit on time and memory, and writes into a folder that is removed.
"""

from __future__ import annotations

import csv
import importlib.metadata
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from tfm_harness.encodings import whole_number
from tfm_harness.errors import ConfigError, InfrastructureError
from tfm_harness.files import MODEL_LIMIT, read_file
from tfm_harness.findings import Report
from tfm_harness.parity import catalogue
from tfm_harness.parity.compiled import CompiledModel, read_compiled
from tfm_harness.parity.model_info import ModelInfo
from tfm_harness.processes import end_group, start

__all__ = ["Recompiled", "installed_vela", "judge_compiled", "recompile"]

_MEMORY: Final = 4 << 30
_FIRST_EXACT: Final = (3, 10)  # since then tested against TensorFlow 2.14, whose kernels the reference has
_NOT_TFLITE: Final = ("UNIDIRECTIONAL_SEQUENCE_LSTM",)  # tested against TFLM's kernels instead


@dataclass(frozen=True, slots=True)
class Recompiled:
    """The installed Vela's result for a reference.

    Attributes:
        compiled: the contents of the compiled model.
        version: the version of the Vela that made it.
        seconds: Vela's own estimate of one inference; None when it gives none.
    """

    compiled: CompiledModel
    version: str
    seconds: float | None


def installed_vela() -> str:
    """Version of the installed ``ethos-u-vela``; empty when there is none."""
    try:
        return importlib.metadata.version("ethos-u-vela")
    except importlib.metadata.PackageNotFoundError:
        return ""


def recompile(
    reference: bytes, accelerator: str, options: Sequence[str] = (), *, name: str = "model", time_limit: float = 60.0
) -> Recompiled:
    """Compile `reference` with the installed Vela.

    Args:
        reference: bytes of the model before Vela.
        accelerator: Vela's ``--accelerator-config``.
        options: further options of Vela's command line.
        time_limit: seconds.

    Raises:
        InfrastructureError: kind ``vela-missing``, ``vela-failed``, ``vela-timeout``.
    """
    version = installed_vela()
    if not version:
        raise InfrastructureError(
            "Vela is not installed", kind="vela-missing", expected="the Python package ethos-u-vela",
            hint="pip install 'tfm-harness[ethos-u]'",
        )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="tfm-harness-vela-") as folder:
        source, made = Path(folder) / "model.tflite", Path(folder) / "out"
        source.write_bytes(reference)
        command = [sys.executable, "-I", "-m", "ethosu.vela", str(source), "--accelerator-config", accelerator]
        with tempfile.TemporaryFile() as output:
            code = _run([*command, "--output-dir", str(made), *options], Path(folder), output, name, time_limit)
            output.seek(0)
            said = output.read(1 << 20).decode("utf-8", "replace").strip()
        files = sorted(made.glob("*.tflite"))
        if code != 0 or len(files) != 1:
            raise InfrastructureError(
                f"Vela {version} does not compile {name}", kind="vela-failed",
                expected="exit code 0 and one compiled model", seen=f"exit code {code}, {len(files)} models",
                where=said[-1000:] or None, hint="compile the reference by hand with the build's `vela.options`",
            )  # fmt: skip
        compiled = read_compiled(read_file(files[0], MODEL_LIMIT), name=name)
        return Recompiled(compiled, version, _estimate(made))


def judge_compiled(
    compiled: CompiledModel,
    reference: ModelInfo,
    before: bytes,
    report: Report,
    *,
    name: str,
    version: str = "",
    options: Sequence[str] | None = None,
    time_limit: float = 60.0,
) -> Recompiled | None:
    """Judge whether a compiled model's NPU commands were made of this reference; append findings.

    Args:
        compiled: the model on the device.
        reference: the model before Vela, whose bytes are `before`.
        version: the version of the Vela that compiled it, if the build names it.
        options: the options with which it was compiled, if the build names them.

    Returns:
        The result of the installed Vela; None when it was not used.

    Raises:
        ConfigError: kind ``vela-version``: the build and the file name different versions.
        InfrastructureError: kind ``vela-timeout``.
    """
    _reference_of(compiled, reference, report, name)
    if version and compiled.vela and version != compiled.vela:
        raise ConfigError(
            f"model {name} was compiled by another Vela than the build says", kind="vela-version", expected=version,
            seen=compiled.vela, hint="mend `vela.version` in the build, or compile the model again",
        )  # fmt: skip
    made_by, here = compiled.vela or version, installed_vela()
    reason, made = "", None
    if not here:
        reason = "ethos-u-vela is not installed (pip install 'tfm-harness[ethos-u]')"
    elif made_by and made_by != here:
        reason = f"it was compiled by Vela {made_by}, and {here} is installed"
    elif not compiled.accelerator:
        reason = f"its payload is of the form {', '.join(compiled.forms)}, which does not tell the accelerator here"
    else:
        said = list(options or ())
        # Vela 5 writes its version into the file only with the code generator of earlier versions.
        if (whole_number(compiled.vela.partition(".")[0]) or 0) >= 5:
            said += [word for word in ("--debug-force-legacy-core",) if word not in said]
        try:
            made = recompile(before, compiled.accelerator, said, name=name, time_limit=time_limit)
        except InfrastructureError as error:
            if error.kind == "vela-timeout":
                raise
            reason = f"{error.message}: {error.seen}"
    same = made is not None and made.compiled.payloads == compiled.payloads
    if made is not None and not same and not (made_by and options is not None):
        reason = (
            f"Vela {here} makes other commands of the reference, and the build does not say `vela.version` and"
            " `vela.options`, with which the model was compiled"
        )
    proven = report.add(
        catalogue.COMPILED_PROVEN, not reason, subject=name,
        expected="the reference compiled again gives the same commands and weights", seen=reason,
    )  # fmt: skip
    if proven:
        report.add(
            catalogue.COMPILED_STREAM, same, subject=name,
            expected=f"commands and weights that Vela {here} makes of {reference.name}",
            seen="" if same else "other commands or weights: compiled from another model, or with other options",
        )  # fmt: skip
    return made


def _reference_of(compiled: CompiledModel, reference: ModelInfo, report: Report, name: str) -> None:
    """Note when Vela's numbers are tested against other kernels than those of the harness' reference."""
    other = [str(op) for op in reference.operators if op.name in _NOT_TFLITE]
    reasons = [f"{', '.join(other)}: Vela is held to TFLM's kernel there, not to TFLite's"] if other else []
    digits = [part for word in compiled.vela.split(".")[:2] if (part := whole_number(word)) is not None]
    if len(digits) == 2 and tuple(digits) < _FIRST_EXACT:
        reasons.append(f"Vela {compiled.vela} was held to an older TensorFlow than 2.14")
    report.add(
        catalogue.VELA_REFERENCE, not reasons, subject=name, expected="Vela's documentation promises these numbers",
        seen="; ".join(reasons),
    )  # fmt: skip


def _run(command: Sequence[str], folder: Path, output: IO[bytes], name: str, limit: float) -> int:
    process = start(command, stdout=output, stderr=output, cwd=folder)
    try:
        resource.prlimit(process.pid, resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        return process.wait(timeout=limit)
    except ProcessLookupError:  # the process has ended already
        return process.wait()
    except subprocess.TimeoutExpired:
        raise InfrastructureError(
            f"Vela did not finish {name}", kind="vela-timeout", expected=f"an end within {limit:g} s",
            seen="still compiling; it was ended", hint="give it more time: parity.time_limit in the build",
        ) from None  # fmt: skip
    finally:
        end_group(process)


def _estimate(folder: Path) -> float | None:
    """Seconds of one inference by Vela's summary, the file NAME_summary_SYSTEM.csv."""
    for path in sorted(folder.glob("*_summary_*.csv")):
        rows = csv.DictReader(read_file(path, 1 << 20).decode("utf-8", "replace").splitlines())
        try:
            for row in rows:
                return float(row.get("inference_time") or "")
        except (ValueError, csv.Error):
            return None
    return None
