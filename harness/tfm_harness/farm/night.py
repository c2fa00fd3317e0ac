"""A night as a state machine: it chooses the next sessions, and takes the results of ended ones. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from tfm_harness.farm.health import after_check, after_session, check_due, may_check
from tfm_harness.farm.night_state import ABSENT_GRACE, BoardTonight, Ended, NightState, NotRun
from tfm_harness.farm.outcome import CUT_OFF, DIED, bench_failure, busy, golden_check, golden_reason
from tfm_harness.farm.tasks import Assignment, SessionResult, Task
from tfm_harness.farm.tries import wanted

__all__ = ["ABSENT_GRACE", "BoardTonight", "Ended", "Night", "NotRun"]

BUSY_PAUSE: Final = 60.0
"""Seconds after which a board that somebody else held is tried again."""
BUSY_TRIES: Final = 3
CHECK_DEATHS: Final = 2
"""The number of golden checks that are killed from outside after which the board counts as Bad."""


class Night(NightState):
    """The state machine: `next` chooses sessions to start, `take` handles an ended one. Arguments: see `NightState`."""

    # -- what starts

    def next(self, now: float) -> list[Assignment]:
        """Sessions to start now; they count as running from now on.

        Args:
            now: seconds since 1970.
        """
        if self.closed:
            return []
        started: list[Assignment] = []
        claimed: set[str] = set()  # boards whose golden check another waiting task needs already
        for task in list(self.waiting):
            if not self._room():
                return started
            boards, why = self._candidates(task, now)
            if not boards:
                self.waiting.remove(task)
                if not task.tried:  # a further try is not possible: the results of earlier tries remain
                    self.not_run.append(NotRun(task=task, why=why))
                continue
            chosen = self._choose(task, boards, claimed, now)
            if chosen is not None:
                started.append(chosen)
        started += self._routine(now)
        return started

    def over(self, now: float) -> bool:
        """Whether nothing runs and nothing can start any more."""
        if self.running:
            return False
        return bool(self.closed) or (not self.waiting and not self._routine_boards(now))

    def _room(self) -> bool:
        return len(self.running) < self.plan.at_once

    def _candidates(self, task: Task, now: float) -> tuple[list[BoardTonight], str]:
        """The boards that may run the task, now or later; and, if there are none, the reasons."""
        pool = self.plan.pools[task.pool]
        whole = [self.boards[name] for name in pool.boards]
        wished = [board for board in whole if board.name == task.home] if task.home and not task.tried else whole
        others = [board for board in wished if board.name not in task.avoid]
        usable = [board for board in others if not board.unusable(now)]
        if not usable and task.tried:
            usable = [board for board in wished if not board.unusable(now)]
        return usable, "; ".join(f"{board.name}: {board.unusable(now)}" for board in wished)

    def _due(self, board: BoardTonight, now: float) -> bool:
        golden = self.plan.pools[board.pool].golden
        return check_due(board.health, began=self.began, now=now, every=golden.every)

    def _choose(self, task: Task, boards: Sequence[BoardTonight], claimed: set[str], now: float) -> Assignment | None:
        free = [board for board in boards if board.free(now)]
        proved = [board for board in free if not self._due(board, now)]
        if proved:
            self.waiting.remove(task)
            return self._start(task, min(proved, key=self._rank))
        checked = [b.name for b in boards if b.running and self.running[b.running].task.golden]
        waited_for = next((name for name in checked if name not in claimed), None)
        if waited_for is not None:
            claimed.add(waited_for)
            return None
        if free:
            chosen = min(free, key=self._rank)
            claimed.add(chosen.name)
            return self._check(chosen)
        return None

    def _rank(self, board: BoardTonight) -> tuple[int, int, int]:
        """The order of choice: fewest failures, then fewest sessions tonight, then the order in the pool."""
        return board.failures, board.sessions, self.plan.pools[board.pool].boards.index(board.name)

    def _check(self, board: BoardTonight) -> Assignment:
        golden = self.plan.pools[board.pool].golden
        task = Task(
            id=self._task_id(), pool=board.pool, build=golden.build, suites=golden.suites, home=board.name, golden=True,
            quick=golden.quick, expected=self.times.expected(board.pool, golden.build, golden=True),
        )  # fmt: skip
        return self._start(task, board)

    def _start(self, task: Task, board: BoardTonight) -> Assignment:
        self._sessions += 1
        name = f"{self.name}.{self._sessions:03d}.{board.name}.{task.build}" + (".golden" if task.golden else "")
        assignment = Assignment(session=name, task=task, board=board.name)
        board.running = name
        self.running[name] = assignment
        return assignment

    def _task_id(self) -> int:
        self._last_task += 1
        return self._last_task

    def _routine(self, now: float) -> list[Assignment]:
        """Golden checks for which no task waits: each board once a night, Looping boards as long as there is work."""
        started = []
        for board in self._routine_boards(now):
            if not self._room():
                break
            started.append(self._check(board))
        return started

    def _routine_boards(self, now: float) -> list[BoardTonight]:
        if self.closed:
            return []
        work = bool(self.waiting) or any(not one.task.golden for one in self.running.values())
        found = []
        for board in self.boards.values():
            if not may_check(board.health.state) or not board.free(now):
                continue
            if board.health.state == "Looping":
                loops = self.plan.pools[board.pool].golden.loops
                again = board.checks == 0 or (work and board.checks < loops)
            else:
                again = board.checks == 0 and board.times_busy == 0 and self._due(board, now)
            if again:
                found.append(board)
        return sorted(found, key=lambda board: board.checks)

    # -- what ended

    def take(self, result: SessionResult, now: float) -> None:
        """Handle the end of a session.

        Args:
            result: the session's result.
            now: seconds since 1970.
        """
        assignment = self.running.pop(result.session)
        board = self.boards[assignment.board]
        board.running = ""
        board.seconds += result.seconds
        board.host = result.host or board.host
        self.ended.append(Ended(assignment=assignment, result=result))
        if assignment.task.golden:
            self._take_check(board, result, now)
        elif result.trouble == CUT_OFF:
            self._take_cut_off(board, assignment.task, result)
        else:
            self._take_session(board, assignment.task, result, now)

    def _take_check(self, board: BoardTonight, result: SessionResult, now: float) -> None:
        if result.trouble == CUT_OFF:
            return
        board.checks += 1
        if result.trouble == DIED:
            board.died += 1
            if board.died < CHECK_DEATHS:  # the host may have killed it: repeat the check if a task waits for the board
                return
        check = golden_check(result)
        if check == "failed":
            board.failures += 1
            board.failed_tonight += 1
        if check == "undecided" and not self._pause(board, result, now) and not result.trouble:
            board.away = f"the golden build could not say: {result.headline or result.verdict}"
        elif check == "undecided" and result.trouble and result.responsibility != "infrastructure":
            board.away = f"the golden build could not run: {result.headline}"
        board.health = after_check(board.health, check, now=now, reason=golden_reason(result), by=self.name)

    def _take_cut_off(self, board: BoardTonight, task: Task, result: SessionResult) -> None:
        """Handle a session that the night's end cut off: tests that ran count; a resumed night runs the others."""
        board.sessions += 1
        seen = self.attempts.setdefault(task.key, {})
        ran = {nodeid: one for nodeid, one in result.attempts.items() if not one.cut_off}
        for nodeid, attempt in (result.attempts if self.closed else ran).items():
            seen.setdefault(nodeid, []).append(attempt)
        if self.closed:
            return
        rest = tuple(nodeid for nodeid in result.attempts if nodeid not in ran)
        if rest or not result.attempts:
            self.waiting.append(replace(task, id=self._task_id(), only=rest or task.only, why="resumed"))
        if ran:
            self._follow_up(board, task, replace(result, attempts=ran))

    def _take_session(self, board: BoardTonight, task: Task, result: SessionResult, now: float) -> None:
        board.sessions += 1
        seen = self.attempts.setdefault(task.key, {})
        for nodeid, attempt in result.attempts.items():
            seen.setdefault(nodeid, []).append(attempt)
        failed = bench_failure(result)
        if failed and not self._pause(board, result, now):
            board.failures += 1
            board.failed_tonight += 1
            board.health = after_session(board.health, failed, now=now, by=self.name)
        self._follow_up(board, task, result)

    def _pause(self, board: BoardTonight, result: SessionResult, now: float) -> bool:
        """Whether somebody else held the board; it then pauses, after `BUSY_TRIES` times for the whole night."""
        if not busy(result):
            return False
        board.times_busy += 1
        board.busy_until = now + BUSY_PAUSE
        if board.times_busy >= BUSY_TRIES:
            board.away = "in use by somebody else"
        return True

    def _follow_up(self, board: BoardTonight, task: Task, result: SessionResult) -> None:
        """Plan a further session for the tests that need a further try."""
        if self.closed:
            return
        avoid = tuple(dict.fromkeys((*task.avoid, board.name)))
        if not result.attempts:
            if result.responsibility == "infrastructure" and task.tried + 1 < self.plan.tries:
                why = f"{board.name} gave no result ({result.trouble})"
                self.waiting.append(replace(task, id=self._task_id(), avoid=avoid, tried=task.tried + 1, why=why))
            return
        seen = self.attempts[task.key]
        wants = {nodeid: wanted(seen[nodeid], tries=self.plan.tries) for nodeid in result.attempts}
        only = tuple(nodeid for nodeid, want in wants.items() if want)
        if only:
            again = sum(want == "again" for want in wants.values())
            words = [f"{again} that the bench failed"] * bool(again)
            words += [f"{len(only) - again} of the product to tell flakes from facts"] * (again < len(only))
            self.waiting.append(
                replace(
                    task, id=self._task_id(), only=only, avoid=avoid, tried=task.tried + 1,
                    why=f"after {board.name}: {', '.join(words)}", expected=None,
                )
            )  # fmt: skip
