"""A board in memory whose firmware has TF-M's Crypto and Firmware Update services, affected by advisories on demand."""

from __future__ import annotations

from typing import Literal

from tfm_harness.boards.base import ResetKind
from tfm_harness.config.build import Build
from tfm_harness.protocol.smp import CRYPTO_FORMS
from tfm_harness.testing import TfmServices

from tests.plugin.simulator_board import SimulatorBoard, SimulatorTarget

BASE, SIZE = 0x21000000, 0x10000


class TfmTarget(SimulatorTarget):
    kind: Literal["tfm"]  # type: ignore[assignment] # another kind than its base


class TfmBoard(SimulatorBoard):
    """`fault`: advisories, and ``form-N`` for the N-th form of calls, with spaces between."""

    kind = "tfm"
    config_model = TfmTarget

    def flash(self, build: Build) -> None:
        super().flash(build)
        words = self.fault.split()
        form = next((CRYPTO_FORMS[int(word[5:])] for word in words if word.startswith("form-")), CRYPTO_FORMS[0])
        self.services = TfmServices(self.firmware, BASE, SIZE, form=form, affected=frozenset(words))

    def reset(self, kind: ResetKind = ResetKind.WARM) -> None:
        super().reset(kind)
        self.services.dead = False
        self._consoles["ns"].push(self.firmware.boot())

    def _describe(self, asked: dict[str, object]) -> dict[str, object]:
        said = super()._describe(asked)
        return said | {"feat": ["describe", "public-keys", "probe", "psa-call"]}

    def _answer(self, data: bytes) -> bytes:
        answer = super()._answer(data)
        return b"" if self.services.dead else answer
