"""What pytest loads: options, markers, fixtures' names; everything heavy comes with a board.

Imports only pytest and the standard library at module level (a benchmark holds it to that).
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Sequence

import pytest

from tfm_harness.errors import ConfigError, InfrastructureError
from tfm_harness.plugin import collector, fixtures, hookspecs
from tfm_harness.plugin.exit_codes import EXIT_BENCH
from tfm_harness.plugin.keys import PLUGIN
from tfm_harness.plugin.options import add_options, check_names, check_old_flags, setting

__all__: list[str] = []

MARKERS = (
    "needs(*features): the test needs these features of firmware and bench; without them it is not covered",
    "thorough(argument=value): searches far; not run with --tfm-quick. The test with that value does not run beside it",
    "qemu: needs qemu-system-arm or built firmware images",
)

_USAGE = "tfm_harness_usage"
"""What a test process of pytest-xdist says it was asked wrongly; it has no terminal to say it on."""

_ONLY_LOOKS = ("help", "version", "markers", "showfixtures", "show_fixtures_per_test", "cacheshow")
"""Options of pytest's own with which no test is run: no folder is made, and a wrong setting does not hide the help."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the settings."""
    add_options(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the plugin's own hooks."""
    pluginmanager.add_hookspecs(hookspecs)


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(parser: pytest.Parser, args: list[str]) -> Generator[None, None, None]:
    """When every plugin and conftest file has declared its options: is one of our old names left over?"""
    result = yield
    try:
        check_old_flags(parser, args)
    except ConfigError as error:
        raise pytest.UsageError(str(error)) from None
    except Exception as error:  # noqa: BLE001 - pytest has no net here, and Python would end with 1
        from tfm_harness.plugin.net import bug_of, exit_of

        told = bug_of(error, "pytest_load_initial_conftests")
        sys.stderr.write(f"{told}\n")
        raise SystemExit(exit_of(told)) from None
    return result


def pytest_configure(config: pytest.Config) -> None:
    """Come alive when a board was asked for; everything is validated here, before it is touched."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    config.pluginmanager.register(fixtures, "tfm_harness_fixtures")
    if any(getattr(config.option, look, None) for look in _ONLY_LOOKS):
        return
    try:
        check_names(config)
        target, build = setting(config, "target"), setting(config, "build")
        if not target.values and not build.values:
            return
        collector.pause(config)
        from tfm_harness.plugin.session import activate

        config.stash[PLUGIN] = activate(config)
    except ConfigError as error:
        raise pytest.UsageError(str(error)) from None
    except InfrastructureError as error:
        pytest.exit(str(error), returncode=EXIT_BENCH)
    except Exception as error:  # noqa: BLE001 - without the pages of pytest's INTERNALERROR
        from tfm_harness.foreign import host_refusal
        from tfm_harness.plugin.net import bug_of, exit_of

        told = host_refusal(error) or bug_of(error, "pytest_configure")
        pytest.exit(str(told), returncode=exit_of(told))


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """In a test process of pytest-xdist: a usage error is kept for the process that prints."""
    try:
        return (yield)
    except pytest.UsageError as error:
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output[_USAGE] = str(error)
        raise
    finally:
        collector.resume(session.config)


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_testnodedown(node: object) -> None:
    """A test process of pytest-xdist has ended because it was asked wrongly: without this, pytest-xdist's assertion."""
    said = getattr(node, "workeroutput", {}).get(_USAGE)
    if said:
        raise pytest.UsageError(said)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    """Tests that want a board when none was asked for: one clear usage error instead of many broken tests."""
    if PLUGIN in config.stash or config.option.collectonly:
        return
    wanting = next((item for item in items if fixtures.wants_board(item)), None)
    if wanting is not None:
        raise pytest.UsageError(
            f"{wanting.nodeid} needs a board, and none was asked for.\n"
            "  what to do: give --tfm-target NAME and --tfm-build NAME (or tfm_target and tfm_build in the ini\n"
            "    file, or TFM_HARNESS_TARGET and TFM_HARNESS_BUILD); `tfm-harness targets` and `tfm-harness builds`\n"
            "    list what is known"
        )
