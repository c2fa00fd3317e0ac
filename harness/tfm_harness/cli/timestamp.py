"""``tfm-harness evidence timestamp``: a time stamp (RFC 3161) for a bundle, asked for at once or by way of files."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tfm_harness.cli.output import write
from tfm_harness.errors import ConfigError

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

__all__ = ["add_make_options", "add_timestamp", "authorities", "stamper"]

_TSA = "address of a time-stamping authority (RFC 3161): http:// or https://. Only a digest is sent"
_CA = "root certificates (PEM) of the authority: its answer is verified before it is stored"


def add_make_options(make: argparse.ArgumentParser) -> None:
    """Declare the options of ``evidence make``."""
    make.add_argument("--tsa", metavar="URL", help=f"stamp the bundle: {_TSA}")
    make.add_argument("--tsa-ca", metavar="FILE", type=Path, help=_CA)


def add_timestamp(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare ``timestamp``."""
    timestamp = actions.add_parser(
        "timestamp",
        help="add a time stamp to a bundle",
        description="Add a time stamp (RFC 3161) to a bundle. Without a network: write the request with --query, have"
        " another machine send it, and add the answer with --reply.",
    )
    timestamp.add_argument("bundle", metavar="BUNDLE", type=Path, help="the bundle's folder")
    how = timestamp.add_mutually_exclusive_group(required=True)
    how.add_argument("--tsa", metavar="URL", help=_TSA)
    how.add_argument("--query", metavar="FILE", type=Path, help="only write the request (.tsq) to this file")
    how.add_argument("--reply", metavar="FILE", type=Path, help="add the answer (.tsr) from this file")
    timestamp.add_argument("--tsa-ca", metavar="FILE", type=Path, help=_CA)
    timestamp.set_defaults(action=_timestamp)


def authorities(path: Path | None) -> Sequence[Certificate]:
    """The root certificates that a user names; none without a file.

    Raises:
        ConfigError: kind ``evidence-authority``.
    """
    if path is None:
        return ()
    from tfm_harness.evidence.timestamp import load_authorities
    from tfm_harness.files import KEY_LIMIT, read_file

    try:
        data = read_file(path, KEY_LIMIT)
    except OSError as error:
        raise ConfigError(
            "the authority's certificate cannot be read", kind="evidence-authority", seen=str(error), where=str(path)
        ) from None
    return load_authorities(data, str(path))


def stamper(args: argparse.Namespace) -> Callable[[bytes], bytes] | None:
    """What stamps a new bundle; None when nothing shall.

    Raises:
        ConfigError: kind ``evidence-authority``: before anything is made.
    """
    if args.tsa is None:
        if args.tsa_ca is not None:
            raise ConfigError("--tsa-ca without --tsa stamps nothing", kind="evidence-authority",
                              hint="name the authority's address with --tsa")  # fmt: skip
        return None
    from tfm_harness.evidence.tsa import request_stamp, split_url

    split_url(args.tsa)
    roots = authorities(args.tsa_ca)

    def stamp(data: bytes) -> bytes:
        answer = request_stamp(args.tsa, data)
        _verify(answer, data, roots, args.tsa)
        return answer

    return stamp


def _verify(answer: bytes, data: bytes, roots: Sequence[Certificate], where: str) -> None:
    from tfm_harness.evidence.timestamp import check_stamp
    from tfm_harness.findings import Report

    report = Report()
    check_stamp(answer, data, roots, report, where)
    for finding in report.failed:
        raise ConfigError("the time stamp does not hold", kind="evidence-timestamp", expected=finding.expected,
                          seen=finding.seen, where=where)  # fmt: skip


def _timestamp(args: argparse.Namespace) -> int:
    from tfm_harness.evidence.opened import read_statements
    from tfm_harness.evidence.timestamp import MAX_ANSWER, make_query, stamp_name
    from tfm_harness.evidence.tsa_form import sort_certificates
    from tfm_harness.files import read_file, write_file

    file, data = read_statements(args.bundle)
    if args.query is not None:
        write_file(args.query, make_query(data)[0])
        write(f"{args.query}: send it as application/timestamp-query, and add the answer with --reply\n")
        return 0
    if args.tsa is not None:
        stamp = stamper(args)
        assert stamp is not None  # noqa: S101 - an address was given
        answer = stamp(data)
    else:
        try:
            answer = sort_certificates(read_file(args.reply, MAX_ANSWER))
        except OSError as error:
            raise ConfigError(
                "the answer cannot be read", kind="evidence-timestamp", seen=str(error), where=str(args.reply)
            ) from None
        _verify(answer, data, authorities(args.tsa_ca), str(args.reply))
    place = file.with_name(stamp_name(file.name, answer))
    write_file(place, answer)
    write(f"time stamp: {place}\n")
    if args.tsa_ca is None:
        write("its signature was not verified: name the authority's root with --tsa-ca\n")
    return 0
