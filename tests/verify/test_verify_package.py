"""The package itself: what it exports, what it imports, what it takes."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

from tfm_harness.findings import Report
from tfm_harness.verify.token import TokenExpectations, verify_psa_token

from tests.verify.verify_kit import CHALLENGE, KEY, OTHER_KEY, broken, enc, message, p1_claims, rfc_claims

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "harness" / "tfm_harness" / "verify").rglob("*.py"))


def test_importing_it_loads_nothing_heavy() -> None:
    # The leak scanner searches hundreds of megabytes with numpy; it is imported by those who scan only.
    light = [source for source in SOURCES if "leaks" not in source.parts]
    modules = [".".join(source.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for source in light]
    script = (
        "import sys, importlib\n"
        "import tfm_harness.verify\n"
        "assert 'cryptography' not in sys.modules, 'the package alone imports cryptography'\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        "heavy = {'numpy', 'yaml', 'pydantic', 'serial', 'pytest', 'sqlite3'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "print('light')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.strip() == "light", done.stderr


def test_no_module_does_io() -> None:
    for source in SOURCES:
        tree = ast.parse(source.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"open", "print", "input"}, f"{source}:{node.lineno}"
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert name.split(".")[0] not in {"os", "pathlib", "socket", "subprocess", "time", "sys"}, (
                    f"{source} imports {name}"
                )


def test_modules_stay_small() -> None:
    for source in SOURCES:
        if source.parent.name != "checks" and source.name != "published_image_keys.py":  # tables
            assert len(source.read_text().splitlines()) <= 350, source


def test_a_bytearray_is_judged_like_bytes() -> None:
    token = message(enc(rfc_claims()))
    for form in (bytes, bytearray, memoryview):
        report = Report()
        parsed = verify_psa_token(form(token), keys=KEY, challenge=CHALLENGE, report=report)  # type: ignore[arg-type]
        assert report.ok, form
        assert parsed.nonce == CHALLENGE


def test_either_form_of_the_instance_id_may_be_expected() -> None:
    for claims in (rfc_claims(), p1_claims()):
        for key, failed in ((KEY, set()), (OTHER_KEY, {"attestation.instance-id-expected"})):
            report = Report()
            expected = TokenExpectations(instance_id=frozenset(key.instance_ids))
            verify_psa_token(message(enc(claims)), keys=KEY, challenge=CHALLENGE, expected=expected, report=report)
            assert broken(report) == failed
