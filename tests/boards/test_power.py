"""Power switching: each kind through a simulator of its tool, the failures included."""

from __future__ import annotations

import stat
import textwrap
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError
from tfm_harness.boards.base import PowerState
from tfm_harness.boards.power import cycle, make_power
from tfm_harness.config.power import PowerConfig
from tfm_harness.errors import InfrastructureError

CONFIG: TypeAdapter[PowerConfig] = TypeAdapter(PowerConfig)


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def command_config(folder: Path, **more: object) -> PowerConfig:
    relay = folder / "relay"
    tool = script(folder / "switch", f'case "$1" in on|off) echo $1 > {relay};; *) cat {relay};; esac')
    words = {"on": [str(tool), "on"], "off": [str(tool), "off"], "state": [str(tool), "state"]}
    return CONFIG.validate_python({"kind": "command", **words, **more})


def test_cycle_goes_off_waits_and_comes_on(tmp_path: Path) -> None:
    control = make_power(command_config(tmp_path))
    seen: list[tuple[float, str]] = []
    cycle(control, 3.5, wait=lambda seconds: seen.append((seconds, (tmp_path / "relay").read_text().strip())))
    assert seen == [(3.5, "off")]
    assert control.state() is PowerState.ON


def test_a_relay_that_sticks_is_seen(tmp_path: Path) -> None:
    stuck = script(tmp_path / "stuck", "echo on")
    config = command_config(tmp_path, state=[str(stuck)])
    with pytest.raises(InfrastructureError, match="did not switch off") as caught:
        cycle(make_power(config), 0, wait=lambda _: None)
    assert caught.value.kind == "power-stuck"


def test_a_failing_command_shows_what_it_said(tmp_path: Path) -> None:
    broken = script(tmp_path / "broken", "echo relay board not found >&2; exit 3")
    config = command_config(tmp_path, off=[str(broken)])
    with pytest.raises(InfrastructureError, match="failed") as caught:
        make_power(config).set(PowerState.OFF)
    assert caught.value.seen == "3"
    assert "relay board not found" in str(caught.value)


def test_a_hanging_command_is_ended(tmp_path: Path) -> None:
    config = command_config(tmp_path, on=["sleep", "60"], timeout=0.2)
    with pytest.raises(InfrastructureError, match="sleep hangs") as caught:
        make_power(config).set(PowerState.ON)
    assert caught.value.kind == "tool-hung"


def test_a_missing_tool_is_named(tmp_path: Path) -> None:
    config = command_config(tmp_path, on=["no-such-power-tool"])
    with pytest.raises(InfrastructureError, match="no-such-power-tool is not installed"):
        make_power(config).set(PowerState.ON)


def test_a_state_nobody_understands_is_refused(tmp_path: Path) -> None:
    config = command_config(tmp_path, state=["echo", "maybe"])
    with pytest.raises(InfrastructureError, match="printed something else"):
        make_power(config).state()
    assert make_power(command_config(tmp_path, state=None)).state() is PowerState.UNKNOWN


def test_usb_hub_port_by_uhubctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    script(
        tmp_path / "uhubctl",
        f'echo "$@" >> {log}\n'
        f'case "$*" in *"-a on"*) echo 1 > {tmp_path}/p;; *"-a off"*) rm -f {tmp_path}/p;; esac\n'
        'echo "Current status for hub 1-1.4 [2109:2817 VIA Labs USB2.0 Hub, USB 2.10, 4 ports, ppps]"\n'
        f'if [ -f {tmp_path}/p ]; then echo "  Port 2: 0103 power enable connect [0d28:0204 ARM]"; '
        'else echo "  Port 2: 0000 off"; fi',
    )
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    control = make_power(CONFIG.validate_python({"kind": "usbhub", "location": "1-1.4", "port": 2}))
    cycle(control, 0, wait=lambda _: None)
    assert control.state() is PowerState.ON
    assert log.read_text().splitlines()[0] == "-l 1-1.4 -p 2 -a off"
    control.set(PowerState.OFF)
    assert control.state() is PowerState.OFF


def fake_labgrid(folder: Path, monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    power = folder / "site" / "labgrid" / "driver" / "power"
    power.mkdir(parents=True)
    for package in (power, power.parent, power.parent.parent):
        (package / "__init__.py").touch()
    (power / "apc.py").write_text(textwrap.dedent(backend))
    monkeypatch.setenv("PYTHONPATH", str(folder / "site"))


def pdu(**more: object) -> PowerConfig:
    return CONFIG.validate_python({"kind": "pdu", "model": "apc", "host": "192.0.2.7", "index": 3, **more})


def test_pdu_through_a_labgrid_back_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outlet = tmp_path / "outlet"
    backend = f"""
        from pathlib import Path
        def power_set(host, port, index, value):
            print("back ends may print")
            Path({str(outlet)!r}).write_text(f"{{host}} {{port}} {{index}} {{value}}")
        def power_get(host, port, index):
            return Path({str(outlet)!r}).read_text().endswith("True")
    """
    fake_labgrid(tmp_path, monkeypatch, backend)
    control = make_power(pdu())
    control.set(PowerState.OFF)
    assert control.state() is PowerState.OFF
    cycle(control, 0, wait=lambda _: None)
    assert outlet.read_text() == "192.0.2.7 None 3 True"


def test_pdu_that_does_not_answer_is_the_benchs_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = """
        def power_set(*_):
            raise ConnectionRefusedError("no route")
        def power_get(*_):
            raise NotImplementedError
    """
    fake_labgrid(tmp_path, monkeypatch, backend)
    with pytest.raises(InfrastructureError, match=r"192\.0\.2\.7 does not obey") as caught:
        make_power(pdu()).set(PowerState.ON)
    assert caught.value.seen == "ConnectionRefusedError: no route"
    assert make_power(pdu()).state() is PowerState.UNKNOWN


def test_pdu_that_hangs_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_labgrid(tmp_path, monkeypatch, "import time\ntime.sleep(1000)\n")
    with pytest.raises(InfrastructureError, match="hangs") as caught:
        make_power(pdu(timeout=0.5)).set(PowerState.ON)
    assert caught.value.kind == "tool-hung"


def test_pdu_that_dies_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_labgrid(tmp_path, monkeypatch, "import os\nos._exit(7)\n")
    with pytest.raises(InfrastructureError, match="does not obey") as caught:
        make_power(pdu()).state()
    assert caught.value.seen == "exit code 7"


def test_pdu_model_that_labgrid_does_not_know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_labgrid(tmp_path, monkeypatch, "")
    with pytest.raises(InfrastructureError, match="no power back end 'nosuch'") as caught:
        make_power(pdu(model="nosuch")).set(PowerState.ON)
    assert caught.value.kind == "tool-missing"
    assert "model names" in (caught.value.hint or "")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(InfrastructureError, match="no power back end") as caught:
        make_power(pdu(python="/usr/bin/python3")).set(PowerState.ON)
    assert "name an interpreter" in (caught.value.hint or "")
    with pytest.raises(InfrastructureError, match="is not installed"):
        make_power(pdu(python="/nonexistent/python")).set(PowerState.ON)


@pytest.mark.parametrize(
    "bad",
    [
        {"kind": "command", "on": [], "off": ["x"]},
        {"kind": "usbhub", "location": "../..", "port": 1},
        {"kind": "pdu", "model": "os.system", "host": "h", "index": 1},
        {"kind": "relay"},
        {"kind": "command", "on": ["x"], "off": ["x"], "offf": 1},
    ],
)
def test_wrong_configuration_is_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        CONFIG.validate_python(bad)
