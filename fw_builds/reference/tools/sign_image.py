"""Sign an MCUboot image with imgtool, byte for byte the same each time.

imgtool's own ECDSA signatures are random. Here imgtool makes the digest, `cryptography` signs it deterministically
(RFC 6979), and imgtool puts the finished signature into the image.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import io
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from imgtool.main import imgtool as imgtool_command  # type: ignore[import-untyped]  # has no types

HEADER_SIZE = 0x400
MODEL_NAME_TLV = 0x00A0


def imgtool(arguments: list[str]) -> None:
    """Run `imgtool sign` in this process: three interpreters an image would be most of a build's time.

    Raises:
        SystemExit: it failed; the message says why.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            imgtool_command.main(args=["sign", *arguments], prog_name="imgtool", standalone_mode=False)
        except click.ClickException as error:
            raise SystemExit(f"sign_image: imgtool: {error.format_message()}") from None


def load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Read the signing key.

    Raises:
        SystemExit: not a P-256 private key in PEM.
    """
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise SystemExit(f"sign_image: {path}: not a readable private key: {error}") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise SystemExit(f"sign_image: {path}: not a P-256 key")
    return key


def sign(arguments: argparse.Namespace) -> None:
    """Sign `arguments.input` into `arguments.output`, which appears only when it is whole."""
    options = [
        *("--header-size", hex(HEADER_SIZE), "--pad-header", "--align", "4"),
        *("--slot-size", hex(arguments.slot_size), "--version", arguments.version),
        *("--security-counter", str(arguments.security_counter)),
    ]
    if arguments.model_name:
        options += ["--custom-tlv", hex(MODEL_NAME_TLV), arguments.model_name]
    with tempfile.TemporaryDirectory(dir=arguments.output.parent) as folder:
        scratch = Path(folder)
        digest, signature, signed = scratch / "digest.bin", scratch / "signature.b64", scratch / "signed.bin"
        if arguments.unsigned:
            imgtool([*options, str(arguments.input), str(signed)])
        else:
            key = load_key(arguments.key)
            public = scratch / "public.pem"
            public.write_bytes(
                key.public_key().public_bytes(
                    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
                )
            )
            imgtool([*options, "--vector-to-sign", "digest", str(arguments.input), str(digest)])
            algorithm = ec.ECDSA(utils.Prehashed(hashes.SHA256()), deterministic_signing=True)
            signature.write_bytes(base64.b64encode(key.sign(digest.read_bytes(), algorithm)))
            fixed = ["--fix-sig", str(signature), "--fix-sig-pubkey", str(public)]
            imgtool([*options, *fixed, str(arguments.input), str(signed)])
        signed.replace(arguments.output)


def main(words: Sequence[str] | None = None) -> None:
    """Command line; or `words`, in this process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", type=Path, help="payload: a binary linked behind the header, or a .tflite file")
    parser.add_argument("output", type=Path)
    parser.add_argument("--key", type=Path, help="P-256 private key, PEM")
    parser.add_argument("--unsigned", action="store_true", help="hash only (an image that a device must refuse)")
    parser.add_argument("--version", default="1.0.0", help="major.minor.revision")
    parser.add_argument("--security-counter", type=int, default=1)
    parser.add_argument("--model-name", default="", help="name of a model image, 1..15 ASCII characters")
    parser.add_argument("--slot-size", type=lambda text: int(text, 0), default=0x60000)
    arguments = parser.parse_args(words)
    if not arguments.unsigned and arguments.key is None:
        parser.error("--key or --unsigned is needed")
    sign(arguments)


if __name__ == "__main__":
    main()
