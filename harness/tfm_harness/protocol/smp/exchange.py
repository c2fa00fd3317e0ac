"""A request and its answer, kept as they are: only a report shows them, so most are never made into text."""

from __future__ import annotations

from collections.abc import Mapping

from tfm_harness.protocol.base import Exchange
from tfm_harness.protocol.smp.answers import show
from tfm_harness.protocol.smp.link_records import Answer, Request

__all__ = ["KeptExchange"]


class KeptExchange:
    """One request, and what became of it.

    Attributes:
        answer: None: none came.
        value: the decoded answer; None: it is not what was asked for.
        error: the error's message, when there is no value.
    """

    __slots__ = ("_arguments", "_request", "answer", "error", "value")

    def __init__(self, request: Request, arguments: Mapping[str, object]) -> None:
        self._request = request
        self._arguments = arguments
        self.answer: Answer | None = None
        self.value: Mapping[str, object] | None = None
        self.error = ""

    def shown(self) -> Exchange:
        """The exchange as reports show it."""
        asked, answer = f"{self._request.name} {show(self._arguments)}", self.answer
        if answer is None:
            return Exchange(
                request=asked,
                response=f"none: {self.error}",
                raw_request=self._request.payload,
                raw_response=b"",
                seconds=0.0,
            )
        return Exchange(
            request=asked,
            response=self.error or show(self.value),
            raw_request=answer.raw_request,
            raw_response=answer.raw_response,
            seconds=answer.seconds,
            retries=answer.retries,
        )
