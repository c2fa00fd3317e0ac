"""Evidence of a run that others can check: signed statements, raw evidence, bills of materials."""
