"""Reads what a TF-M build left behind and writes the build description it amounts to.

Nothing is copied, nothing is executed, private keys are named and never used. Every value carries
where it came from; what the files do not say is listed, and files that contradict each other are
refused.
"""

from tfm_harness.importer.assemble import import_tree
from tfm_harness.importer.facts import Fact, Facts
from tfm_harness.importer.model import Import
from tfm_harness.importer.render import render

__all__ = ["Fact", "Facts", "Import", "import_tree", "render"]
