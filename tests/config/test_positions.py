"""YAML with positions: what is refused, and where errors point."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tfm_harness.config import positions
from tfm_harness.config.positions import Position, parse, read
from tfm_harness.errors import ConfigError


def test_positions_of_keys_and_values() -> None:
    document = parse("a: 1\nb:\n  - x\n  - c: {d: 2}\n", "f.yaml")
    assert document.data == {"a": 1, "b": ["x", {"c": {"d": 2}}]}
    assert document.where(("b", 1, "c", "d")) == "f.yaml:4"
    assert document.keys[("b", 1, "c", "d")] == Position(4, 9)
    assert document.where(("b", 1, "nowhere", 7)) == "f.yaml:4"
    assert document.where() == "f.yaml:1"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("No", "No"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("0x1e", 30),
        ("0o17", 15),
        ("017", 17),
        ("-5", -5),
        ("1.5e3", 1500.0),
        (".5", 0.5),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("1_000", "1_000"),
        ("'7'", "7"),
        ("2G", "2G"),
        ("0x", "0x"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    found = parse(f"k: {text}\n").data["k"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "words", "where"),
    [
        ("", "empty", "f.yaml"),
        ("# only a comment\n", "empty", "f.yaml"),
        ("- a\n", "must be a mapping", "f.yaml:1"),
        ("just text\n", "must be a mapping", "f.yaml:1"),
        ("a: 1\nb: 2\na: 3\n", "the key 'a' appears twice", "f.yaml:3:1"),
        ("a: {b: 1, b: 2}\n", "the key 'b' appears twice", "f.yaml:1:11"),
        ("a: 1\n1: 2\n", "a key must be text", "f.yaml:2"),
        ("[a, b]: 2\n", "a key must be text", "f.yaml:1"),
        ("a: !!python/object:os.system x\n", "tags are not used", "f.yaml:1:4"),
        ("a: !secret x\n", "tags are not used", "f.yaml:1:4"),
        ("a: &x {b: 1}\nc: {<<: *x}\n", "merge keys", "f.yaml:2"),
        ("a: &x [*x]\n", "contains it", "f.yaml:1"),
        ("a: *nowhere\n", "not valid YAML", "f.yaml:1"),
        ("a: [1\nb: 2\n", "not valid YAML", "f.yaml:2"),
        ("a: 1\n\tb: 2\n", "not valid YAML", "f.yaml:2"),
        ("a: .nan\n", "must be finite", "f.yaml:1:4"),
        ("a: .inf\n", "must be finite", "f.yaml:1:4"),
        ("a: 1e999\n", "must be finite", "f.yaml:1:4"),
        ("a: " + "9" * 41 + "\n", "40 digits", "f.yaml:1:4"),
        ("a: 1\n---\nb: 2\n", "not valid YAML", "f.yaml:2"),
        ("a: \x00\n", "not valid YAML", "f.yaml"),
    ],
)
def test_refused_with_words_and_place(text: str, words: str, where: str) -> None:
    with pytest.raises(ConfigError, match=words.replace("(", r"\(")) as caught:
        parse(text, "f.yaml")
    assert (caught.value.where or "").startswith(where)
    assert caught.value.kind == "yaml"


def test_depth_size_and_alias_bombs_are_refused_quickly() -> None:
    with pytest.raises(ConfigError, match="deeper than"):
        parse("a: " + "[" * 10_000)
    with pytest.raises(ConfigError, match="deeper than"):
        parse("a: " + "{b: " * 10_000)
    with pytest.raises(ConfigError, match="larger than"):
        parse("a: " + "x" * positions.MAX_BYTES)
    laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    laughs += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9))
    with pytest.raises(ConfigError, match="once aliases are written out"):
        parse(laughs)


def test_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="file-missing"):
        read(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="file-unreadable"):
        read(tmp_path)
    bad = tmp_path / "latin.yaml"
    bad.write_bytes(b"a: 1\nb: caf\xe9\n")
    with pytest.raises(ConfigError, match="not UTF-8 text") as caught:
        read(bad)
    assert str(caught.value.where).endswith("latin.yaml:2")
    bad.write_bytes(b"\xef\xbb\xbfa: 1\n")  # a byte-order mark is no harm
    assert read(bad).data == {"a": 1}
    bad.write_bytes(b"#" * (positions.MAX_BYTES + 1))
    with pytest.raises(ConfigError, match="larger than"):
        read(bad)
    assert list(tmp_path.iterdir()) == [bad]


@settings(max_examples=400, deadline=None)
@given(st.text(alphabet=st.sampled_from("ab:-[]{}&*!|>'\"#%@`,? \n\t0x1.e~<"), max_size=60))
def test_any_text_gives_data_or_a_clear_error(text: str) -> None:
    outcome: object
    try:
        outcome = parse(text, "f.yaml").data
    except ConfigError as error:
        outcome = (error.kind, (error.where or "").startswith("f.yaml"))
    assert isinstance(outcome, dict) or outcome == ("yaml", True)
