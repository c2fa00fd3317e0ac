"""Numeric parity: does the device compute what the reference interpreter computes?

* `tfm_harness.parity.engines`: reference interpreters, each in its own process.
* `tfm_harness.parity.compare`: the judgement, pure: arrays in, findings out.
* `tfm_harness.parity.session`: thousands of vectors through a device's batch command.

Nothing is imported here: numpy and the interpreters load when a test needs them.
"""
