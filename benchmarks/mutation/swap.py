"""Puts a change into functions that are loaded already: whoever holds them runs the new code."""

from __future__ import annotations

import gc
import inspect
from collections import defaultdict
from collections.abc import Iterator
from types import CodeType, FunctionType


def swap(file: str, right: bytes, changed: bytes) -> bool:
    """Replace the code of what the change changes; False, and nothing is replaced, where that would not be the change.

    So it is where no function with that code is loaded, where it would need another closure, and where functions that
    it made itself are loaded and would stay as they are.
    """
    before, after = _functions(right, file), _functions(changed, file)
    if [code.co_qualname for code in before] != [code.co_qualname for code in after]:
        return False
    loaded = _loaded(file)
    new = [(old, code) for old, code in zip(before, after, strict=True) if _text(old) != _text(code)]
    made = {name.partition(".<locals>")[0] for name, _line in loaded if ".<locals>" in name}
    if not new or any(old.co_qualname in made for old, _code in new):
        return False
    places = [(one, code) for old, code in new for one in loaded[old.co_qualname, old.co_firstlineno]]
    found = {code for _one, code in places}
    if any(code not in found for _old, code in new):
        return False
    if any(one.__code__.co_freevars != code.co_freevars for one, code in places):
        return False
    for one, code in places:
        one.__code__ = code
    return True


def _loaded(file: str) -> dict[tuple[str, int], list[FunctionType]]:
    """Functions whose code is from this file, by qualified name and line."""
    found: dict[tuple[str, int], list[FunctionType]] = defaultdict(list)
    for one in gc.get_objects():
        if isinstance(one, FunctionType) and one.__code__.co_filename == file:
            found[one.__code__.co_qualname, one.__code__.co_firstlineno].append(one)
    return found


def _functions(text: bytes, file: str) -> list[CodeType]:
    """The code of the functions of a module and its classes, in the order of the text."""
    return list(_inner(compile(text, file, "exec", dont_inherit=True)))


def _inner(code: CodeType) -> Iterator[CodeType]:
    for inner in code.co_consts:
        if not isinstance(inner, CodeType):
            continue
        if not inner.co_flags & inspect.CO_OPTIMIZED:  # a class's body
            yield from _inner(inner)
        elif not inner.co_name.startswith("<"):
            yield inner


def _text(code: CodeType) -> tuple[object, ...]:
    """What a function does, without the lines that it is in."""
    constants = tuple(_text(one) if isinstance(one, CodeType) else (type(one), repr(one)) for one in code.co_consts)
    names = code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars
    return code.co_code, code.co_exceptiontable, names, constants
