"""Opening a bench: the firmware that answers is the build that was flashed, or nobody gets to use it."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
from tfm_harness.bench.combination import TargetBuild, load_combination
from tfm_harness.bench.context import make_context
from tfm_harness.bench.live import open_bench
from tfm_harness.bench.proof import prove_flash
from tfm_harness.boards.base import Board, Identity
from tfm_harness.boards.virtual import VirtualControl
from tfm_harness.cli.main import main
from tfm_harness.config import kinds
from tfm_harness.errors import InfrastructureError
from tfm_harness.parity.replay import Failure, save_failure
from tfm_harness.protocol.base import Description
from tfm_harness.testing import ImageRecipe, make_image
from tfm_harness.trust.anchors import Trust

from tests.cli.test_replay import failure  # noqa: F401 - a fixture


@pytest.fixture
def combination(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TargetBuild:
    """The simulator says that an image of 0x11 bytes runs; the build's image is another one."""
    monkeypatch.setitem(kinds.BUILT_IN, "simulator", "tests.plugin.simulator_board:SimulatorBoard")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bench.yaml").write_text("kind: simulator\nconsoles: {ns: 0, secure: 1}\n")
    (tmp_path / "ns.bin").write_bytes(make_image(ImageRecipe(payload=b"the new image" * 40, name="NSPE")))
    (tmp_path / "build.yaml").write_text(
        "name: fw\nprotocol: smp\nimages: [{file: ns.bin, world: nonsecure, at: 0x01000000, component: NSPE}]\n"
        "trust: {iak: provisioned, results: provisioned}\n"
    )
    return load_combination("bench.yaml", "build.yaml")


def life(tmp_path: Path) -> list[str]:
    """What happened to the board, in order; giving it back twice does no harm."""
    return list(dict.fromkeys((tmp_path / "state" / "bench.life").read_text().splitlines()))


def test_an_old_image_that_answers_is_refused_and_the_board_given_back(
    combination: TargetBuild, tmp_path: Path
) -> None:
    context = make_context(str(tmp_path / "run"), str(tmp_path / "state"))
    with pytest.raises(InfrastructureError) as caught, open_bench(combination, context):
        pytest.fail("nobody may use this board")
    assert caught.value.kind == "wrong-firmware"
    assert "11" * 32 in (caught.value.seen or "")
    assert life(tmp_path) == ["acquire", "flash", "release"]


def test_replay_never_asks_an_old_image(
    combination: TargetBuild,
    tmp_path: Path,
    failure: Failure,  # noqa: F811 - the fixture
    capsys: pytest.CaptureFixture[str],
) -> None:
    del combination
    file = save_failure(tmp_path, failure)
    words = ["--target", "bench.yaml", "--build", "build.yaml", "--run-dir", "run", "--state-dir", "state"]
    assert main(["replay", str(file), *words]) == 10
    assert "[infrastructure:wrong-firmware]" in capsys.readouterr().err
    assert life(tmp_path) == ["acquire", "flash", "release"]


def test_a_board_is_opened_without_pytest(combination: TargetBuild, tmp_path: Path) -> None:
    build = combination.build.model_copy(update={"images": ()})
    context = make_context(str(tmp_path / "run"), str(tmp_path / "state"))
    with open_bench(replace(combination, build=build), context) as bench:
        assert bench.description.firmware == "simulator"
        assert bench.device.describe().version == "1.2.3"
        assert bench.missing(["target-simulator", "trusted-iak", "cold-reset"]) == []
        assert bench.missing(["stimulus", "file-x"]) == ["stimulus", "file-x"]
    assert life(tmp_path) == ["acquire", "flash", "release"]


def virtual(board: Board, seed_source: tuple[bytes, int]) -> Board:
    """The board with what virtual boards have besides."""
    members = {name: print for name in dir(VirtualControl) if not name.startswith("_")}
    kind = type("Virtual", (type(board),), {**members, "seed_source": property(lambda _: seed_source)})
    changed = copy.copy(board)
    changed.__class__ = kind
    return changed


def test_the_seed_is_asked_of_the_board_that_the_bench_has(combination: TargetBuild, tmp_path: Path) -> None:
    """A bench may leave a lost board for another one, and not all boards know where their seed comes from."""
    build = combination.build.model_copy(update={"images": ()})
    context = make_context(str(tmp_path / "run"), str(tmp_path / "state"))
    with open_bench(replace(combination, build=build), context) as bench:
        plain = bench.board
        assert bench.seed_source is None
        bench.board = virtual(plain, (bytes(32), 1))
        assert bench.seed_source == (bytes(32), 1)
        bench.board = virtual(plain, (bytes(32), 2))
        assert bench.seed_source == (bytes(32), 2)
        bench.board = plain
        assert bench.seed_source is None


@pytest.mark.parametrize(
    ("features", "measurements", "refused"),
    [
        ({"identity"}, {}, True),
        ({"identity"}, {"OTHER": bytes(32)}, True),
        ({"identity"}, {"NSPE": bytes(32)}, True),
        (set(), {"NSPE": bytes(32)}, True),
        (set(), {}, False),  # this firmware tells nobody what runs: the suite's `identity` tests are not covered
    ],
)
def test_firmware_that_says_it_tells_what_runs_must_tell_it(
    combination: TargetBuild, features: set[str], measurements: dict[str, bytes], refused: bool
) -> None:
    said = Description(firmware="x", version="1", measurements=measurements, features=frozenset(features))
    trust = Trust(combination.build, Identity("bench"))
    if not refused:
        prove_flash(said, trust, combination)
        return
    with pytest.raises(InfrastructureError) as caught:
        prove_flash(said, trust, combination)
    assert caught.value.kind == "wrong-firmware"


def test_the_image_that_was_flashed_is_accepted(combination: TargetBuild) -> None:
    trust = Trust(combination.build, Identity("bench"))
    (component,) = trust.components(None)
    said = Description(
        firmware="x", version="1", measurements={"NSPE": component.measurement}, features=frozenset({"identity"})
    )
    prove_flash(said, trust, combination)
