"""The recipes that users copy: CI systems, cron, udev. What can be run of them is run; the rest is parsed."""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tfm_harness.cli import check, run

ROOT = Path(__file__).resolve().parents[2]
CI = (ROOT / "docs" / "ci.md").read_text()
SERIAL = (ROOT / "docs" / "boards" / "serial.md").read_text()
CALL = re.compile(r"venv/bin/tfm-harness ((?:[^\n\\>']|\\\n)+)")


def blocks(language: str) -> list[str]:
    """The blocks of that language in docs/ci.md."""
    return re.findall(rf"^```{language}\n(.*?)^```", CI, re.MULTILINE | re.DOTALL)


def strings(value: Any) -> Iterator[str]:
    """Every text in a YAML document."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from strings(item)


def calls() -> list[list[str]]:
    """Every call of tfm-harness in a recipe, as words."""
    texts = [text for block in blocks("yaml") for text in strings(yaml.safe_load(block))]
    texts += [*blocks("groovy"), *blocks("sh")]
    return [shlex.split(found.replace("\\\n", " ")) for text in texts for found in CALL.findall(text)]


CALLS = calls()


def test_each_recipe_calls_the_harness() -> None:
    assert len(blocks("yaml")) == 2
    assert [words[0] for words in CALLS] == ["check", "run", "run", "run", "run"]


@pytest.mark.parametrize("words", CALLS, ids=range(len(CALLS)))
def test_the_options_of_a_recipe_are_taken(words: list[str]) -> None:
    parser = argparse.ArgumentParser(exit_on_error=False, allow_abbrev=False)
    commands = parser.add_subparsers()
    for module in (check, run):
        module.add_parser(commands)
    parsed, unknown = parser.parse_known_args(words)
    assert unknown == []
    if words[0] == "run":
        assert parsed.target
        assert parsed.build
        assert parsed.run_dir
        assert parsed.suite == [], "a word that is no option's value"


def test_what_a_job_keeps_is_what_its_run_writes() -> None:
    gitlab, github = (yaml.safe_load(block) for block in blocks("yaml"))
    kept = gitlab["hil"]["artifacts"]["paths"] + [gitlab["hil"]["artifacts"]["reports"]["junit"]]
    assert set(kept) == {"runs/ci", "report.html", "junit.xml"}
    assert gitlab["hil"]["retry"]["exit_codes"] == 10
    (uses,) = (step["with"] for step in github["jobs"]["qemu"]["steps"] if "upload" in step.get("uses", ""))
    assert uses["path"].split("\n") == ["runs/ci", "junit.xml", "report.html"]


def test_the_jenkins_recipe_closes_what_it_opens() -> None:
    (groovy,) = blocks("groovy")
    plain = re.sub(r"'''.*?'''|'[^']*'|\"[^\"]*\"", "", groovy, flags=re.DOTALL)
    for opening, closing in ("{}", "()"):
        assert plain.count(opening) == plain.count(closing)


@pytest.mark.parametrize(
    ("codes", "tries", "mails", "code"),
    [("0", 1, 0, 0), ("1", 1, 1, 1), ("10 0", 2, 0, 0), ("10 10", 2, 1, 10), ("10 1", 2, 1, 1), ("5", 1, 1, 5)],
)
def test_the_script_for_cron(tmp_path: Path, codes: str, tries: int, mails: int, code: int) -> None:
    """With a harness that ends with these codes, and a mail program that writes down."""
    (script,) = blocks("sh")
    assert "cd /srv/hil " in script
    script = script.replace("cd /srv/hil ", f"cd {shlex.quote(str(tmp_path))} ")
    fake = {
        "venv/bin/tfm-harness": 'echo "$*" >>calls; set -- $(cat codes); c=$1; shift; echo "$*" >codes; exit "$c"',
        "bin/mail": 'echo "$*" >>mails; cat >>mails',
    }
    for name, text in fake.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
    (tmp_path / "runs").mkdir()
    (tmp_path / "codes").write_text(codes)
    done = subprocess.run(
        ["sh", "-c", script], env={"PATH": f"{tmp_path}/bin:/usr/bin:/bin"}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (code, "")
    made = (tmp_path / "calls").read_text().splitlines()
    assert len(made) == tries
    sent = (tmp_path / "mails").read_text().count("exit code") if (tmp_path / "mails").exists() else 0
    assert sent == mails


def test_the_scripts_of_recipes_are_shell(tmp_path: Path) -> None:
    gitlab, github = (yaml.safe_load(block) for block in blocks("yaml"))
    lines = gitlab["hil"]["before_script"] + gitlab["hil"]["script"]
    lines += [step["run"] for step in github["jobs"]["qemu"]["steps"] if "run" in step]
    for line in lines:
        done = subprocess.run(["sh", "-n"], input=line, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), line


# --- udev ------------------------------------------------------------------------------------------------------------

MATCH = {"SUBSYSTEM", "KERNEL", "ATTR", "ATTRS", "ENV", "TAG"}
ASSIGN = {"MODE": "=", "GROUP": "=", "SYMLINK": "+=", "TAG": "+=", "ENV": "="}
PART = re.compile(r'([A-Z]+)(?:\{([A-Za-z0-9_]+)\})?(==|!=|\+=|=)"([^"]*)"')
RULES = [line.strip() for line in SERIAL.splitlines() if re.match(r'    [A-Z]+(\{\w+\})?=="', line)]


def test_there_are_rules_for_probes_names_and_modem_manager() -> None:
    assert len(RULES) == 6


@pytest.mark.parametrize("rule", RULES)
def test_udev_rules_follow_udevs_grammar(rule: str) -> None:
    """Udev(7): matches with ==, then assignments; keys, and which of them take an attribute."""
    parts = [part.strip() for part in re.split(r",\s*(?=[A-Z]+[{=!+])", rule)]
    read = [PART.fullmatch(part) for part in parts]
    assert None not in read, f"udev would not read {[p for p, r in zip(parts, read, strict=True) if r is None]}"
    assigned = 0
    for found in filter(None, read):
        key, attribute, operator, value = found.groups()
        assert value
        assert (attribute is not None) == (key in {"ATTR", "ATTRS", "ENV"})
        if operator in {"==", "!="}:
            assert key in MATCH
            assert not assigned, "a match behind an assignment"
        else:
            assigned += 1
            assert ASSIGN[key] == operator
            assert key != "MODE" or re.fullmatch(r"0[0-7]{3}", value)
    assert assigned, "a rule that does nothing"


def test_a_group_that_rules_name_is_the_one_users_are_put_into() -> None:
    assert {part for rule in RULES for part in re.findall(r'GROUP="([^"]+)"', rule)} == {"dialout"}
    assert "usermod -aG dialout" in SERIAL
