"""The keys to trust for a board, and the flashed images: known from the build and the board, never from the device."""

from __future__ import annotations

import hashlib
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from tfm_harness.boards.base import Identity
from tfm_harness.config.build import Build, KeySource
from tfm_harness.config.result_profile import build_result_profile
from tfm_harness.errors import ConfigError
from tfm_harness.files import KEY_LIMIT, MODEL_LIMIT, read_file
from tfm_harness.trust.expectations import build_components
from tfm_harness.verify.components import ExpectedComponent
from tfm_harness.verify.derive import (
    ReferenceIdentity,
    derive_reference_keys,
    reference_private_key,
    reference_symmetric_key,
)
from tfm_harness.verify.images import expected_components, split_images
from tfm_harness.verify.keyfiles import parse_image_key, parse_key
from tfm_harness.verify.keys import ImageKey, PublicKey, VerificationKey
from tfm_harness.verify.result_profile import ResultProfile

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

__all__ = ["Trust"]


@lru_cache(maxsize=256)  # many boards of a session trust the same few keys
def _parsed(data: bytes) -> VerificationKey:
    """A key, parsed once for each content: a changed file is parsed again."""
    return parse_key(data)


class Trust:
    """Keys and measurements that the host knows beforehand.

    Args:
        build: names the keys and the images.
        identity: the facts that are known about the board.
    """

    def __init__(self, build: Build, identity: Identity) -> None:
        self.build = build
        self.identity = identity
        self.provisioned: ReferenceIdentity | None = derive_reference_keys(identity.huk) if identity.huk else None
        self._components: dict[str | None, tuple[ExpectedComponent, ...]] = {}
        self._installed: dict[str, bytes] = {}
        self._models: dict[str, bytes] = {}  # each verified result asks for its model

    def key(self, role: str) -> VerificationKey | None:
        """The key trusted as ``iak``, ``result`` or ``client``; None where the build names none.

        Raises:
            ConfigError: ``not-provisioned``: the build relies on a provisioned identity the board has not.
        """
        said = self._said(role)
        if said is None:
            return None
        if said == "provisioned":
            if role in self.identity.public_keys:
                return _parsed(self.identity.public_keys[role])
            if self.provisioned is None:
                raise ConfigError(
                    f"the build trusts the provisioned {role} key, and nothing is known about this board's",
                    kind="not-provisioned",
                    expected="a virtual board, or a key file",
                    seen=f"board {self.identity.board_id}",
                    where=str(self.build.path or ""),
                    hint=f"name the public key's file in the build's trust.{role}",
                )
            key: PublicKey = getattr(self.provisioned, role)
            return key
        return _parsed(read_file(said, KEY_LIMIT))

    def private_key(self, role: str) -> ec.EllipticCurvePrivateKey | None:
        """The private key of ``iak``, ``result`` or ``client`` when the host knows it; else None.

        The host knows it when the harness drew the board's secret and the build relies on the keys derived from it.
        """
        if self.identity.huk is None or self._said(role) != "provisioned":
            return None
        return reference_private_key(self.identity.huk, role)

    def symmetric_key(self, role: str) -> bytes | None:
        """The AES key of ``result-encryption`` or ``storage`` when the host knows it; else None.

        The host knows it when the harness drew the board's secret and the build relies on the keys derived from it.
        """
        if self.identity.huk is None or self._said("result") != "provisioned":
            return None
        return reference_symmetric_key(self.identity.huk, role)

    def _said(self, role: str) -> KeySource | None:
        trust = self.build.trust
        return {"iak": trust.iak, "result": trust.results, "client": trust.client}[role]

    @cached_property
    def result_profile(self) -> ResultProfile:
        """The profile of the build's signed results, which names their claims.

        Raises:
            ConfigError: no such profile, or a file that breaks the form.
        """
        return build_result_profile(self.build)

    @property
    def instance_id(self) -> frozenset[bytes] | None:
        """The instance ids derived from the trusted attestation key, in the forms of TF-M before 2.2 and since 2.2."""
        key = self.key("iak")
        return frozenset(key.instance_ids) if isinstance(key, PublicKey) else None

    def image_key(self, world: str) -> ImageKey | None:
        """The key that must have signed images of that world (``nonsecure`` or ``model``)."""
        path = self.build.trust.model_key if world == "model" else self.build.trust.images
        return parse_image_key(read_file(path, KEY_LIMIT)) if path else None

    def installed(self, model: str, image: bytes | None) -> None:
        """Record that the device runs this MCUboot image as `model` from now on (None: the build's own again).

        Results, tokens and outputs are then judged by this image, and not by the one in the build.
        """
        self._components.pop(model, None)
        self._models.pop(model, None)
        if image is None:
            self._installed.pop(model, None)
        else:
            self._installed[model] = image

    def is_installed(self, name: str) -> bool:
        """Whether the device runs another image than the build's as model `name`."""
        return name in self._installed

    def model_bytes(self, name: str) -> bytes:
        """The .tflite bytes that the device runs as model `name`."""
        if name not in self._models:
            image = self._installed.get(name)
            self._models[name] = (
                read_file(self.build.model_file(name), MODEL_LIMIT) if image is None else split_images(image)[0].payload
            )
        return self._models[name]

    def model_id(self, name: str) -> bytes:
        """SHA-256 of a model's .tflite bytes."""
        return hashlib.sha256(self.model_bytes(name)).digest()

    def components(self, model: str | None) -> tuple[ExpectedComponent, ...]:
        """What an attestation token must say about the images, with `model` active.

        Raises:
            ConfigError: an image that cannot be read or parsed.
        """
        active = model if model in self.build.models else None
        if active not in self._components:
            image = self._installed.get(active or "")
            parts = build_components(self.build, model=active if image is None else None)
            parts += expected_components({"MODEL": split_images(image)[0]}) if image is not None else ()
            self._components[active] = parts
        return self._components[active]
