"""Reads YAML from elsewhere: plain values only, so that a few bytes cannot grow to gigabytes."""

from __future__ import annotations

from typing import Final

import yaml

__all__ = ["PlainLoader"]

MAX_DEPTH: Final = 16
MAX_NODES: Final = 100_000


class PlainLoader(yaml.SafeLoader):
    """PyYAML's safe loader without aliases, limited in depth and in number of values.

    Raises (while it loads):
        yaml.YAMLError: not YAML, an alias, too deep, too many values.
    """

    _depth = 0
    _nodes = 0

    def construct_object(self, node: yaml.Node, deep: bool = False) -> object:  # noqa: FBT002 - PyYAML's own
        """Make one value. Text that only looks like a number or a date (``0x_``, the 41st of January) is an error."""
        try:
            return super().construct_object(node, deep)
        except (ValueError, OverflowError) as error:
            raise yaml.YAMLError(f"line {node.start_mark.line + 1}: {error}") from error

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose one value; count it."""
        event = self.peek_event()  # type: ignore[no-untyped-call] # PyYAML's own, without types
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            raise yaml.YAMLError(f"line {line}: aliases are not allowed here")
        self._depth += 1
        self._nodes += 1
        if self._depth > MAX_DEPTH or self._nodes > MAX_NODES:
            raise yaml.YAMLError(f"line {line}: deeper than {MAX_DEPTH} levels or more than {MAX_NODES} values")
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1
