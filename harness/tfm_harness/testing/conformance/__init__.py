"""Conformance suites: tests of what the harness relies on, for any board kind and any protocol.

Derive from `BoardConformance` or `ProtocolConformance` in a test module, define how yours is made, and run pytest:

    class TestMyRig(BoardConformance):
        def make_board(self, folder):
            return MyRigBoard(MY_TARGET, RunContext(folder / "run", folder / "state"))

        def make_build(self, folder):
            return load_build("fw_builds/mine")

Each test states one promise of the contract in its docstring. A test that does not apply is skipped with a reason.
"""

from tfm_harness.testing.conformance.board import BoardConformance
from tfm_harness.testing.conformance.protocol import ProtocolConformance
from tfm_harness.testing.conformance.requirement import ConformanceError, promised_kinds

__all__ = ["BoardConformance", "ConformanceError", "ProtocolConformance", "promised_kinds"]
