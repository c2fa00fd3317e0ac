"""A console suite of its own: what the Unity test framework prints, as patterns."""

from __future__ import annotations

from tfm_harness.console_suites import Outcome, Rule, Step, SuiteMachine


class Unity(SuiteMachine):
    """Lines such as ``test_led.c:12:test_led_on:PASS`` between ``unity: NAME`` and ``OK`` or ``FAIL``."""

    kind = "example-unity"
    title = "Unity"
    end_marker = "Unity's last line, OK or FAIL"
    suites_end_themselves = False
    outcomes = {"PASS": Outcome.PASSED, "OK": Outcome.PASSED, "FAIL": Outcome.FAILED, "IGNORE": Outcome.SKIPPED}  # noqa: RUF012 - as the base has it
    rules = (
        Rule.of(Step.SUITE_BEGIN, r"unity: (?P<suite>\S+)"),
        Rule.of(Step.CASE_BEGIN, r"run (?P<case>\w+)"),
        Rule.of(Step.CASE_END, r"\S+:\d+:(?P<case>\w+):(?P<outcome>PASS|FAIL|IGNORE)(?::.*)?"),
        Rule.of(Step.RUN_END, r"(?P<outcome>OK|FAIL)"),
    )
