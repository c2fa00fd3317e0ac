"""The command line of a session."""

from __future__ import annotations

from tfm_harness.farm.engines.base import Job
from tfm_harness.farm.tasks import Assignment, Plan

__all__ = ["MODULE", "make_job"]

MODULE = "tfm_harness.cli.main"


def make_job(assignment: Assignment, plan: Plan, *, policy: str = "") -> Job:
    """The job of an assignment for an engine: ``tfm-harness run`` with all options.

    Args:
        assignment: a task on a board.
        plan: the plan of the night.
        policy: the policy of the farm; empty: the build's own.
    """
    task = assignment.task
    pool = plan.pools[task.pool]
    source = pool.golden.source if task.golden else plan.builds[task.build].source
    words = [MODULE, "run", *task.suites, *(f"--target={target}" for target in pool.targets)]
    words += ["--pool"] * (len(pool.targets) > 1)
    words += [f"--board={assignment.board}", f"--build={source}", "--run-dir={run}", "--junitxml={run}/junit.xml"]
    words += ["--state-dir={state}"] * bool(plan.state) + ["--quick"] * task.quick
    words += [f"--policy={policy}"] * bool(policy and not task.golden) + ["--only={run}/only.txt"] * bool(task.only)
    words += ["--", *["--tfm-deterministic"] * task.deterministic, "-p", "no:cacheprovider", "--color=no", "-q"]
    return Job(
        session=assignment.session, board=assignment.board, command=tuple(words), only=task.only, seconds=plan.session
    )
