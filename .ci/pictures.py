"""Makes the pictures of docs/report.md: ``make pictures``. Wants chromium, which `.ci/setup.sh test` installs.

One run on QEMU shows both the page and the terminal: a few suites, so that the summary fits into a picture.
"""

from __future__ import annotations

import html
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
PICTURES: Final = ROOT / "docs" / "pictures"
SUITES: Final = ("suites/attestation", "suites/results", "suites/latency", "suites/application_evidence")
DARK: Final = "--blink-settings=preferredColorScheme=0"
COLOURS: Final = {"31": "#f28b82", "32": "#81e095", "33": "#f2c55c"}
"""Of the terminal, by the number in its escape sequence (ECMA-48 s.8.3.117, SGR)."""
LINE, WIDTH, MARGIN = 17, 8, 14  # pixels of a line, of a character and around the text
_SGR: Final = re.compile(r"\x1b\[([\d;]*)m")


def run(folder: Path) -> str:
    """Run the suites; what the session prints, with colours. `folder` becomes the run's folder."""
    command = [sys.executable, "-m", "tfm_harness.cli.main", "run", "--target", "qemu-an547", "--build", "reference"]
    command += ["--fresh-identity", "--run-dir", str(folder), *SUITES]
    command += ["--", "--color=yes", "-q"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=900)
    if done.returncode:
        raise SystemExit(f"the suites fail:\n{done.stdout[-4000:]}{done.stderr[-2000:]}")
    return done.stdout


def as_html(text: str) -> str:
    """A terminal's text as HTML: colours and bold."""
    parts = _SGR.split(text)
    found, style = [html.escape(parts[0])], ""
    for codes, shown in zip(parts[1::2], parts[2::2], strict=True):
        for code in codes.split(";"):
            if code in COLOURS:
                style += f"color:{COLOURS[code]};"
            elif code == "1":
                style += "font-weight:bold;"
            elif code in {"", "0"}:
                style = ""
        found.append(f"<span style='{style}'>{html.escape(shown)}</span>")
    return "".join(found)


def picture(page: Path, name: str, width: int, height: int, *options: str) -> None:
    """Write a picture of the page into docs/pictures."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("there is no chromium in PATH (Debian package: chromium)")
    words = [chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    words += [
        "--hide-scrollbars",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--user-data-dir={page.parent / 'profile'}",
    ]
    words += [f"--window-size={width},{height}", *options, f"--screenshot={PICTURES / name}", page.as_uri()]
    subprocess.run(words, capture_output=True, check=True, timeout=120)


def main() -> int:
    """Make all three."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory(prefix="pictures-") as temporary:
        folder = Path(temporary)
        name = time.strftime("%Y-%m-%d_%H-%M-%S")
        lines = run(folder / name).replace(str(folder), "runs").splitlines()
        report = folder / name / "report.html"
        picture(report, "report-desktop.png", 1100, 900)
        picture(report, "report-phone.png", 500, 1000, DARK)
        begin = next(number for number, line in enumerate(lines) if " tfm-harness " in line)
        text = "\n".join(lines[begin:])
        widest = max(len(_SGR.sub("", line)) for line in text.splitlines())
        shown = folder / "terminal.html"
        shown.write_text(
            f"<meta charset=utf-8><body style='margin:{MARGIN}px;background:#14171c;color:#d5d9e0'>"
            f"<pre style='margin:0;font:13px/{LINE}px DejaVu Sans Mono,monospace'>{as_html(text)}</pre>"
        )
        height = len(text.splitlines()) * LINE + 2 * MARGIN
        picture(shown, "terminal.png", widest * WIDTH + 2 * MARGIN, height)
    print("docs/pictures: report-desktop.png, report-phone.png, terminal.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
