"""How checks are declared: severities by policy, and whether two well-known verifiers make the same check."""

from __future__ import annotations

from tfm_harness.findings import Catalogue, Check, Severity

__all__ = ["FAIL", "INFO", "LAX", "LOST", "NOTE", "WARN", "declare"]

INFO = Severity.INFO
WARN = Severity.WARNING
FAIL = Severity.FAILURE
LOST = Severity.CRITICAL

ALWAYS = (FAIL, FAIL, FAIL)
LAX = (WARN, FAIL, FAIL)
"""A warning while developing, a failure when a port or a product is judged."""
NOTE = (INFO, INFO, INFO)


def declare(
    catalogue: Catalogue,
    check_id: str,
    title: str,
    requirement: str,
    *,
    severity: tuple[Severity, Severity, Severity] = ALWAYS,
    iat: str = "-",
    veraison: str = "-",
    waivable: bool = True,
) -> Check:
    """Declare one check.

    Args:
        catalogue: the area's catalogue.
        check_id: ``area.thing``.
        title: what must hold, in one line.
        requirement: standard and clause.
        severity: under ``dev``, ``validation`` and ``production``.
        iat: what iat-verifier (tf-m-tools 08c16e9) does: ``yes``, ``-`` (not checked) or what it gets wrong.
        veraison: the same for Veraison psatoken aec3ece with its services.
        waivable: False when no waiver may excuse a failure.
    """
    dev, validation, production = severity
    return catalogue.declare(
        Check(
            id=check_id,
            title=title,
            requirement=requirement,
            dev=dev,
            validation=validation,
            production=production,
            notes={"iat-verifier": iat, "veraison": veraison},
            waivable=waivable,
        )
    )
