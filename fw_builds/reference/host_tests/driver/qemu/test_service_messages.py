"""Messages of any type, count and size to the inference service: a status, and never a panic of the secure side."""

from __future__ import annotations

import random

import pytest
from board_types import Boot
from shown_figures import ShowFigure

pytestmark = pytest.mark.qemu

INFERENCE_SERVICE = 0x40000105
SCRATCH = 0x21100000  # non-secure RAM that nobody uses
SIZES = [0, 1, 4, 8, 12, 16, 31, 32, 36, 48, 64, 96, 100, 108, 128, 129, 256, 512, 3072, 4096, 4097, 100_000]
ROUNDS = 600
LAST_TYPE = 10


def test_any_message_is_answered_with_a_status(boot: Boot, show_figure: ShowFigure) -> None:
    board = boot(icount=False)
    device = board.device
    rng = random.Random(11)  # noqa: S311 - the same messages in each run
    seen: dict[int, int] = {}
    for number in range(ROUNDS):
        # what the structures would hold: small numbers more often than not, in the first words
        device.probe(SCRATCH + 4 * rng.randrange(4), value=rng.choice([0, 1, 2, 3, 8, 64, 65, rng.getrandbits(32)]))
        in_count, out_count = rng.randrange(4), rng.randrange(3)
        vectors_in = [[SCRATCH + rng.choice([0, 4]), rng.choice(SIZES)] for _ in range(in_count)]
        vectors_out = [[SCRATCH + 0x40000 * (n + 1), rng.choice(SIZES)] for n in range(out_count)]
        status = device.psa_call(INFERENCE_SERVICE, rng.randrange(LAST_TYPE + 1), vectors_in, vectors_out)
        assert status == 0 or -152 <= status <= -129, status
        seen[status] = seen.get(status, 0) + 1
        if number % 100 == 0:
            assert device.describe()["boot"] == 0, "it was reset"
    assert {0, -135, -138, -134} <= set(seen), seen  # accepted, wrong size, no room, no such type: all were reached
    assert device.read(8)["n"] == 0, "something faulted"
    assert "PANIC" not in board.secure_log()
    show_figure(f"{ROUNDS} messages to the inference service, by status: {dict(sorted(seen.items()))}")
