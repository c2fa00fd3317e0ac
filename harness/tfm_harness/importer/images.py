"""The signed images of a tree: they are read, and checked alone, against each other and against the build's facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tfm_harness.errors import ConfigError, HarnessError
from tfm_harness.files import read_file
from tfm_harness.findings import Policy, Report
from tfm_harness.importer.facts import Facts, version_of
from tfm_harness.importer.scan import MAX_FILE, Found, digest
from tfm_harness.verify.forms import decode
from tfm_harness.verify.image_files import split_images
from tfm_harness.verify.images import boot_record, verify_mcuboot
from tfm_harness.verify.keyfiles import parse_image_key
from tfm_harness.verify.mcuboot import ImageFormatError, McubootImage, TlvType, parse_mcuboot

__all__ = ["Signed", "SignedImage", "choose", "decoded", "read_signed"]


@dataclass(frozen=True, slots=True)
class SignedImage:
    """One signed image: its file, its offset in the file, and its contents."""

    role: str
    path: Path
    size: int
    image: McubootImage

    @property
    def component(self) -> str | None:
        """The software type of its boot record (``SPE``, ``NSPE``), which tokens repeat."""
        try:
            record = boot_record(self.image)
        except HarnessError:
            return None  # verification of the image judges a bad boot record, not this
        return record.type if record else None

    @property
    def hash(self) -> bytes:
        """The image's own hash TLV."""
        claimed = self.image.hash_tlv
        return claimed[1] if claimed else b""


@dataclass(frozen=True, slots=True)
class Signed:
    """The signed images of a tree; `offset` is the non-secure image's within the combined file."""

    secure: SignedImage | None
    nonsecure: SignedImage | None
    combined: Path | None
    offset: int | None


def decoded(path: Path) -> bytes:
    """The bytes that an image file stands for: Intel HEX is decoded, anything else is returned unchanged.

    Raises:
        ConfigError: ``import-bad-image``.
    """
    data = _load(path)
    if path.suffix.lower() != ".hex":
        return data
    try:
        return decode(data, what="image", where=str(path)).data
    except ConfigError as error:
        raise ConfigError(
            f"{path.name} is no Intel HEX file", kind="import-bad-image", seen=error.seen, where=str(path)
        ) from error


def choose(found: Found, role: str) -> Path | None:
    """Choose the file of a role; several copies must be equal.

    Raises:
        ConfigError: ``import-contradiction``.
    """
    paths = found.images.get(role, [])
    by_name: dict[str, list[Path]] = {}
    for path in paths:
        by_name.setdefault(path.name, []).append(path)
    for same in by_name.values():
        digests = {path: digest(path) for path in same}
        if len(set(digests.values())) > 1:
            other = next(path for path in same if digests[path] != digests[same[0]])
            raise ConfigError(
                f"this tree holds two different files called {same[0].name}",
                kind="import-contradiction",
                expected=f"SHA-256 {digests[same[0]][:16]}...  {same[0]}",
                seen=f"SHA-256 {digests[other][:16]}...  {other}",
                where=str(other),
                hint="one is left over from another build: build again from scratch, or name the folder that counts",
            )
    return paths[0] if paths else None


def read_signed(found: Found, facts: Facts, keys: Mapping[str, Path]) -> Signed:
    """Read the signed images, and refuse contradictions.

    Raises:
        ConfigError: ``import-contradiction`` or ``import-bad-image``.
    """
    single = {role: _single(role, choose(found, role)) for role in ("secure", "nonsecure")}
    combined = choose(found, "combined")
    offset: int | None = None
    if combined is not None:
        parts = _split(combined)
        offset = parts[1].image.start if len(parts) > 1 else None
        for role, part in zip(("secure", "nonsecure"), parts, strict=False):
            alone = single[role]
            if alone is None:
                single[role] = part
            elif alone.hash != part.hash:
                raise ConfigError(
                    f"the {role} image in {combined.name} is not the one in {alone.path.name}",
                    kind="import-contradiction",
                    expected=f"hash {alone.hash.hex()[:16]}...  {alone.path}",
                    seen=f"hash {part.hash.hex()[:16]}...  {combined}",
                    where=f"{combined}, byte {part.image.start:#x}",
                    hint="the combined file is left over from another build; build again from scratch",
                )
    for role, image in single.items():
        if image is not None:
            _check(role, image, facts, keys)
    present = [image for image in single.values() if image is not None]
    _dependencies(present)
    for image in present:
        _not_stale(image)
    return Signed(single["secure"], single["nonsecure"], combined, offset)


def _load(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_FILE:
            raise ConfigError(f"an image is larger than {MAX_FILE} bytes", kind="import-bad-image", where=str(path))
        return read_file(path, MAX_FILE)
    except OSError as error:
        raise ConfigError(
            f"an image cannot be read: {error.strerror}", kind="import-bad-image", where=str(path)
        ) from error


def _single(role: str, path: Path | None) -> SignedImage | None:
    if path is None:
        return None
    data = decoded(path)
    try:
        return SignedImage(role, path, len(data), parse_mcuboot(data))
    except ImageFormatError as error:
        raise _bad(path, error) from error


def _split(path: Path) -> list[SignedImage]:
    data = decoded(path)
    try:
        parts = split_images(data)
    except ImageFormatError as error:
        raise _bad(path, error) from error
    starts = [part.start for part in parts] + [len(data)]
    return [
        SignedImage(role, path, starts[index + 1] - part.start, part)
        for index, (role, part) in enumerate(zip(("secure", "nonsecure"), parts, strict=False))
    ]


def _bad(path: Path, error: ImageFormatError) -> ConfigError:
    return ConfigError(
        f"{path.name} is not a signed MCUboot image: {error.message}",
        kind="import-bad-image",
        expected=error.expected,
        seen=error.seen,
        where=f"{path}, {error.where}",
        hint="name the signed file (..._signed.bin) of a build with BL2",
    )


def _check(role: str, signed: SignedImage, facts: Facts, keys: Mapping[str, Path]) -> None:
    image, where = signed.image, str(signed.path)
    if image.computed_hash != signed.hash:
        raise ConfigError(
            f"{signed.path.name}: the image's hash is not that of its content",
            kind="import-bad-image",
            expected=image.computed_hash.hex() if image.computed_hash else "a hash TLV",
            seen=signed.hash.hex() or "none",
            where=where,
        )
    suffix = "S" if role == "secure" else "NS"
    said = facts.get(f"MCUBOOT_IMAGE_VERSION_{suffix}")
    wanted = version_of(said.value) if said else None
    if said is not None and wanted is not None and wanted != image.version[:3]:
        raise ConfigError(
            f"{signed.path.name} is of another version than its build says",
            kind="import-contradiction",
            expected=f"{said.value}  ({said.where})",
            seen=f"{image.version_text}  (image header)",
            where=where,
            hint="the image and the configuration come from different builds",
        )
    if role in keys:
        _check_signature(role, signed, keys[role])


# For a signed file, the names of its unsigned file in the same folder.
_SOURCES = {
    "tfm_s_signed": ("tfm_s.bin", "tfm_s.hex"),
    "tfm_ns_signed": ("tfm_ns.bin", "tfm_ns.hex"),
    "zephyr_ns_signed": ("zephyr.bin", "zephyr.hex"),
}


def _not_stale(signed: SignedImage) -> None:
    """Refuse a signed image that does not hold the unsigned one beside it: it was not signed after the last build."""
    image = signed.image
    if image.encrypted or image.compressed:
        return  # its payload is not the built file
    names = _SOURCES.get(signed.path.stem, ())
    source = next((path for name in names if (path := signed.path.parent / name).is_file()), None)
    if source is None:
        return
    built = decoded(source)
    head = built[: image.header_size]
    if not head.strip(b"\0") or not head.strip(b"\xff"):
        built = built[image.header_size :]  # it was linked with room for the header (no --pad-header)
    if image.payload.startswith(built):
        return
    differs = next(
        (at for at, (a, b) in enumerate(zip(image.payload, built, strict=False)) if a != b), len(image.payload)
    )
    raise ConfigError(
        f"{signed.path.name} is stale: it does not hold the {source.name} beside it",
        kind="import-contradiction",
        expected=f"{len(built)} bytes of {source}",
        seen=f"a payload of {len(image.payload)} bytes that differs from byte {differs:#x} on",
        where=str(signed.path),
        hint="the image was built anew and not signed again: finish the build (cmake --build ... -- install)",
    )


def _check_signature(role: str, signed: SignedImage, path: Path) -> None:
    try:
        key = parse_image_key(_load(path))
    except (HarnessError, ValueError) as error:
        raise ConfigError(
            f"{path.name} holds no usable public key: {error}", kind="import-bad-key", where=str(path)
        ) from error
    report = Report(policy=Policy.VALIDATION)
    verify_mcuboot(signed.image, key, report)
    wrong = [f for f in report if not f.passed and f.id in {"image.signature", "image.hash", "image.key-hash"}]
    if wrong:
        raise ConfigError(
            f"the {role} image is not signed by the key beside it",
            kind="import-contradiction",
            expected=f"{wrong[0].check.title}: {wrong[0].expected}",
            seen=wrong[0].seen,
            where=f"{signed.path} with {path}",
            hint="the image or the public key is left over from another build",
        )


def _dependencies(images: Sequence[SignedImage]) -> None:
    """A DEPENDENCY TLV names another image and the lowest version of it that this one accepts."""
    order = ("secure", "nonsecure")
    for signed in images:
        for tlv in signed.image.all(TlvType.DEPENDENCY):
            if len(tlv.value) < 12:
                continue
            wanted = (tlv.value[4], tlv.value[5], int.from_bytes(tlv.value[6:8], "little"))
            other = next((i for i in images if tlv.value[0] < len(order) and i.role == order[tlv.value[0]]), None)
            if other is not None and other is not signed and other.image.version[:3] < wanted:
                raise ConfigError(
                    f"{signed.path.name} does not accept the {other.role} image beside it",
                    kind="import-contradiction",
                    expected=f"{other.role} image {'.'.join(map(str, wanted))} or newer (dependency TLV)",
                    seen=f"{other.image.version_text}  {other.path.name}",
                    where=str(signed.path),
                )
