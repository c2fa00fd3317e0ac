"""Firmware images for suites: the build's signed non-secure image, and trials of changed ones on its board."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tfm_harness.bench.not_covered import NotCovered
from tfm_harness.boards.base import PowerState
from tfm_harness.coverage.helper_checks import IMAGE_COUNTER_KEPT, IMAGE_REFUSAL_SAID
from tfm_harness.files import IMAGE_LIMIT, read_file
from tfm_harness.testing.images import ImageRecipe, load_signing_key
from tfm_harness.verify.mcuboot import McubootImage, TlvType, parse_mcuboot

if TYPE_CHECKING:
    from tfm_harness.config.build import Build
    from tfm_harness.console.base import Mark
    from tfm_harness.plugin.bench import Bench
    from tfm_harness.plugin.checks import Checks

__all__ = ["REFUSAL", "ImageTrials", "SignedImage", "signed_image"]

REFUSAL: Final = re.compile(
    rb"\[[A-Z]+\] [^\n]* refused: "  # the reference firmware
    # MCUboot, and with it TF-M's BL2 ([ERR]) and Zephyr's boot loader (E:)
    rb"|Image in the (?:primary|secondary) slot is not valid"
    rb"|Unable to find bootable image"
    rb"|Image \d+ not valid|Boot(?:ing)? failed|FIH panic"
)
"""How boot loaders say that an image is not to run."""


@dataclass(frozen=True)
class SignedImage:
    """The build's non-secure image: its bytes, and its parts."""

    data: bytes
    parts: McubootImage

    @property
    def code(self) -> int:
        """Offset of the first byte that runs."""
        return self.parts.header_size

    def value(self, *kinds: int) -> tuple[int, int] | None:
        """Offset and length of the first TLV of these types; None where the image has none."""
        for tlv in self.parts.tlvs:
            if tlv.type in kinds:
                return self.data.index(tlv.value, tlv.offset), len(tlv.value)
        return None

    @property
    def counter(self) -> int | None:
        """The security counter."""
        place = self.value(TlvType.SEC_CNT)
        return None if place is None else int.from_bytes(self.data[place[0] : sum(place)], "little")

    @property
    def higher(self) -> int:
        """The security counter of images that must be refused: a mistake, or an attack, bars nothing."""
        return (self.counter or 1) + 9


def signed_image(bench: Bench) -> SignedImage:
    """The signed non-secure image of the build under test.

    Raises:
        NotCovered: the build has none.
    """
    build = bench.combination.build
    image = next((image for image in build.images if image.world == "nonsecure" and image.kind == "bin"), None)
    if image is None:
        raise NotCovered(f"{build.name} has no signed non-secure image")
    data = read_file(image.file, IMAGE_LIMIT)
    return SignedImage(data, parse_mcuboot(data))


class ImageTrials:
    """Flashes images in place of the build's non-secure one. Needs ``fast-flash`` and ``identity``.

    Attributes:
        signed: the build's own image.
        heard: what all consoles said of the last image that was flashed to be refused.
        replaced: whether the build under test is not on the board any more, so that it must be flashed again.
    """

    def __init__(self, bench: Bench, checks: Checks, folder: Path) -> None:
        self.bench, self._checks, self._path = bench, checks, folder / "image.bin"
        self.signed = signed_image(bench)
        self.heard = b""
        self.replaced = False

    def refusal(self, data: bytes) -> tuple[str | None, bool]:
        """Flash an image that must not run: what was said of it, and whether nothing answers.

        What was said is None where the boot loader spoke of other things only, and "" where not one byte came: a
        silent one (TF-M's BL2 in a Release build) is judged by what must not happen.
        """
        marks = self._flash(data)
        silent = self.bench.stays_silent()
        return self._said(marks), silent

    def runs(self, data: bytes) -> bool:
        """Flash an image that must run."""
        self._flash(data)
        return self.bench.answers()

    def own_runs(self) -> bool:
        """Flash the build's own image: whether it runs. Then the board is as the next test wants it."""
        self.bench.flash_variant(self.bench.combination.build)
        self.replaced = not self.bench.answers()
        if not self.replaced:
            self.bench.prove_build()
        return not self.replaced

    def forget_counters(self) -> None:
        """What the board remembers would refuse the build under test, which is flashed next."""
        self.bench.board.power(PowerState.OFF)
        self.bench.board.erase()
        self.replaced = True

    def recipe(self, **changes: object) -> ImageRecipe:
        """The same code, to be signed anew with the key that the build gives to tests (``file-model-signing-key``).

        Raises:
            NotCovered: that key signs models alone.
        """
        build = self.bench.combination.build
        if build.trust.models is not None:
            raise NotCovered("the key for tests signs models, and images have another one")
        return ImageRecipe(
            payload=self.signed.parts.payload,
            name="",
            counter=self.signed.counter or 1,
            version=self.signed.parts.version[:3],
            key=load_signing_key(build.files["model-signing-key"]),
        ).but(**changes)

    def says(self, line: str, subject: str) -> None:
        """Judge that this line stands in what was heard of the last refusal."""
        said = line.encode() + b"\n" in self.heard
        self._checks(IMAGE_REFUSAL_SAID, said, expected=line, seen=self.heard[-300:], subject=subject)

    def judge_said(self, said: str | None, subject: str) -> None:
        """A boot loader that prints anything at all says that it refused; `said` as `refusal` gives it."""
        if said != "":
            self._checks(
                IMAGE_REFUSAL_SAID,
                said is not None,
                expected="a refusal",
                seen=said or "other text only",
                subject=subject,
            )

    def runs_again(self, subject: str) -> None:
        """After images with higher security counters were refused, the build's own still runs."""
        if self.bench.missing(["nonvolatile", "factory-reset"]):
            return
        if not self._checks(IMAGE_COUNTER_KEPT, self.own_runs(), expected="an answer", seen="silence", subject=subject):
            self.forget_counters()

    def _flash(self, data: bytes) -> dict[str, Mark]:
        self.replaced = True
        self._path.write_bytes(data)
        build = self.bench.combination.build
        images = tuple(
            image.model_copy(update={"file": self._path})
            if image.world == "nonsecure" and image.kind == "bin"
            else image
            for image in build.images
        )
        variant: Build = build.model_copy(update={"images": images})
        marks = {name: console.mark() for name, console in self.bench.board.consoles.items()}
        self.bench.flash_variant(variant)
        return marks

    def _said(self, marks: dict[str, Mark]) -> str | None:
        """The words that say so, on whichever console; None or "" as `refusal` has it."""
        texts = [self.bench.board.console(name).read_from(mark) for name, mark in marks.items()]
        self.heard = b"".join(texts)
        found = next((match for text in texts if (match := REFUSAL.search(text.replace(b"\0", b"")))), None)
        if found is not None:
            return found[0].decode("ascii", "backslashreplace")
        return None if any(text.strip() for text in texts) else ""
