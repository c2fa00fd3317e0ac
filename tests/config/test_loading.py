"""Targets and builds: finding, validating, and errors a person can act on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from tfm_harness.config.build import Build
from tfm_harness.config.console_suite import ConsoleSuiteConfig
from tfm_harness.config.emulated import EmulatedTarget
from tfm_harness.config.fields import Strict
from tfm_harness.config.kinds import BUILT_IN, board_class, config_model
from tfm_harness.config.loading import (
    build_names,
    check_combination,
    check_targets,
    load_build,
    load_target,
    target_names,
)
from tfm_harness.config.problems import nearest
from tfm_harness.config.qemu import QemuTarget
from tfm_harness.config.schema import build_schema, export, target_schema
from tfm_harness.config.target import TargetBase
from tfm_harness.errors import ConfigError
from tfm_harness.findings import Waiver

ROOT = Path(__file__).resolve().parents[2]

TARGET = """\
kind: qemu
machine: mps3-an547
consoles: {ns: uart0, secure: uart1}
clock: {source: sse-counter, hz: 32000000}
sensors:
  mag: {model: lsm303dlhc, address: 0x1e}
  temp: {model: tmp105, address: 0x48}
virtual:
  otp: {at: 0x38000000}
  nv: {memory: ddr, size: 2G}
  model_slots: {base: 0x38100000, stride: 256K, count: 4}
power: {kind: command, on: [relay, "1"], off: [relay, "0"]}
"""

BUILD = """\
images:
  - {file: out/secure.elf, world: secure, component: SPE}
  - {file: out/ns.bin, world: nonsecure, at: 0x01000000}
protocol: smp
models:
  tamper: {file: m.tflite, image: out/m.bin, slot: 0, input: sensor}
trust: {iak: provisioned, results: provisioned, images: key.pem}
attestation: {profile: "tag:psacertified.org,2023:psa#tfm"}
waivers:
  - {finding: attestation.dummy-key, reason: a test build is signed with test keys}
make: make -C fw
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def target_error(path: Path, text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_target(write(path, text))
    return caught.value


def build_error(path: Path, text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_build(write(path, text), require_files=False)
    return caught.value


def make_files(folder: Path) -> None:
    for name in ("out/ns.bin", "out/m.bin"):
        write(folder / name, "content")
    write(folder / "out" / "secure.elf", "\x7fELF")
    (folder / "m.tflite").write_bytes((ROOT / "fw_builds" / "reference" / "models" / "sine.tflite").read_bytes())
    write(folder / "key.pem", (ROOT / "fw_builds" / "reference" / "keys" / "image_signing_pub.pem").read_text())


# --- what is right ---------------------------------------------------------------------------------


def test_a_target(here: Path) -> None:
    target = load_target(write(here / "bench.yaml", TARGET))
    assert isinstance(target, QemuTarget)
    assert target.name == "bench"
    assert target.path == here / "bench.yaml"
    assert target.virtual.model_slots is not None
    assert target.virtual.model_slots.address(1) == 0x38140000
    assert target.virtual.nv is not None
    assert target.virtual.nv.size == 2 << 30
    with pytest.raises(IndexError):
        target.virtual.model_slots.address(4)
    with pytest.raises(ValueError, match="frozen"):
        target.count = 2


def test_a_build(here: Path) -> None:
    make_files(here / "fw")
    build = load_build(write(here / "fw" / "build.yaml", BUILD))
    assert build.name == "fw"
    assert build.images[0].file == here / "fw" / "out" / "secure.elf"
    assert build.kernel is build.images[0]
    assert [image.kind for image in build.images] == ["elf", "bin"]
    assert build.trust.iak == "provisioned"
    assert build.trust.model_key == here / "fw" / "key.pem"
    assert build.granted() == (
        Waiver(
            finding="attestation.dummy-key", reason="a test build is signed with test keys", where="fw/build.yaml:10"
        ),
    )
    assert load_build(here / "fw").name == "fw"


def test_bundled_ones_load() -> None:
    for name, path in target_names().items():
        if path.parent == ROOT / "targets":
            assert load_target(name).name == name
    assert load_target("qemu-an547").kind == "qemu"
    check_combination(load_target("qemu-an547"), load_build("reference", require_files=False))


def test_names_are_searched_in_order(here: Path) -> None:
    write(here / "config" / "tfm-harness" / "targets" / "mine.yaml", TARGET)
    write(here / "extra" / "mine.yaml", TARGET)
    assert load_target("mine").path == here / "config" / "tfm-harness" / "targets" / "mine.yaml"
    assert load_target("mine", search=[here / "extra"]).path == here / "extra" / "mine.yaml"
    write(here / "targets" / "mine.yaml", TARGET)
    assert load_target("mine", search=[here / "extra"]).path == here / "targets" / "mine.yaml"
    make_files(here / "fw_builds" / "one")
    write(here / "fw_builds" / "one" / "build.yaml", BUILD)
    assert load_build("one").path == here / "fw_builds" / "one" / "build.yaml"
    assert set(build_names()) >= {"one", "reference"}


# --- what is wrong -----------------------------------------------------------------------------------


def test_unknown_names_name_the_nearest(here: Path) -> None:
    with pytest.raises(ConfigError, match="unknown target 'qemu-an574'; did you mean 'qemu-an547'"):
        load_target("qemu-an574")
    with pytest.raises(ConfigError, match="unknown build 'referense'; did you mean 'reference'"):
        load_build("referense")
    with pytest.raises(ConfigError, match=r"no such target file: \./nowhere\.yaml"):
        load_target("./nowhere.yaml")
    with pytest.raises(ConfigError, match="target-missing"):
        load_target(here / "qemu-an546.yaml")


def test_every_problem_is_named_with_its_line(here: Path) -> None:
    text = TARGET.replace("machine", "machne").replace("address: 0x1e", "adress: 0x1e").replace("off:", "of:")
    text = text.replace("tmp105", "tmp106").replace("hz: 32000000", "hz: fast")
    error = target_error(here / "t.yaml", text)
    assert error.kind == "target-invalid"
    assert (error.seen or "").splitlines() == [
        "t.yaml:1: 'machine' is missing",
        "t.yaml:2: unknown key 'machne'; did you mean 'machine'?",
        "t.yaml:4: clock.hz: should be a valid integer (is 'fast')",
        "t.yaml:6: unknown key 'sensors.mag.adress'; did you mean 'address'?",
        "t.yaml:7: sensors.temp.model: unknown model 'tmp106'; did you mean 'tmp105'?",
        "t.yaml:12: 'power.off' is missing",
        "t.yaml:12: unknown key 'power.of'; did you mean 'off'?",
    ]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("kind: qemu", "kind: qmu", "unknown board kind 'qmu'; did you mean 'qemu'?"),
        ("kind: qemu", "kid: qemu", "'kind' is missing ('kid' stands on line 1)"),
        ("kind: qemu", "kind: 7", "kind: should be text"),
        ("secure: uart1", "secure: uart0", "are the same uart0"),
        ("secure: uart1", "secure: com1", "should be uart0 to uart9"),
        ("{ns: uart0, secure: uart1}", "{}", "at least 1"),
        ("{ns: uart0, secure: uart1}", "{ns: uart0, 'a/b': uart1}", "consoles.a/b: as a name, should be letters"),
        ("address: 0x48", "address: 0x1e", "share the I2C address 0x1e"),
        ("address: 0x48", "address: 0x78", "less than or equal to 119"),
        ("size: 2G", "size: 2T", "expected a size such as"),
        ("otp: {at: 0x38000000}", "otp: {at: 0x138000000}", "less than or equal to 4294967295"),
        ("otp: {at: 0x38000000}", "otp: {at: '0x38000000'}", "valid integer"),
        ("otp: {at: 0x38000000}", "otp: {at: 1, implementation_id: 1234}", "hexadecimal digits in quotes"),
        ("otp: {at: 0x38000000}", "otp: {at: 1, implementation_id: 'xyz'}", "hexadecimal digits in pairs"),
        ("otp: {at: 0x38000000}", "otp: {at: 1, implementation_id: 'ab'}", "at least 32"),
        ("otp: {at: 0x38000000}", "otp: {at: 1, lifecycle: 0x13000}", "less than or equal to 65535"),
        ("machine: mps3-an547", "machine: 'a b'", "machine: should be letters, digits"),
        ("machine: mps3-an547", "machine: m\nargs: [-qmp, x]", "-qmp belongs to the harness"),
        ("machine: mps3-an547", "machine: m\nargs: [--semihosting]", "touch the host"),
        ("machine: mps3-an547", "machine: m\ncount: 1.0", "valid integer"),
        ("machine: mps3-an547", "machine: m\ncount: '2'", "valid integer"),
        ("machine: mps3-an547", "machine: m\nname: ../x", "name: should be letters, digits"),
        ("machine: mps3-an547", "machine: m\ntimeouts: {boot: 0}", "greater than 0"),
        ("machine: mps3-an547", "machine: m\nminimum_version: new", "should match"),
        ("kind: command", "kind: comand", "did you mean 'command'"),
    ],
)
def test_targets_that_are_refused(here: Path, old: str, new: str, words: str) -> None:
    assert old in TARGET
    error = target_error(here / "t.yaml", TARGET.replace(old, new, 1))
    assert words in str(error)
    line = TARGET[: TARGET.index(old)].count("\n") + 1
    places = [f"t.yaml:{line + extra}" for extra in (-1, 0, 1)]
    assert any(place in str(error) for place in places), str(error)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (", at: 0x01000000", "", "needs either `at` or `slot`"),
        ("component: SPE", "at: 0", "carries its addresses"),
        ("world: secure", "world: secret", "should be 'secure'"),
        ("world: nonsecure, at: 0x01000000", "world: nonsecure, at: 1, load: kernel", "needs an ELF image"),
        ("protocol: smp", "protocol: spm", "no protocol is called 'spm'; did you mean 'smp'?"),
        ("image: out/m.bin, ", "", "there is no `image`"),
        ("input: sensor", "input: host, frontend: reference", "belongs to models with `input: sensor`"),
        ("iak: provisioned", "iac: provisioned", "did you mean 'iak'"),
        ("reason: a test build is signed with test keys", "reason: because", "at least 10 characters"),
        ("{finding: attestation.dummy-key, ", "{", "'waivers[0].finding' is missing"),
        ("make:", "mke:", "did you mean 'make'"),
        ("make:", "boot: {pattern: '(unclosed'}\nmake:", "not a regular expression"),
        ("slot: 0, input: sensor}", "slot: 0, input: sensor}\n  b: {file: m, image: x, slot: 0}", "used by both"),
        # What is said of a model that is misspelt would never be judged.
        ("make:", "latency: {budgets: [{model: tampre, ms: 5}]}\nmake:", "the budget of 5 ms speaks of models like"),
        ("make:", "parity: {inputs: {tampre: [a.npz]}}\nmake:", "parity.inputs speaks of model 'tampre'"),
        ("make:", "parity: {quantisation: {tampre: floor}}\nmake:", "parity.quantisation speaks of model 'tampre'"),
        (
            "make:",
            "parity: {tolerances: [{name: t, model: 'kws*', max_lsb: 1, reason: for another model}]}\nmake:",
            "tolerance 't' speaks of models like 'kws*'",
        ),
        (
            "slot: 0, input: sensor}",
            "slot: 0, input: sensor, quantisation: floor}\nparity: {quantisation: {tamper: round}}",
            "quantises by 'floor' and parity.quantisation says 'round'",
        ),
    ],
)
def test_builds_that_are_refused(here: Path, old: str, new: str, words: str) -> None:
    assert old in BUILD
    error = build_error(here / "b.yaml", BUILD.replace(old, new, 1))
    assert words in str(error)
    assert "b.yaml:" in (error.where or "")


def test_how_a_model_quantises_is_part_of_its_declaration(here: Path) -> None:
    make_files(here)
    for declared, elsewhere, rule in (
        ("", "", "round"),
        (", quantisation: truncate", "", "truncate"),
        ("", "parity: {quantisation: {tamper: floor}}\n", "floor"),
        (", quantisation: floor", "parity: {quantisation: {tamper: floor}}\n", "floor"),
    ):
        text = BUILD.replace("input: sensor}", f"input: sensor{declared}}}", 1) + elsewhere
        (here / "b.yaml").write_text(text)
        assert load_build(here / "b.yaml").quantisation("tamper") == rule


def test_missing_images_are_all_named_with_what_to_do(here: Path) -> None:
    make_files(here)
    (here / "out" / "ns.bin").unlink()
    (here / "key.pem").unlink()
    (here / "key.pem").mkdir()
    (here / "m.tflite").write_bytes(b"")
    with pytest.raises(ConfigError) as caught:
        load_build(write(here / "b.yaml", BUILD + "parity: {inputs: {tamper: [none.npz]}}\n"))
    assert caught.value.kind == "image-missing"
    assert (caught.value.seen or "").splitlines() == [
        "b.yaml:3: images.1.file: no such file: ./out/ns.bin",
        "b.yaml:6: models.tamper.file: the file is empty: ./m.tflite",
        "b.yaml:7: trust.images: not a file: ./key.pem",
        "b.yaml:12: parity.inputs.tamper: no such file or folder: ./none.npz",
    ]
    assert "make -C fw" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("out/secure.elf", b"S315", "b.yaml:2: images.0.file: not an ELF file"),
        ("out/secure.elf", b"\x7fELF\x02\x01" + bytes(12) + b"\x3e\0", "another processor than a 32-bit"),
        ("m.tflite", b"\x1c\0\0\0TFL3", "b.yaml:6: models.tamper.file: model m.tflite is damaged"),
        ("m.tflite", b"PK\x03\x04rest", "b.yaml:6: models.tamper.file: not a TFLite model"),
        ("key.pem", b"ssh-ed25519 AAAA", "b.yaml:7: trust.images: no usable public key"),
        ("key.pem", bytes(70_000), "b.yaml:7: trust.images: no usable public key"),
    ],
)
def test_a_file_of_another_kind_is_the_configurations_fault(here: Path, file: str, content: bytes, words: str) -> None:
    make_files(here)
    load_build(write(here / "b.yaml", BUILD))
    (here / file).write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_build(here / "b.yaml")
    assert caught.value.kind == "file-contents"
    assert words in str(caught.value)


def test_an_unknown_result_profile_is_said_before_a_board_is_touched(here: Path) -> None:
    make_files(here)
    with pytest.raises(ConfigError, match=r"b\.yaml:12: results\.profile: there is no result profile 'tfm-harnes'"):
        load_build(write(here / "b.yaml", BUILD + "results: {profile: tfm-harnes}\n"))


def test_the_front_ends_that_a_build_may_name_are_those_there_are() -> None:
    from tfm_harness.parity.frontend import FRONTENDS

    said = json.loads((ROOT / "docs" / "schemas" / "build.schema.json").read_text())
    frontend = said["$defs"]["ModelConfig"]["properties"]["frontend"]
    assert {name for choice in frontend["anyOf"] for name in choice.get("enum", ())} == set(FRONTENDS)


def test_pairs_that_do_not_fit(here: Path) -> None:
    target = load_target(write(here / "t.yaml", TARGET))
    build = load_build(write(here / "b.yaml", BUILD), require_files=False)
    check_combination(target, build)
    with pytest.raises(ConfigError, match="reads the sensor"):
        check_combination(target.model_copy(update={"sensors": {}}), build)
    with pytest.raises(ConfigError, match="speaks on console 'debug'"):
        check_combination(target, build.model_copy(update={"console": "debug"}))
    printed = ConsoleSuiteConfig(suite="ztest", console="debug")
    with pytest.raises(ConfigError, match="console suite 'ztest' prints on console 'debug'"):
        check_combination(target, build.model_copy(update={"console_suites": (printed,)}))
    with pytest.raises(ConfigError, match="no secure ELF image"):
        check_combination(target, build.model_copy(update={"images": build.images[1:]}))
    slots = build.model_copy(update={"models": {"m": build.models["tamper"].model_copy(update={"slot": 4})}})
    with pytest.raises(ConfigError, match=r"slot 4; the target has 0\.\.3"):
        check_combination(target, slots)


@pytest.mark.parametrize("target", ["qemu-an547", "fvp-corstone300"])
@pytest.mark.parametrize("what", ["image", "model"])
def test_what_goes_into_a_model_slot_fits_into_it(here: Path, target: str, what: str) -> None:
    """A larger one would be laid over its neighbour, and the device would be blamed for what it finds there."""
    board = load_target(target)
    large = here / "large.bin"
    build = load_build("reference", require_files=False)
    build = build.model_copy(update={"models": {"sine": build.models["sine"]}})
    if what == "image":
        image = build.images[1].model_copy(update={"file": large, "slot": 3, "at": None})
        build = build.model_copy(update={"images": (*build.images, image)})
    else:
        sine = build.models["sine"].model_copy(update={"image": large, "slot": 3})
        build = build.model_copy(update={"models": {"sine": sine}})
    large.write_bytes(bytes(384 << 10))
    check_combination(board, build)
    large.write_bytes(bytes((384 << 10) + 1))
    with pytest.raises(ConfigError, match=r"large\.bin has 393217 bytes and would reach beyond model slot 3"):
        check_combination(board, build)
    assert isinstance(board, EmulatedTarget)
    assert board.virtual.model_slots is not None
    slots = board.virtual.model_slots.model_copy(update={"count": 3})
    fewer = board.model_copy(update={"virtual": board.virtual.model_copy(update={"model_slots": slots})})
    with pytest.raises(ConfigError, match=r"slot 3; the target has 0\.\.2"):
        check_combination(fewer, build)


def test_raw_images_do_not_lie_over_each_other(here: Path) -> None:
    """QEMU refuses to start then, which looked as if the bench were to blame."""
    target = load_target("qemu-an547")
    build = load_build("reference", require_files=False)
    build = build.model_copy(update={"models": {}, "images": build.images[:1]})
    first, second = here / "first.bin", here / "second.bin"
    first.write_bytes(bytes(0x100))
    second.write_bytes(b"x")
    raw = load_build("reference", require_files=False).images[1]

    def at(start: int, other: int) -> Build:
        images = [raw.model_copy(update={"file": file, "at": a}) for file, a in ((first, start), (second, other))]
        return build.model_copy(update={"images": (*build.images, *images)})

    check_combination(target, at(0x0100_0000, 0x0100_0100))
    check_combination(target, at(0x0100_0001, 0x0100_0000))
    with pytest.raises(ConfigError, match=r"image first\.bin \(0x1000000 to 0x10000ff\) covers image second\.bin"):
        check_combination(target, at(0x0100_0000, 0x0100_00FF))
    with pytest.raises(ConfigError, match="covers the OTP area"):
        check_combination(target, at(0x37FF_FFFF, 0x0100_0000))


class _Wired(TargetBase):
    port: str = "/dev/ttyUSB0"

    def resources(self) -> tuple[str, ...]:
        return (f"tty:{self.port}",)


def test_targets_that_get_into_each_others_way() -> None:
    def wired(name: str, port: str, count: int = 1) -> _Wired:
        return _Wired(name=name, kind="x", consoles={"ns": "0"}, port=port, count=count)

    check_targets([wired("a", "1"), wired("b", "2")])
    with pytest.raises(ConfigError, match="tty:1 is also used by target 'a'"):
        check_targets([wired("a", "1"), wired("b", "1")])
    with pytest.raises(ConfigError, match="`count` is 2"):
        check_targets([wired("a", "1", 2)])


def test_nearest() -> None:
    assert nearest("adress", ["address", "model"]) == "address"
    assert nearest("PORT", ["port"]) == "port"
    assert nearest("zzz", ["address"]) is None


# --- schemas ---------------------------------------------------------------------------------------------


def test_exported_schemas_are_those_of_the_models(tmp_path: Path) -> None:
    for path in export(tmp_path):
        assert path.read_text() == (ROOT / "docs" / "schemas" / path.name).read_text(), (
            "run: python -m tfm_harness.config.schema docs/schemas"
        )


def _known_keys(schema: dict[str, Any], definition: dict[str, Any]) -> set[str]:
    if "$ref" in definition:
        definition = schema["$defs"][definition["$ref"].rpartition("/")[2]]
    return set(definition["properties"])


def test_schemas_know_what_the_examples_use() -> None:
    schema = target_schema()
    assert set(yaml.safe_load(TARGET)) <= _known_keys(schema, {"$ref": "#/$defs/target-qemu"})
    assert schema["$defs"]["target-qemu"]["additionalProperties"] is False
    assert set(yaml.safe_load(BUILD)) <= set(build_schema()["properties"])
    assert "name" not in build_schema()["required"] if "required" in build_schema() else True
    json.dumps(schema)


def _models(model: type[Strict], seen: set[type[Any]]) -> set[type[Any]]:
    from tfm_harness.config.problems import _members

    if model not in seen:
        seen.add(model)
        for field in model.model_fields.values():
            for inner in _members(field.annotation):
                _models(inner, seen)  # type: ignore[arg-type]
    return seen


def test_every_model_is_frozen_and_refuses_unknown_keys() -> None:
    found: set[type[Any]] = set()
    _models(Build, found)
    for kind in BUILT_IN:
        assert board_class(kind).kind == kind
        _models(config_model(kind), found)
    assert len(found) > 20
    for model in found:
        assert model.model_config.get("extra") == "forbid", model
        assert model.model_config.get("frozen") is True, model
