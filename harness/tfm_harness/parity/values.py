"""The right outputs of models that no interpreter runs: from a recorded table, or a native library."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from tfm_harness.errors import ConfigError, InfrastructureError
from tfm_harness.files import read_file
from tfm_harness.parity.model_info import ModelInfo
from tfm_harness.parity.process import EngineRefusal, WorkerProcess
from tfm_harness.parity.quantise import QuantisationRule, dequantise, quantise

__all__ = ["interpreted_values", "native_values", "read_table", "reference_values"]

TABLE_LIMIT = 16 << 20
LIBRARY_LIMIT = 64 << 20
_LINE = re.compile(r"(?P<input>[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)\s+(?P<output>[0-9a-fA-F]{8})")

Floats = npt.NDArray[np.float32]
Array = npt.NDArray[Any]


class Declared(Protocol):
    """A model's reference as the build declares it."""

    @property
    def kind(self) -> str:
        """``table`` or ``native``."""

    @property
    def source(self) -> Path:
        """The table or the library."""

    @property
    def function(self) -> str | None:
        """The library's function."""

    @property
    def interface(self) -> Literal["structs", "pointers"]:
        """The form in which the function takes input and output."""


def read_table(path: Path) -> tuple[Floats, Floats]:
    """Read a recorded table: inputs and outputs, each of shape (n,), in the file's order.

    Each line has an input as a decimal number and an output as the 8 hex digits of a float32. Empty lines and lines
    that begin with ``#`` are skipped.

    Raises:
        ConfigError: kind ``bad-table``: a line of another form, an input that comes twice, a value that is not finite,
            or no line at all; ``file`` errors as `tfm_harness.files.read_file`.
    """
    text = read_file(path, TABLE_LIMIT).decode("utf-8", errors="replace")
    rows: dict[float, float] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        where = f"{path}:{number}"
        if match is None:
            raise _bad("a line is an input and the 8 hex digits of a float32", line[:80], where)
        with np.errstate(over="ignore"):
            key = float(np.float32(match["input"]))
        value = float(np.frombuffer(bytes.fromhex(match["output"]), dtype=">f4")[0])
        if not math.isfinite(key) or not math.isfinite(value):
            raise _bad("inputs and outputs are finite numbers", line[:80], where)
        if key in rows:
            raise _bad("each input comes once", line[:80], where)
        rows[key] = value
    if not rows:
        raise _bad("a table has at least one line", "none", str(path))
    return np.array(list(rows), dtype=np.float32), np.array(list(rows.values()), dtype=np.float32)


def _bad(expected: str, seen: str, where: str) -> ConfigError:
    return ConfigError("the table of reference values is malformed", kind="bad-table", expected=expected, seen=seen,
                       where=where, hint="one line for each input, for instance: 45 3f2dbfc1")  # fmt: skip


def native_values(
    library: Path, function: str, inputs: Floats, *, interface: str = "structs", time_limit: float = 60.0
) -> Floats:
    """The outputs of a native library's function for each input, computed in a separate process.

    Args:
        library: a shared library for this host.
        function: ``int32_t f(in, out)``; a value other than 0 is an error.
        inputs: shape (n,).
        interface: ``structs`` or ``pointers``, see ``models.NAME.reference`` of a build.
        time_limit: seconds for all inputs.

    Returns:
        Shape (n,).

    Raises:
        InfrastructureError: ``engine-refused-model``: the library cannot be loaded, lacks the function or returned an
            error, or its outputs are not finite or differ when it runs again;
            ``engine-crash``, ``engine-timeout``.
    """
    about = json.dumps({"function": function, "interface": interface}).encode()
    blob = about + b"\n" + read_file(library, LIBRARY_LIMIT)
    array = np.ascontiguousarray(inputs, dtype="<f4").reshape(-1, 1)
    described = [{"dtype": "float32", "shape": list(array.shape), "bytes": array.nbytes}]
    worker = WorkerProcess("native", memory=1 << 30)
    what = f"{function} of {library.name}"
    try:
        load = {"op": "load", "sha": what, "arrays": [{"dtype": "uint8", "shape": [len(blob)], "bytes": len(blob)}]}
        worker.request({"op": "hello"}, [], what=what, limit=time_limit)
        worker.request(load, [blob], what=what, limit=time_limit)
        request = {"op": "run", "sha": what, "arrays": described}
        outputs, again = (
            worker.request(request, [array.tobytes()], what=what, limit=time_limit)[1][0].reshape(-1) for _ in range(2)
        )
        _tell(inputs, outputs, again)
    except EngineRefusal as error:
        raise InfrastructureError(
            f"the native reference {what} cannot be used", kind="engine-refused-model", seen=str(error),
            expected="a library for this host whose function gives one finite number for each input",
            where=str(library),
            hint="build the generated C and all that it calls as a shared library for this machine, without FMA",
        ) from error  # fmt: skip
    finally:
        worker.forget()
    return np.asarray(outputs, dtype=np.float32)


def _tell(inputs: Floats, outputs: Floats, again: Floats) -> None:
    """Whether two runs gave the same finite numbers.

    Raises:
        EngineRefusal: they did not.
    """
    for given, one, other in zip(inputs.reshape(-1), outputs, again, strict=True):
        if not math.isfinite(one):
            raise EngineRefusal(f"it gives {one:g} for {given:g}")
        if one.tobytes() != other.tobytes():
            raise EngineRefusal(f"it gives {one:g} for {given:g}, and {other:g} when it is asked again")


def reference_values(
    reference: Declared, inputs: Floats, *, factor: float | None = None, time_limit: float = 60.0
) -> Floats:
    """The right outputs for `inputs` (shape (n,), as they are sent to the device).

    A table holds the outputs as they were recorded, so `factor` is not used; a library gets
    ``inputs * float32(factor)``.

    Raises:
        ConfigError: ``not-in-table``: the table has no line for an input; else as `read_table`.
        InfrastructureError: as `native_values`.
    """
    inputs = np.asarray(inputs, dtype=np.float32).reshape(-1)
    if reference.kind == "native":
        scaled = inputs if factor is None else inputs * np.float32(factor)
        return native_values(
            reference.source, reference.function or "", scaled, interface=reference.interface, time_limit=time_limit
        )
    keys, values = read_table(reference.source)
    known = dict(zip(keys.tolist(), values.tolist(), strict=True))
    missing = [value for value in inputs.tolist() if value not in known]
    if missing:
        raise ConfigError(
            "the table of reference values has no line for an input", kind="not-in-table", seen=f"{missing[0]:g}",
            where=str(reference.source),
        )  # fmt: skip
    return np.array([known[value] for value in inputs.tolist()], dtype=np.float32)


def interpreted_values(
    inputs: Floats, info: ModelInfo, run: Callable[[list[Array]], Sequence[Array]], *, factor: float,
    rule: QuantisationRule,
) -> tuple[Floats, list[Array], Sequence[Array]]:  # fmt: skip
    """Outputs of an interpreted model that has one number as its input and one as its output.

    Args:
        inputs: shape (n,).
        info: the model.
        run: the interpreter: input tensors to output tensors.
        factor: the firmware multiplies each input with it once, in single precision: other orders round differently.
        rule: the firmware's rule of quantisation.

    Returns:
        Real outputs, shape (n,); the input tensors; the output tensors.
    """
    tensor = info.inputs[0]
    quantised = [quantise((inputs * np.float32(factor)).reshape(-1, *tensor.shape), tensor, rule)]
    outputs = run(quantised)
    return dequantise(outputs[0], info.outputs[0]).astype(np.float32).reshape(-1), quantised, outputs
