"""The suite's folder: README.md says what it proves, test_*.py prove it."""
