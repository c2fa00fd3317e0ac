"""Text in a form that Markdown shows literally."""

from __future__ import annotations

import re

__all__ = ["plain"]

_SPECIAL = re.compile(r"([\\`*_\[\]|#~])")


def plain(text: str) -> str:
    """Markdown that shows `text` literally: no character makes HTML, a link, emphasis, a mention or a table border.

    `text` has gone through `tfm_harness.safe_text.safe` before: line breaks and control characters are gone.
    """
    quoted = _SPECIAL.sub(r"\\\1", text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))
    return quoted.replace("@", "&#64;").replace("://", "&#58;//")  # no mention of a person, no automatic link
