"""The command ``tfm-harness``: one module for each command, `tfm_harness.cli.main` puts them together."""
