"""Checks of the debug port against the lifecycle."""

from __future__ import annotations

from tfm_harness.findings import Catalogue
from tfm_harness.verify.checks.common import declare

DEBUG = Catalogue("debug")

PROBE_WORKS = declare(
    DEBUG,
    "debug.probe-works",
    "the probe reads non-secure memory and the registers of the debug port: a refusal then means something",
    "Armv8-M ARM (DDI 0553): DAUTHSTATUS, DHCSR",
    waivable=False,
)
AUTHENTICATION = declare(
    DEBUG,
    "debug.authentication",
    "in a secured lifecycle secure debug is disabled (DAUTHSTATUS.SID, SNID)",
    "RFC 9783 s.4.3.1; Armv8-M ARM (DDI 0553), DAUTHSTATUS",
)
SECURE_STATE = declare(
    DEBUG,
    "debug.secure-state",
    "in a secured lifecycle the core allows no secure invasive debug (DHCSR.S_SDE)",
    "RFC 9783 s.4.3.1; Armv8-M ARM (DDI 0553), DHCSR",
)
SECURE_READ = declare(
    DEBUG,
    "debug.secure-read",
    "in a secured lifecycle the probe reads no secure memory",
    "PSA Security Model 1.1 s.4.2 (secured lifecycle); Armv8-M ARM (DDI 0553)",
    waivable=False,
)
CONSISTENT = declare(
    DEBUG,
    "debug.consistent",
    "the registers of the debug port and what the probe can read say the same",
    "Armv8-M ARM (DDI 0553): DAUTHSTATUS, DHCSR",
)
