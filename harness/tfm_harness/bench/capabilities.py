"""The capabilities of a combination for tests, beyond the features of the firmware's protocol."""

from __future__ import annotations

from typing import Final

from tfm_harness.boards.base import Board
from tfm_harness.config.build import Build
from tfm_harness.config.target import TargetBase
from tfm_harness.protocol.base import Feature

__all__ = ["BOARD_WORDS", "KNOWN_WORDS", "build_capabilities", "capabilities", "is_known_word"]

BOARD_WORDS: Final = (
    "call-stops",
    "clock-control",
    "cold-reset",
    "debug-port",
    "debugger",
    "factory-reset",
    "fast-flash",
    "known-secrets",
    "memory-dump",
    "nonvolatile",
    "nv-access",
    "provision",
    "register-stops",
    "sensor-removal",
    "stimulus",
    "warm-reset",
    "write-stops",
)
"""Words that depend only on the board, whatever the build."""
_OF_BUILDS = ("console-suites", "dataset", "memory-map", "sensor-model", "services", "trusted-iak", "trusted-results")
KNOWN_WORDS: Final = frozenset({*map(str, Feature), *BOARD_WORDS, *_OF_BUILDS})
"""Words that tests may name in ``needs(...)``; ``file-NAME``, ``target-KIND`` and words with a dot are allowed, too."""


def is_known_word(word: str) -> bool:
    """Whether a word of ``needs(...)`` can ever be met. A package's own words have a dot (``acme.lid-switch``)."""
    return word in KNOWN_WORDS or word.startswith(("file-", "target-")) or "." in word


def capabilities(board: Board, build: Build, *, stimulus: bool) -> frozenset[str]:
    """The words that tests may name in ``needs(...)``: the board's own and those of the build.

    Args:
        board: gives its own words.
        build: the build, with the facts that the host knows about the firmware.
        stimulus: whether a stimulus plays the board's sensors.
    """
    return board.capabilities | build_capabilities(build, board.target) | ({"stimulus"} if stimulus else set())


def build_capabilities(build: Build, target: TargetBase | None = None) -> frozenset[str]:
    """Words that depend on the two files alone; without a target, its words are left out."""
    described: list[Build | TargetBase] = [build] if target is None else [build, target]
    said = {
        "memory-map": any(file.memory_map is not None for file in described),
        "services": any(file.services for file in described),
        "trusted-iak": build.trust.iak is not None,
        "trusted-results": build.trust.results is not None,
        "sensor-model": any(model.input == "sensor" for model in build.models.values()),
        "dataset": any(model.dataset is not None for model in build.models.values()),
        "console-suites": bool(build.console_suites),
    }
    return frozenset({word for word, true in said.items() if true} | {f"file-{name}" for name in build.files})
