"""Write the table of published image signing keys: hashes and sources, never the keys.

Usage: ``python .ci/published_keys.py NAME=CHECKOUT...``, for instance ``MCUboot=~/mcuboot TF-M=~/trusted-firmware-m``.
Every PEM file of a checkout that holds a signing key is hashed in each form that a KEYHASH TLV may have; of a bare Git
repository every one that any of its commits had, as a key stays published when it is deleted. Rows of the table whose
sources are not named again stay, so that one source can be added without the others at hand; with ``NAME+=FOLDER`` the
rows of that source stay as well, so that single files can be added (of a repository that is too large to be cloned).
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

TABLE = Path(__file__).resolve().parents[1] / "harness" / "tfm_harness" / "verify" / "published_image_keys.py"
HEAD = '''"""Image signing keys whose private halves are published: a hash of the public key, algorithm, sources.

Made by ``.ci/published_keys.py``; do not edit. The hashes are those that a KEYHASH TLV may have.
"""
# ruff: noqa: E501

__all__ = ["TABLE"]

TABLE = """\\
'''
SKIPPED = ("enc-", "enc_", "encrypt", "attestation", "cert", "server", "private-key.pem", "DAC_key", "PAI_key")
OTHER_FOLDERS = ("mbedtls", "iperf3", "cert")  # a library's test data, keys for TLS: nobody signs images with them


def hashes_of(pem: bytes) -> tuple[str, list[str]] | None:
    """The algorithm of a key and its hashes; None when the file holds no signing key."""
    try:
        key = serialization.load_pem_private_key(pem, None).public_key()
    except (ValueError, TypeError):
        try:
            key = serialization.load_pem_public_key(pem)
        except ValueError:
            return None
    der = serialization.Encoding.DER
    spki = key.public_bytes(der, serialization.PublicFormat.SubjectPublicKeyInfo)
    found = [hashlib.new(name, spki).hexdigest() for name in ("sha256", "sha384", "sha512")]
    if isinstance(key, rsa.RSAPublicKey):
        pkcs1 = key.public_bytes(der, serialization.PublicFormat.PKCS1)
        return f"RSA-{key.key_size}", [*found, hashlib.sha256(pkcs1).hexdigest()]
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"EC-{key.curve.name}", found
    return ("Ed25519", found) if isinstance(key, ed25519.Ed25519PublicKey) else None


def kept_rows(named: set[str]) -> dict[str, list[str]]:
    """The table's rows, hash to algorithm and sources, without what the sources `named` gave before."""
    rows: dict[str, list[str]] = {}
    for line in TABLE.read_text().splitlines() if TABLE.is_file() else ():
        value, _, rest = line.partition(" ")
        if len(value) not in {64, 96, 128} or not rest:
            continue
        algorithm, _, sources = rest.partition(" ")
        kept = [source for source in sources.split("; ") if source.partition(": ")[0] not in named]
        if kept:
            rows[value] = [algorithm, *kept]
    return rows


def pem_files(root: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of each PEM file of a checkout, or of all commits of a bare Git repository."""
    if not (root / "objects").is_dir():
        yield from ((path.relative_to(root).as_posix(), path.read_bytes()) for path in sorted(root.rglob("*.pem")))
        return
    git = ["git", f"--git-dir={root}"]
    listed = subprocess.run(
        [*git, "rev-list", "--objects", "--missing=allow-any", "--all"], capture_output=True, text=True, check=True
    )
    for line in sorted(listed.stdout.splitlines(), key=lambda line: line[41:]):
        if line.endswith(".pem"):
            blob = subprocess.run([*git, "cat-file", "blob", line[:40]], capture_output=True, check=False)
            if blob.returncode == 0:  # a snapshot may lack some
                yield line[41:], blob.stdout


def main() -> None:
    """Hash the keys of the checkouts that the command line names."""
    named = {name for name, _, _ in (argument.partition("=") for argument in sys.argv[1:]) if not name.endswith("+")}
    rows = kept_rows(named)
    for argument in sys.argv[1:]:
        source, _, folder = argument.partition("=")
        for name, pem in pem_files(Path(folder).expanduser()):
            skipped = any(word in Path(name).name for word in SKIPPED) or any(part in name for part in OTHER_FOLDERS)
            found = None if skipped else hashes_of(pem)
            for value in found[1] if found else ():
                rows.setdefault(value, [found[0] if found else ""]).append(f"{source.rstrip('+')}: {name}")
    lines = [f"{value} {row[0]} {'; '.join(dict.fromkeys(row[1:]))}" for value, row in sorted(rows.items())]
    TABLE.write_text(HEAD + "\n".join(lines) + '\n"""\n')


if __name__ == "__main__":
    main()
