"""Fixtures that tests of several parts share."""

from __future__ import annotations

import gc
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from tfm_harness.boards.base import RunContext
from tfm_harness.boards.qemu.board import QemuBoard
from tfm_harness.config.build import Build
from tfm_harness.config.loading import load_build, load_target
from tfm_harness.config.qemu import QemuTarget

from tests import warm
from tests.browser import CHROMIUM, Browser

# How long one example takes says nothing on a busy host.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")

# Started in the background by a script, everything ignores SIGINT, and children inherit that: tests of Ctrl-C need it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _plain_pytest_in_children() -> Iterator[None]:
    """What tests start as pytest has no options of the caller, and loads neither Hypothesis nor AnyIO.

    Such runs have no examples and no coroutines; loading Hypothesis takes a third of the time of a short run, AnyIO a
    tenth. Nor does pytest see that it runs in CI, where its summary shows messages in full: what is tested is the same
    on every machine.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTEST_ADDOPTS", "-p no:hypothesispytest -p no:anyio")
        for variable in ("CI", "BUILD_NUMBER"):
            patch.delenv(variable, raising=False)
        yield


@pytest.fixture(scope="session", autouse=True)
def _locks_of_their_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests lock nothing of this host."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TFM_HARNESS_LOCK_DIR", str(tmp_path_factory.mktemp("locks")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_warm_process_is_left() -> Iterator[None]:
    """What `tests.warm` has started ends with the tests."""
    yield
    warm.stop()


# Of the harness, for as long as its process lives.
_LASTING_THREADS = {"spawner"}


@pytest.fixture(scope="module", autouse=True)
def _nothing_of_a_module_is_left() -> Iterator[None]:
    """No thread that its tests have started, and no file or socket that nobody closed.

    Otherwise what is left is told of a later test, if at all: a thread may end then, and the garbage collector may meet
    a socket then.
    """
    before = set(threading.enumerate())
    yield
    gc.collect()
    left = [thread for thread in threading.enumerate() if thread not in before and thread.name not in _LASTING_THREADS]
    for thread in left:
        thread.join(5)
    assert not [thread for thread in left if thread.is_alive()]
    gc.freeze()  # what lives on is not searched again behind each module


@pytest.fixture(scope="session", autouse=True)
def _what_lived_on_is_searched_once_more() -> Iterator[None]:
    """At the end: a socket that a cycle of objects has kept since is told of then."""
    yield
    gc.unfreeze()
    gc.collect()


@pytest.fixture(scope="session", autouse=True)
def _new_stores_are_migrated_once() -> Iterator[None]:
    """Where a test has imported stores; tests/history/test_migrations.py has the real migrations."""
    if "tfm_harness.history.database" not in sys.modules:
        yield
        return
    from tests.stores import migrated_once

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tfm_harness.history.database._migrate", migrated_once)
        yield


@pytest.fixture(scope="session", autouse=True)
def _engines_are_lent() -> Iterator[None]:
    """Where a test has imported reference engines."""
    if "tfm_harness.parity.engines" not in sys.modules:
        yield
        return
    from tests.lent_engines import lending

    with lending():
        yield


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """What is collected lives as long as the tests do: the garbage collector has nothing to look for in it."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser for pages that have nothing to do with each other."""
    if CHROMIUM is None:
        pytest.skip("no chromium in PATH (Debian package: chromium)")
    made = Browser(tmp_path_factory.mktemp("browser"))
    yield made
    made.close()


_PROBE = Path(__file__).parent / "boards" / "firmware"


@pytest.fixture(scope="session")
def probe_elf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small firmware that misbehaves on request (tests/boards/firmware/probe.c)."""
    for tool in ("arm-none-eabi-gcc", "qemu-system-arm"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    elf = tmp_path_factory.mktemp("probe") / "probe.elf"
    flags = ["-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=soft", "-Os", "-ffreestanding", "-nostdlib"]
    flags += ["-Wall", "-Wextra", "-Werror"]
    script = _PROBE / "probe.ld"
    words = ["arm-none-eabi-gcc", *flags, f"-Wl,-T,{script}", "-Wl,--no-warn-rwx-segments"]
    subprocess.run([*words, str(_PROBE / "probe.c"), "-o", str(elf)], check=True, timeout=120)
    return elf


@pytest.fixture
def probe_build(probe_elf: Path, tmp_path: Path) -> Build:
    """A build of the probe firmware alone."""
    path = tmp_path / "probe-build.yaml"
    path.write_text(f"name: probe\nimages: [{{file: {probe_elf}, world: secure}}]\n")
    return load_build(path)


@pytest.fixture(scope="session")
def qemu_target() -> QemuTarget:
    """The bundled QEMU target; nothing of it can be changed."""
    target = load_target("qemu-an547")
    assert isinstance(target, QemuTarget)
    return target


@pytest.fixture
def make_qemu(tmp_path: Path, qemu_target: QemuTarget) -> Iterator[Callable[..., QemuBoard]]:
    """Makes QEMU boards (not yet acquired) with folders of their own; releases them at the end."""
    boards: list[QemuBoard] = []

    def make(*, name: str = "board", deterministic: bool = False, fresh: bool = False, **changes: object) -> QemuBoard:
        target = qemu_target.model_copy(update={"name": name, **changes})
        context = RunContext(tmp_path / "run", tmp_path / "state", fresh_identity=fresh, deterministic=deterministic)
        boards.append(QemuBoard(target, context))
        return boards[-1]

    yield make
    for board in boards:
        board.release()


@pytest.fixture
def probe_board(make_qemu: Callable[..., QemuBoard], probe_build: Build) -> QemuBoard:
    """A QEMU board that runs the probe firmware."""
    board = make_qemu()
    board.acquire()
    board.flash(probe_build)
    return board
