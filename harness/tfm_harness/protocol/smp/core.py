"""Requests to the reference firmware: one method for each request. The last exchanges are kept for reports."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from tfm_harness.console.base import Console, Mark
from tfm_harness.console.deadline import Deadline
from tfm_harness.errors import HarnessError, InfrastructureError, ProductError
from tfm_harness.protocol.base import Exchange
from tfm_harness.protocol.smp.answers import decode_answer, field
from tfm_harness.protocol.smp.exchange import KeptExchange
from tfm_harness.protocol.smp.header import GROUP_INFERENCE, GROUP_OS, Command, Op, OsCommand
from tfm_harness.protocol.smp.link import SmpLink
from tfm_harness.protocol.smp.link_records import Answer, LinkStats, Request
from tfm_harness.protocol.smp.text import log_tail
from tfm_harness.verify import cbor

__all__ = ["INPUT_ROOM", "SmpCore"]

INPUT_ROOM = 3584
"""Bytes of an input or of a file that fit into a request (4096) beside header, nonce, model id and keys."""

_KEEP_EXCHANGES = 64
_POLL_TIMEOUT = 1.0  # seconds an echo may take while the firmware boots

# Asking these twice changes nothing on the device, so a lost frame may be asked for again.
# `infer` and `attest` are not here: each raises a counter or consumes a challenge.
_SAFE = frozenset(
    {
        Command.DESCRIBE,
        Command.ATTEST_SIZE,
        Command.PUBLIC_KEY,
        Command.FAULTS,
        Command.BATCH,
        Command.MODELS,
        Command.TRACE,
        Command.STATS,
    }
)


class SmpCore:
    """Requests, answers and their history over one console.

    Args:
        console: where the firmware speaks.
        timeout: seconds for an answer that needs no long work.
        watch: called while waiting; raises when the board is known to be dead.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        console: Console,
        *,
        timeout: float = 10.0,
        watch: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.console = console
        self.timeout = timeout
        self.link = SmpLink(console, watch=watch, clock=clock)
        self._clock = clock
        self._exchanges: deque[KeptExchange] = deque(maxlen=_KEEP_EXCHANGES)

    @property
    def exchanges(self) -> Sequence[Exchange]:
        """The last exchanges, newest last."""
        return tuple(kept.shown() for kept in self._exchanges)

    @property
    def stats(self) -> LinkStats:
        """What happened on the link so far."""
        return self.link.stats

    def ask(
        self,
        command: Command,
        arguments: Mapping[str, object] | None = None,
        *,
        read: bool = False,
        timeout: float | None = None,
        safe: bool | None = None,
    ) -> tuple[Mapping[str, object], Answer]:
        """Send one request of group 64. Returns the answer's map and the raw exchange.

        An input of the model (`in`) that is larger than a message is uploaded first, as `input_argument` does it.

        Raises:
            Refused: the firmware refused the request.
            InfrastructureError, ProductError: see `SmpLink.request`.
        """
        arguments = dict(arguments or {})
        if isinstance(data := arguments.get("in"), bytes) and len(data) > INPUT_ROOM:
            del arguments["in"]
            arguments |= self.input_argument(data)
        request = Request(
            op=Op.READ if read else Op.WRITE,
            group=GROUP_INFERENCE,
            command=command,
            payload=cbor.encode(arguments),
            safe=command in _SAFE if safe is None else safe,
            name=command.name.lower().replace("_", "-"),
        )
        return self._exchange(request, arguments, timeout)

    def input_argument(self, data: bytes) -> dict[str, object]:
        """The request's argument for this input; an input that is larger than a message is uploaded first, in parts.

        Raises:
            Refused: the firmware does not take inputs in parts (feature `input-upload`), or none of this size.
            ProductError: it asks for another part than the next one.
        """
        if len(data) <= INPUT_ROOM:
            return {"in": data}
        offset = 0
        while offset < len(data):
            part: dict[str, object] = {"off": offset, "data": data[offset : offset + INPUT_ROOM]}
            if offset == 0:
                part["len"] = len(data)
            answer, _ = self.ask(Command.INPUT_UPLOAD, part)
            following = field(answer, "off", int)
            if following != min(offset + INPUT_ROOM, len(data)):
                raise ProductError(
                    "the firmware asks for another part of the input than the next",
                    kind="smp-answer",
                    expected=f"offset {min(offset + INPUT_ROOM, len(data))}",
                    seen=str(following),
                )
            offset = following
        return {"up": len(data)}

    def echo(self, text: str, *, timeout: float | None = None, attempts: int | None = None) -> str:
        """Send an echo (OS group). Returns the text that came back."""
        arguments = {"d": text}
        request = Request(
            op=Op.WRITE, group=GROUP_OS, command=OsCommand.ECHO, payload=cbor.encode(arguments), safe=True, name="echo"
        )
        answer, _ = self._exchange(request, arguments, timeout, attempts)
        return field(answer, "r", str)

    def is_silent(self, seconds: float) -> bool:
        """Whether an echo stays unanswered for that long. The silence is expected and does not count as a loss."""
        lost_before = self.stats.lost
        try:
            self.echo("anyone?", timeout=seconds, attempts=1)
        except (InfrastructureError, ProductError) as error:
            if error.kind != "smp-timeout":
                raise
            self.stats.lost = lost_before
            return True
        return False

    def parameters(self) -> tuple[int, int]:
        """Ask for the MCUmgr parameters (OS group): buffer size in bytes, number of buffers."""
        request = Request(
            op=Op.READ,
            group=GROUP_OS,
            command=OsCommand.PARAMETERS,
            payload=cbor.encode({}),
            safe=True,
            name="parameters",
        )
        answer, _ = self._exchange(request, {}, None)
        return field(answer, "buf_size", int), field(answer, "buf_count", int)

    def request_reset(self) -> Mark:
        """Ask for a reset (OS group): the firmware answers, then resets warm. Returns the mark before that."""
        mark = self.console.mark()
        request = Request(
            op=Op.WRITE, group=GROUP_OS, command=OsCommand.RESET, payload=cbor.encode({}), safe=False, name="reset"
        )
        self._exchange(request, {}, None)
        return mark

    def wait_echo(self, *, timeout: float) -> None:
        """Ask until the firmware answers after a boot.

        Raises:
            InfrastructureError: ``silent`` when not one byte came on this console.
            ProductError: ``boot-hung`` when it printed, but did not answer.
        """
        mark = self.console.mark()
        spoke_before = self.console.received
        lost_before = self.stats.lost
        deadline = Deadline.after(timeout, self._clock)
        while not deadline.passed:
            try:
                with self.link.forgiving():
                    self.echo("ready?", timeout=deadline.left(_POLL_TIMEOUT), attempts=1)
            except (InfrastructureError, ProductError) as error:
                if error.kind not in {"smp-timeout", "smp-corrupt"}:
                    raise
            else:
                self.stats.lost = lost_before  # requests before the firmware listens do not count as lost
                return
        if self.console.received == 0 and spoke_before == 0:
            raise InfrastructureError(
                f"not one byte came on console {self.console.name!r} within {timeout:g} s of the boot",
                kind="silent",
                expected="an answer to an SMP echo",
                seen="nothing",
                where=f"console {self.console.name!r}",
                hint="suspect the bench first: power, the right UART, its speed; then whether the image starts at all",
            )
        raise ProductError(
            f"the firmware spoke but did not answer within {timeout:g} s of the boot",
            kind="boot-hung",
            expected="an answer to an SMP echo",
            seen=f"{self.console.received - mark.offset} bytes since the first request",
            where=f"console {self.console.name!r}; last lines:\n{log_tail(self.console, 8)}",
        )

    def _exchange(
        self, request: Request, arguments: Mapping[str, object], timeout: float | None, attempts: int | None = None
    ) -> tuple[Mapping[str, object], Answer]:
        kept = KeptExchange(request, arguments)
        self._exchanges.append(kept)
        try:
            kept.answer = answer = self.link.request(request, timeout=timeout or self.timeout, attempts=attempts)
            kept.value = value = decode_answer(answer.payload, request.name)
        except HarnessError as error:
            kept.error = error.message
            raise
        return value, answer
