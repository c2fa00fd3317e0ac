"""Small changes of Python code, found in its syntax tree; the text around a change stays as it is."""

from __future__ import annotations

import ast
import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.In: "not in",
    ast.NotIn: "in",
    ast.Is: "is not",
    ast.IsNot: "is",
}
ARITHMETIC: dict[type[ast.operator], str] = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "//",
    ast.FloorDiv: "*",
    ast.Div: "*",
    ast.LShift: ">>",
    ast.RShift: "<<",
    ast.BitAnd: "|",
    ast.BitOr: "&",
}


@dataclass(frozen=True)
class Mutant:
    """One change: bytes `start` to `end` of `file` become `new`."""

    file: Path
    line: int
    operator: str
    start: int
    end: int
    old: str
    new: str
    source: str = ""
    """The line that the change is in, without its indent."""

    @property
    def name(self) -> str:
        """Names the change."""
        return hashlib.sha256(f"{self.file} {self.operator} {self.start} {self.new}".encode()).hexdigest()[:10]

    @property
    def change(self) -> str:
        """What was, and what it became, on one line."""
        return " ".join(f"{self.old} -> {self.new}".split())

    def compiles(self, original: bytes) -> bool:
        """Whether the changed file is Python."""
        try:
            compile(self.text(original), str(self.file), "exec")
        except SyntaxError:
            return False
        return True

    def text(self, original: bytes) -> bytes:
        """The changed file."""
        return original[: self.start] + self.new.encode() + original[self.end :]


class Finder:
    """All changes of one file's functions."""

    def __init__(self, file: Path, text: bytes) -> None:
        self._file = file
        self._text = text
        self._source = text.splitlines(keepends=True)
        self._lines = [0]
        for line in self._source:
            self._lines.append(self._lines[-1] + len(line))

    def mutants(self) -> Iterator[Mutant]:
        """Every change, in the order of the text."""
        for node in ast.walk(ast.parse(self._text)):
            if isinstance(node, ast.FunctionDef):
                for statement in node.body:
                    yield from self._walk(statement)

    def _span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._lines[node.lineno - 1] + node.col_offset, self._lines[node.end_lineno - 1] + node.end_col_offset

    def _slice(self, start: int, end: int) -> str:
        return self._text[start:end].decode()

    def _make(self, operator: str, start: int, end: int, new: str) -> Mutant:
        line = self._text.count(b"\n", 0, start) + 1
        source = self._source[line - 1].strip().decode()
        return Mutant(self._file, line, operator, start, end, self._slice(start, end), new, source)

    def _walk(self, node: ast.AST) -> Iterator[Mutant]:
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda | ast.JoinedStr | ast.Raise):
            return  # found on its own; or a text
        if isinstance(node, ast.If | ast.While | ast.IfExp):
            start, end = self._span(node.test)
            yield self._make("negate condition", start, end, f"(not ({self._slice(start, end)}))")
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in COMPARISONS:
            start, end = self._span(node.left)[1], self._span(node.comparators[0])[0]
            yield from self._between("comparison", start, end, COMPARISONS[type(node.ops[0])])
        if isinstance(node, ast.BoolOp):
            for left, right in zip(node.values, node.values[1:], strict=False):
                new = "or" if isinstance(node.op, ast.And) else "and"
                yield from self._between("logic", self._span(left)[1], self._span(right)[0], new)
        if isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
            yield from self._between(
                "arithmetic", self._span(node.left)[1], self._span(node.right)[0], ARITHMETIC[type(node.op)]
            )
        if isinstance(node, ast.Constant) and isinstance(node.value, bool | int):
            start, end = self._span(node)
            new = str(not node.value) if isinstance(node.value, bool) else str(node.value + 1)
            yield self._make("constant", start, end, new)
        if isinstance(node, ast.Return) and node.value is not None and not _is_none(node.value):
            start, end = self._span(node.value)
            yield self._make("return value", start, end, "None")
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            yield self._make("statement dropped", *self._span(node), "pass")
        if isinstance(node, ast.AugAssign | ast.Break | ast.Continue):
            yield self._make("statement dropped", *self._span(node), "pass")
        for child in ast.iter_child_nodes(node):
            if not (isinstance(node, ast.AnnAssign) and child is node.annotation):  # a variable's is not evaluated
                yield from self._walk(child)

    def _between(self, operator: str, start: int, end: int, new: str) -> Iterator[Mutant]:
        text = self._slice(start, end)
        word = text.strip(" ()\n\t")
        if word and "#" not in text:
            at = start + text.index(word)
            yield self._make(operator, at, at + len(word), new)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def all_mutants(root: Path, files: list[Path]) -> list[Mutant]:
    """Every change of the files, which are below `root`."""
    return [one for path in files for one in Finder(path.relative_to(root), path.read_bytes()).mutants()]


def numbered(mutants: list[Mutant]) -> dict[Mutant, int]:
    """Which one each is of those of the same file that do the same to lines of the same text, from 1."""
    met: Counter[tuple[Path, str, str, str]] = Counter()
    found = {}
    for one in mutants:
        what = (one.file, one.source, one.operator, one.change)
        met[what] += 1
        found[one] = met[what]
    return found


def sample(mutants: list[Mutant], count: int, seed: int) -> list[Mutant]:
    """`count` of them. A larger sample of the same seed begins with the smaller one.

    Each change has its own place, which stays the same where other lines change.
    """

    def place(one: Mutant) -> bytes:
        text = f"{seed} {one.file} {one.operator} {one.change} {one.source} {number[one]}"
        return hashlib.sha256(text.encode()).digest()

    number = numbered(mutants)
    return sorted(mutants, key=place)[:count]
