"""Write the manifest of images that were built somewhere else than in out/: build.yaml with its paths changed.

manifest.py BUILD_YAML OUT_FOLDER NAME ATTESTATION_PROFILE > OUT_FOLDER/build.yaml
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path


def rewrite(text: str, sources: Path, out: Path, name: str, profile: str) -> str:
    """`text` for a build of that name: images are in `out`, beside the manifest; every other file is in `sources`."""
    text = re.sub(r"(?m)^name: .*$", f"name: {name}", text)
    text = re.sub(r'(?m)^  profile: "tag:.*$', f'  profile: "{profile}"', text)
    text = re.sub(r"(?m)^make: .*\n", "", text)
    back = os.path.relpath(sources, out)

    def moved(found: re.Match[str]) -> str:
        path = found[0]
        if path.startswith("out/"):
            return path.removeprefix("out/")
        return f"{back}/{path}" if (sources / path).is_file() else path

    return re.sub(r"(?<![\w./:-])[\w.-]+(?:/[\w.-]+)+", moved, text)


def main() -> None:
    """Command line."""
    if len(sys.argv) != 5:
        raise SystemExit(__doc__)
    manifest, out = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    print(rewrite(manifest.read_text(), manifest.parent, out, sys.argv[3], sys.argv[4]), end="")


if __name__ == "__main__":
    main()
