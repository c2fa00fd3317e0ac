"""``tfm-harness trace show|convert``: recorded traces, looked at and brought into other forms."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfm_harness.cli.output import write
from tfm_harness.errors import ConfigError

if TYPE_CHECKING:
    from tfm_harness.stimulus.trace import Trace

__all__ = ["add_parser", "run"]

EPILOG = """\
IN may be CSV, .npz, Renode's .resd, or Arm's .sds with its .sds.yml beside it; a bundled trace goes by its name.
OUT is CSV, .npz or .resd, by its suffix.

examples:
  tfm-harness trace show tamper.csv
  tfm-harness trace show recording.resd --svg recording.svg
  tfm-harness trace convert sensor.0.sds mine.csv --map x=mag.x --map y=mag.y --map z=mag.z --rate 10
"""
_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 64


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "trace",
        help="show recorded sensor traces, or convert them (CSV, npz, RESD, SDS)",
        description="Show recorded sensor traces, and convert them into other forms.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    show = actions.add_parser("show", help="channels, ranges and a small plot", description="Show a trace.")
    show.add_argument("trace", metavar="IN", type=Path)
    show.add_argument("--svg", metavar="FILE", type=Path, help="write a plot of all channels there")
    show.set_defaults(action=_show)
    convert = actions.add_parser(
        "convert", help="convert to another form or another rate", description="Convert a trace."
    )
    convert.add_argument("trace", metavar="IN", type=Path)
    convert.add_argument("output", metavar="OUT", type=Path)
    convert.add_argument("--rate", metavar="HZ", type=float, help="resample to this rate")
    convert.add_argument("--rule", choices=("hold", "linear"), default="hold",
                         help="values between recorded ones: the last stays (default), or a straight line")  # fmt: skip
    convert.set_defaults(action=_convert)
    for one in (show, convert):
        one.add_argument("--map", metavar="VALUE=CHANNEL", action="append", default=[], dest="channels",
                         help="of an SDS file: which channel a value is; repeatable")  # fmt: skip
    return parser


def run(args: argparse.Namespace) -> int:
    """Run the command; returns the exit status.

    Raises:
        ConfigError: no such trace, or one that breaks its form.
        InfrastructureError: the output cannot be written.
    """
    status: int = args.action(args)
    return status


def _load(args: argparse.Namespace) -> Trace:
    from tfm_harness.files import TEXT_LIMIT, read_file
    from tfm_harness.stimulus.recordings.sds import read_sds
    from tfm_harness.stimulus.trace import find_trace, load_trace

    channels: dict[str, str] = {}
    for pair in args.channels:
        value, equals, channel = pair.partition("=")
        if not equals or not value or not channel:
            raise ConfigError("--map takes VALUE=CHANNEL", kind="usage", seen=pair)
        channels[value] = channel
    path = find_trace(args.trace)
    if channels and path.suffix == ".sds":
        return read_sds(read_file(path, 4 * TEXT_LIMIT), path, channels)
    if channels:
        raise ConfigError("--map is for SDS files", kind="usage", seen=str(path))
    return load_trace(path)


def _show(args: argparse.Namespace) -> int:
    trace = _load(args)
    rate = f", {trace.seconds[-1] - trace.seconds[0]:.6g} s" if trace.seconds else ", no times"
    write(f"{trace.source}\n{len(trace)} samples{rate}\n")
    width = max(len(channel) for channel in trace.columns)
    for channel, values in trace.columns.items():
        unit = "counts" if channel in trace.raw else _unit(channel)
        write(f"{channel:<{width}}  {_bars(values)}  {min(values):g} to {max(values):g} {unit}\n")
    if args.svg is not None:
        from tfm_harness.files import write_file

        write_file(args.svg, _plot(trace).encode())
        write(f"plot: {args.svg}\n")
    return 0


def _unit(channel: str) -> str:
    return {"mag": "uT", "tem": "degC", "acc": "g", "gyr": "rad/s"}.get(channel[:3], "")


def _bars(values: tuple[float, ...]) -> str:
    """The trace in one line: the mean of each share."""
    low, high = min(values), max(values)
    shares = min(_WIDTH, len(values))
    means = []
    for index in range(shares):
        part = values[index * len(values) // shares : (index + 1) * len(values) // shares]
        means.append(sum(part) / len(part))
    span = (high - low) or 1.0
    return "".join(_BARS[min(7, int((mean - low) / span * 8))] for mean in means)


def _plot(trace: Trace) -> str:
    """A picture of its own: one strip for each channel."""
    from xml.sax.saxutils import escape

    width, strip = 900, 120
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{strip * len(trace.columns) + 30}">',
        "<style>text {font: 12px sans-serif}</style>",
        f'<text x="8" y="18">{escape(trace.source)}</text>',
    ]
    for number, (channel, values) in enumerate(trace.columns.items()):
        top, low, high = 30 + number * strip, min(values), max(values)
        span, step = (high - low) or 1.0, (width - 110) / max(1, len(values) - 1)
        points = " ".join(
            f"{100 + index * step:.1f},{top + strip - 15 - (value - low) / span * (strip - 30):.1f}"
            for index, value in enumerate(values)
        )
        unit = "counts" if channel in trace.raw else _unit(channel)
        parts += [
            f'<text x="8" y="{top + 24}">{escape(channel)} {unit}</text>',
            f'<text x="8" y="{top + 44}" fill="#666">{high:g}</text>',
            f'<text x="8" y="{top + strip - 12}" fill="#666">{low:g}</text>',
            f'<polyline fill="none" stroke="#0b62a4" points="{points}"/>',
        ]
    return "\n".join([*parts, "</svg>", ""])


def _convert(args: argparse.Namespace) -> int:
    from tfm_harness.files import write_file
    from tfm_harness.stimulus.recordings.streams import resample

    trace = _load(args)
    if args.rate is not None:
        trace = resample(trace, args.rate, args.rule)
    write_file(args.output, _encode(trace, args.output))
    write(f"{args.output}: {len(trace)} samples of {', '.join(trace.columns)}\nfrom {trace.source}\n")
    return 0


def _encode(trace: Trace, output: Path) -> bytes:
    import io

    from tfm_harness.stimulus.recordings.resd import encode_resd

    names = {channel: f"{channel}[count]" if channel in trace.raw else channel for channel in trace.columns}
    if output.suffix == ".resd":
        return encode_resd(trace)
    if output.suffix == ".npz":
        import numpy as np

        members: dict[str, Any] = {names[channel]: np.array(values) for channel, values in trace.columns.items()}
        if trace.seconds:
            members["t[s]"] = np.array(trace.seconds)
        held = io.BytesIO()
        np.savez(held, **members)
        return held.getvalue()
    if output.suffix != ".csv":
        raise ConfigError(
            "the suffix of OUT says its form", kind="usage", expected=".csv, .npz or .resd", seen=output.name
        )
    rows = [",".join([*(["t[s]"] if trace.seconds else []), *names.values()])]
    for index in range(len(trace)):
        time = [f"{trace.seconds[index]:.9g}"] if trace.seconds else []
        rows.append(",".join([*time, *(f"{values[index]:.9g}" for values in trace.columns.values())]))
    return (f"# {trace.source}\n" + "\n".join(rows) + "\n").encode()
