"""Verification of untrusted evidence: bytes in, findings out."""
