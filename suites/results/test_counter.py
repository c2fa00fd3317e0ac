"""The counter counts signed results, and no other request."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from tfm_harness import Bench, Check, Checks, Device, Refused, Verifier, build_result_profile
from tfm_harness.protocol.smp import Command

pytestmark = pytest.mark.needs("infer", "signed-result", "nonce", "trusted-results")

REFERENCE = "tfm-harness-reference"

RESULTS_ONLY = Check(
    id="result.counter-counts-results",
    title="each signed result takes the next number, and no other request takes one, whatever it is refused for",
    requirement="docs/protocol.md, label -70005 (rises by one with each signed result)",
)
REFUSED = Check(
    id="result.counter-refused-requests",
    title="the requests that are expected to be refused are refused",
    requirement="tfm-harness: a request that works counts rightly",
    waivable=False,
)


def refused_requests(bench: Bench, device: Device) -> dict[str, Callable[[], object]]:
    """Requests of a result, each with one thing wrong, in the order in which a service is likely to check them."""
    data, nonce = bytes(bench.description.input_bytes), bytes(range(16))
    right: dict[str, object] = {"nonce": nonce, "src": 1, "in": data}
    wrong: dict[str, dict[str, object]] = {
        "an empty nonce": {"nonce": b""},
        "a nonce of 7 bytes": {"nonce": nonce[:7]},
        "a nonce of 65 bytes": {"nonce": bytes(65)},
        "an unknown source": {"src": 2},
        "an input beside the sensor": {"src": 0},
        "no input": {"in": b""},
        "an input one byte short": {"in": data[:-1]},
        "an input one byte long": {"in": data + b"\0"},
        "a model that is not active": {"mid": bytes(32)},
        "a model that is not active, and a wrong input": {"mid": bytes(32), "in": data[:-1]},
        "a model that is not active, and the longest nonce": {"mid": bytes(32), "nonce": bytes(64)},
    }
    if not bench.missing(["encrypted-result"]):
        wrong |= {
            "an unknown encryption": {"enc": 2},
            "a model that is not active, to be encrypted": {"mid": bytes(32), "enc": 1},
            "an input one byte short, to be encrypted": {"in": data[:-1], "enc": 1},
        }
    if not bench.missing(["input-upload"]):
        wrong["an input that was not uploaded"] = {"in": None, "up": len(data) + 1}
    asked = {subject: {**right, **changes} for subject, changes in wrong.items()}
    if not bench.missing(["sensor", "sensor-model"]):
        asked["the sensor, without a window"] = {"nonce": nonce, "src": 0}
        asked["the sensor, and a model that is not active"] = {"nonce": nonce, "src": 0, "mid": bytes(32)}

    def asking(keys: dict[str, object]) -> Callable[[], object]:
        given = {key: value for key, value in keys.items() if value is not None}
        return lambda: device.test_commands.ask(Command.INFER, given)

    return {subject: asking(keys) for subject, keys in asked.items()}


def test_the_counter_counts_results_only(bench: Bench, device: Device, verifier: Verifier, checks: Checks) -> None:
    """Makes one other request between every two results. An encrypted result counts as a result."""
    if bench.description.firmware != REFERENCE or build_result_profile(bench.combination.build).rule("counter") is None:
        pytest.skip("not covered: what this firmware's counter counts is not known")
    if not bench.missing(["sensor", "sensor-model"]):
        device.test_commands.sample("clear")

    def count() -> int | None:
        data = random.Random(7).randbytes(bench.description.input_bytes)  # noqa: S311 - the same in each run
        return verifier.apart().result(device.infer_input(data)).counter

    last = count()
    others = device.requests(without=["a result", "an encrypted result"])
    if not bench.missing(["batch"]):
        two = bytes(2 * bench.description.input_bytes)
        others["a batch of two inputs"] = lambda: device.test_commands.ask(Command.BATCH, {"in": two})
    wrong = refused_requests(bench, device)
    for subject, ask in {**others, **wrong}.items():
        try:
            ask()
            answered = True
        except Refused:
            answered = False
        if subject in wrong:
            checks(REFUSED, not answered, expected="a refusal", seen="an answer", subject=subject)
        now = count()
        checks.equal(RESULTS_ONLY, now, None if last is None else last + 1, subject=f"the result after {subject}")
        last = now
    if not bench.missing(["encrypted-result"]):
        data = bytes(bench.description.input_bytes)
        hidden: dict[str, Callable[[], object]] = {"an input": lambda: device.infer_input(data, encrypted=True)}
        if not bench.missing(["sensor", "stimulus", "sensor-model"]):
            hidden["a window"] = lambda: device.infer_window(encrypted=True)
        for subject, ask in hidden.items():
            ask()
            now = count()
            wanted = None if last is None else last + 2
            checks.equal(RESULTS_ONLY, now, wanted, subject=f"two, the first one of {subject} and encrypted")
            last = now
