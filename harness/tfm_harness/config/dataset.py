"""Labelled data of a model: the model of ``models.NAME.dataset``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from tfm_harness.config.fields import ConfigPath, Strict

__all__ = ["DatasetConfig"]


class DatasetConfig(Strict):
    """A folder of inputs with their classes, laid out like MLPerf Tiny's data sets, and the accuracy that is required.

    Each line of the labels' file is ``file,number of classes,class``; ``,window,stride`` (bytes) after it cuts the file
    into inputs, whose scores are averaged. For a model with a front-end a file may be a recorded trace (``.csv``,
    ``.npz``, ``.resd``, ``.sds``): each window of it gives one decision.
    """

    folder: ConfigPath = Field(description="the folder that holds the labels' file and the inputs")
    labels: str = Field(default="y_labels.csv", min_length=1, description="the labels' file, in `folder`")
    classes: tuple[str, ...] = Field(default=(), description="the classes' names, by number, for the report")
    metric: Literal["top-1", "auc"] = Field(
        default="top-1", description="share of right decisions, or area under the ROC curve (class 1: anomaly)"
    )
    least: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None, description="the smallest value of the metric that is good enough, 0 to 1"
    )
    samples: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        default=None, description="how many lines are used, evenly spread over the file; all when absent"
    )

    @field_validator("labels")
    @classmethod
    def _inside(cls, labels: str) -> str:
        if "/" in labels or "\\" in labels or labels in {".", ".."}:
            raise ValueError("`labels` is a file's name in `folder`")
        return labels

    @property
    def labels_file(self) -> Path:
        """The labels' file."""
        return self.folder / self.labels
