"""One headless Chromium for all pages that the tests of a process look at: its start costs as much as ten pages.

It is driven by the Chrome DevTools Protocol over two pipes (``--remote-debugging-pipe``): JSON, each message ended by a
NUL byte; https://chromedevtools.github.io/devtools-protocol/.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

__all__ = ["CHROMIUM", "Browser", "Shown"]

CHROMIUM: Final = next((p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n))), None)
_OPTIONS: Final = (
    "--headless=new",
    "--no-sandbox",  # the pages are ours, and CI runs as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
_COMPLAINTS: Final = {"Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown"}
_LIMIT: Final = 120.0


class Browser:
    """A browser that runs until `close`.

    Args:
        folder: for its profile and what it says on standard error.
    """

    def __init__(self, folder: Path) -> None:
        assert CHROMIUM is not None
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        log = os.open(folder / "browser.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        null = os.open(os.devnull, os.O_RDWR)
        given = [null, log, log, theirs_in, theirs_out]
        high = [fcntl.fcntl(place, fcntl.F_DUPFD_CLOEXEC, 10) for place in given]  # none is overwritten by another
        self._pid = os.posix_spawn(
            CHROMIUM, [CHROMIUM, *_OPTIONS, f"--user-data-dir={folder / 'profile'}", "about:blank"], os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, place, number) for number, place in enumerate(high)],
        )  # fmt: skip
        for place in {*given, *high}:
            os.close(place)
        self._number = 0
        self._unread = b""
        self._heard: list[dict[str, Any]] = []

    def close(self) -> None:
        """End it."""
        os.close(self._out)  # it ends when its pipe does
        os.close(self._in)
        os.waitpid(self._pid, 0)

    @contextmanager
    def show(self, page: Path | str, *, width: int = 1200, height: int = 1200, dark: bool = False) -> Iterator[Shown]:
        """A page (a file, or an address) in a window of its own, when it has loaded."""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        try:
            for domain in ("Page", "Runtime", "Log"):
                self.ask(f"{domain}.enable", session)
            size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
            self.ask("Emulation.setDeviceMetricsOverride", session, **size)
            scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
            self.ask("Emulation.setEmulatedMedia", session, features=[scheme])
            self._heard.clear()
            address = page if isinstance(page, str) else page.as_uri()
            answer = self.ask("Page.navigate", session, url=address)
            assert "errorText" not in answer, answer
            self._hear(lambda said: said.get("method") == "Page.loadEventFired" and said.get("sessionId") == session)
            yield Shown(self, session)
        finally:
            self.ask("Target.closeTarget", targetId=target)

    def ask(self, method: str, session: str = "", **given: Any) -> Mapping[str, Any]:
        """What the browser answers to a request."""
        self._number += 1
        number = self._number
        request = {"id": number, "method": method, "params": given} | ({"sessionId": session} if session else {})
        data = json.dumps(request).encode() + b"\0"
        while data:
            data = data[os.write(self._out, data) :]
        answer = self._hear(lambda said: said.get("id") == number)
        assert "error" not in answer, (method, answer["error"])
        result: Mapping[str, Any] = answer["result"]
        return result

    def complaints(self, session: str) -> list[str]:
        """What it has said in the console of the page that was opened last."""
        return [
            json.dumps(said["params"])
            for said in self._heard
            if said.get("method") in _COMPLAINTS and said.get("sessionId") == session
        ]

    def _hear(self, wanted: Any) -> dict[str, Any]:
        """The first message from now on, or of those since the page was opened, that is wanted."""
        for said in self._heard:
            if wanted(said):
                return said
        deadline = time.monotonic() + _LIMIT
        while True:
            whole, end, rest = self._unread.partition(b"\0")
            if end:
                self._unread = rest
                said = dict(json.loads(whole))
                self._heard.append(said)
                if wanted(said):
                    return said
                continue
            ready, _, _ = select.select([self._in], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"the browser says nothing for {_LIMIT:.0f} s"
            part = os.read(self._in, 1 << 20)
            assert part, "the browser has ended"
            self._unread += part


class Shown:
    """A page that the browser shows."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser, self._session = browser, session

    def value(self, expression: str) -> Any:
        """Of a JavaScript expression in the page."""
        answer = self._browser.ask("Runtime.evaluate", self._session, expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def html(self) -> str:
        """The page as it is now, after its scripts have run."""
        text = self.value("document.documentElement.outerHTML")
        assert isinstance(text, str)
        return text

    def width(self) -> int:
        """Of the whole page in pixels: more than the window's, where something does not fit."""
        return int(self.value("document.documentElement.scrollWidth"))

    def complaints(self) -> list[str]:
        """All messages of its console since it was opened."""
        self.value("0")  # what was said before it is answered has been heard
        return self._browser.complaints(self._session)

    def picture(self) -> bytes:
        """Of the window: a PNG file."""
        return base64.b64decode(self._browser.ask("Page.captureScreenshot", self._session)["data"])

    def printed(self) -> bytes:
        """A PDF file."""
        return base64.b64decode(self._browser.ask("Page.printToPDF", self._session)["data"])
