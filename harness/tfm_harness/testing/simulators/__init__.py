"""Simulators for hardware and proprietary tools, used by the harness's own tests and labelled so in reports."""
