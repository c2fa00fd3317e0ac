"""Pseudo-driver client of the protocol ``smp``, and its wire: frames, headers, answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfm_harness.lazy import lazy_exports

if TYPE_CHECKING:
    from tfm_harness.protocol.smp.answers import (
        DeviceStats,
        ModelInfo,
        Probe,
        Refused,
        SampleState,
        StoredObject,
        answer_code,
        decode_answer,
        field,
        status_of,
    )
    from tfm_harness.protocol.smp.client import PHASES, SmpDriver
    from tfm_harness.protocol.smp.crypto_forms import CRYPTO_FORMS, CryptoForm
    from tfm_harness.protocol.smp.frame import MAX_PACKET, FrameDecoder, Packet, encode_frame
    from tfm_harness.protocol.smp.header import (
        DOCUMENTED,
        GROUP_INFERENCE,
        GROUP_OS,
        HEADER,
        RAW_SEQUENCE,
        Command,
        Header,
        Op,
    )
    from tfm_harness.protocol.smp.link_records import Request
    from tfm_harness.protocol.smp.services import run_request
    from tfm_harness.protocol.smp.test_commands import TRACE_LIFECYCLE, PsaCall

_HOMES = {
    "answers": (
        "DeviceStats",
        "ModelInfo",
        "Probe",
        "Refused",
        "SampleState",
        "StoredObject",
        "answer_code",
        "decode_answer",
        "field",
        "status_of",
    ),
    "client": ("PHASES", "SmpDriver"),
    "crypto_forms": ("CRYPTO_FORMS", "CryptoForm"),
    "frame": ("MAX_PACKET", "FrameDecoder", "Packet", "encode_frame"),
    "header": ("DOCUMENTED", "GROUP_INFERENCE", "GROUP_OS", "HEADER", "RAW_SEQUENCE", "Command", "Header", "Op"),
    "link": ("Request",),
    "services": ("run_request",),
    "test_commands": ("TRACE_LIFECYCLE", "PsaCall"),
}

__all__ = [
    "CRYPTO_FORMS",
    "DOCUMENTED",
    "GROUP_INFERENCE",
    "GROUP_OS",
    "HEADER",
    "MAX_PACKET",
    "PHASES",
    "RAW_SEQUENCE",
    "TRACE_LIFECYCLE",
    "Command",
    "CryptoForm",
    "DeviceStats",
    "FrameDecoder",
    "Header",
    "ModelInfo",
    "Op",
    "Packet",
    "Probe",
    "PsaCall",
    "Refused",
    "Request",
    "SampleState",
    "SmpDriver",
    "StoredObject",
    "answer_code",
    "decode_answer",
    "encode_frame",
    "field",
    "run_request",
    "status_of",
]

__getattr__, __dir__ = lazy_exports(__name__, _HOMES)
