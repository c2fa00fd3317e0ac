"""``tfm-harness keys collect``: take the public keys that a device shows, to be trusted from now on."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from tfm_harness.cli.output import say, warn
from tfm_harness.errors import ConfigError

if TYPE_CHECKING:
    from tfm_harness.config.build import Build
    from tfm_harness.verify.keys import PublicKey

__all__ = ["add_parser", "run"]

_FIELDS = {"iak": "iak", "result": "results", "client": "client"}
"""The role of a key, and its place in a build's ``trust``."""
_PLACES = {"iak": "keys/iak_pub.pem", "result": "keys/result_pub.pem", "client": "keys/client_pub.pem"}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the commands."""
    keys = subparsers.add_parser("keys", help="collect the public keys by which a device is known")
    commands = keys.add_subparsers(title="commands", metavar="COMMAND", required=True)
    parser = commands.add_parser(
        "collect",
        help="take the public keys from a device",
        description="Flash the build, start the board, ask it for its public keys and write them as PEM files where"
        " the build's `trust` names them (else into --out). Trust in these keys rests on this moment: on this board,"
        " this firmware and this cable. A key that is there already is never replaced by another one.",
        epilog="example:\n  tfm-harness keys collect --target my-board --build fw_builds/linaro-zephyr",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--target", required=True, metavar="NAME|FILE")
    parser.add_argument("--build", required=True, metavar="NAME|FILE")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder for keys that the build names no file for (default: the build's)",
    )
    parser.add_argument("--run-dir", default="", metavar="DIR", help="where the transcript goes")
    parser.add_argument("--state-dir", default="", metavar="DIR", help="where locks and identities live")
    keys.set_defaults(run=run)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from tfm_harness.bench.combination import load_combination
    from tfm_harness.bench.context import make_context
    from tfm_harness.bench.live import LiveCombination
    from tfm_harness.protocol.clients import open_client
    from tfm_harness.verify.keyfiles import parse_public_key

    combination = load_combination(args.target, args.build, require_keys=False)
    build = combination.build
    if build.protocol == "none":
        raise ConfigError(
            f"build {build.name!r} speaks no protocol: its keys cannot be read", kind="feature-missing",
            expected="protocol: smp or zephyr-shell", seen="protocol: none", where=str(build.path or ""),
        )  # fmt: skip
    live = LiveCombination(combination, make_context(args.run_dir, args.state_dir))
    with live.flashed() as board:
        client = open_client(
            build.protocol, board.console(build.console), timeout=live.answer_timeout, watch=lambda: None
        )
        said = client.wait_ready(timeout=live.boot_timeout)
        shown = {role: parse_public_key(client.public_key(role)) for role in _FIELDS if role in client.key_names}
    folder = args.out or (build.path.parent if build.path else Path())
    places = {role: _place(build, role, folder) for role in shown}
    _refuse_other_keys(shown, places)
    for role, key in shown.items():
        _write(places[role], key)
        say(f"{_FIELDS[role]}: {places[role]}  {key}")
    unnamed = [role for role in shown if not isinstance(getattr(build.trust, _FIELDS[role]), Path)]
    if unnamed:
        lines = "".join(f"\n  {_FIELDS[role]}: {os.path.relpath(places[role], folder)}" for role in unnamed)
        say(f"to trust them, the build needs:\ntrust:{lines}")
    warn(
        f"These keys are what {board.name} ({said.firmware} {said.version}) shows now. Trust in them rests on this"
        " moment: nothing has proved that it is the right device or the right firmware."
    )
    return 0


def _place(build: Build, role: str, folder: Path) -> Path:
    named = getattr(build.trust, _FIELDS[role])
    return named if isinstance(named, Path) else folder / _PLACES[role]


def _refuse_other_keys(shown: dict[str, PublicKey], places: dict[str, Path]) -> None:
    """Raise before anything is written when a file holds another key than the device shows."""
    from tfm_harness.files import read_file
    from tfm_harness.verify.keyfiles import parse_key

    for role, place in places.items():
        if not place.exists():
            continue
        kept = parse_key(read_file(place, 1 << 20))
        if kept != shown[role]:
            raise ConfigError(
                f"the device shows another {role} key than the one that is trusted", kind="key-differs",
                expected=str(kept), seen=str(shown[role]), where=str(place),
                hint="another board, or another identity: find out which before you remove the file",
            )  # fmt: skip


def _write(place: Path, key: PublicKey) -> None:
    from cryptography.hazmat.primitives import serialization

    if place.exists():
        return  # the same key, see _refuse_other_keys
    pem = key.handle.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    place.parent.mkdir(parents=True, exist_ok=True)
    scratch = place.with_name(f".{place.name}.{os.getpid()}")
    scratch.write_bytes(pem)
    scratch.rename(place)
