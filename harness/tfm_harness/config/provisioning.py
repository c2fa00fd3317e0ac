"""The bootstrap server of an installation: the model of ``provisioning`` in a build or a target."""

from __future__ import annotations

import re

from pydantic import Field, field_validator

from tfm_harness.config.fields import ConfigPath, Strict

__all__ = ["ProvisioningConfig"]

_URL = re.compile(r"https://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::(\d{1,5}))?/?")


class ProvisioningConfig(Strict):
    """The server that the provisioning suite asks for certificates; without it, the suite asks a CA of the run.

    The private key is read by the TLS library and by nothing else.
    """

    server: str = Field(description="https://HOST:PORT of a lite_bootstrap_server")
    ca: ConfigPath = Field(
        description="certificate of the CA, PEM: it issues the server's and the devices' certificates"
    )
    certificate: ConfigPath = Field(description="client certificate for mutual TLS (bootstrap certificate), PEM")
    key: ConfigPath = Field(description="its private key, PEM, without a passphrase")

    @field_validator("server")
    @classmethod
    def _is_url(cls, value: str) -> str:
        match = _URL.fullmatch(value)
        if match is None or not 0 < int(match[2] or 443) < 65536:
            raise ValueError("should be https://HOST or https://HOST:PORT, without a path")
        return value

    @property
    def host(self) -> str:
        """The host's name or address."""
        return self._parts()[0]

    @property
    def port(self) -> int:
        """The port; 443 if the address has none."""
        return self._parts()[1]

    def _parts(self) -> tuple[str, int]:
        match = _URL.fullmatch(self.server)
        assert match is not None  # noqa: S101 - held by the validator
        return match[1].strip("[]"), int(match[2] or 443)
