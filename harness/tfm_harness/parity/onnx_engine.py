"""ONNX models in the worker's process: the specification's own evaluator, and onnxruntime without optimisations.

Needs the standard library, numpy and onnx (or onnxruntime as well), nothing of the harness. A model comes as one line
of JSON (``folder``: where external data may lie, ``shapes``: by input, ``expose``: names of values that become the
outputs) and the .onnx file's bytes. A model is refused with an exception, whose text the harness shows.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import stat
from collections.abc import Iterator
from typing import Any

MAX_MODEL = 256 << 20  # bytes, with external data
MAX_NODES = 10_000
MAX_ELEMENTS = 16 << 20  # of one input
_CONVERTED = 21  # a model is converted to this version of the operators when the evaluator lacks an older one
_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview.training"})
_RANDOM = {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
_TYPES = {"float16", "float32", "float64", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "bool"}


class Refused(Exception):  # noqa: N818 - what happens, in the words of the harness
    """A model that cannot be judged; the text says why."""


class OnnxReference:
    """`onnx.reference.ReferenceEvaluator`: pure Python, written from the operators' specification."""

    def __init__(self, _package: str = "", resolver: str = "ReferenceEvaluator") -> None:
        self.np = importlib.import_module("numpy")
        self.onnx = importlib.import_module("onnx")
        self.record = self._record(resolver)

    def _record(self, resolver: str) -> dict[str, Any]:
        return {"name": "onnx-reference", "version": self.onnx.__version__, "resolver": resolver, "threads": 1}

    def load(self, blob: bytes) -> _Loaded:
        """The checked model, after two runs with zeros, which show every shape and any random outputs.

        Raises:
            Refused: it cannot be judged.
        """
        head, _, data = blob.partition(b"\n")
        said = json.loads(head)
        model, external = parse(self.onnx, data, str(said.get("folder", "")))
        inputs = fix_shapes(self.onnx, self.np, model, dict(said.get("shapes", {})))
        names = list(said.get("expose") or [value.name for value in model.graph.output])
        zeros = {each["name"]: self.np.zeros(each["shape"], each["dtype"]) for each in inputs}
        run = self.prepare(model, names)
        found, again = run(zeros), run(zeros)
        for name, one, other in zip(names, found, again, strict=True):
            if not isinstance(one, self.np.ndarray | self.np.generic):
                raise Refused(f"output {name} is no tensor but {type(one).__name__}")
            if self.np.asarray(one).tobytes() != self.np.asarray(other).tobytes():
                raise Refused(f"output {name} changes from run to run: the model holds chance")
        outputs = [described(self.np, name, value) for name, value in zip(names, found, strict=True)]
        return _Loaded(run, inputs, outputs, {**about(model), "external": external})

    def prepare(self, model: Any, names: list[str]) -> Any:  # noqa: ANN401 - the package is not typed
        """A function that runs the model: from a dict of inputs to the values of `names`."""
        make = importlib.import_module("onnx.reference").ReferenceEvaluator
        try:
            evaluator = make(model)
        except RuntimeError as exc:
            # It lacks some operators of older versions (DequantizeLinear before 19): onnx converts the model then.
            if "No implementation for operator" not in str(exc):
                raise
            evaluator = make(self.newer(model, str(exc)))
        return lambda feeds: evaluator.run(names, feeds)

    def newer(self, model: Any, reason: str) -> Any:  # noqa: ANN401 - the package is not typed
        """The model with the operators of version 21.

        Raises:
            Refused: onnx cannot convert it.
        """
        convert = importlib.import_module("onnx.version_converter").convert_version
        try:
            return convert(model, _CONVERTED)
        except Exception as exc:  # noqa: BLE001 - the converter raises what its C++ does
            said = f"{type(exc).__name__}: {str(exc).strip()[:200]}"
            raise Refused(f"{reason.strip()[:200]} (and no conversion to opset {_CONVERTED}: {said})") from None

    @staticmethod
    def details(loaded: _Loaded) -> tuple[list[Any], list[Any]]:
        """Inputs and outputs."""
        return loaded.inputs, loaded.outputs

    @staticmethod
    def about(loaded: _Loaded) -> dict[str, Any]:
        """Names, operators and intermediate values, for the harness."""
        return {
            **loaded.about,
            "inputs": [each["name"] for each in loaded.inputs],
            "outputs": [each["name"] for each in loaded.outputs],
        }

    @staticmethod
    def invoke(loaded: _Loaded, inputs: list[tuple[Any, Any]]) -> None:
        """Run once."""
        loaded.results = loaded.run({detail["name"]: value for detail, value in inputs})

    def output(self, loaded: _Loaded, detail: Any, position: int) -> Any:  # noqa: ANN401 - the worker's interface
        """The value of an output.

        Raises:
            Refused: its shape or type depends on the input's values.
        """
        value = self.np.asarray(loaded.results[position])
        if list(value.shape) != detail["shape"] or value.dtype.name != detail["dtype"]:
            raise Refused(f"output {detail['name']} is {value.dtype.name} {list(value.shape)} for one input and"
                          f" {detail['dtype']} {detail['shape']} for another")  # fmt: skip
        return value


class OnnxRuntime(OnnxReference):
    """onnxruntime on the CPU, one thread, graph optimisations off: kernels of other authors."""

    def __init__(self, _package: str = "", resolver: str = "CPUExecutionProvider, no optimisation") -> None:
        self.runtime = importlib.import_module("onnxruntime")
        super().__init__(_package, resolver)

    def _record(self, resolver: str) -> dict[str, Any]:
        return {"name": "onnxruntime", "version": self.runtime.__version__, "resolver": resolver, "threads": 1}

    def prepare(self, model: Any, names: list[str]) -> Any:  # noqa: ANN401 - the package is not typed
        """See `OnnxReference`."""
        known = {value.name for value in model.graph.output}
        model.graph.output.extend(self.onnx.ValueInfoProto(name=name) for name in names if name not in known)
        options = self.runtime.SessionOptions()
        options.graph_optimization_level = self.runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        session = self.runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return lambda feeds: session.run(names, feeds)


class _Loaded:
    def __init__(self, run: Any, inputs: list[Any], outputs: list[Any], about: dict[str, Any]) -> None:  # noqa: ANN401
        self.run, self.inputs, self.outputs, self.about = run, inputs, outputs, about
        self.results: list[Any] = []


def parse(onnx: Any, data: bytes, folder: str) -> tuple[Any, str]:  # noqa: ANN401 - the package is not typed
    """The model with its external data, after onnx's own checker has accepted it.

    Returns:
        The model; SHA-256 of its external data in hex, empty when there is none.

    Raises:
        Refused: the bytes are no model, or it must not or cannot be run.
    """
    try:
        model = onnx.load_model_from_string(data)
    except Exception as exc:  # noqa: BLE001 - protobuf's DecodeError, whose class depends on its version
        raise Refused(f"no ONNX model: {type(exc).__name__}: {exc}") from None
    if not model.graph.node or not model.opset_import:
        raise Refused("no ONNX model: it has no operator, or names no version of the operators")
    nodes = list(walk(model))
    if len(nodes) > MAX_NODES:
        raise Refused(f"{len(nodes)} operators, at most {MAX_NODES}")
    chance = sorted({node.op_type for node in nodes} & _RANDOM)
    if chance:
        raise Refused(f"operator {chance[0]} gives random numbers: there is no right answer")
    refuse_unspecified(onnx, model, nodes)
    external = embed(onnx, model, folder)
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as exc:
        raise Refused(f"it breaks the ONNX specification: {str(exc).strip()[:600]}") from None
    return model, external


def refuse_unspecified(onnx: Any, model: Any, nodes: list[Any]) -> None:  # noqa: ANN401 - same
    """Refuse models that the specification, as far as the installed package knows it, does not define.

    Raises:
        Refused: an operator of a domain that is not ONNX's, or a newer version of the operators.
    """
    own = {(function.domain, function.name) for function in model.functions}
    for node in nodes:
        if node.domain not in _DOMAINS and (node.domain, node.op_type) not in own:
            raise Refused(f"operator {node.op_type} is of the domain {node.domain!r}, which the specification of ONNX"
                          " does not describe: there is no right answer")  # fmt: skip
    known = onnx.defs.onnx_opset_version()
    said = max((entry.version for entry in model.opset_import if entry.domain in {"", "ai.onnx"}), default=0)
    if said > known:
        raise Refused(f"its operators are of version {said}, and onnx {onnx.__version__} knows them up to {known}:"
                      " install a newer one")  # fmt: skip


def graphs(model: Any) -> Iterator[Any]:  # noqa: ANN401 - same
    """Every graph and function of the model, those inside of operators included."""
    waiting = [model.graph, *model.functions]
    while waiting:
        graph = waiting.pop()
        yield graph
        for node in graph.node:
            for attribute in node.attribute:
                waiting += [attribute.g] if attribute.HasField("g") else []
                waiting += list(attribute.graphs)


def walk(model: Any) -> Iterator[Any]:  # noqa: ANN401 - same
    """Every operator."""
    for graph in graphs(model):
        yield from graph.node


def tensors(model: Any) -> Iterator[Any]:  # noqa: ANN401 - same
    """Every constant tensor."""
    for graph in graphs(model):
        yield from getattr(graph, "initializer", ())
        for sparse in getattr(graph, "sparse_initializer", ()):
            yield from (sparse.values, sparse.indices)
        for node in graph.node:
            for attribute in node.attribute:
                yield from [attribute.t] if attribute.HasField("t") else []
                yield from attribute.tensors
                sparse_ones = [attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []
                for sparse in (*sparse_ones, *attribute.sparse_tensors):
                    yield from (sparse.values, sparse.indices)


def embed(onnx: Any, model: Any, folder: str) -> str:  # noqa: ANN401 - same
    """Put external data into the model. No file outside of its folder is read, whatever path the model has.

    Raises:
        Refused: a path that leads out of the folder, no such file, or a range beyond the file's end.
    """
    total, digest = 0, hashlib.sha256()
    for tensor in tensors(model):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        said = {entry.key: entry.value for entry in tensor.external_data}
        name = f"tensor {tensor.name!r}"
        try:
            offset, length = int(said.get("offset", "0")), int(said.get("length", "-1"))
        except ValueError:
            raise Refused(f"{name}: offset and length of its external data are no numbers") from None
        data = read_beside(folder, said.get("location", ""), offset, length, name)
        total += len(data)
        if total > MAX_MODEL:
            raise Refused(f"external data of more than {MAX_MODEL} bytes")
        digest.update(data)
        tensor.raw_data = data
        del tensor.external_data[:]
        tensor.data_location = onnx.TensorProto.DEFAULT
    return digest.hexdigest() if total else ""


def read_beside(folder: str, location: str, offset: int, length: int, name: str) -> bytes:
    """Bytes of a file in `folder` or below it.

    Raises:
        Refused: see `embed`.
    """
    if not folder:
        raise Refused(f"{name} has its data in another file, {location!r}, and the model stands alone here")
    base = os.path.realpath(folder)
    path = os.path.realpath(os.path.join(base, location))  # noqa: PTH118 - links are followed before the judgement
    if not location or location.startswith("/") or os.path.commonpath([base, path]) != base:
        raise Refused(f"{name}: its external data {location!r} lies outside of the model's folder; it is not read")
    try:
        with open(path, "rb", opener=lambda p, flags: os.open(p, flags | os.O_NONBLOCK | os.O_NOFOLLOW)) as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise Refused(f"{name}: its external data {location!r} is no regular file")
            end = status.st_size if length < 0 else offset + length
            if not 0 <= offset <= end <= status.st_size:
                raise Refused(f"{name}: bytes {offset} to {end} of {location!r}, which has {status.st_size}")
            if end - offset > MAX_MODEL:
                raise Refused(f"external data of more than {MAX_MODEL} bytes")
            stream.seek(offset)
            return stream.read(end - offset)
    except OSError as exc:
        raise Refused(f"{name}: its external data {location!r} cannot be read: {exc.strerror}") from None


def fix_shapes(onnx: Any, np: Any, model: Any, said: dict[str, list[int]]) -> list[dict[str, Any]]:  # noqa: ANN401 - same
    """The inputs with static shapes, which are also written into the model.

    Raises:
        Refused: a dynamic dimension without a declared size, or a type that no device takes.
    """
    constant = {tensor.name for tensor in model.graph.initializer}
    found = []
    for value in model.graph.input:
        if value.name in constant:
            continue
        if not value.type.HasField("tensor_type"):
            raise Refused(f"input {value.name} is no tensor")
        kind = value.type.tensor_type
        dims = [d.dim_value if d.HasField("dim_value") else 0 for d in kind.shape.dim]
        shape = list(said.pop(value.name, []))
        if not kind.HasField("shape") and not shape:
            raise Refused(f"input {value.name} has no shape; say its `shape` in the build")
        if not shape:
            shape = [1, *dims[1:]] if dims and dims[0] == 0 else dims  # the batch has one vector
        fits = not kind.HasField("shape") or (
            len(dims) == len(shape) and all(d in (0, s) for d, s in zip(dims, shape, strict=True))
        )
        if not fits:
            raise Refused(f"input {value.name} has the shape {dims} (0: dynamic), and the build says {shape}")
        if any(extent <= 0 for extent in shape):
            raise Refused(f"input {value.name} has a dynamic shape {dims} (0: dynamic); say its `shape` in the build")
        if np.prod([float(extent) for extent in shape]) > MAX_ELEMENTS:
            raise Refused(f"input {value.name} has more than {MAX_ELEMENTS} elements")
        kind.shape.Clear()
        for extent in shape:
            kind.shape.dim.add().dim_value = extent
        found.append({"name": value.name, "shape": shape, "dtype": type_name(onnx, kind.elem_type, value.name)})
    if said:
        raise Refused(f"the build says the shape of {', '.join(said)}, and the model has no such input")
    if not found:
        raise Refused("the model has no input")
    return found


def type_name(onnx: Any, number: int, name: str) -> str:  # noqa: ANN401 - same
    """NumPy's name of an element type.

    Raises:
        Refused: values of this type cannot be compared.
    """
    try:
        found = str(onnx.helper.tensor_dtype_to_np_dtype(number).name)
    except (KeyError, ValueError):
        found = f"type {number}"
    if found not in _TYPES:
        raise Refused(f"{name} has the type {found}, which is not compared")
    return found


def described(np: Any, name: str, value: Any) -> dict[str, Any]:  # noqa: ANN401 - same
    """A value's name, shape and type."""
    array = np.asarray(value)
    if array.dtype.name not in _TYPES:
        raise Refused(f"output {name} has the type {array.dtype.name}, which is not compared")
    return {"name": name, "shape": list(array.shape), "dtype": array.dtype.name}


def about(model: Any) -> dict[str, Any]:  # noqa: ANN401 - same
    """Operators of the main graph, in order."""
    nodes = [[node.op_type, list(node.input), list(node.output)] for node in model.graph.node]
    opset = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    return {"nodes": nodes, "opset": opset, "constants": [tensor.name for tensor in model.graph.initializer]}
