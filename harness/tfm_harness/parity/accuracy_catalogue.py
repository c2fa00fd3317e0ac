"""Every check of accuracy, declared once."""

from __future__ import annotations

from tfm_harness.findings import Catalogue, Check

__all__ = ["ALL", "DEVICE_ACCURACY", "MODEL_ACCURACY", "SAME_DECISIONS"]

ALL = Catalogue("accuracy")

DEVICE_ACCURACY = ALL.declare(
    Check(
        id="accuracy.device",
        title="the device's results on labelled data are as right as the build asks for",
        requirement="build YAML: models.NAME.dataset.least; MLPerf Tiny rules: quality target",
    )
)
MODEL_ACCURACY = ALL.declare(
    Check(
        id="accuracy.model",
        title="the model itself, run by the reference, is as right as the build asks for",
        requirement="build YAML: models.NAME.dataset.least; tfm-harness: bit-exact and wrong is wrong",
    )
)
SAME_DECISIONS = ALL.declare(
    Check(
        id="accuracy.same-decisions",
        title="device and reference decide alike on every labelled sample",
        requirement="tfm-harness: accuracy cannot hide a wrong kernel behind a lucky balance",
    )
)
