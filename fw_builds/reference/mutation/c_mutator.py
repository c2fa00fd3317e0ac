"""Changes of C sources, found in clang's syntax tree: each is one small fault that a programmer might make."""

from __future__ import annotations

import difflib
import hashlib
import itertools
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Cursor = Any  # clang.cindex.Cursor: not typed
REFERENCE = Path(__file__).resolve().parents[1]
PARTS = ("partition", "spe", "pseudo_driver")
COMPARISONS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}
LOGIC = {"&&": "||", "||": "&&"}
ARITHMETIC = {"+": "-", "-": "+", "*": "/", "<<": ">>", ">>": "<<", "&": "|", "|": "&"}
INTEGER = re.compile(r"(0[xX][0-9a-fA-F]+|[0-9]+)([uUlL]*)$")
SUCCESS = {"PSA_SUCCESS", "MCUBOOT_OK", "NN_OK", "SENSOR_OK", "I2C_OK", "0", "false", "NULL"}


@dataclass(frozen=True)
class Mutant:
    """One change: bytes `start` to `end` of `file` (relative to the firmware's folder) become `new`.

    `body` is a digest of the function's text, `nth` counts the same changes in it.
    """

    file: str
    line: int
    function: str
    operator: str
    start: int
    end: int
    old: str
    new: str
    body: str = ""
    nth: int = 0

    @property
    def name(self) -> str:
        """Names the change, whatever changes outside of its function."""
        text = f"{self.file} {self.function} {self.body} {self.operator} {self.old} {self.new} {self.nth}"
        return f"M{hashlib.sha256(text.encode()).hexdigest()[:10]}"

    @property
    def change(self) -> str:
        """What was, and what it became, on one line."""
        return " ".join(f"{self.old} -> {self.new}".split())

    def patch(self) -> str:
        """A unified diff, as `git diff` writes it."""
        before = (REFERENCE / self.file).read_bytes()
        after = before[: self.start] + self.new.encode() + before[self.end :]
        path = f"fw_builds/reference/{self.file}"
        lines = (before.decode().splitlines(keepends=True), after.decode().splitlines(keepends=True))
        return "".join(difflib.unified_diff(*lines, f"a/{path}", f"b/{path}"))


def sources() -> list[Path]:
    """Files that are changed: all C of the product, and headers with code."""
    found = [path for part in PARTS for path in sorted((REFERENCE / part).rglob("*.c"))]
    headers = [path for part in PARTS for path in sorted((REFERENCE / part).rglob("*.h"))]
    return found + [path for path in headers if "static inline" in path.read_text()]


def arguments() -> list[str]:
    """Clang's arguments: those of the firmware's build."""
    folders = ["spe/include", "spe/interface", "spe/core", "spe/crypto", "spe/boot", "spe/storage", "spe/services"]
    folders += [
        "platform/an547",
        "partition",
        "partition/sensor",
        "partition/nn",
        "partition/manifest",
        "pseudo_driver",
    ]
    gcc = ["arm-none-eabi-gcc", "-print-file-name=include"]
    compiler = subprocess.run(gcc, capture_output=True, text=True, check=True).stdout.strip()
    newlib = Path(compiler).resolve().parents[3] / "arm-none-eabi" / "include"
    fallback = Path("/usr/lib/arm-none-eabi/include")
    keys = [f"-I{path}" for path in sorted((REFERENCE / "build").glob("key-*"))]
    system = [compiler, str(newlib if newlib.is_dir() else fallback), str(REFERENCE / "build" / "bearssl" / "inc")]
    return [
        *("--target=arm-none-eabi", "-mcpu=cortex-m55", "-mthumb", "-mcmse", "-std=gnu11", "-ffreestanding", "-xc"),
        *("-D__INT64_C(c)=c##LL", "-D__UINT64_C(c)=c##ULL", "-D__INT32_C(c)=c##L", "-D__UINT32_C(c)=c##UL"),
        *(f"-I{REFERENCE / folder}" for folder in folders),
        *keys,
        *(word for folder in system for word in ("-isystem", folder)),
    ]


class FileMutator:
    """All changes of one file."""

    def __init__(self, path: Path) -> None:
        import clang.cindex

        self.kinds = clang.cindex.CursorKind
        self.path = path
        self.text = path.read_bytes()
        unit = clang.cindex.Index.create().parse(str(path), args=arguments())
        errors = [str(found) for found in unit.diagnostics if found.severity >= clang.cindex.Diagnostic.Error]
        if errors:
            raise SystemExit(f"{path}: clang cannot read it: {errors[0]}")
        self.unit = unit
        self.function = self.body = ""
        self.seen: Counter[tuple[str, ...]] = Counter()

    def mutants(self) -> Iterator[Mutant]:
        """Every change of the file's functions, in the order of the text."""
        for cursor in self.unit.cursor.get_children():
            if cursor.kind == self.kinds.FUNCTION_DECL and cursor.is_definition() and self._is_here(cursor):
                self.function = cursor.spelling
                self.body = hashlib.sha256(self._slice(*self._span(cursor)).encode()).hexdigest()[:16]
                yield from self._walk(cursor)

    def _is_here(self, cursor: Cursor) -> bool:
        return cursor.location.file is not None and Path(cursor.location.file.name) == self.path

    def _span(self, cursor: Cursor) -> tuple[int, int]:
        return cursor.extent.start.offset, cursor.extent.end.offset

    def _slice(self, start: int, end: int) -> str:
        return self.text[start:end].decode()

    def _make(self, operator: str, start: int, end: int, new: str) -> Mutant:
        line = self.text.count(b"\n", 0, start) + 1
        file = str(self.path.relative_to(REFERENCE))
        old = self._slice(start, end)
        same = (self.function, operator, old, new)
        self.seen[same] += 1
        return Mutant(file, line, self.function, operator, start, end, old, new, self.body, self.seen[same])

    def _walk(self, cursor: Cursor) -> Iterator[Mutant]:
        kinds = self.kinds
        children = list(cursor.get_children())
        if cursor.kind in {kinds.IF_STMT, kinds.WHILE_STMT, kinds.CONDITIONAL_OPERATOR} and children:
            start, end = self._span(children[0])
            yield self._make("negate condition", start, end, f"!({self._slice(start, end)})")
        if cursor.kind == kinds.BINARY_OPERATOR:
            yield from self._binary(children)
        if cursor.kind == kinds.INTEGER_LITERAL:
            yield from self._constant(cursor)
        if cursor.kind == kinds.RETURN_STMT and children:
            yield from self._returned(children[0])
        if cursor.kind == kinds.COMPOUND_STMT:
            yield from self._dropped(children)
            yield from self._swapped(children)
        for child in children:
            yield from self._walk(child)

    def _binary(self, children: list[Cursor]) -> Iterator[Mutant]:
        """Comparisons shifted by one or negated, logic and arithmetic exchanged."""
        if len(children) != 2:
            return
        start, end = self._span(children[0])[1], self._span(children[1])[0]
        found = re.fullmatch(r"(\s*)([<>=!&|+*/-]{1,2})(\s*)\(*", self._slice(start, end)) if start < end else None
        if found is None:
            return
        at, sign = start + len(found[1]), found[2]
        for operator, table in (("comparison", COMPARISONS), ("logic", LOGIC), ("arithmetic", ARITHMETIC)):
            if sign in table:
                yield self._make(operator, at, at + len(sign), table[sign])

    def _constant(self, cursor: Cursor) -> Iterator[Mutant]:
        start, end = self._span(cursor)
        found = INTEGER.match(self._slice(start, end))
        if found is None:
            return  # a macro's
        value = int(found[1], 0)
        yield self._make("constant", start, end, f"{value + 1}{found[2]}")

    def _returned(self, value: Cursor) -> Iterator[Mutant]:
        """Another value returned: success for a failure, a failure for success."""
        start, end = self._span(value)
        text = self._slice(start, end)
        kind = value.type.get_canonical().kind.name
        if kind == "POINTER":
            new = "NULL"
        elif kind in {"RECORD", "VOID", "FLOAT", "DOUBLE"}:
            return
        else:
            new = "1" if text in SUCCESS else "0"
        if text != new:
            yield self._make("return value", start, end, new)

    def _dropped(self, statements: list[Cursor]) -> Iterator[Mutant]:
        kinds = self.kinds
        droppable = {kinds.CALL_EXPR, kinds.COMPOUND_ASSIGNMENT_OPERATOR, kinds.BINARY_OPERATOR, kinds.UNARY_OPERATOR}
        droppable |= {kinds.BREAK_STMT, kinds.CONTINUE_STMT}
        for statement in statements:
            if statement.kind in droppable:
                start, end = self._span(statement)
                yield self._make("statement dropped", start, end, "(void)0")

    def _swapped(self, statements: list[Cursor]) -> Iterator[Mutant]:
        """The values of two assignments in a row exchanged."""
        for first, second in itertools.pairwise(statements):
            sides = [list(one.get_children()) for one in (first, second)]
            if not all(one.kind == self.kinds.BINARY_OPERATOR and len(parts) == 2
                       for one, parts in zip((first, second), sides, strict=True)):  # fmt: skip
                continue
            (left, right), (other_left, other_right) = sides
            between = [self._slice(self._span(a)[1], self._span(b)[0]).strip() for a, b in sides]
            same = left.type.get_canonical().spelling == other_left.type.get_canonical().spelling
            values = [self._slice(*self._span(one)) for one in (right, other_right)]
            if between == ["=", "="] and same and values[0] != values[1]:
                start, end = self._span(right)[0], self._span(other_right)[1]
                middle = self._slice(self._span(right)[1], self._span(other_right)[0])
                yield self._make("assignments swapped", start, end, f"{values[1]}{middle}{values[0]}")


def all_mutants(only: str = "") -> list[Mutant]:
    """Every change of the firmware, each once; of the files whose path holds `only`."""
    found: dict[tuple[str, int, int, str], Mutant] = {}
    for path in sources():
        if only in str(path.relative_to(REFERENCE)):
            for mutant in FileMutator(path).mutants():
                found.setdefault((mutant.file, mutant.start, mutant.end, mutant.new), mutant)
    return list(found.values())


def sample(mutants: list[Mutant], count: int, seed: int) -> list[Mutant]:
    """`count` of them. A larger sample of the same seed begins with the smaller one.

    Each change has its own place, by its name, so that a sample stays the same but for functions that are new or other.
    """
    return sorted(mutants, key=lambda one: hashlib.sha256(f"{seed} {one.name}".encode()).digest())[:count]
