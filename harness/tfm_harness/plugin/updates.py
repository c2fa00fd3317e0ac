"""Model updates for suites: images made for the device's models, tried on it, and what must hold after a refusal."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import TYPE_CHECKING, Final

from tfm_harness.bench.not_covered import NotCovered
from tfm_harness.coverage.helper_checks import OLD_MODEL_WORKS, UPDATE_CHANGES_NOTHING
from tfm_harness.errors import ProductError
from tfm_harness.files import MODEL_LIMIT, read_file
from tfm_harness.findings import Check
from tfm_harness.protocol.smp.answers import ModelInfo, Refused, status_of
from tfm_harness.testing.images import ImageRecipe, load_signing_key, make_image

if TYPE_CHECKING:
    from tfm_harness.bench.device import Device
    from tfm_harness.bench.verifier import Verifier
    from tfm_harness.bench.virtual import VirtualBoard
    from tfm_harness.plugin.bench import Bench
    from tfm_harness.plugin.checks import Checks

__all__ = ["ModelUpdates"]


class ModelUpdates:
    """Makes images for the device's models and tries them. Needs ``update``, ``models``, ``file-model-signing-key``.

    The smallest model of the build is made active: uploads take most of the time.

    Attributes:
        entry: the active model's slot, as the device described it when the test began.
        changed: whether anything was activated, so that the device must forget it again.
    """

    HEADER_SIZE: Final = 32
    """Bytes of the images' headers: all that the format needs."""

    def __init__(self, bench: Bench, device: Device, checks: Checks, verifier: Verifier) -> None:
        self.bench, self.device, self.checks, self._verifier = bench, device, checks, verifier
        self.key = load_signing_key(bench.combination.build.files["model-signing-key"])
        self.changed = False
        self._payloads: dict[str, bytes] = {}
        device.select_model(self._smallest())
        self.entry = self.active()

    # -- what the device holds

    def active(self) -> ModelInfo:
        """The active model's slot."""
        return next(entry for entry in self.device.test_commands.models() if entry.active)

    def active_or_none(self) -> ModelInfo | None:
        """The active model's slot; None when none is active."""
        return next((entry for entry in self.device.test_commands.models() if entry.active), None)

    def valid(self) -> list[ModelInfo]:
        """Valid models that the build has a file for, the smallest first."""
        known = self.bench.combination.build.models
        found = [entry for entry in self.device.test_commands.models() if entry.status == 0 and entry.name in known]
        return sorted(found, key=lambda entry: entry.length)

    def other(self) -> ModelInfo:
        """A valid model of another name."""
        return next(entry for entry in self.valid() if entry.name != self.entry.name)

    def _smallest(self) -> str:
        models = self.valid()
        build = self.bench.combination.build
        named = [name for name, model in build.models.items() if model.image is not None and model.slot is not None]
        if len(models) < 2 <= len(named):  # or a device that takes none would leave all of this untried
            raise ProductError(
                "the device does not accept the images of the build's models",
                kind="model-refused",
                expected=f"at least two valid images: the build declares {', '.join(named)}",
                seen=", ".join(entry.name for entry in models) or "none",
            )
        if len(models) < 2:
            raise NotCovered("the device holds fewer than two valid models of the build")
        return models[0].name

    def payload(self, name: str) -> bytes:
        """The build's own .tflite file of that name."""
        if name not in self._payloads:
            self._payloads[name] = read_file(self.bench.combination.build.model_file(name), MODEL_LIMIT)
        return self._payloads[name]

    def input(self, fill: int = 0) -> bytes:
        """One input tensor of the active model."""
        size = self.device.describe().raw["in"]
        return bytes([fill]) * size if isinstance(size, int) else b""

    # -- images

    def recipe(self, *, ahead: int = 0, of: ModelInfo | None = None) -> ImageRecipe:
        """A right image for the model that was active when the test began (or another), `ahead` counters newer."""
        entry = of or self.entry
        counter = entry.counter + ahead
        return ImageRecipe(
            payload=self.payload(entry.name), name=entry.name, counter=counter, version=(1, 0, counter & 0xFFFF),
            key=self.key, header_size=self.HEADER_SIZE,
        )  # fmt: skip

    def image(self, *, ahead: int = 0, **changes: object) -> bytes:
        """The file of `recipe` with changes."""
        return make_image(self.recipe(ahead=ahead).but(**changes))

    @staticmethod
    def digest(image: bytes) -> bytes:
        """What an upload of the image announces."""
        return hashlib.sha256(image).digest()

    # -- trying them

    def attempt(self, image: bytes) -> int | None:
        """Upload and activate: 0, or the status of the refusal. What was activated is what results are judged by."""
        test_commands = self.device.test_commands
        try:
            test_commands.activate_model(test_commands.upload_model(image))
        except Refused as refused:
            return refused.status
        self.changed = True
        self.bench.trust.installed(self.active().name, image)
        self.device.describe()
        return 0

    def activated(self, digest: bytes) -> int | None:
        """Ask for the activation of what was uploaded under this digest: 0, or the status of the refusal.

        For tests of requests: what results are judged by stays as it was.
        """
        return status_of(self.device.test_commands.activate_model, digest)

    @classmethod
    def damage_kept(cls, virtual: VirtualBoard, image: bytes, length: int) -> None:
        """Change a bit in the middle of the model of an update that was taken, where the firmware keeps it.

        Args:
            virtual: the board; its power may be on or off.
            image: the update as it was sent.
            length: of its model, in bytes.

        Raises:
            NotCovered: it is kept elsewhere than in the NV memory, or not as it came.
        """
        at = virtual.nv.read().find(image)
        if at < 0:
            raise NotCovered("the firmware keeps updated images elsewhere, or not as they came")
        place = at + cls.HEADER_SIZE + length // 2
        virtual.nv.write(place, bytes([virtual.nv.read(place, 1)[0] ^ 0x40]))

    def refuse(self, check: Check, image: bytes, *status: int, subject: str = "") -> None:
        """The image must be refused with that psa_status_t (or one of several), and nothing may change by it."""
        before = self.active()
        seen = self.attempt(image)
        self.checks(check, seen in status, expected=" or ".join(map(str, status)), seen=seen, subject=subject)
        self.unchanged(before, subject)

    def unchanged(self, before: ModelInfo, subject: str = "") -> None:
        """The active model is the one of `before`."""
        now = self.active()
        seen, wanted = (dataclasses.astuple(dataclasses.replace(entry, active=True)) for entry in (now, before))
        self.checks.equal(UPDATE_CHANGES_NOTHING, str(seen), str(wanted), subject=subject)

    def old_model_works(self, subject: str = "") -> None:
        """The model that was active before gives a result that verifies."""
        try:
            self._verifier.result(self.device.infer_input(self.input(7)), subject=subject)
        except Refused as refused:
            self.checks(OLD_MODEL_WORKS, False, expected="a result", seen=refused.message, subject=subject)
        else:
            self.checks(OLD_MODEL_WORKS, True)
