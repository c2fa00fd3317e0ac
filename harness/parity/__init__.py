"""Numeric parity: does the device compute what the reference interpreter computes?

* `harness.parity.engines`: reference interpreters, each in its own process.
* `harness.parity.compare`: the judgement, pure: arrays in, findings out.
* `harness.parity.session`: thousands of vectors through a device's batch command.

Nothing is imported here: numpy and the interpreters load when a test needs them.
"""
