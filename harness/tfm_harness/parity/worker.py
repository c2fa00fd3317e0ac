"""The process that holds an interpreter. Run by path, with any Python: ``python -I worker.py ENGINE``.

Needs only the standard library, numpy and the engine's own package, so an engine may live in another
virtual environment than the harness.

Frames both ways: 4 bytes length of a JSON header, the header, then the raw bytes of its ``arrays``
(``[{"dtype", "shape", "bytes"}]``, little endian). Requests: ``hello``, ``load``, ``run``.

Each model that is loaded gets a separate process, a fork of this one: with some models, interpreters write beyond their
memory, and a damaged process must not compute the next model's numbers.

The process cannot outlive its parent: the kernel kills it, in any state, when the parent's thread that started it ends
(PR_SET_PDEATHSIG). At the deadline SIGALRM, with its default action, ends it.
"""

from __future__ import annotations

import ctypes
import faulthandler
import importlib
import json
import os
import resource
import signal
import struct
import sys
from typing import Any, BinaryIO, NoReturn

PR_SET_PDEATHSIG = 1  # linux/prctl.h
MAX_HEADER = 1 << 20
MAX_ARRAYS = 1 << 30


def read_frame(stream: BinaryIO) -> tuple[dict[str, Any], list[bytes]] | None:
    """One frame, or None at the end of the stream."""
    head = stream.read(4)
    if len(head) < 4:
        return None
    (size,) = struct.unpack("<I", head)
    if size > MAX_HEADER:
        raise ValueError(f"header of {size} bytes")
    header = json.loads(stream.read(size))
    if not isinstance(header, dict):
        raise ValueError("the header is no object")  # noqa: TRY004 - what every wrong frame raises
    sizes = [int(a["bytes"]) for a in header.get("arrays", [])]
    if any(s < 0 for s in sizes) or sum(sizes) > MAX_ARRAYS:
        raise ValueError("arrays too large")
    return header, [stream.read(s) for s in sizes]


def write_frame(stream: BinaryIO, header: dict[str, Any], blobs: list[bytes]) -> None:
    """Write one frame; `header["arrays"]` must describe `blobs`."""
    text = json.dumps(header).encode()
    stream.write(struct.pack("<I", len(text)) + text + b"".join(blobs))
    stream.flush()


class _TfliteEngine:
    """tflite-runtime and ai-edge-litert: one API."""

    def __init__(self, package: str, resolver: str) -> None:
        self.api = importlib.import_module(f"{package}.interpreter")
        version = importlib.import_module(package).__version__
        self.record = {"name": package.replace("_", "-"), "version": version, "resolver": resolver, "threads": 1}
        self.resolver = getattr(self.api.OpResolverType, resolver)

    def load(self, model: bytes) -> Any:
        interpreter = self.api.Interpreter(
            model_content=model,
            experimental_op_resolver_type=self.resolver,
            num_threads=1,
        )
        interpreter.allocate_tensors()
        return interpreter

    @staticmethod
    def details(interpreter: Any) -> tuple[list[Any], list[Any]]:
        return interpreter.get_input_details(), interpreter.get_output_details()

    @staticmethod
    def reset(interpreter: Any) -> bool:
        interpreter.reset_all_variables()
        return True

    @staticmethod
    def invoke(interpreter: Any, inputs: list[tuple[Any, Any]]) -> None:
        for detail, value in inputs:
            interpreter.set_tensor(detail["index"], value)
        interpreter.invoke()

    @staticmethod
    def output(interpreter: Any, detail: Any, _position: int) -> Any:
        return interpreter.get_tensor(detail["index"])


class _MicroEngine:
    """The tflite-micro wheel: TFLM's reference kernels on the host."""

    def __init__(self, _package: str, resolver: str) -> None:
        self.api = importlib.import_module("tflite_micro").runtime
        metadata = importlib.import_module("importlib.metadata")
        self.record = {
            "name": "tflite-micro",
            "version": metadata.version("tflite-micro"),
            "resolver": resolver,
            "threads": 1,
        }

    def load(self, model: bytes) -> Any:
        return self.api.Interpreter.from_bytes(
            model,
            arena_size=max(1 << 20, 16 * len(model)),
        )

    @staticmethod
    def details(interpreter: Any) -> tuple[list[Any], list[Any]]:
        def all_of(get: Any) -> list[Any]:
            found: list[Any] = []
            while True:
                try:
                    found.append(get(len(found)))
                except (IndexError, ValueError, RuntimeError):
                    return found

        return all_of(interpreter.get_input_details), all_of(interpreter.get_output_details)

    @staticmethod
    def invoke(interpreter: Any, inputs: list[tuple[Any, Any]]) -> None:
        for position, (_detail, value) in enumerate(inputs):
            interpreter.set_input(value, position)
        interpreter.invoke()

    @staticmethod
    def output(interpreter: Any, _detail: Any, position: int) -> Any:
        return interpreter.get_output(position)


class _NumpyEngine:
    """The reference that comes with tfm-harness."""

    partial = True  # other kinds of models are refused by name

    def __init__(self, package: str, resolver: str) -> None:
        self.api = importlib.import_module(f"{package}.interpreter")
        version = importlib.import_module(f"{package}.version").VERSION
        self.edge_names = list(importlib.import_module(f"{package}.edges").EDGES)
        self.record = {"name": "numpy-reference", "version": version, "resolver": resolver, "threads": 1}

    def load(self, model: bytes) -> Any:
        return self.api.Interpreter(model)

    @staticmethod
    def details(interpreter: Any) -> tuple[list[Any], list[Any]]:
        def described(tensors: list[Any]) -> list[Any]:
            return [{"shape": list(t.shape), "dtype": t.dtype} for t in tensors]

        return described(interpreter.inputs), described(interpreter.outputs)

    @staticmethod
    def invoke(interpreter: Any, inputs: list[tuple[Any, Any]]) -> None:
        interpreter.results = interpreter.run([value for _, value in inputs])

    @staticmethod
    def output(interpreter: Any, _detail: Any, position: int) -> Any:
        return interpreter.results[position]

    @staticmethod
    def edges(interpreter: Any, inputs: list[Any]) -> Any:
        return interpreter.edges(inputs)


class _NativeEngine:
    """A shared library built from generated C: ``int32_t f(in, out)`` on one float."""

    def __init__(self, _package: str, resolver: str) -> None:
        self.np = importlib.import_module("numpy")
        self.record = {"name": "native", "version": "", "resolver": resolver, "threads": 1}
        self.result = 0.0

    def load(self, model: bytes) -> Any:
        head, _, library = model.partition(b"\n")
        about = json.loads(head)
        fd = os.memfd_create("native-reference", os.MFD_CLOEXEC)
        try:
            with os.fdopen(os.dup(fd), "wb") as stream:
                stream.write(library)
            function = getattr(ctypes.CDLL(f"/proc/self/fd/{fd}"), about["function"])
        finally:
            os.close(fd)
        function.restype = ctypes.c_int32
        return function, about["interface"]

    @staticmethod
    def details(_loaded: Any) -> tuple[list[Any], list[Any]]:
        return [{"shape": [1], "dtype": "float32"}], [{"shape": [1], "dtype": "float32"}]

    def invoke(self, loaded: Any, inputs: list[tuple[Any, Any]]) -> None:
        function, interface = loaded
        given, made = ctypes.c_float(float(inputs[0][1].reshape(-1)[0])), ctypes.c_float(float("nan"))
        pointers = [ctypes.cast(ctypes.pointer(value), ctypes.c_void_p) for value in (given, made)]
        status = function(*(map(ctypes.byref, pointers) if interface == "structs" else pointers))
        if status != 0:
            raise RuntimeError(f"the function returned {status}")
        self.result = made.value

    def output(self, _loaded: Any, _detail: Any, _position: int) -> Any:
        return self.np.array([self.result], dtype=self.np.float32)


ENGINES: dict[str, tuple[Any, str, str]] = {
    "tflite-runtime": (_TfliteEngine, "tflite_runtime", "BUILTIN_REF"),
    "tflite-runtime-default": (_TfliteEngine, "tflite_runtime", "AUTO"),
    "ai-edge-litert": (_TfliteEngine, "ai_edge_litert", "BUILTIN_REF"),
    "ai-edge-litert-default": (_TfliteEngine, "ai_edge_litert", "AUTO"),
    "tflite-micro": (_MicroEngine, "tflite_micro", "TFLM reference kernels"),
    "native": (_NativeEngine, "", "generated C"),
    "onnx-reference": ("OnnxReference", "tfm_harness.parity.onnx_engine", "ReferenceEvaluator"),
    "onnxruntime": ("OnnxRuntime", "tfm_harness.parity.onnx_engine", "CPUExecutionProvider, no optimisation"),
    "numpy-reference": (_NumpyEngine, "tfm_harness.parity.numpy_reference", "int8, own"),
}


def added_engine(name: str, adapter: str, folder: str) -> Any:
    """An engine of a package, made from ``module:Class``; its record always has the build's name for it.

    Raises:
        TypeError: it has no record, or one with other keys than version and resolver.
    """
    if folder and folder not in sys.path:
        sys.path.append(folder)
    module, _, attribute = adapter.partition(":")
    made: Any = importlib.import_module(module)
    for part in attribute.split("."):
        made = getattr(made, part)
    engine = made()
    said = getattr(engine, "record", None)
    if not isinstance(said, dict) or not {"version", "resolver"} <= set(said) <= {
        "name",
        "version",
        "resolver",
        "threads",
    }:
        raise TypeError(f"the engine's record must be a dict with version and resolver, not {said!r:.100}")
    engine.record = {"version": str(said["version"]), "resolver": str(said["resolver"]), "name": name, "threads": 1}
    return engine


class ModelProcess:
    """A fork of this process that answers requests about one model."""

    def __init__(self, worker: Worker) -> None:
        ours, theirs, parent = os.pipe(), os.pipe(), os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                os.close(ours[1])
                os.close(theirs[0])
                if die_with_parent(parent):
                    worker.stdin, worker.stdout = os.fdopen(ours[0], "rb"), os.fdopen(theirs[1], "wb")
                    worker.answer_all()
                status = 0
            except BaseException:  # noqa: BLE001 - it is told, and ends here
                sys.excepthook(*sys.exc_info())
            finally:
                os._exit(status)  # exit without closing or flushing files of the parent
        os.close(ours[0])
        os.close(theirs[1])
        self.requests, self.answers = os.fdopen(ours[1], "wb"), os.fdopen(theirs[0], "rb")

    def ask(self, header: dict[str, Any], blobs: list[bytes]) -> tuple[dict[str, Any], list[bytes]]:
        """One answer. If the fork died, this process dies of the same signal, and its parent reports why."""
        try:
            write_frame(self.requests, header, blobs)
            answer = read_frame(self.answers)
        except BrokenPipeError:
            answer = None
        return answer or self._die_likewise()

    def end(self) -> None:
        """Kill the fork, whatever it does."""
        self.requests.close()
        self.answers.close()
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def _die_likewise(self) -> NoReturn:
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        if code < 0:
            faulthandler.disable()  # the child has already printed its traceback
            signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
            os.kill(os.getpid(), -code)
        os._exit(code)


class Worker:
    """Answers requests until the pipe closes."""

    def __init__(self, engine: str, stdin: BinaryIO, stdout: BinaryIO, adapter: str = "", folder: str = "") -> None:
        self.np = importlib.import_module("numpy")
        if adapter:
            self.engine = added_engine(engine, adapter, folder)
        else:
            kind, package, resolver = ENGINES[engine]
            if isinstance(kind, str):  # imported here because few runs need it
                kind = getattr(importlib.import_module(package), kind)
            self.engine = kind(package, resolver)
        self.stdin, self.stdout = stdin, stdout
        self.models: dict[str, tuple[Any, list[Any], list[Any]]] = {}
        self.data: dict[str, bytes] = {}

    def serve(self) -> None:
        """Answer until the pipe closes; each model gets a separate process."""
        model: ModelProcess | None = None
        while (frame := read_frame(self.stdin)) is not None:
            header, blobs = frame
            if header["op"] == "load":
                if model is not None:
                    model.end()
                model = ModelProcess(self)
            if model is None:
                write_frame(self.stdout, *self.answer(header, blobs))
            else:
                write_frame(self.stdout, *model.ask(header, blobs))
        if model is not None:
            model.end()

    def answer_all(self) -> None:
        """Answer until the pipe closes."""
        while (frame := read_frame(self.stdin)) is not None:
            write_frame(self.stdout, *self.answer(*frame))

    def answer(self, header: dict[str, Any], blobs: list[bytes]) -> tuple[dict[str, Any], list[bytes]]:
        """One answer; an engine's exception is one too."""
        signal.setitimer(signal.ITIMER_REAL, float(header.get("limit", 60)))
        try:
            answer, arrays = self.handle(header, blobs)
        except MemoryError as exc:
            answer, arrays = {"error": "MemoryError", "text": str(exc) or "out of memory"}, []
        except Exception as exc:  # noqa: BLE001 - engines raise anything; all of it is the parent's to judge
            answer, arrays = {"error": type(exc).__name__, "text": str(exc)}, []
        signal.setitimer(signal.ITIMER_REAL, 0)
        answer["arrays"] = [{"dtype": a.dtype.name, "shape": list(a.shape), "bytes": int(a.nbytes)} for a in arrays]
        return answer, [self.np.ascontiguousarray(a).tobytes() for a in arrays]

    def handle(self, header: dict[str, Any], blobs: list[bytes]) -> tuple[dict[str, Any], list[Any]]:
        """Handle one request; returns the answer's header and arrays."""
        op = header["op"]
        if op == "hello":
            record = dict(self.engine.record, python=sys.version.split()[0], numpy=self.np.__version__)
            return {"record": record, "partial": bool(getattr(self.engine, "partial", False))}, []
        if op == "load":
            self.models.clear()
            self.data = {header["sha"]: blobs[0]}
            loaded, inputs, outputs = self.interpreter(header["sha"])
            about = getattr(self.engine, "about", None)
            more = {"about": about(loaded)} if about else {}
            return {"inputs": self.describe(inputs), "outputs": self.describe(outputs), **more}, []
        arrays = [
            self.np.frombuffer(blob, dtype=a["dtype"]).reshape(a["shape"])
            for a, blob in zip(header["arrays"], blobs, strict=True)
        ]
        if op == "run":
            return {}, self.run(header["sha"], arrays, header.get("reset", "never"), bool(header.get("reload")))
        if op == "edges":
            loaded = self.interpreter(header["sha"])[0]
            found = [self.engine.edges(loaded, [array[n] for array in arrays]) for n in range(len(arrays[0]))]
            return {"names": self.engine.edge_names}, [self.np.stack(found)]
        raise ValueError(f"unknown request {op!r}")

    def interpreter(self, sha: str) -> tuple[Any, list[Any], list[Any]]:
        """The loaded model's interpreter, inputs and outputs."""
        if sha not in self.models:
            interpreter = self.engine.load(self.data[sha])
            self.models[sha] = (interpreter, *self.engine.details(interpreter))
        return self.models[sha]

    def describe(self, details: list[Any]) -> list[dict[str, Any]]:
        """Shapes and types as plain data."""
        return [{"shape": [int(n) for n in d["shape"]], "dtype": self.np.dtype(d["dtype"]).name} for d in details]

    def fresh(self, sha: str, *, reload: bool) -> tuple[Any, list[Any], list[Any]]:
        """The interpreter with its state as after loading; `reload`: it has more state than variables, load again."""
        loaded = self.interpreter(sha)
        reset = getattr(self.engine, "reset", None)
        if reload or reset is None or not reset(loaded[0]):
            self.models.pop(sha)
        return self.interpreter(sha)

    def run(self, sha: str, arrays: list[Any], reset: str, reload: bool) -> list[Any]:
        """Run each vector of arrays (n, *shape); outputs stacked likewise. `reset`: never, start, vector."""
        interpreter, inputs, outputs = self.interpreter(sha)
        results: list[list[Any]] = [[] for _ in outputs]
        for vector in range(len(arrays[0])):
            if reset == "vector" or (reset == "start" and vector == 0):
                interpreter, inputs, outputs = self.fresh(sha, reload=reload)
            pairs = [(d, a[vector].reshape(d["shape"])) for d, a in zip(inputs, arrays, strict=True)]
            self.engine.invoke(interpreter, pairs)
            for position, detail in enumerate(outputs):
                results[position].append(self.np.array(self.engine.output(interpreter, detail, position)))
        return [self.np.stack(r) for r in results]


def die_with_parent(parent: int) -> bool:
    """Let the kernel kill this process when its parent ends; False when `parent` is no longer the parent.

    Raises:
        OSError: the kernel refused.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    return os.getppid() == parent  # the parent may have ended before the call


def main() -> None:
    """Set limits, keep the interpreters' own chatter out of the frames, serve."""
    engine, memory, parent = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    if not die_with_parent(parent):
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; it closes the pipe
    stdout = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    stdin = os.fdopen(os.dup(0), "rb")
    try:
        worker = Worker(engine, stdin, stdout, *sys.argv[4:6])
    except Exception as exc:  # noqa: BLE001 - a broken installation may raise anything, SystemError included
        write_frame(stdout, {"error": type(exc).__name__, "text": str(exc), "arrays": []}, [])
        return
    worker.serve()


if __name__ == "__main__":
    main()
