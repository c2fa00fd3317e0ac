"""Reads the files of a TF-M build and writes a build description from them.

Nothing is copied, nothing is executed, private keys are named and never used. Every value has its
origin; missing facts are listed, and files that contradict each other are refused.
"""

from tfm_harness.importer.assemble import import_tree
from tfm_harness.importer.facts import Fact, Facts
from tfm_harness.importer.model import Import
from tfm_harness.importer.render import render

__all__ = ["Fact", "Facts", "Import", "import_tree", "render"]
