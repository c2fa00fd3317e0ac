"""Random calls of services, right and wrong ones, and the smallest call that still shows what one showed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from tfm_harness.config.memory_map import MemoryMap, ServiceCall, ServiceConfig, service_of

__all__ = ["RandomCall", "RandomCalls", "simplest"]

TOP = 1 << 32
MOST_VECTORS = 4
"""Input and output vectors together: PSA Firmware Framework 1.0, PSA_MAX_IOVEC."""
_LENGTHS = (
    0,
    1,
    3,
    4,
    5,
    8,
    16,
    32,
    33,
    40,
    48,
    63,
    64,
    65,
    88,
    96,
    112,
    116,
    152,
    244,
    512,
    1024,
    2048,
    3072,
    4096,
    4097,
)
_CARRIED = 7  # vectors each way, at most, that the gateway's packed parameter has room for
_HUGE = (0x8000, 0x10000, 0x7FFF_FFFF, 0x8000_0000, TOP - 1, TOP - 4)
_RANDOM = 0x400
"""Random bytes at the beginning of the memory for tests, from which inputs are taken."""
_INPUTS = 0x10000
"""Bytes of the memory for tests that inputs are taken from; behind them lie output buffers."""
_EVERY_OUTPUT = 0x4000
"""Distance of output buffers."""

Vector = tuple[int, int]


@dataclass(frozen=True, slots=True)
class RandomCall:
    """A call as the non-secure side hands it to the gateway.

    Attributes:
        handle, type: of service and message.
        inputs, outputs: vectors: address and length.
    """

    handle: int
    type: int
    inputs: tuple[Vector, ...] = ()
    outputs: tuple[Vector, ...] = ()

    def __str__(self) -> str:
        def shown(vectors: tuple[Vector, ...]) -> str:
            return "[" + ", ".join(f"({at:#x}, {size:#x})" for at, size in vectors) + "]"

        return f"psa_call({self.handle:#x}, type {self.type}, in {shown(self.inputs)}, out {shown(self.outputs)})"


class RandomCalls:
    """Calls of a seed: the same seed gives the same calls on the same target and build.

    Args:
        memory: who owns what. Outputs only ever lie in its `scratch`, or where no byte is the caller's to write.
        services: those that non-secure clients may call.
        seed: of the calls, and of the content of their inputs.

    Raises:
        ValueError: the memory map names no scratch memory, or no services are known.
    """

    def __init__(self, memory: MemoryMap, services: Mapping[str, ServiceConfig], seed: int) -> None:
        if memory.scratch is None or not services:
            raise ValueError("random calls need memory for tests, and services")
        self._memory, self._services = memory, list(services.values())
        self._rng = random.Random(seed)  # noqa: S311 - calls guard nothing; the same seed must give the same ones
        self._base = memory.scratch[0]
        self._answers = self._base + _INPUTS
        self._places = max(MOST_VECTORS, (memory.scratch[1] - _INPUTS) // _EVERY_OUTPUT)
        self._used = 0
        self._known: list[tuple[ServiceConfig, ServiceCall, tuple[Vector, ...]]] = []
        """Calls that work, with where their inputs stand in the memory for tests."""
        at = self._base + _RANDOM
        for service in self._services:
            for call in service.calls:
                inputs = []
                for data in call.inputs:
                    inputs.append((at, len(data)))
                    at += len(data) + -len(data) % 8
                self._known.append((service, call, tuple(inputs)))

    def content(self) -> bytes:
        """What shall stand at the beginning of the memory for tests: random bytes, then inputs of calls that work."""
        found = bytearray(self._rng.randbytes(_RANDOM))
        for _, call, _ in self._known:
            for data in call.inputs:
                found += data + bytes(-len(data) % 8)
        return bytes(found)

    def calls(self, count: int) -> Iterator[RandomCall]:
        """So many calls."""
        for _ in range(count):
            yield self._near_miss() if self._known and self._rng.random() < 0.3 else self._call()

    def service(self, handle: int) -> ServiceConfig | None:
        """As `service_of`, among the services that are called."""
        return service_of(self._services, handle)

    def must_fail(self, call: RandomCall) -> str:
        """Why a call must be refused, whatever the service does; empty: it may succeed."""
        service = self.service(call.handle)
        if service is None:
            return "no service has this handle"
        if call.type not in {*service.types, *service.debug_types}:
            return "the service has no such message type"
        if len(call.inputs) + len(call.outputs) > MOST_VECTORS:
            return f"more than {MOST_VECTORS} vectors"
        for words, vectors in (("input", call.inputs), ("output", call.outputs)):
            for at, size in vectors:
                if not self._memory.is_nonsecure(at, size):
                    return f"an {words} vector is not the caller's"
        return ""

    def _near_miss(self) -> RandomCall:
        """A call that works, but for one thing."""
        rng = self._rng
        service, known, stored = self._known[rng.randrange(len(self._known))]
        inputs = list(stored)
        outputs = [(self._buffer(), size) for size in known.outputs]
        handle, kind = service.handle, known.type
        wrong = rng.randrange(6)
        if wrong == 0:
            handle ^= 1 << rng.randrange(32)
        elif wrong == 1:
            kind ^= 1 << rng.randrange(7, 15)
        elif wrong == 2:
            more = min(rng.randrange(1, 6), _CARRIED - len(inputs))
            inputs += [self._vector(output=False) for _ in range(more)]
        elif wrong == 3 and inputs:
            inputs[rng.randrange(len(inputs))] = self._vector(output=False)
        elif wrong == 4 and outputs:
            outputs[rng.randrange(len(outputs))] = self._vector(output=True)
        return RandomCall(handle, kind, tuple(inputs), tuple(outputs))

    def _call(self) -> RandomCall:
        rng = self._rng
        service = rng.choice(self._services)
        handle = service.handle
        if rng.random() < 0.2:
            handle = rng.choice((handle ^ 1 << rng.randrange(32), rng.getrandbits(32), 0, handle + 0x100)) % TOP
        kinds = [each for each in (*service.types, *service.debug_types) if each not in service.resets]
        kind = rng.choice(kinds or [0])
        if rng.random() < 0.3:
            kind = rng.choice((rng.randrange(0x8000), kind ^ 1 << rng.randrange(15), -rng.randrange(1, 0x8000), 0x7FFF))
        if kind in service.resets:
            kind = 0
        counts = rng.choice(
            ((0, 1), (1, 1), (1, 1), (2, 1), (2, 2), (1, 0), (0, 0), (4, 0), (rng.randrange(8), rng.randrange(8)))
        )
        known = [call for call in service.calls if call.type == kind]
        if known and rng.random() < 0.4:  # a call that works, and from there on something else
            counts = (len(known[0].inputs), len(known[0].outputs))
        inputs = tuple(self._vector(output=False) for _ in range(counts[0]))
        outputs = tuple(self._vector(output=True) for _ in range(counts[1]))
        return RandomCall(handle, kind, inputs, outputs)

    def _buffer(self) -> int:
        """The next one in turn: what a call wrote stays there until as many others as possible have written."""
        self._used += 1
        return self._answers + _EVERY_OUTPUT * (self._used % self._places)

    def _vector(self, *, output: bool) -> Vector:
        rng = self._rng
        size = rng.choice(_LENGTHS) if rng.random() < 0.85 else rng.choice((*_HUGE, rng.getrandbits(32)))
        own = self._buffer() if output else self._base + rng.randrange(0, _RANDOM, 4)
        if rng.random() < 0.75:
            at = own + (rng.randrange(4) if rng.random() < 0.1 else 0)
            return at, min(size, _EVERY_OUTPUT - 4) if output and self._memory.is_nonsecure(at, size) else size
        region = rng.choice(self._memory.owned_by("secure"))
        at = rng.choice((
            region.at, region.end - max(1, size % 64), region.at + rng.randrange(region.size), 0, TOP - 4,
            rng.choice(self._memory.holes or (region.at,)), rng.getrandbits(32),
        ))  # fmt: skip
        edge = rng.choice(self._memory.owned_by("nonsecure"))
        if rng.random() < 0.2:
            at = edge.end - 1 - rng.randrange(8)
        if output and (size == 0 or self._memory.is_nonsecure(at, min(size, TOP - at) or 1)):
            return own, min(size, _EVERY_OUTPUT - 4)  # it would overwrite what the non-secure side runs on
        return at, size


def simplest(call: RandomCall, fails: Callable[[RandomCall], bool], *, most: int = 200) -> RandomCall:
    """The smallest call found that still fails: fewer vectors, shorter ones, smaller numbers.

    Args:
        call: one that fails.
        fails: tries a call on the device. It is asked at most `most` times.
        most: tries.
    """
    tries = 0
    changed = True
    while changed and tries < most:
        changed = False
        for smaller in _smaller(call):
            tries += 1
            if tries > most:
                break
            if fails(smaller):
                call, changed = smaller, True
                break
    return call


def _smaller(call: RandomCall) -> Iterator[RandomCall]:
    """Calls that are simpler in one thing, the greatest steps first."""
    for vectors in _smaller_vectors(call.inputs):
        yield replace(call, inputs=vectors)
    for vectors in _smaller_vectors(call.outputs):
        yield replace(call, outputs=vectors)
    for kind in _less(abs(call.type)):
        yield replace(call, type=kind if call.type > 0 else -kind)


def _smaller_vectors(vectors: tuple[Vector, ...]) -> Iterator[tuple[Vector, ...]]:
    if len(vectors) > 1:
        yield ()
    for number in range(len(vectors)):
        yield vectors[:number] + vectors[number + 1 :]
    for number, (at, size) in enumerate(vectors):
        for shorter in _less(size):
            yield (*vectors[:number], (at, shorter), *vectors[number + 1 :])


def _less(number: int) -> Iterator[int]:
    """Smaller numbers, the smallest first: each comes half as far as the one before."""
    step = number
    while step > 0:
        yield number - step
        step //= 2
