"""Random calls of services, right and wrong ones, and the reduction of a failing call to a smallest one."""

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
_CARRIED = 7  # the most vectors in each direction for which the gateway's packed parameter has room
_HUGE = (0x8000, 0x10000, 0x7FFF_FFFF, 0x8000_0000, TOP - 1, TOP - 4)
_RANDOM = 0x400
"""The number of random bytes at the beginning of the memory for tests; inputs are taken from them."""
_INPUTS = 0x10000
"""The number of bytes of the memory for tests from which inputs are taken; output buffers follow them."""
_EVERY_OUTPUT = 0x4000
"""The distance of output buffers in bytes."""

Vector = tuple[int, int]


@dataclass(frozen=True, slots=True)
class RandomCall:
    """A call in the form that the non-secure side passes to the gateway.

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
    """Random calls from a seed: the same seed gives the same calls on the same target and build.

    Args:
        memory: the memory map. Outputs are only in its `scratch`, or where the caller may write no byte.
        services: the services that non-secure clients may call.
        seed: the seed of the calls, and of the content of their inputs.

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
        """Calls that work, with the places of their inputs in the memory for tests."""
        at = self._base + _RANDOM
        for service in self._services:
            for call in service.calls:
                inputs = []
                for data in call.inputs:
                    inputs.append((at, len(data)))
                    at += len(data) + -len(data) % 8
                self._known.append((service, call, tuple(inputs)))

    def content(self) -> bytes:
        """The content for the beginning of the memory for tests: random bytes, then inputs of calls that work."""
        found = bytearray(self._rng.randbytes(_RANDOM))
        for _, call, _ in self._known:
            for data in call.inputs:
                found += data + bytes(-len(data) % 8)
        return bytes(found)

    def calls(self, count: int) -> Iterator[RandomCall]:
        """Make `count` calls."""
        for _ in range(count):
            yield self._near_miss() if self._known and self._rng.random() < 0.3 else self._call()

    def service(self, handle: int) -> ServiceConfig | None:
        """Like `service_of`, for the services of these calls."""
        return service_of(self._services, handle)

    def must_fail(self, call: RandomCall) -> str:
        """The reason why a call must be refused, whatever the service does; empty: it may succeed."""
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
        """A call that works, with one thing changed."""
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
        if known and rng.random() < 0.4:  # as many vectors as a call that works has
            counts = (len(known[0].inputs), len(known[0].outputs))
        inputs = tuple(self._vector(output=False) for _ in range(counts[0]))
        outputs = tuple(self._vector(output=True) for _ in range(counts[1]))
        return RandomCall(handle, kind, inputs, outputs)

    def _buffer(self) -> int:
        """The next buffer in turn: so the output of a call stays in memory for as many other calls as possible."""
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
            return own, min(size, _EVERY_OUTPUT - 4)  # it would overwrite memory that the non-secure side needs to run
        return at, size


def simplest(call: RandomCall, fails: Callable[[RandomCall], bool], *, most: int = 200) -> RandomCall:
    """Reduce a failing call to one with fewer vectors, shorter ones and smaller numbers that still fails.

    Args:
        call: the failing call.
        fails: tries a call on the device, and returns whether it fails. It is called at most `most` times.
        most: the most tries.
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
    """Calls that are simpler in one respect, the greatest steps first."""
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
    """Smaller numbers, the smallest first: the distance to `number` halves with each."""
    step = number
    while step > 0:
        yield number - step
        step //= 2
