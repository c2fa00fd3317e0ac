"""TF-M's security advisories TFMV-1 to TFMV-14, compared with the facts of a build.

Source of each entry: the advisory itself (TF-M, ``docs/security/security_advisories``, read in November 2026). Releases
with a backport are in no advisory's range of versions; they come from TF-M's release notes.
A verdict depends on version and options only: it does not consider code that a vendor has changed.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tfm_harness.importer.facts import Fact, version_of

__all__ = ["ADVISORIES", "Advisory", "AdvisoryVerdict", "Verdict", "judge_advisories"]

Version = tuple[int, int, int]
FIRST: Version = (0, 0, 0)
PAGE = "https://trustedfirmware-m.readthedocs.io/en/latest/security/security_advisories/"


class Verdict(enum.StrEnum):
    """The verdict of an advisory for a build."""

    AFFECTED = "affected"
    OUTSIDE = "not affected"  # by version
    MENDED = "mended by backport"
    NOT_BUILT = "not built in"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether a build has the affected part.

    Attributes:
        there: whether it has it; None: the build's files do not say.
        why: the reason in words, with its place in the files.
    """

    there: bool | None
    why: str


_EARLY = re.compile(r"-(?:rc|dev|alpha|beta|pre)", re.IGNORECASE)
"""Marks a version before its release, in which fixes of the release may be missing (``-13-gabcdef`` is after one)."""

Facts = Mapping[str, Fact]
Question = Callable[[Facts], Answer]


def _truth(fact: Fact) -> bool | None:
    """CMake's truth of a value; None for a value that is neither true nor false, such as an unreplaced variable."""
    value = fact.value.strip().strip('"').upper()
    if value.isdecimal():
        return int(value) != 0
    if value in {"ON", "TRUE", "YES", "Y"}:
        return True
    return False if value in {"", "OFF", "FALSE", "NO", "N", "IGNORE"} or value.endswith("NOTFOUND") else None


def _on(key: str, words: str, *, absent: bool | None = None) -> Question:
    """Whether an option is on. `absent` is the answer when no file names it."""

    def ask(facts: Facts) -> Answer:
        fact = facts.get(key)
        if fact is None:
            return Answer(absent, f"{key} is not said" if absent is None else f"{key} is not set: no {words}")
        return Answer(_truth(fact), f"{key}={fact.value} ({fact.where})")

    return ask


def _ipc(facts: Facts) -> Answer:
    """Whether the build has the IPC model; releases before 1.6 show it by TFM_PSA_API."""
    for key, value in (("CONFIG_TFM_SPM_BACKEND", "IPC"), ("CONFIG_TFM_SPM_BACKEND_IPC", "ON"), ("TFM_PSA_API", "ON")):
        fact = facts.get(key)
        if fact is not None:
            said = {"IPC": True, "SFN": False}.get(fact.value.strip().strip('"').upper())
            return Answer(_truth(fact) if value == "ON" else said, f"{key}={fact.value} ({fact.where})")
    return Answer(None, "neither CONFIG_TFM_SPM_BACKEND nor TFM_PSA_API is said")


def _platform(*names: str) -> Question:
    """Whether the platform is one of these, by any part of its name."""

    def ask(facts: Facts) -> Answer:
        fact = facts.get("TFM_PLATFORM")
        if fact is None or not fact.value.strip() or "$" in fact.value:
            return Answer(None, "TFM_PLATFORM is not said")
        plain = fact.value.lower().replace("-", "").replace("_", "")
        return Answer(any(name in plain for name in names), f"TFM_PLATFORM={fact.value} ({fact.where})")

    return ask


def _small(facts: Facts) -> Answer:
    fact = facts.get("TFM_PROFILE")
    if fact is None:
        return Answer(False, "TFM_PROFILE is not set: not Profile Small")
    return Answer(
        None if "$" in fact.value else "small" in fact.value.lower(), f"TFM_PROFILE={fact.value} ({fact.where})"
    )


def _cryptocell(facts: Facts) -> Answer:
    """Whether CC312 is used with the driver API instead of the legacy one, which is the default."""
    accelerator, legacy = facts.get("CRYPTO_HW_ACCELERATOR"), facts.get("CC312_LEGACY_DRIVER_API_ENABLED")
    if accelerator is not None and _truth(accelerator) is False:
        return Answer(False, f"CRYPTO_HW_ACCELERATOR={accelerator.value} ({accelerator.where})")
    if legacy is None:
        return Answer(False, "CC312_LEGACY_DRIVER_API_ENABLED is not set: no CC312, or its legacy driver")
    old = _truth(legacy)
    return Answer(None if old is None else not old, f"CC312_LEGACY_DRIVER_API_ENABLED={legacy.value} ({legacy.where})")


def _isolated(facts: Facts) -> Answer:
    """Whether partitions are isolated from each other: they are not at isolation level 1."""
    fact = facts.get("TFM_ISOLATION_LEVEL")
    if fact is None:
        return Answer(None, "TFM_ISOLATION_LEVEL is not said")
    isolated = {"1": False, "2": True, "3": True}.get(fact.value.strip().strip('"'))
    return Answer(isolated, f"TFM_ISOLATION_LEVEL={fact.value} ({fact.where})")


_FWU = _on("TFM_PARTITION_FIRMWARE_UPDATE", "Firmware Update partition")
_RAW_LOG = _on("TFM_SP_LOG_RAW_ENABLED", "raw log of partitions", absent=False)
_MAILBOX = _on("TFM_PARTITION_NS_AGENT_MAILBOX", "mailbox", absent=False)


@dataclass(frozen=True, slots=True)
class Advisory:
    """One advisory.

    Attributes:
        id, cve: as published; no CVE where none is assigned yet.
        title: the problem.
        first, last: affected releases, both included.
        needs: parts that must be built in; empty: every configuration is affected.
        mended: for a series (major, minor), the release in which a backport fixed it.
        page: the advisory's page.
        unsure: the reason why the range of releases is not the advisory's own; the verdict is then `UNKNOWN`.
    """

    id: str
    cve: str
    title: str
    first: Version
    last: Version
    page: str
    needs: tuple[Question, ...] = ()
    mended: Mapping[tuple[int, int], int] = field(default_factory=dict)
    unsure: str = ""

    @property
    def source(self) -> str:
        """The address at which it is published."""
        return f"{PAGE}{self.page}.html"


ADVISORIES = (
    Advisory(
        "TFMV-1", "CVE-2020-16273", "unsealed stacks: an unexpected return to the secure side", FIRST, (1, 1, 99),
        "stack_seal_vulnerability",
    ),
    Advisory(
        "TFMV-2", "CVE-2021-27562", "secure functions called from handler mode", FIRST, (1, 2, 99),
        "svc_caller_sp_fetching_vulnerability", (_ipc,),
    ),
    Advisory(
        "TFMV-3", "CVE-2021-32032", "abort() of a multi-part operation may have no effect", FIRST, (1, 3, 99),
        "crypto_multi_part_ops_abort_fail", (_on("TFM_PARTITION_CRYPTO", "Crypto partition"),),
    ),
    Advisory(
        "TFMV-4", "CVE-2021-40327", "non-secure access to secure keys in Profile Small", (1, 4, 0), (1, 4, 0),
        "profile_small_key_id_encoding_vulnerability", (_small,),
    ),
    Advisory(
        "TFMV-5", "CVE-2021-43619", "psa_fwu_write() may overflow a buffer", (1, 3, 0), (1, 5, 99),
        "fwu_write_vulnerability", (_ipc, _FWU),
        unsure="the advisory names commits, no releases: look for commit 78f75304269b in the sources",
    ),
    Advisory(
        "TFMV-6", "CVE-2023-40271", "ChaCha20-Poly1305 on CryptoCell compares 4 bytes of a tag", (1, 6, 0), (1, 8, 0),
        "cc3xx_partial_tag_compare_on_chacha20_poly1305", (_cryptocell,),
    ),
    Advisory(
        "TFMV-7", "CVE-2023-51712", "an application partition can print any memory", FIRST, (2, 0, 0),
        "debug_log_vulnerability", (_RAW_LOG, _ipc, _isolated),
    ),
    Advisory(
        "TFMV-8", "CVE-2024-45746", "unchecked pointers in mailbox messages", (1, 6, 0), (2, 1, 0),
        "user_pointers_mailbox_vectors_vulnerability", (_MAILBOX,),
    ),
    Advisory(
        "TFMV-9", "CVE-2025-53022", "the length of a dependency TLV is not checked on update", (1, 3, 0), (2, 2, 0),
        "fwu_tlv_payload_out_of_bounds_vulnerability", (_FWU,), {(2, 1): 3},
    ),
    Advisory(
        "TFMV-10", "CVE-2026-54467", "pointers are not validated when the mailbox is set up", FIRST, (2, 3, 0),
        "missing_ns_pointer_validation_mailbox_init", (_platform("psoc64", "rp2350"),),
    ),
    Advisory(
        "TFMV-11", "", "a header in fragments skips the check of the version on update", (2, 2, 0), (2, 3, 0),
        "fwu_partial_fmp_header", (_platform("corstone1000"),),
    ),
    Advisory(
        "TFMV-12", "CVE-2026-73065", "a node's number in an SFCP packet is not checked in the boot ROM", (2, 3, 0),
        (2, 3, 0), "rse_sfcp_pre_auth_oob_write", (_platform("rse/"),),
    ),
    Advisory(
        "TFMV-13", "CVE-2026-73091", "an SFCP packet in the clear gets a private key", (2, 3, 0), (2, 3, 0),
        "rse_sfcp_plaintext_packets", (_platform("rse/"),),
    ),
    Advisory(
        "TFMV-14", "CVE-2026-73094", "an update may be written past the end of its partition", (2, 3, 0), (2, 3, 0),
        "cs1k_oob_flash_write_secure_enclave", (_platform("corstone1000"),),
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class AdvisoryVerdict:
    """The verdict of an advisory for one build, and the reason."""

    advisory: Advisory
    verdict: Verdict
    why: str


def judge_advisories(facts: Facts, version: Version | None = None) -> list[AdvisoryVerdict]:
    """A verdict for each advisory, in their order.

    Args:
        facts: the facts of the build (`tfm_harness.importer.read_facts`).
        version: TF-M's release, if the facts do not name it.
    """
    said = facts.get("TFM_VERSION")
    early = False
    if said is not None:
        version = version_of(said.value) or version
        early = _EARLY.search(said.value) is not None
    where = f" ({said.where})" if said is not None else ""
    return [AdvisoryVerdict(advisory, *_judge(advisory, facts, version, where, early=early)) for advisory in ADVISORIES]


def _next(last: Version) -> frozenset[Version]:
    """Possible names of the first release after `last`."""
    return frozenset({(last[0], last[1], last[2] + 1), (last[0], last[1] + 1, 0), (last[0] + 1, 0, 0)})


def _judge(
    advisory: Advisory, facts: Facts, version: Version | None, where: str, *, early: bool
) -> tuple[Verdict, str]:
    answers = [ask(facts) for ask in advisory.needs]
    absent = [answer.why for answer in answers if answer.there is False]
    if version is not None:
        release = "TF-M " + ".".join(map(str, version)) + where
        mended = advisory.mended.get(version[:2])
        candidate = early and (version in _next(advisory.last) or version[2] == mended)
        if candidate and not absent:
            return Verdict.UNKNOWN, f"{release}: made before that release, which is the first without it"
        if not candidate and not advisory.first <= version <= advisory.last:
            return Verdict.OUTSIDE, release
        if not candidate and mended is not None and version[2] >= mended:
            return Verdict.MENDED, f"{release}: mended in {version[0]}.{version[1]}.{mended}"
    if absent:
        return Verdict.NOT_BUILT, absent[0]
    if version is None:
        return Verdict.UNKNOWN, "the release of TF-M is not said"
    unknown = [answer.why for answer in answers if answer.there is None]
    if unknown:
        return Verdict.UNKNOWN, f"{release}; {'; '.join(unknown)}"
    if advisory.unsure:
        return Verdict.UNKNOWN, f"{release}; {advisory.unsure}"
    return Verdict.AFFECTED, "; ".join([release, *(answer.why for answer in answers)])
