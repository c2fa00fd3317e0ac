"""Nothing secret stands in images, in memory outside of the chip, or in the harness's own files."""

from __future__ import annotations

import contextlib

import pytest
from tfm_harness import Bench, Check, Checks, Device, Refused, SecretSearch, SecretWork, VirtualBoard
from tfm_harness.verify import Scanner

pytestmark = pytest.mark.needs("infer", "describe")

MOST = 4 << 20
"""Bytes of a file that are searched, the newest."""

MODEL_SHIPPED = Check(
    id="confidentiality.model-in-image",
    title="no piece of a model is part of a non-secure image",
    requirement="PSA Security Model 1.1 s.4.5 (confidentiality of assets)",
)
STORED = Check(
    id="confidentiality.secret-in-storage",
    title="no private key, hardware secret or sensor reading stands readable in memory outside of the chip",
    requirement="PSA Security Model 1.1 s.4.5 (confidentiality of secrets), goal 9 (secure storage)",
)
FILED = Check(
    id="confidentiality.secret-in-files",
    title="no secret of a board stands in a file that the harness keeps of a run",
    requirement="tfm-harness: a run's records can be shown to anybody",
    waivable=False,
)


def test_no_piece_of_a_model_is_in_a_non_secure_image(bench: Bench, device: Device, checks: Checks) -> None:
    build = bench.combination.build
    images = [image for image in build.images if image.world == "nonsecure"]
    if not images or not build.models:
        pytest.skip("not covered: the build names no non-secure image, or no model")
    work = SecretWork(bench, device, start=False)
    search, scanner = SecretSearch(work, checks), Scanner(work.models())
    for image in images:
        search.judge(MODEL_SHIPPED, scanner.scan(image.file.read_bytes(), text=False), image.file.name)


@pytest.mark.needs("known-secrets", "nv-access")
def test_nothing_secret_stands_in_storage_outside_of_the_chip(
    bench: Bench, work: SecretWork, virtual: VirtualBoard, search: SecretSearch
) -> None:
    """An attacker can read that chip.

    It holds counters, updated models, and whatever else is kept over power cycles.
    """
    if bench.stimulus is not None and not bench.missing(["sensor", "sensor-model"]):
        work.sensor(bench.stimulus)
    work.keys()
    found = [*work.secrets(), *work.sensor_secrets()]
    with contextlib.suppress(Refused):
        work.spoiled_object(virtual)
    search.outputs([(SecretSearch.SECRET_OUT, work.known_keys())], marked=work.known_keys(), newest=True)
    data = virtual.nv.read()
    search.judge(STORED, Scanner(found).scan(data, text=False), f"{len(data)} bytes of NV memory")
    search.canaries([("NV memory", data)], text=False)


@pytest.mark.needs("known-secrets")
def test_the_harness_keeps_no_secret_of_a_board_in_its_files(
    bench: Bench, work: SecretWork, search: SecretSearch, checks: Checks
) -> None:
    """Transcripts, journals and emulators' logs: they go into reports and evidence."""
    work.keys()
    count = search.files(FILED, work.secrets(), bench.context.run_dir, newest=MOST)
    checks(FILED, count > 0, expected="files of this run", seen="none", subject="the run's folder")
