"""One right request of each kind: what is named in the docstring, what the firmware lacks, what is left out."""

from __future__ import annotations

import re
from collections.abc import Collection
from unittest.mock import MagicMock

import pytest
from tfm_harness import Device
from tfm_harness.bench.requests import right_requests


def named(without: Collection[str] = (), lacks: Collection[str] = ()) -> list[str]:
    return list(right_requests(MagicMock(), lambda wanted: [one for one in wanted if one in lacks], b"in", without))


def test_the_documentation_names_all_of_them() -> None:
    told = re.search(r"They are: (.*?)\.", " ".join(str(Device.requests.__doc__).split()))
    assert told is not None
    assert named() == told[1].split(", ")


def test_what_the_firmware_lacks_or_a_test_names_is_left_out() -> None:
    assert set(named()) - set(named(["a result"], lacks=["sensor", "psa-token"])) == {
        "a result", "a sample", "a token", "the size of a token",
    }  # fmt: skip


def test_a_misspelt_word_is_an_error() -> None:
    with pytest.raises(ValueError, match="there is no request 'a results'; there are: a result, "):
        named(["a results"])


def test_each_of_them_asks_the_device_once() -> None:
    device = MagicMock()
    for ask in right_requests(device, lambda _wanted: [], bytes(3000), ()).values():
        before = len(device.mock_calls)
        ask()
        assert len(device.mock_calls) == before + 1
