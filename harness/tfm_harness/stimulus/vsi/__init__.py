"""Stimulus for Arm FVPs through the Virtual Streaming Interface (see README.md)."""
