"""The signers of bundles: a key in a file, or one that securesystemslib reaches (PKCS#11 token, key management).

Private keys are read and used; they are never copied, stored or shown.
"""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from tfm_harness.errors import ConfigError, InfrastructureError
from tfm_harness.evidence.dsse import SigningKey
from tfm_harness.files import KEY_LIMIT, read_file
from tfm_harness.verify.keyfiles import parse_image_key
from tfm_harness.verify.keys import Ed25519Key, KeyFormatError, PublicKey

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
    from securesystemslib.signer import Signer as LibrarySigner

__all__ = [
    "LibraryEnvelopeSigner",
    "key_id",
    "load_signer",
    "load_verification_keys",
    "signer_of_run",
    "throwaway_signer",
]

PIN_VARIABLE: Final = "TFM_HARNESS_SIGNER_PIN"
"""Environment variable with the PIN of a PKCS#11 token."""
_PROBE: Final = b"tfm-harness: a signature to see that this key can sign"
_NEEDS: Final = {
    "awskms": "awskms:KEY wants pip install 'securesystemslib[awskms]', AWS_DEFAULT_REGION, and credentials as AWS"
    " tools take them; keys on P-256 and P-384 can sign",
    "azurekms": "azurekms: wants pip install 'securesystemslib[azurekms]' and a login of Azure's own tools",
    "gcpkms": "gcpkms: wants pip install 'securesystemslib[gcpkms]' and the default credentials of Google's own tools",
    "hsm": "hsm: wants pip install 'securesystemslib[hsm]', PYKCS11LIB with the token's library, and the key's number"
    " and token",
    "hv": "hv:NAME/VERSION wants pip install 'securesystemslib[vault]', VAULT_ADDR and VAULT_TOKEN; Ed25519 keys of"
    " the transit engine can sign",
}
_SCHEMES: Final = tuple(_NEEDS)
_VERIFIED: Final = frozenset({"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ed25519"})
"""Schemes of securesystemslib whose signatures `evidence verify` accepts."""


class LibraryEnvelopeSigner:
    """Makes a signer of securesystemslib an `EnvelopeSigner` of `tfm_harness.evidence.dsse`."""

    def __init__(self, signer: LibrarySigner) -> None:
        self._signer = signer

    @property
    def keyid(self) -> str:
        """The key's id."""
        return str(self._signer.public_key.keyid)

    @property
    def makes_es256(self) -> bool:
        """Whether the key is on P-256."""
        return str(self._signer.public_key.scheme) == "ecdsa-sha2-nistp256"

    def require_es256(self, where: str) -> None:
        """Refuse a key that cannot make ES256 signatures.

        Raises:
            ConfigError: kind ``evidence-key``.
        """
        if not self.makes_es256:
            raise ConfigError(
                "an ES256 signature needs a key on P-256", kind="evidence-key",
                seen=str(self._signer.public_key.scheme), where=where,
            )  # fmt: skip

    def sign(self, data: bytes) -> bytes:
        """The signature.

        Raises:
            InfrastructureError: kind ``signer``: the token or the service did not sign.
        """
        try:
            return bytes.fromhex(self._signer.sign(data).signature)
        except Exception as error:
            raise InfrastructureError(
                "the signer did not sign", kind="signer", seen=f"{type(error).__name__}: {error}"
            ) from error


def load_signer(name: str, *, public: Path | None = None) -> LibraryEnvelopeSigner:
    """The signer that a user names.

    Args:
        name: a PEM file with a PKCS#8 private key (ECDSA on P-256, P-384 or P-521, or Ed25519), or a URI that
            securesystemslib knows: ``hsm:``, ``awskms:``, ``azurekms:``, ``gcpkms:``, ``hv:``.
        public: PEM file with the public key; URIs of key management services need it, a PKCS#11 token is asked.

    Raises:
        ConfigError: kinds ``evidence-key`` and ``evidence-extra``.
    """
    if name.partition(":")[0] in _SCHEMES:
        return _from_uri(name, public)
    path = Path(name)
    try:
        data = read_file(path, KEY_LIMIT)
    except OSError as error:
        raise ConfigError(
            f"cannot read the signing key: {error.strerror}", kind="evidence-key", where=name,
            hint=f"name a PEM file, or a URI ({', '.join(f'{scheme}:' for scheme in _SCHEMES)})",
        ) from None  # fmt: skip
    try:
        key = load_pem_private_key(data, None)
    except TypeError:  # the key is encrypted
        key = _with_passphrase(data, path)
    except ValueError as error:
        raise _no_key(path, str(error)) from None
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in {"secp256r1", "secp384r1", "secp521r1"}:
        return _from_private(key)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return _from_private(key)
    raise _no_key(path, f"a {type(key).__name__.removeprefix('_')}")


def throwaway_signer() -> tuple[LibraryEnvelopeSigner, str]:
    """A new P-256 key that is forgotten when the process ends, and its public half as PEM."""
    private = ec.generate_private_key(ec.SECP256R1())
    return _from_private(private), PublicKey.from_handle(private.public_key()).pem


def signer_of_run(name: str) -> tuple[LibraryEnvelopeSigner, str | None]:
    """The signer that a run's option names, and the public half of a throw-away key.

    Args:
        name: as for `load_signer`, or ``throwaway``.

    Raises:
        ConfigError: kinds ``evidence-key`` and ``evidence-extra``.
    """
    return throwaway_signer() if name == "throwaway" else (load_signer(name), None)


def load_verification_keys(paths: Iterable[Path]) -> dict[str, SigningKey]:
    """Public keys by key id.

    Raises:
        ConfigError: kinds ``no-key`` and ``key-file``.
    """
    found: dict[str, SigningKey] = {}
    for path in paths:
        try:
            key = parse_image_key(read_file(path, KEY_LIMIT))
        except (OSError, KeyFormatError) as error:
            raise ConfigError("no usable public key", kind="key-file", seen=str(error), where=str(path)) from None
        if not isinstance(key, PublicKey | Ed25519Key):
            raise ConfigError(
                "bundles are signed with ECDSA or Ed25519", kind="key-file", seen=str(key), where=str(path)
            )
        found[key_id(key)] = key
    if not found:
        raise ConfigError(
            "no verification key was given, so nothing can be verified", kind="no-key",
            hint="name the public key of the bundle's signer with --key",
        )  # fmt: skip
    return found


def key_id(key: SigningKey) -> str:
    """The key's id as securesystemslib makes it: SHA-256 over its canonical JSON."""
    return str(_library().SSlibKey.from_crypto(key.handle).keyid)


def _library() -> ModuleType:
    try:
        from securesystemslib import signer
    except ImportError:
        raise ConfigError(
            "evidence needs the package securesystemslib", kind="evidence-extra",
            hint="install tfm-harness with its extra: pip install 'tfm-harness[evidence]'",
        ) from None  # fmt: skip
    return signer


def _from_private(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> LibraryEnvelopeSigner:
    return LibraryEnvelopeSigner(_library().CryptoSigner(key))


def _from_uri(uri: str, public: Path | None) -> LibraryEnvelopeSigner:
    """The signer of a URI; it must have shown that it can sign and that the public key is its own."""
    library = _library()
    pin = _Pin(uri)
    scheme = uri.partition(":")[0]
    if public is None and not uri.startswith("hsm:"):
        raise ConfigError("a signer by URI needs its public key", kind="evidence-key", where=uri,
                          hint="name its PEM file with --public-key")  # fmt: skip
    try:
        if public is not None:
            key = library.SSlibKey.from_crypto(load_pem_public_key(read_file(public, KEY_LIMIT)))
        else:
            number, _, label = uri.removeprefix("hsm:").partition("?")
            wanted = dict(parse_qsl(label)).get("label")
            uri, key = library.HSMSigner.import_(int(number) if number else None, wanted, pin)
        _require_verifiable(key.scheme, uri)
        signer = library.Signer.from_priv_key_uri(uri, key, pin)
        key.verify_signature(signer.sign(_PROBE), _PROBE)
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(
            "this signer cannot be used", kind="evidence-key", seen=f"{type(error).__name__}: {error}", where=uri,
            hint=f"{_NEEDS[scheme]}; the documentation of securesystemslib describes each kind of URI",
        ) from error  # fmt: skip
    return LibraryEnvelopeSigner(signer)


def _require_verifiable(scheme: str, uri: str) -> None:
    """Refuse a key whose signatures `evidence verify` does not accept."""
    if scheme not in _VERIFIED:
        raise ConfigError(
            "bundles are signed with ECDSA or Ed25519", kind="evidence-key",
            expected="a key on P-256, P-384 or P-521, or Ed25519", seen=scheme, where=uri,
        )  # fmt: skip


class _Pin:
    """The PIN of a token, obtained once: from the variable `PIN_VARIABLE`, else from a person at the terminal."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._pin: str | None = None

    def __call__(self, secret: str) -> str:
        if self._pin is None:
            self._pin = os.environ.get(PIN_VARIABLE)
        if self._pin is None:
            if not sys.stdin.isatty():
                raise ConfigError(
                    f"the signer wants a {secret}, and no terminal is there to ask at", kind="evidence-key",
                    where=self._uri, hint=f"set {PIN_VARIABLE}",
                )  # fmt: skip
            self._pin = getpass.getpass(f"{secret} of {self._uri}: ")
        return self._pin


def _with_passphrase(data: bytes, path: Path) -> PrivateKeyTypes:
    if not sys.stdin.isatty():
        raise _no_key(path, "an encrypted key, and no terminal to ask for its passphrase")
    try:
        return load_pem_private_key(data, getpass.getpass(f"passphrase of {path}: ").encode())
    except ValueError:
        raise _no_key(path, "the passphrase is wrong") from None


def _no_key(path: Path, seen: str) -> ConfigError:
    return ConfigError(
        "no usable signing key", kind="evidence-key",
        expected="a PEM file with a PKCS#8 private key: ECDSA on P-256, P-384 or P-521, or Ed25519",
        seen=seen, where=str(path),
    )  # fmt: skip
