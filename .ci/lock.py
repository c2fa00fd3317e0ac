"""Exact versions and hashes of all that is installed from a package index: ``python .ci/lock.py [--check]``.

Writes `.ci/constraints-demo.txt` and `.ci/constraints-test.txt` for every Python and platform that the project supports
(markers choose), with the index that pip is set to; no index is named in them. With ``--check`` nothing is written:
pins for which pyproject.toml allows a newer version are listed, and the exit status is 1 when there are any.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SETS = {"demo": ("firmware", "evidence"), "test": ("firmware", "evidence", "dev")}
"""Extras of pyproject.toml; the same as in setup.sh."""
OLDEST = "3.11"
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)(?: ;([^\\]*))?", re.MULTILINE)


def path_of(name: str) -> Path:
    """The file of one set."""
    return ROOT / ".ci" / f"constraints-{name}.txt"


def _pip(setting: str) -> str:
    words = [sys.executable, "-m", "pip", "config", "get", f"global.{setting}"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()


def compile_set(name: str, out: Path) -> None:
    """Resolve one set anew.

    Raises:
        SystemExit: uv is not installed, or it found no solution.
    """
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        sys.exit("lock: uv is missing: pip install -e '.[dev]'")
    build = out.with_name("build.in")  # what builds the harness is installed from the lock as well
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    build.write_text("\n".join([*project["build-system"]["requires"], "editables"]))
    words = [
        uv,
        "pip",
        "compile",
        "pyproject.toml",
        str(build),
        "--universal",
        "--python-version",
        OLDEST,
        "--generate-hashes",
    ]
    words += ["--index-strategy", "unsafe-best-match"]  # as pip does
    words += ["--no-header", "--no-annotate", "--quiet", "--upgrade", "-o", str(out)]
    words += [word for extra in SETS[name] for word in ("--extra", extra)]
    if index := _pip("index-url"):
        words += ["--default-index", index]
    for index in _pip("extra-index-url").split():
        words += ["--index", index]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"lock: no solution for {name!r}:\n{done.stderr}")


def pins(text: str) -> set[tuple[str, str, str]]:
    """Name, version and marker of each pin."""
    return {(name, version, (marker or "").strip()) for name, version, marker in PIN.findall(text)}


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only tell what is out of date")
    check = parser.parse_args().check
    stale = False
    for name in SETS:
        with tempfile.TemporaryDirectory() as folder:
            new = Path(folder) / "new.txt"
            compile_set(name, new)
            text = new.read_text()
        if not check:
            path_of(name).write_text(text)
            print(f"{path_of(name).relative_to(ROOT)}: {len(pins(text))} packages")
            continue
        old = pins(path_of(name).read_text())
        for package, version, marker in sorted(pins(text) - old):
            before = ", ".join(sorted(v for n, v, _ in old if n == package)) or "not there"
            print(f"{name}: {package} {before} -> {version}" + (f" ({marker})" if marker else ""))
            stale = True
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
