"""The worker's own decisions, without labgrid: what the coordinator does not answer is not believed."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from tfm_harness.boards.labgrid import worker as module
from tfm_harness.boards.labgrid.worker import Problem, Worker


class Place:
    acquired = "host/user"
    tags: dict[str, str] = {}  # noqa: RUF012, as labgrid's


class Session:
    """A session as labgrid's, whose coordinator answers or not (`None`: never)."""

    def __init__(self, answers: bool | None) -> None:
        self.places = {"p": Place()}
        self._answers = answers

    async def sync_with_coordinator(self) -> bool:
        import asyncio

        if self._answers is None:
            await asyncio.Event().wait()
        return bool(self._answers)

    def get_target_resources(self, place: Place) -> dict[tuple[str, str], object]:
        raise LookupError(f"a resource of {place} whose exporter went")


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker(io.StringIO())
    made.place, made.identity = "p", Place.acquired
    yield made
    made.loop.close()


@pytest.mark.parametrize("answers", [False, None], ids=["its stream ended meanwhile", "it is silent"])
def test_a_coordinator_that_is_gone(worker: Worker, answers: bool | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is known of the place is old then: that it has lost its exporter is not what has to be mended."""
    monkeypatch.setattr(module, "_SYNC", 0.01)
    worker.session = Session(answers)
    with pytest.raises(Problem, match="the coordinator is gone") as seen:
        worker.do_resources({})
    assert seen.value.kind == "labgrid-coordinator"


def test_a_coordinator_that_answers(worker: Worker) -> None:
    worker.session = Session(answers=True)
    with pytest.raises(Problem) as seen:
        worker.do_resources({})
    assert seen.value.kind == "labgrid-orphaned"
