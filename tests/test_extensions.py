"""What packages add: found, checked, loaded; whatever is wrong with a package is said by its name."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tfm_harness.cli.main import main
from tfm_harness.cli.run import suites
from tfm_harness.config.build import Build
from tfm_harness.config.kinds import BUILT_IN, board_class
from tfm_harness.config.result_profile import read_result_profile
from tfm_harness.config.sensors import BUILT_IN_SENSORS
from tfm_harness.console_suites import get_machine
from tfm_harness.errors import ConfigError, ExtensionError
from tfm_harness.extensions import API_VERSION, POINTS, find, installed, load, names
from tfm_harness.parity.engine_choice import get_engine
from tfm_harness.parity.engines import ReferenceEngine
from tfm_harness.parity.frontend import FRONTENDS, get_frontend
from tfm_harness.protocol.clients import client_class, open_client
from tfm_harness.testing import make_distribution
from tfm_harness.verify import builtin_profiles

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Each call adds a package; all of them count as installed."""
    folders: list[Path] = []

    def add(name: str, entry_points: dict[str, dict[str, str]], **more: object) -> Path:
        folder = tmp_path / f"site-{len(folders)}"
        folders.append(folder)
        make_distribution(folder, name, entry_points, **more)  # type: ignore[arg-type]
        monkeypatch.syspath_prepend(folder)
        return folder

    return add


USES: dict[str, Callable[[str], object]] = {
    "boards": board_class,
    "protocols": client_class,
    "engines": ReferenceEngine,
    "frontends": get_frontend,
    "console_suites": get_machine,
    "result_profiles": read_result_profile,
    "sensors": lambda name: target_of(f"sensors: {{a: {{model: {name}, address: 0x30}}}}"),
    "stimuli": lambda name: target_of(f"stimulus: {{kind: {name}}}"),
    "suites": lambda _: suites(),
}
"""How the harness uses an extension of each point, by its name."""


def target_of(line: str) -> object:
    from tfm_harness.config.loading import load_target

    Path("t.yaml").write_text(f"kind: attach\nconsoles: {{ns: {{kind: tcp, host: 127.0.0.1, port: 1}}}}\n{line}\n")
    return load_target("./t.yaml")


def test_every_point_is_used_here() -> None:
    assert set(USES) == set(POINTS)


def test_the_table_has_the_names_that_the_homes_have() -> None:
    assert set(POINTS["boards"].built_in) == set(BUILT_IN)
    assert set(POINTS["sensors"].built_in) == set(BUILT_IN_SENSORS)
    assert set(POINTS["frontends"].built_in) == set(FRONTENDS)
    assert set(POINTS["result_profiles"].built_in) == set(builtin_profiles())
    from tfm_harness.config.console_suite import BUILT_IN_SUITES
    from tfm_harness.config.stimulus import Ft4222StimulusConfig, PicoStimulusConfig
    from tfm_harness.parity.worker import ENGINES

    assert set(POINTS["engines"].built_in) == set(ENGINES)
    assert set(POINTS["console_suites"].built_in) == set(BUILT_IN_SUITES)
    kinds = {model.model_fields["kind"].annotation.__args__[0] for model in (PicoStimulusConfig, Ft4222StimulusConfig)}  # type: ignore[union-attr]
    assert set(POINTS["stimuli"].built_in) == kinds
    for name in POINTS["protocols"].built_in:
        if name != "none":
            assert client_class(name).features


@pytest.mark.parametrize("point", POINTS)
def test_a_package_that_does_not_import_is_named(point: str, install: Install, monkeypatch: pytest.MonkeyPatch,
                                                 tmp_path: Path) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    install("acme-lab", {POINTS[point].group: {"acme": "acme_gone.thing:Thing" if point != "suites" else "acme_gone"}})
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the class is looked at below
        USES[point]("acme")
    text = str(caught.value)
    assert "acme-lab 1.0" in text
    if point == "engines":  # imported in a process of its own
        assert "engine-missing" in text
        assert "acme_gone" in text
    else:
        assert isinstance(caught.value, ExtensionError)
        assert caught.value.extension.startswith("acme-lab 1.0")
        assert "pip" in text


@pytest.mark.parametrize("point", POINTS)
def test_an_entry_of_another_type_is_refused(point: str, install: Install, monkeypatch: pytest.MonkeyPatch,
                                             tmp_path: Path) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    value = "acme_odd:ODD" if point != "suites" else "acme_odd"
    install("acme-lab", {POINTS[point].group: {"acme": value}}, modules={"acme_odd": "ODD = 7\n"})
    with pytest.raises(Exception, match=r"acme-lab 1\.0") as caught:
        USES[point]("acme")
    assert getattr(caught.value, "kind", "") == ("engine-missing" if point == "engines" else "extension-type")


@pytest.mark.parametrize("point", POINTS)
def test_two_packages_with_one_name_are_refused(point: str, install: Install, monkeypatch: pytest.MonkeyPatch,
                                                tmp_path: Path) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    for name in ("acme-one", "acme-two"):
        install(name, {POINTS[point].group: {"acme": "json:JSONDecoder" if point != "suites" else "json"}})
    with pytest.raises(ExtensionError, match="extension-clash") as caught:
        USES[point]("acme")
    assert "acme-one 1.0" in str(caught.value)
    assert "acme-two 1.0" in str(caught.value)
    assert "pip uninstall" in (caught.value.hint or "")


@pytest.mark.parametrize("point", POINTS)
def test_a_built_in_name_cannot_be_taken(point: str, install: Install, monkeypatch: pytest.MonkeyPatch,
                                         tmp_path: Path) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    name = "boot" if point == "suites" else POINTS[point].built_in[-1]
    install("acme-lab", {POINTS[point].group: {name: "json:JSONDecoder" if point != "suites" else "json"}})
    if point in ("sensors", "stimuli"):  # configuration reads the built-in form, which needs no package
        with pytest.raises(ExtensionError, match="comes with tfm-harness"):
            find(point, name)
        return
    with pytest.raises(ExtensionError, match="comes with tfm-harness"):
        USES[point](name)


VERSIONS: list[tuple[dict[str, str], tuple[str, ...], bool]] = [
    ({}, (), True),
    ({"x": f"v{API_VERSION}"}, (), True),
    ({"x": f"v{API_VERSION + 1}", "y": f"v{API_VERSION}"}, (), True),
    ({"x": f"v{API_VERSION + 1}"}, (), False),
    ({"x": "v0"}, (), False),
    ({"x": "nonsense"}, (), False),
    ({}, ("tfm-harness>=0.0.1",), True),
    ({}, ("TFM.Harness >= 0.0.1", "numpy>99"), True),
    ({}, ("tfm_harness>=99",), False),
    ({}, ("tfm-harness<0.0.1",), False),
    ({}, ('tfm-harness>=99; extra == "more"',), True),
    ({}, ('tfm-harness>=99; python_version > "3"',), False),
    ({}, ("no requirement at all",), True),
]


# One function looks at the versions for all points: each has a right and a wrong one, one of them all; all do at night.
@pytest.mark.parametrize(
    ("point", "said", "requires", "good"),
    [
        pytest.param(point, *row, marks=[] if point == "protocols" or number in {1, 3} else [pytest.mark.nightly])
        for point in POINTS
        for number, row in enumerate(VERSIONS)
    ],
)
def test_the_version_is_checked_before_anything_is_imported(
    point: str, said: dict[str, str], requires: tuple[str, ...], good: bool, install: Install
) -> None:
    groups = {POINTS[point].group: {"acme": "acme_bomb:Thing"}, "tfm_harness.api": said}
    install("acme-lab", groups, requires=requires, modules={"acme_bomb": "raise RuntimeError('imported')\n"})
    if good:
        found = find(point, "acme")
        assert found is not None
        assert found.name == "acme"
        with pytest.raises(ExtensionError, match="imported"):
            load(found)
    else:
        with pytest.raises(ExtensionError, match="extension-api") as caught:
            find(point, "acme")
        assert "acme-lab 1.0" in str(caught.value)


@pytest.mark.parametrize("raised", ["raise SystemExit(3)", "raise OSError('no')", "import nothing_there", "1/0", "def"])
def test_whatever_importing_raises_is_the_packages_error(raised: str, install: Install) -> None:
    folder = install("acme-lab", {"tfm_harness.boards": {"acme": "acme_bad:B"}}, modules={"acme_bad": f"\n{raised}\n"})
    with pytest.raises(ExtensionError, match="extension-broken") as caught:
        board_class("acme")
    assert str(folder) in (caught.value.seen or "") or "nothing_there" in str(caught.value) or raised == "def"


def test_the_errors_of_making_a_board_client_or_machine_name_the_package(install: Install, tmp_path: Path) -> None:
    source = """
from tfm_harness import Board, PseudoDriver, TargetBase
from tfm_harness.console_suites import SuiteMachine

class B(Board):
    kind = "acme"
    config_model = TargetBase
    def __init__(self, target, context): raise KeyError("cable")
    acquire = flash = reset = console = consoles = power = release = check_alive = lambda self, *_: None

class P(PseudoDriver):
    features = frozenset()
    key_names = ()
    def __init__(self, console, *, timeout, watch): raise KeyError("cable")
    wait_ready = describe = infer = any_input = attest = public_key = csr = exchanges = None

class S(SuiteMachine):
    def __init__(self, expectations): raise KeyError("cable")
"""
    groups = {
        "tfm_harness.boards": {"acme": "acme_made:B"},
        "tfm_harness.protocols": {"acme": "acme_made:P"},
        "tfm_harness.console_suites": {"acme": "acme_made:S"},
    }
    install("acme-lab", groups, modules={"acme_made": source})
    from tfm_harness import RunContext, TargetBase
    from tfm_harness.boards.registry import make_board

    target = TargetBase(name="t", kind="acme", consoles={"ns": 0})
    for make in (
        lambda: make_board(target, RunContext(tmp_path, tmp_path)),
        lambda: open_client("acme", None, timeout=1, watch=lambda: None),  # type: ignore[arg-type]
        lambda: get_machine("acme"),
    ):
        with pytest.raises(ExtensionError, match=r"KeyError: 'cable'"):
            make()


def test_names_are_offered_and_mistakes_get_the_nearest(install: Install) -> None:
    install("acme-lab", {"tfm_harness.protocols": {"acme-lines": "json:JSONDecoder"}})
    assert names("protocols")[-1] == "acme-lines"
    assert [str(each) for each in installed("protocols")] == [
        'acme-lab 1.0, entry point [tfm_harness.protocols] acme-lines = "json:JSONDecoder"'
    ]
    assert Build(name="b", protocol="acme-lines").protocol == "acme-lines"
    with pytest.raises(ValueError, match="did you mean 'acme-lines'"):
        Build(name="b", protocol="acme-line")
    with pytest.raises(ValueError, match="did you mean 'smp'"):
        Build(name="b", protocol="smpp")
    with pytest.raises(ConfigError, match="acme-lines"):
        client_class("nothing")


def test_engines_that_serve_the_harness_alone_cannot_be_chosen() -> None:
    for name in ("native", "tflite-runtime-default"):
        with pytest.raises(ValueError, match="no reference engine is called"):
            Build(name="b", parity={"engine": name})  # type: ignore[arg-type]


def test_an_extension_never_becomes_the_default_engine(install: Install) -> None:
    install("acme-lab", {"tfm_harness.engines": {"acme": "json:JSONDecoder"}})
    with get_engine() as engine:
        assert engine.name != "acme"


def test_the_command_lists_and_says_what_is_wrong(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install("acme-lab", {"tfm_harness.frontends": {"acme-mean": "math:fsum", "acme-gone": "acme_gone:f"}})
    assert main(["extensions", "frontends", "boards"]) == 4
    said = capsys.readouterr().out
    assert "frontends acme-mean" in said
    assert "acme-lab 1.0" in said
    assert "extension-broken" in said
    assert main(["extensions", "frontends", "--json", "--all"]) == 4
    found = json.loads(capsys.readouterr().out)
    assert found["api"] == API_VERSION
    assert {(row["name"], bool(row["problem"])) for row in found["extensions"]} == {
        ("reference", False),
        ("acme-mean", False),
        ("acme-gone", True),
    }


def test_the_command_without_extensions() -> None:
    words = [sys.executable, "-m", "tfm_harness.cli.main", "extensions", "stimuli"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert "no installed package" in done.stdout


SENSOR = """
from typing import ClassVar, Literal
from tfm_harness import SensorBase, SensorModel, StimulusBackend, PlayedStimulus, StimulusBase

class Config(SensorBase):
    model: Literal["acme-hygro"]
    range: int = 100

class Hygro(SensorModel):
    config_model: ClassVar[type] = Config
    channels: ClassVar = {"": None}
    def __init__(self, config): self._range = config.range
    def rest(self, channel): return 4000
    def native(self, channel, value): return round(value * 100)
    def counts(self, channel, native):
        if not 0 <= native <= self._range * 100:
            raise ValueError("out of range")
        return native // 2
    def from_counts(self, channel, counts): return counts * 2
"""


def sensor_target(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "t.yaml"
    path.write_text(f"kind: attach\nconsoles: {{ns: {{kind: tcp, host: 127.0.0.1, port: 1}}}}\nsensors:\n  {text}\n")
    return path


def test_a_sensor_of_a_package_is_read_strictly_and_played(install: Install, tmp_path: Path) -> None:
    from tfm_harness.bench.windows import _Rehearsal
    from tfm_harness.config.loading import load_target

    install("acme-lab", {"tfm_harness.sensors": {"acme-hygro": "acme_hygro:Hygro"}}, modules={"acme_hygro": SENSOR})
    target = load_target(sensor_target(tmp_path, "air: {model: acme-hygro, address: 0x40, range: 50}"))
    assert target.sensors["air"].address == 0x40
    assert target.model_dump(mode="json")["sensors"]["air"]["range"] == 50
    played = _Rehearsal(target.sensors)
    played.set("air", 21.5)
    assert played.sample().extra == (1075,)
    assert played.sample().record() == bytes(8) + (1075).to_bytes(2, "little")
    with pytest.raises(ConfigError, match="out of range"):
        played.set("air", 51)
    for text, words in (
        ("air: {model: acme-hygro, address: 0x40, rnge: 5}", "did you mean 'range'"),
        ("air: {model: acme-hygro}", "'sensors.air.address' is missing"),
        ("air: {model: acme-hygro, address: 0x40, range: many}", "should be a valid integer"),
        ("air: {model: acme-hygr, address: 0x40}", "did you mean 'acme-hygro'"),
        ("air: {model: tmp105, adress: 0x40}", "did you mean 'address'"),
    ):
        with pytest.raises(ConfigError) as caught:
            load_target(sensor_target(tmp_path, text))
        assert words in str(caught.value), text
        assert "t.yaml:4" in str(caught.value)


def test_players_of_whole_samples_refuse_sensors_they_do_not_know(install: Install, tmp_path: Path) -> None:
    from tfm_harness.config.loading import load_target
    from tfm_harness.config.stimulus import PicoStimulusConfig
    from tfm_harness.stimulus.pico.stimulus import PicoStimulus
    from tfm_harness.stimulus.vsi.stimulus import VsiStimulus

    install("acme-lab", {"tfm_harness.sensors": {"acme-hygro": "acme_hygro:Hygro"}}, modules={"acme_hygro": SENSOR})
    sensors = load_target(sensor_target(tmp_path, "air: {model: acme-hygro, address: 0x40}")).sensors
    with pytest.raises(ConfigError, match="stimulus-sensor"):
        PicoStimulus(PicoStimulusConfig(kind="pico", port="/nowhere"), sensors)
    with pytest.raises(ConfigError, match="stimulus-sensor"):
        VsiStimulus(tmp_path, sensors)


def test_qemu_refuses_sensors_that_it_does_not_have(install: Install, tmp_path: Path) -> None:
    from tfm_harness import RunContext
    from tfm_harness.boards.registry import make_board
    from tfm_harness.config.loading import load_target

    install("acme-lab", {"tfm_harness.sensors": {"acme-hygro": "acme_hygro:Hygro"}}, modules={"acme_hygro": SENSOR})
    path = tmp_path / "t.yaml"
    path.write_text(
        "kind: qemu\nmachine: mps3-an547\nconsoles: {ns: uart0}\nsensors: {air: {model: acme-hygro, address: 0x40}}\n"
    )
    with pytest.raises(ConfigError, match="QEMU does not play sensor 'air'"):
        make_board(load_target(path), RunContext(tmp_path / "run", tmp_path / "state"))
