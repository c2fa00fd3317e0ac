"""What a wheel carries beside the package: suites, targets, builds, documentation.

An editable install uses the checkout's.
The reference firmware goes in with its images where they have been built (`make wheel` builds them), so that the first
command of a user who has only pip and QEMU works.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PATTERNS = (
    "suites/**/*",
    "targets/*.yaml",
    "targets/**/*.md",
    "docs/*.md",
    "docs/*.cddl",
    "docs/boards/*",
    "docs/examples/**/*",
    "docs/pictures/*",
    "docs/schemas/*.json",
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "LICENSE",
    "fw_builds/*/build.yaml",
    "fw_builds/*/README.md",
    "fw_builds/reference/keys/*",
    "fw_builds/reference/models/*.tflite",
    "fw_builds/reference/models/README.md",
)
IMAGES = ("secure.elf", "nonsecure.signed.bin", "tamper.signed.bin", "sine.signed.bin", "keyword.signed.bin")
"""Of ``fw_builds/reference/out``: what its ``build.yaml`` names."""


class BundleHook(BuildHookInterface):  # type: ignore[type-arg] # hatchling's generic has no use here
    """Adds what lies outside the package."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before a wheel is built; `version` is ``standard`` or ``editable``."""
        if version == "standard":
            root = Path(self.root)
            for path in _files(root):
                build_data["force_include"][str(path)] = f"tfm_harness/_bundled/{path.relative_to(root)}"
            bill = Path(self.directory) / "tfm-harness.cdx.json"
            bill.parent.mkdir(parents=True, exist_ok=True)
            bill.write_text(json.dumps(self._materials(), indent=1, sort_keys=True) + "\n")
            build_data["force_include"][str(bill)] = "tfm_harness/_bundled/tfm-harness.cdx.json"

    def _materials(self) -> dict[str, Any]:
        """CycloneDX 1.6: the package, what it needs, and what its firmware is linked with. The same for each build."""
        core = self.metadata.core
        name, version = self.metadata.name, self.metadata.version
        own = f"pkg:pypi/{name}@{version}"
        needed = {None: core.dependencies, **core.optional_dependencies}
        parts: dict[str, dict[str, Any]] = {}
        for extra, words in needed.items():
            for word in words:
                requirement, _, marker = word.partition(";")
                found = re.match(r"\s*([A-Za-z0-9._-]+)", requirement)
                if found is None:
                    continue
                normal = re.sub(r"[-_.]+", "-", found[1]).lower()
                part = parts.setdefault(
                    normal,
                    {"type": "library", "name": normal, "purl": f"pkg:pypi/{normal}", "bom-ref": f"pkg:pypi/{normal}",
                     "scope": "optional", "properties": []},
                )  # fmt: skip
                if extra is None:
                    part["scope"] = "required"
                told = {"requirement": requirement.strip(), "extra": extra or "", "marker": marker.strip()}
                part["properties"] += [
                    {"name": f"tfm-harness:{key}", "value": value} for key, value in told.items() if value
                ]
        parts["bearssl"] = {
            "type": "library", "name": "bearssl", "bom-ref": "bearssl", "scope": "optional",
            "licenses": [{"license": {"id": "MIT"}}], "description": "linked into the reference firmware's images",
        }  # fmt: skip
        whole = {"type": "application", "name": name, "version": version, "bom-ref": own, "purl": own,
                 "licenses": [{"license": {"id": "Apache-2.0"}}]}  # fmt: skip
        return {
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "version": 1,
            "metadata": {"component": whole},
            "components": [parts[part] for part in sorted(parts)],
            "dependencies": [{"ref": own, "dependsOn": sorted(part["bom-ref"] for part in parts.values())}],
        }


def _files(root: Path) -> Iterator[Path]:
    for pattern in PATTERNS:
        yield from (path for path in sorted(root.glob(pattern)) if path.is_file() and "__pycache__" not in path.parts)
    firmware = root / "fw_builds" / "reference"
    images = [firmware / "out" / name for name in IMAGES]
    if all(image.is_file() for image in images):
        yield from images
        # The secure image holds BearSSL (MIT licence), whose text must go along.
        licence = firmware / "build" / "bearssl" / "LICENSE.txt"
        if licence.is_file():
            yield licence
