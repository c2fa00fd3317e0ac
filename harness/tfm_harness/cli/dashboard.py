"""``tfm-harness dashboard``: pages about the stored runs, served."""

from __future__ import annotations

import argparse
from pathlib import Path

from tfm_harness.cli.history import add_store_options
from tfm_harness.cli.output import write
from tfm_harness.errors import ConfigError, InfrastructureError
from tfm_harness.files import KEY_LIMIT, read_file

__all__ = ["add_parser", "run"]

EPILOG = """\
It only reads. With --token-file (a file of one line, readable by nobody else) pages have forms that accept a baseline,
keep a known issue and set a board's health; each asks for the token.

examples:
  tfm-harness dashboard                                     http://127.0.0.1:8017
  tfm-harness dashboard --store farm.sqlite --token-file token
  tfm-harness dashboard --listen 0.0.0.0:8017 --allow-host farm.example.org     behind a proxy that speaks TLS
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "dashboard",
        help="serve pages about all runs: what is new, who is responsible, and the evidence",
        description="Serve pages about the stored runs. `tfm-harness history export-site` writes the same as files.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--listen", metavar="HOST:PORT", default="127.0.0.1:8017", help="default: 127.0.0.1:8017")
    parser.add_argument(
        "--allow-host",
        metavar="NAME",
        action="append",
        default=[],
        help="one more host name under which it may be asked",
    )
    parser.add_argument(
        "--token-file",
        metavar="FILE",
        type=Path,
        help="a file with the token that changes must carry; without it there are none",
    )
    add_store_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted.

    Raises:
        ConfigError: kinds ``bad-option``, ``dashboard-token``, ``dashboard-extra``, ``store-url``.
        InfrastructureError: kinds ``dashboard-listen``, ``store-failed``.
    """
    from tfm_harness.history.database import default_url

    host, port = _place(args.listen)
    token = _token(args.token_file) if args.token_file is not None else ""
    try:
        import uvicorn

        from tfm_harness.history.pages.server import LOCAL, make_app
    except ImportError as error:
        raise ConfigError(
            "the dashboard's server is not installed", kind="dashboard-extra", seen=str(error),
            hint="pip install 'tfm-harness[dashboard]', or write files: tfm-harness history export-site DIR",
        ) from error  # fmt: skip
    app = make_app(args.store or default_url(args.state_dir), token=token, hosts=LOCAL | {host, *args.allow_host})
    server = uvicorn.Server(uvicorn.Config(app, host=host, port=port, log_level="warning", server_header=False))
    write(f"http://{f'[{host}]' if ':' in host else host}:{port}\n", flush=True)
    try:
        server.run()
    except SystemExit as error:  # what uvicorn does when it cannot listen
        raise InfrastructureError(
            "the dashboard cannot listen", kind="dashboard-listen", seen=f"exit status {error.code}", where=args.listen,
            hint="name another address: --listen HOST:PORT",
        ) from error  # fmt: skip
    return 0


def _place(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or not 0 < int(port[:6]) < 1 << 16:
        raise ConfigError("--listen takes an address and a port", kind="bad-option", expected="HOST:PORT", seen=text)
    return host.strip("[]"), int(port)


def _token(path: Path) -> str:
    try:
        mode = path.stat().st_mode
        token = read_file(path, KEY_LIMIT).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            "the token's file cannot be read", kind="dashboard-token", seen=str(error), where=str(path)
        ) from error
    if mode & 0o077 or len(token) < 16 or "\n" in token:
        raise ConfigError(
            "the token is not secret", kind="dashboard-token", where=str(path),
            expected="one line of 16 characters or more, in a file that only its owner reads",
            seen=f"{len(token)} characters, mode {mode & 0o777:04o}",
            hint="umask 077; python3 -c 'import secrets; print(secrets.token_urlsafe())' > token",
        )  # fmt: skip
    return token
