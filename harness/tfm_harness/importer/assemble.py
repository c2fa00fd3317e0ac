"""Makes the values of a build description from a build tree, each with its origin."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tfm_harness.config.contents import image_words
from tfm_harness.errors import ConfigError
from tfm_harness.files import KEY_LIMIT, read_file
from tfm_harness.importer.facts import Fact, Facts, read_facts, version_of
from tfm_harness.importer.images import Signed, SignedImage, choose, read_signed
from tfm_harness.importer.layout import Layout, layout_of, platform_names
from tfm_harness.importer.manifests import extra_partitions
from tfm_harness.importer.model import Import, ImportedImageEntry, Value
from tfm_harness.importer.scan import Found, scan

__all__ = ["import_tree"]


def import_tree(roots: Sequence[Path], *, platform: str | None = None, name: str | None = None) -> Import:
    """Read one TF-M build.

    Args:
        roots: its folders: the SPE build (or ``api_ns``) and, if it is separate, the NS build.
        platform: short name or ``TFM_PLATFORM``, if the tree does not name it or must be overruled.
        name: the description's name; made from the platform and version when absent.

    Raises:
        ConfigError: nothing to import, or files that contradict each other; ``kind`` distinguishes them.
    """
    try:
        return _import(roots, platform, name)
    except OSError as error:  # deleted or made unreadable since it was listed
        raise ConfigError(
            f"a file of the tree cannot be read: {error.strerror}",
            kind="import-unreadable",
            where=str(error.filename),
        ) from error


def _import(roots: Sequence[Path], platform: str | None, name: str | None) -> Import:
    found = scan(roots)
    facts = read_facts(found, {path: _label(path, found) for paths in found.config.values() for path in paths})
    keys = {role: chosen for role in ("secure", "nonsecure") if (chosen := _public_key(found, role))}
    signed = read_signed(found, facts, keys)
    unsigned = _unsigned(found, facts) if signed.secure is None and signed.nonsecure is None else []
    if signed.secure is None and signed.nonsecure is None and not unsigned:
        raise _nothing(found)
    version = _version(facts, signed)
    said_platform = facts.get("TFM_PLATFORM")
    where = f"{said_platform.where}" if said_platform else ""
    chosen_platform = platform or (said_platform.value if said_platform else None)
    if platform is not None:
        where = "--platform"
        if said_platform is not None and not said_platform.value.rstrip("/").endswith(platform.rsplit("/", 1)[-1]):
            raise ConfigError(
                "the tree was built for another platform",
                kind="import-contradiction",
                expected=platform,
                seen=said_platform.value,
                where=said_platform.where,
            )
        if said_platform is not None:
            chosen_platform, where = said_platform.value, said_platform.where
    number = version_of(str(version.value)) if version.value else None
    layout = layout_of(chosen_platform, number) if chosen_platform else None
    result = Import(
        name=name or _name(chosen_platform, version),
        version=version,
        platform=Value(chosen_platform, where),
        isolation_level=_fact(facts, "TFM_ISOLATION_LEVEL"),
        spm_backend=_fact(facts, "CONFIG_TFM_SPM_BACKEND"),
        partitions=facts.partitions(),
        image_key=keys.get("nonsecure") or keys.get("secure"),
        machine=layout.machine if layout else None,
        private_keys=sorted(found.private_keys),
    )
    if unsigned:
        result.images += unsigned
        result.unknown.append("who made the images: without BL2 nothing is signed and no boot is verified")
        if len(unsigned) < 2:
            result.unknown.append("the non-secure image: no tfm_ns.axf was found (name the NS build's folder, too)")
    else:
        _add_bl2(result, found, facts)
        _add_images(result, signed, layout, keys)
    _leave_out_what_is_no_elf(result)
    _add_merged(result, found)
    _add_extra_partitions(result, facts)
    _add_attestation(result, facts)
    _add_console_suites(result, facts)
    _say_unknown(result, chosen_platform, layout, keys)
    return result


def _label(path: Path, found: Found) -> str:
    """A file's name for people: relative to the scanned folder that holds it."""
    for root in found.roots:
        if path.is_relative_to(root):
            return str(Path(root.name) / path.relative_to(root))
    return path.name


def _public_key(found: Found, role: str) -> Path | None:
    paths = found.public_keys.get(role, [])
    contents = [read_file(path, KEY_LIMIT) for path in paths]
    if len(set(contents)) > 1:
        raise ConfigError(
            f"this tree holds two different {role} signing public keys",
            kind="import-contradiction",
            expected=str(paths[0]),
            seen=str(next(path for path, data in zip(paths, contents, strict=True) if data != contents[0])),
            where=str(paths[0]),
        )
    return paths[0] if paths else None


def _nothing(found: Found) -> ConfigError:
    folders = ", ".join(map(str, found.roots))
    has_config = bool(found.config)
    return ConfigError(
        "no signed TF-M image was found",
        kind="import-nothing",
        expected="tfm_s_signed.bin, tfm_ns_signed.bin or tfm_s_ns_signed.bin",
        seen="a build's configuration without images" if has_config else "neither images nor a build's configuration",
        where=folders,
        hint="was the build finished (cmake --build ... -- install), and was BL2 on? Images without BL2 are not signed"
        if has_config
        else "name the build folder, its api_ns, or its bin",
    )


def _unsigned(found: Found, facts: Facts) -> list[ImportedImageEntry]:
    """The ELF files of a build without a boot loader (BL2=OFF); they contain their addresses."""
    fact = facts.get("BL2")
    secure = choose(found, "secure-elf")
    if fact is None or fact.on or secure is None:
        return []
    about = f"unsigned: BL2 is off ({fact.where})"
    entries = [ImportedImageEntry(secure, "secure", f"secure image, {about}", load="kernel")]
    nonsecure = choose(found, "nonsecure-elf")
    if nonsecure is not None:
        entries.append(ImportedImageEntry(nonsecure, "nonsecure", f"non-secure image, {about}"))
    return entries


def _leave_out_what_is_no_elf(result: Import) -> None:
    """Replace entries with damaged ELF files by remarks: a description that names such a file would be refused."""
    for index, entry in enumerate(result.images):
        if entry.file.suffix.lower() in {".axf", ".elf"} and (words := image_words("elf", entry.file)):
            result.images[index] = replace(entry, wrong=words.partition(":")[0])
            result.unknown.append(f"{entry.file.name}: the file there is {words.partition(':')[0]} (images)")


def _fact(facts: Facts, key: str) -> Value:
    fact = facts.get(key)
    return Value(fact.value, fact.where) if fact else Value(None, "")


def _version(facts: Facts, signed: Signed) -> Value:
    fact = facts.get("TFM_VERSION")
    if fact is not None and version_of(fact.value):
        return Value(fact.value.removeprefix("v"), fact.where)
    if signed.secure is not None and any(signed.secure.image.version):
        return Value(signed.secure.image.version_text, f"{signed.secure.path.name}, image header")
    return Value(None, "")


def _name(platform: str | None, version: Value) -> str:
    parts = ["tf-m", (platform or "").replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]]
    number = version_of(str(version.value)) if version.value else None
    if number:
        parts.append(".".join(map(str, number)))
    text = re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(part for part in parts if part))
    return text[:62].strip("-.") or "tf-m"


def _add_bl2(result: Import, found: Found, facts: Facts) -> None:
    bl2 = choose(found, "bl2")
    fact = facts.get("BL2")
    if bl2 is not None:
        result.images.append(
            ImportedImageEntry(bl2, "secure", "BL2 (MCUboot); an ELF file carries its addresses", load="kernel")
        )
        return
    raw = choose(found, "bl2-raw")
    if raw is not None:
        result.images.append(
            ImportedImageEntry(
                raw, "secure", "BL2 (MCUboot)", at=Value(0x1000_0000, "BL2's address on Arm's MPS2 and MPS3 platforms")
            )
        )
        result.notes.append("only bl2.bin is there, no bl2.axf: an emulator has no ELF to start from")
    elif fact is None or fact.on:
        result.unknown.append("BL2: no bl2.axf, bl2.elf or bl2.bin was found; without it signed images do not boot")


def _add_images(result: Import, signed: Signed, layout: Layout | None, keys: dict[str, Path]) -> None:
    secure, nonsecure = signed.secure, signed.nonsecure
    base = Value(layout.secure, layout.source) if layout else None
    if secure is not None:
        whole = secure.path == signed.combined
        about = "secure image" if not whole else "secure and non-secure image in one file"
        result.images.append(_entry(secure, "secure", about, base, keys.get("secure")))
        if whole:
            result.notes.append(
                f"{secure.path.name} is the only file with the secure image: it is loaded as a whole, so the non-secure"
                " image has no entry of its own"
            )
            return
    if nonsecure is None:
        result.unknown.append("the non-secure image: no tfm_ns_signed.bin was found (name the NS build's folder, too)")
        return
    result.images.append(
        _entry(nonsecure, "nonsecure", "non-secure image", _nonsecure_at(signed, layout), keys.get("nonsecure"))
    )


def _nonsecure_at(signed: Signed, layout: Layout | None) -> Value | None:
    """The address of the slot after the secure image's, from combined file, layout or the padded file's size."""
    if layout is None:
        return None
    if signed.offset is not None and signed.combined is not None:
        return Value(
            layout.secure + signed.offset, f"{layout.source}; {signed.combined.name}: {signed.offset:#x} behind it"
        )
    secure = signed.secure
    if layout.slot is not None:
        return Value(layout.secure + layout.slot, f"{layout.source}; the secure slot has {layout.slot:#x} bytes")
    if secure is not None and secure.size % 0x1000 == 0:
        return Value(
            layout.secure + secure.size, f"{layout.source}; {secure.path.name} fills its slot of {secure.size:#x}"
        )
    return None


def _entry(signed: SignedImage, world: str, about: str, at: Value | None, key: Path | None) -> ImportedImageEntry:
    name = signed.component
    return ImportedImageEntry(
        signed.path,
        world,
        about,
        at=None if signed.path.suffix.lower() == ".hex" else at,
        component=Value(name, "boot record of the image") if name else None,
        key=key,
        signed=signed,
    )


def _add_merged(result: Import, found: Found) -> None:
    """Name Zephyr's ``tfm_merged.hex``, which repeats the content of the other files, without loading it as well."""
    merged = choose(found, "merged")
    if merged is not None:
        held = ", ".join(entry.file.name for entry in result.images)
        result.notes.append(f"{merged.name} is what Zephyr flashes: the boot loader and {held} in one file")


def _add_extra_partitions(result: Import, facts: Facts) -> None:
    """Add partitions from outside of TF-M, which its extra manifest lists name."""
    fact = facts.get("TFM_EXTRA_MANIFEST_LIST_FILES")
    for listed in (part.strip() for part in (fact.value if fact else "").split(";") if part.strip()):
        path = Path(listed)
        names = extra_partitions(path)
        if names is None:
            result.unknown.append(f"the partitions that {path.name} lists: it cannot be read ({listed})")
            continue
        result.partitions += [Fact(name, f"{path.name}, named by {fact.where if fact else ''}", path) for name in names]


def _add_attestation(result: Import, facts: Facts) -> None:
    known = {
        "PSA_IOT_1": "PSA_IOT_PROFILE_1",
        "PSA_2_0_0": "http://arm.com/psa/2.0.0",
        "ARM_CCA": "http://arm.com/CCA-SSD/1.0.0",
    }
    for key, fact in facts.items():
        match = re.fullmatch(r"(?:CONFIG_)?ATTEST_TOKEN_PROFILE_(\w+)", key)
        if match and fact.on and match[1] in known:
            result.profile = Value(known[match[1]], fact.where)
    if result.profile is None:
        result.unknown.append("the attestation profile of its tokens (attestation.profile)")


def _add_console_suites(result: Import, facts: Facts) -> None:
    def first_on(*keys: str) -> Fact | None:
        return next((facts[key] for key in keys if key in facts and facts[key].on), None)

    areas = {"Secure": ("TFM_S_REG_TEST", "TEST_S"), "Non-secure": ("TFM_NS_REG_TEST", "TEST_NS")}
    for area, keys in areas.items():
        fact = first_on(*keys)
        if fact is not None:
            result.console_areas.append(Value(area, fact.where))
    if result.console_areas:
        result.console_suites.append(Value("tf-m", result.console_areas[0].where))
    api = facts.get("TEST_PSA_API")
    if api is not None and api.value and api.value.upper() not in {"OFF", "0", "FALSE", "NO"}:
        result.console_suites.append(Value("psa-arch-tests", api.where))


def _say_unknown(result: Import, platform: str | None, layout: Layout | None, keys: dict[str, Path]) -> None:
    unknown = result.unknown
    unknown.append("the public initial attestation key (trust.iak): a build tree does not hold it, the device does")
    for role in ("secure", "nonsecure"):
        if role not in keys and any(entry.world == role and entry.signed for entry in result.images):
            unknown.append(f"the public key that signs the {role} image (images[].key, trust.images)")
    if platform is None:
        unknown.append(f"the platform (TFM_PLATFORM); known here: {', '.join(platform_names())}")
    elif layout is None:
        unknown.append(f"load addresses: no flash layout is known for {platform} (images[].at)")
    for entry in result.images:
        if entry.signed is not None and entry.at is None and layout is not None and not entry.carries_addresses:
            unknown.append(f"the load address of {entry.file.name} (images[].at)")
    if result.version.value is None:
        unknown.append("TF-M's version")
    if result.isolation_level.value is None:
        unknown.append("the isolation level")
    unknown.append("the protocol the non-secure application speaks (protocol) and the models inside (models)")
