"""How long an inference may take: the configuration model of a build's ``latency`` key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from tfm_harness.config.fields import Strict

if TYPE_CHECKING:
    from tfm_harness.config.positions import Document
    from tfm_harness.latency.budget import Budget

__all__ = ["BudgetConfig", "LatencyConfig"]


class BudgetConfig(Strict):
    """The longest time a statistic of one model's series may take."""

    model: str = Field(min_length=1, description="model name or pattern")
    ms: Annotated[float, Field(gt=0, le=86_400_000)] = Field(description="the limit in milliseconds")
    statistic: Literal["min", "median", "p90", "p99", "max", "mean"] = "p99"


class LatencyConfig(Strict):
    """How latency is measured and judged. There are only the budgets that are declared here."""

    budgets: tuple[BudgetConfig, ...] = ()
    warmup: Annotated[int, Field(ge=0, le=512)] = Field(
        default=10, description="untimed inferences before the first timing"
    )
    iterations: Annotated[int, Field(ge=8, le=512)] = Field(
        default=50, description="timings for each model; without this key fewer where an inference takes long"
    )
    counter: str = Field(
        default="counter",
        min_length=1,
        description="name of the device's counter, where the target declares no `clock`",
    )
    counter_bits: Annotated[int, Field(ge=8, le=64)] = Field(
        default=64, description="width of the device's counter, where the target declares no `clock`"
    )
    host_bound: Annotated[float, Field(gt=0, le=600)] = Field(
        default=2.0, description="host seconds that device time may leave unexplained"
    )
    mlperf: bool = Field(
        default=False, description="measure by MLPerf Tiny's performance rules as well: five runs of 10 s a model"
    )
    signing: Literal["constant", "masked"] = Field(
        default="constant",
        description="the firmware signs in constant time, or its cryptography masks secrets and its time varies "
        "(Mbed TLS); then the time may not follow the secret",
    )
    inference: Literal["constant", "any"] = Field(
        default="any", description="`constant`: the time of an inference must not depend on its input"
    )
    threshold: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.01, description="relative change of the median that counts as a regression"
    )

    def limits(self, document: Document | None = None) -> tuple[Budget, ...]:
        """The budgets as `tfm_harness.latency.check_budget` takes them, with file and line."""
        from tfm_harness.latency.budget import Budget

        return tuple(
            Budget(
                model=b.model,
                seconds=b.ms / 1e3,
                statistic=b.statistic,
                where=document.where(("latency", "budgets", i)) if document else "",
            )
            for i, b in enumerate(self.budgets)
        )
