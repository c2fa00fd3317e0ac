"""Nothing secret appears or is left in any lifecycle."""

from __future__ import annotations

import pytest
from tfm_harness import Bench, Checks, Device, SecretSearch, SecretWork

pytestmark = pytest.mark.needs("infer", "describe")


@pytest.mark.thorough
@pytest.mark.needs("known-secrets", "provision")
@pytest.mark.parametrize("lifecycle", [0x0000, 0x1000, 0x2000, 0x4000, 0x5000, 0x6000], ids=hex)
def test_nothing_secret_appears_in_another_lifecycle(
    bench: Bench, device: Device, checks: Checks, lifecycle: int
) -> None:
    """In lifecycle `assembly and test` firmware may print more, to calibrate and repair boards. Thieves could use that.

    Outputs and memory are searched for keys, samples and pieces of models.
    """
    work = SecretWork(bench, device, start=False)
    search = SecretSearch(work, checks)
    with search.beside(), bench.provisioned(lifecycle):
        work.keys()
        keys, models = work.known_keys(), work.models()
        out = [(SecretSearch.SECRET_OUT, keys), (SecretSearch.MODEL_OUT, models)]
        left = [(SecretSearch.SECRET_LEFT, keys), (SecretSearch.MODEL_LEFT, models)]
        if bench.stimulus is not None and not bench.missing(["sensor", "sensor-model"]):
            work.sensor(bench.stimulus)
            out.append((SecretSearch.SENSOR_OUT, work.sensor_secrets()))
            left.append((SecretSearch.SENSOR_LEFT, work.sensor_secrets()))
            search.lines(work.samples, newest=True)
        search.outputs(out, marked=keys, newest=True)
        if not bench.missing(["memory-dump", "memory-map"]):
            search.memory(left)
