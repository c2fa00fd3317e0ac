"""Carry the faulty builds' patches over a change of the sources.

The patches are rewritten for the working tree by a three-way merge. One that conflicts is left as it is and named; exit
code 1.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

REFERENCE = Path(__file__).resolve().parents[1]
PREFIX = "fw_builds/reference"
PARTS = ("partition", "spe", "pseudo_driver", "platform")


def call(*command: str | Path, cwd: Path = REFERENCE, ok: tuple[int, ...] = (0,)) -> bytes:
    """What the command prints.

    Raises:
        SystemExit: another exit code than those of `ok`.
    """
    done = subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, check=False)
    if done.returncode not in ok:
        raise SystemExit(f"{' '.join(map(str, command))}: {done.stderr.decode(errors='replace')}")
    return done.stdout


def paths_of(patch: str) -> dict[str, bool]:
    """Files that a patch touches; true where it makes them."""
    pairs = re.findall(r"(?m)^--- (\S+).*\n\+\+\+ b/(\S+)", patch)
    return {new.removeprefix(f"{PREFIX}/"): old == "/dev/null" for old, new in pairs}


def rebased(patch: Path, before: Path, work: Path) -> str | None:
    """The patch for the working tree; nothing when it conflicts."""
    text = patch.read_text()
    left, right = work / "a" / PREFIX, work / "b" / PREFIX
    merged = work / "merged" / PREFIX
    call(REFERENCE / "tools" / "faulty_sources.sh", before, patch, merged)
    for path, is_new in paths_of(text).items():
        faulty, now = merged / path, REFERENCE / path
        (right / path).parent.mkdir(parents=True, exist_ok=True)
        if is_new:
            (right / path).write_bytes(faulty.read_bytes())
            continue
        done = subprocess.run(
            ["git", "merge-file", "-p", str(now), str(before / path), str(faulty)], capture_output=True, check=False
        )
        if done.returncode:
            return None
        (right / path).write_bytes(done.stdout)
        (left / path).parent.mkdir(parents=True, exist_ok=True)
        (left / path).write_bytes(now.read_bytes())
    left.mkdir(parents=True, exist_ok=True)
    said = call("diff", "-urN", "a", "b", cwd=work, ok=(0, 1)).decode()
    said = re.sub(r"(?m)^diff -urN .*\n", "", said)
    said = re.sub(r"(?m)^(---|\+\+\+) (\S+)\t.*$", r"\1 \2", said)
    for path, is_new in paths_of(text).items():
        if is_new:
            said = said.replace(f"--- a/{PREFIX}/{path}\n", "--- /dev/null\n")
    return said


def main() -> int:
    """Command line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("revision", help="a commit in which the patches applied")
    options.add_argument("names", nargs="*", metavar="NAME", help="faulty builds (default: all)")
    asked = options.parse_args()
    patches = {patch.stem: patch for patch in sorted((REFERENCE / "mutants").glob("*.patch"))}
    if unknown := [name for name in asked.names if name not in patches]:
        options.error(f"no such faulty build: {', '.join(unknown)}")
    wanted = [patch for name, patch in patches.items() if name in asked.names or not asked.names]
    conflicts = []
    with tempfile.TemporaryDirectory() as folder:
        before = Path(folder, "before")
        before.mkdir()
        archive = call("git", "archive", asked.revision, *PARTS)
        subprocess.run(["tar", "-x", "-C", str(before)], input=archive, check=True)
        for patch in wanted:
            with tempfile.TemporaryDirectory() as work:
                text = rebased(patch, before, Path(work))
            if text is None:
                conflicts.append(patch.stem)
            else:
                patch.write_text(text)
    if conflicts:
        print("write these anew:", *conflicts)
    return 1 if conflicts else 0


if __name__ == "__main__":
    sys.exit(main())
