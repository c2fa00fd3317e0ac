"""docs/verification.md says what the code does. ``python -m tests.verify.test_verify_docs`` renews its tables."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tfm_harness.findings import Policy, Severity
from tfm_harness.verify.catalogue import ALL, AREAS
from tfm_harness.verify.result_profile import ROLES, TYPES, builtin_profiles
from tfm_harness.verify.tables import peer_table, render_checks, severity_table

DOC = Path(__file__).resolve().parents[2] / "docs" / "verification.md"
TABLES = {"peers": peer_table, "severities": severity_table}


def renewed(text: str) -> str:
    """The page with its generated parts made anew."""
    for name, make in TABLES.items():
        pattern = re.compile(rf"(<!-- generated: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        content = make().rstrip("\n") + "\n"
        text, count = pattern.subn(lambda m, c=content: m.group(1) + c + m.group(2), text)  # type: ignore[misc]
        assert count == 1, name
    return text


def test_the_tables_are_those_of_the_code() -> None:
    text = DOC.read_text()
    assert text == renewed(text), "run: python -m tests.verify.test_verify_docs"


def test_every_id_the_page_names_exists() -> None:
    known = {check.id for check in ALL}
    areas = "|".join(area.area for area in AREAS)
    named = set(re.findall(rf"`((?:{areas})\.[a-z0-9-]+)`", DOC.read_text()))
    assert named == known


def test_the_page_names_every_profile_type_and_role() -> None:
    text = DOC.read_text()
    for name in (*builtin_profiles(), *TYPES, *(ROLES - {"value"}), *Policy):
        assert f"`{name}`" in text, name


def test_the_counts_on_the_page_are_right() -> None:
    from tests.verify.test_verify_cose_malformed import ACCEPTED, REFUSED
    from tests.verify.test_verify_token_mutations import MUTATIONS

    messages = len(ACCEPTED) + len(REFUSED)
    wanted = f"* {messages} malformed or unusual COSE messages and {len(MUTATIONS)} token mutations"
    assert wanted in DOC.read_text()


def test_the_catalogue_is_consistent() -> None:
    for area in AREAS:
        for check in area:
            assert check.id.startswith(f"{area.area}.")
            assert check.requirement
            assert check.title[0] == check.title[0].lower() or check.title.startswith(("CA", "COSE")), check.title
            assert check.dev <= check.validation <= check.production, f"{check.id}: a stricter policy must not be laxer"
            assert set(check.notes) == {"iat-verifier", "veraison"}
    unwaivable = [check for check in ALL if not check.waivable]
    assert all(min(c.dev, c.validation, c.production) >= Severity.FAILURE for c in unwaivable)
    assert {"cose.signature", "attestation.nonce-challenge", "result.nonce"} <= {c.id for c in unwaivable}


def test_the_command_prints_every_check() -> None:
    for form in ("text", "markdown", "json"):
        printed = render_checks(form)
        assert all(check.id in printed for check in ALL)


if __name__ == "__main__":
    DOC.write_text(renewed(DOC.read_text()))
    sys.stdout.write(f"{DOC} renewed\n")
