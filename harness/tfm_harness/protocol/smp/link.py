"""One SMP conversation over a console: it sends requests and returns the matching answers.

An answer is taken only when its frame, header and sequence number are right. Everything else is
counted, and the counts tell who can be responsible:

* no answer, or a damaged one: the line or the device; an infrastructure error, after retries
  where repeating is harmless (every retry is counted and shown in the run's summary). On a console that
  cannot lose a byte (an emulated UART) the product is responsible at once, and nothing is asked again;
* an answer to a request that was given up (late): counted, never taken for a newer one;
* an answer that came twice, belongs to nothing that was asked, is larger than the contract
  allows or contradicts its request: the product is responsible.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from tfm_harness.console.base import Console, Mark
from tfm_harness.console.deadline import Deadline
from tfm_harness.errors import HarnessBug, HarnessError, InfrastructureError, ProductError
from tfm_harness.protocol.smp.answer_keys import undocumented_keys
from tfm_harness.protocol.smp.frame import MAX_PACKET, BadFrame, FrameDecoder, LogLine, Packet, encode_frame
from tfm_harness.protocol.smp.header import HEADER, RAW_SEQUENCE, VERSION_2, Header
from tfm_harness.protocol.smp.link_records import Answer, LinkStats, Recent, Request, Waiting
from tfm_harness.protocol.smp.text import log_tail

__all__ = ["SmpLink"]

_SLICE = 0.25  # seconds between looks at the board while an answer is awaited
_LOG_LINES = 500
_MOST_UNDOCUMENTED = 64  # most keys kept for the report; a single answer may exceed it
_MOST_AT_ONCE = 64  # requests of a burst
_DRAIN_LIMIT = 10.0  # seconds after which unsolicited frames are a flood


class _Damaged(Exception):  # noqa: N818 - control flow inside this module, never seen outside
    def __init__(self, bad: BadFrame) -> None:
        super().__init__(bad.kind)
        self.bad = bad


def _growing(requests: Iterator[Request]) -> Iterator[list[Request]]:
    """Groups of 1, 2, 4 and so on."""
    size = 1
    while group := list(islice(requests, size)):
        yield group
        size *= 2


class SmpLink:
    """Requests and answers over one console.

    Args:
        console: where the firmware speaks.
        watch: called while waiting; raises when the board is known to be dead or reset.
        attempts: how often a `safe` request is sent at most.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        console: Console,
        *,
        watch: Callable[[], None] | None = None,
        attempts: int = 3,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.console = console
        self.stats = LinkStats()
        self.log: deque[bytes] = deque(maxlen=_LOG_LINES)
        self._watch = watch or (lambda: None)
        self._attempts = attempts
        self._clock = clock
        self._sequence = 0
        self._mark = console.mark()
        self._decoder = FrameDecoder(offset=self._mark.offset)
        self._items: deque[Packet | BadFrame] = deque()  # decoded, not judged yet
        self._given_up = Recent()  # requests whose answers may still come
        self._done = Recent()
        self._forgives = False

    @contextlib.contextmanager
    def forgiving(self) -> Iterator[None]:
        """In this block an answer to no open request is counted as stale and ignored.

        It is meant for the first request after a reset or after raw frames: earlier requests may still be under way,
        and their answers come before this request's answer.
        """
        before, self._forgives = self._forgives, True
        try:
            yield
        finally:
            self._forgives = before

    def restart(self, mark: Mark | None = None) -> None:
        """Drop an unfinished frame and the open requests: the device was reset at `mark` (default: now)."""
        self._mark = mark or self.console.mark()
        self._decoder = FrameDecoder(offset=self._mark.offset)
        self._items.clear()
        self._given_up.clear()
        self._done.clear()

    def request(self, request: Request, *, timeout: float, attempts: int | None = None) -> Answer:
        """Ask and wait for the answer; `timeout` is for each attempt, in seconds.

        Raises:
            InfrastructureError: ``smp-timeout``, ``smp-corrupt``, or what the console raises.
            ProductError: ``smp-duplicate``, ``smp-unsolicited``, ``smp-oversized``, ``smp-mismatch``; on a console that
                loses nothing also ``smp-timeout`` and ``smp-corrupt``.
        """
        allowed = (attempts or self._attempts) if request.safe and not self.console.lossless else 1
        for attempt in range(allowed):
            sequence, header, frame = self._send(request)
            waiting = Waiting(self.stats)
            try:
                with waiting:
                    self.console.write(frame)
                    packet = self._await({sequence: header}, Deadline.after(timeout, self._clock))
            except _Damaged as damaged:
                self._given_up.add(sequence)
                if attempt + 1 == allowed:
                    raise self._corrupt(request, damaged.bad, attempt) from None
            else:
                if packet is not None:
                    self.stats.answered += 1
                    return Answer(
                        payload=packet.data[HEADER.size :],
                        raw_request=frame,
                        raw_response=packet.data,
                        seconds=waiting.seconds,
                        retries=attempt,
                    )
                self.stats.lost += 1
                self._given_up.add(sequence)
                if attempt + 1 == allowed:
                    raise self._silent(request, timeout, attempt)
            self.stats.retries += 1
        raise HarnessBug("a request ended without an answer and without an error", kind="smp-loop")

    def burst(self, requests: Iterable[Request], *, timeout: float) -> list[bytes | None]:
        """Send all requests at once. Returns the answers' CBOR in order, None for each that did not come.

        At most 64 requests, so that no sequence number repeats. It waits until all answers have come, or until none has
        come for `timeout` seconds, because a slow host delays each answer. So it ends after `timeout` times the number
        of requests at the latest. No request is repeated.

        Requests of an iterator are made here. They are sent in groups, each twice as large as the one before, so that
        the device works on the first ones while the others are made.
        """
        waiting: dict[int, Header] = {}
        order: list[int] = []

        def frames(group: Sequence[Request]) -> bytes:
            if len(order) + len(group) > _MOST_AT_ONCE:
                raise ValueError(f"at most {_MOST_AT_ONCE} requests in a burst")
            made = [self._send(request) for request in group]
            waiting.update((sequence, header) for sequence, header, _ in made)
            order.extend(sequence for sequence, _, _ in made)
            return b"".join(frame for _, _, frame in made)

        groups = iter([requests]) if isinstance(requests, Sequence) else _growing(iter(requests))
        first = frames(next(groups, ()))
        answers: dict[int, bytes] = {}
        with Waiting(self.stats):
            self.console.write(first)
            for group in groups:
                self.console.write(frames(group))
            deadline = Deadline.after(timeout, self._clock)
            while waiting:
                try:
                    packet = self._await(waiting, deadline)
                except _Damaged:
                    if deadline.passed:
                        break
                    continue
                if packet is None:
                    break
                sequence = Header.unpack(packet.data).sequence
                del waiting[sequence]
                deadline = Deadline.after(timeout, self._clock)
                self.stats.answered += 1
                answers[sequence] = packet.data[HEADER.size :]
        self.stats.lost += len(waiting)
        self._given_up.add(*waiting)
        return [answers.get(sequence) for sequence in order]

    def send_raw(self, data: bytes) -> None:
        """Send bytes unchanged (for robustness tests). Answers to them count as unsolicited unless drained."""
        with Waiting(self.stats):
            self.console.write(data)

    def answers_to(self, data: bytes, behind: Request, *, timeout: float) -> list[Packet | BadFrame]:
        """Send bytes unchanged and then a request. Returns all frames that came before its answer, unjudged.

        A device answers in order, so no further answers to the bytes can come later. Waiting for silence instead would
        be wrong when the host stalls.

        Raises:
            InfrastructureError, ProductError: ``smp-timeout``, as `request`.
        """
        sequence, header, frame = self._send(behind)
        found: list[Packet | BadFrame] = []
        with Waiting(self.stats):
            self.console.write(data + frame)
            deadline = Deadline.after(timeout, self._clock)
            for item in self._arriving(deadline):
                if isinstance(item, Packet) and self._is_answer(item, sequence, header):
                    self._done.add(sequence)
                    self.stats.answered += 1
                    return found
                found.append(item)
        self._given_up.add(sequence)
        raise self._silent(behind, timeout, 0)

    @staticmethod
    def _is_answer(item: Packet, sequence: int, request: Header) -> bool:
        try:
            header = Header.unpack(item.data)
        except ValueError:
            return False
        return header.sequence == sequence and not header.mismatch(request, len(item.data) - HEADER.size)

    def drain(self, *, quiet: float, limit: float = _DRAIN_LIMIT) -> list[Packet | BadFrame]:
        """Read until no frame has come for `quiet` seconds. Returns the frames unjudged.

        Log text between frames is kept, and does not extend the wait.

        Raises:
            ProductError: ``smp-flood``: frames still came after `limit` seconds.
        """
        end = Deadline.after(limit, self._clock)
        patience = end.sooner(quiet)
        with Waiting(self.stats):
            while not patience.passed:
                before = len(self._items)
                self._take(self.console.read_from(self._mark))
                if len(self._items) > before:
                    patience = end.sooner(quiet)
                self.console.wait_data(self._mark, timeout=patience.left())
        found = list(self._items)
        self._items.clear()
        if end.passed and found:
            raise ProductError(
                "the firmware sends frames without end",
                kind="smp-flood",
                expected=f"no frame for {quiet:g} s once everything was answered",
                seen=f"{len(found)} frames in {limit:g} s",
                where=self._where(self._mark.offset),
            )
        return found

    def _send(self, request: Request) -> tuple[int, Header, bytes]:
        self._sequence = (self._sequence + 1) % RAW_SEQUENCE
        sequence = self._sequence
        for past in (self._given_up, self._done):
            past.discard(sequence)  # the sequence number is used again: it now means this request
        group, command, length = request.group, request.command, len(request.payload)
        self.stats.sent += 1
        frame = encode_frame(Header.pack(request.op, group, command, sequence, length) + request.payload)
        return sequence, Header(request.op, VERSION_2, 0, length, group, sequence, command), frame

    def settle(self) -> None:
        """Judge unsolicited frames that came since the last answer, without waiting.

        Raises:
            ProductError: an answer that came twice or belongs to nothing.
        """
        end = self.console.mark().offset  # later bytes are left for the next call
        while self._mark.offset < end or self._items:
            self._take(self.console.read_from(self._mark))
            while self._items:
                self._judge(self._items.popleft(), {})

    def _await(self, waiting: dict[int, Header], deadline: Deadline) -> Packet | None:
        """Wait for the next packet that answers one of `waiting`; None when the time is over.

        Raises:
            _Damaged: a frame came that could not be read.
        """
        for item in self._arriving(deadline):
            packet = self._judge(item, waiting)
            if packet is not None:
                return packet
        return None

    def _arriving(self, deadline: Deadline) -> Iterator[Packet | BadFrame]:
        """Frames as they come, until the time is over and the console was read once more. Checks the board, too."""
        last_look = False
        while True:
            while self._items:
                yield self._items.popleft()
            if last_look:
                return  # also if the firmware prints without end
            last_look = deadline.passed
            if self.console.wait_data(self._mark, timeout=deadline.left(_SLICE)):
                self._take(self.console.read_from(self._mark))
            else:
                self._watch()

    def _take(self, chunk: bytes) -> None:
        self._mark = Mark(self._mark.offset + len(chunk))
        for item in self._decoder.feed(chunk):
            if isinstance(item, LogLine):
                self.stats.log_lines += 1
                self.log.append(item.data)
            else:
                self._items.append(item)

    def _judge(self, item: Packet | BadFrame, waiting: dict[int, Header]) -> Packet | None:
        """Whether `item` answers one of `waiting`. Late answers are counted; wrong frames raise an error."""
        if isinstance(item, BadFrame):
            self.stats.bad[item.kind] = self.stats.bad.get(item.kind, 0) + 1
            if item.kind == "oversized":
                raise ProductError(
                    "the firmware announced an answer larger than the protocol allows",
                    kind="smp-oversized",
                    expected=f"at most {MAX_PACKET} bytes",
                    seen=item.detail,
                    where=self._where(item.start),
                )
            if self.console.lossless and not self._forgives:
                raise self._torn(item)
            if waiting and not self.console.lossless:
                raise _Damaged(item)
            return None  # a reset cut this frame off: the answer may still come
        try:
            header = Header.unpack(item.data)
        except ValueError as error:
            raise self._fault("smp-mismatch", "a packet too short to be an answer", "8 bytes", error, item) from None
        request = waiting.get(header.sequence)
        if request is not None:
            wrong = header.mismatch(request, len(item.data) - HEADER.size)
            if wrong and self._forgives:
                self.stats.stale += 1
                return None
            if wrong:
                raise self._fault("smp-mismatch", "an answer contradicts its request", "its request", wrong, item)
            self.stats.flagged += header.flags != 0
            if len(self.stats.undocumented) < _MOST_UNDOCUMENTED:
                self.stats.undocumented |= undocumented_keys(header.group, header.command, item.data[HEADER.size :])
            self._done.add(header.sequence)
            return item
        if header.sequence in self._given_up:
            self._given_up.discard(header.sequence)
            self.stats.late += 1
            return None
        if self._forgives:
            self.stats.stale += 1
            return None
        if header.sequence in self._done:
            raise self._fault(
                "smp-duplicate", "one request was answered twice", "one answer", f"sequence {header.sequence}", item
            )
        asked = ", ".join(map(str, waiting)) or "nothing"
        raise self._fault(
            "smp-unsolicited",
            "an answer to nothing that was asked",
            f"sequence {asked}",
            f"sequence {header.sequence}, group {header.group}, command {header.command}",
            item,
        )

    def _fault(self, kind: str, message: str, expected: str, seen: object, item: Packet) -> ProductError:
        return ProductError(message, kind=kind, expected=expected, seen=str(seen), where=self._where(item.start))

    def _where(self, offset: int) -> str:
        return f"console {self.console.name!r}, byte {offset} of {self.console.transcript}"

    def _torn(self, bad: BadFrame) -> ProductError:
        return ProductError(
            f"the firmware sent a damaged frame ({bad.kind}) over an emulated UART, which changes no byte",
            kind="smp-corrupt",
            expected="a frame whose base64, length and CRC hold",
            seen=bad.detail,
            where=self._where(bad.start),
            hint="look at the transcript at that offset, whether something else is printed in the middle of a frame",
        )

    def _corrupt(self, request: Request, bad: BadFrame, retries: int) -> InfrastructureError:
        return InfrastructureError(
            f"the answer to {request.name or 'a request'} came damaged ({bad.kind})",
            kind="smp-corrupt",
            expected="a frame whose base64, length and CRC hold",
            seen=f"{bad.detail}; after {retries} retries" if retries else bad.detail,
            where=self._where(bad.start),
            hint="look at the cable, the baud rate and the transcript at that offset",
        )

    def _silent(self, request: Request, timeout: float, retries: int) -> HarnessError:
        tail = log_tail(self.console, 8)
        said = {
            "kind": "smp-timeout",
            "expected": "an SMP answer",
            "seen": "half a frame" if self._decoder.mid_frame else "no frame",
            "where": f"console {self.console.name!r}" + (f"; last lines:\n{tail}" if tail else ""),
        }
        if self.console.lossless:
            return ProductError(
                f"the emulator runs, and the firmware in it did not answer {request.name or 'a request'}"
                f" within {timeout:g} s",
                hint="check whether the firmware is stuck; on a very busy host give it more time (answer-timeout)",
                **said,
            )
        return InfrastructureError(
            f"no answer to {request.name or 'a request'} within {timeout:g} s"
            + (f", {retries + 1} times" if retries else ""),
            hint="check whether the firmware is stuck, another console is wired, or the line is noisy",
            **said,
        )
