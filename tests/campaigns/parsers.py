"""Parsers beyond `verify`, for the fuzzer (`tests.verify.fuzz_parsers`): consoles, recordings, models, records.

Each target takes bytes; what may leave it is an error of the harness. Where a function documents another exception
(ValueError, CborError), whoever calls it translates that one, and so does the target here.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import cbor2
import numpy as np

Target = Callable[[bytes], object]
ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "fw_builds" / "reference" / "models"


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """Where files are put for the parsers that read files; removed at the end of the process."""
    return tempfile.TemporaryDirectory(prefix="tfm-harness-parsers-")


def _file(name: str, data: bytes) -> Path:
    path = Path(_folder().name, name)
    path.write_bytes(data)
    return path


def _reads(name: str, read: Callable[[Path], object]) -> Target:
    def target(data: bytes) -> None:
        read(_file(name, data))

    return target


def more_targets() -> dict[str, tuple[Target, list[bytes]]]:
    """Name to parser and seeds."""
    return {**_wire(), **_consoles(), **_files(), **_models(), **_records(), **_evidence()}


def _wire() -> dict[str, tuple[Target, list[bytes]]]:
    """What comes over a UART, telnet, a sensor player's or an emulator's line."""
    from tfm_harness.boards.fvp.model import find_iris, find_terminals, parse_banner, parse_parameters
    from tfm_harness.boards.mps3.images import parse_images_txt
    from tfm_harness.boards.mps3.mcc import MccLog
    from tfm_harness.console.telnet import TelnetFilter
    from tfm_harness.console.text import last_lines, printable
    from tfm_harness.errors import HarnessError
    from tfm_harness.latency.series import Series
    from tfm_harness.protocol.mlperf_tiny import answers as monitor
    from tfm_harness.protocol.smp import answers
    from tfm_harness.protocol.smp.frame import FrameDecoder, Packet
    from tfm_harness.protocol.smp.header import Header
    from tfm_harness.protocol.zephyr_shell import parse, recording
    from tfm_harness.protocol.zephyr_shell.lines import LineSorter
    from tfm_harness.protocol.zephyr_shell.terminal import Terminal
    from tfm_harness.safe_text import safe
    from tfm_harness.stimulus.pico.link import seal, unseal
    from tfm_harness.stimulus.vsi.player import decode_record
    from tfm_harness.testing import smp_frame

    def frames(data: bytes) -> None:
        decoder = FrameDecoder()
        for item in [*decoder.feed(data[:7]), *decoder.feed(data[7:])]:
            if isinstance(item, Packet):
                with contextlib.suppress(ValueError):
                    Header.unpack(item.data)

    def smp(data: bytes) -> None:
        with contextlib.suppress(ValueError):
            Header.unpack(data[:12])
        answer = answers.decode_answer(data, "x")
        answers.show(answer)
        kinds: tuple[type, ...] = (int, str, bytes, bool, list, dict)
        for key in answer:
            for kind in kinds:
                with contextlib.suppress(HarnessError):
                    answers.field(answer, key, kind)
            with contextlib.suppress(HarnessError):
                answers.ticks(answers.field(answer, key, bytes), key)
            for each in (answers.FaultRecord.parse, answers.ModelInfo.parse):
                with contextlib.suppress(HarnessError):
                    answers.items(answer, key, each)
        answers.Probe.parse(answer)

    def shell(data: bytes) -> None:
        terminal, sorter = Terminal(), LineSorter("uart:~$ ")
        lines = [sorter.sort(line, "infer get").text for line in terminal.feed(data)]
        sorter.is_prompt(terminal.current)
        asked: list[Callable[[list[str]], object]] = [
            parse.hexdumps, parse.inferences, parse.inference_ends, parse.table, parse.models, parse.public_keys,
            parse.csr_from_pem, parse.csr_from_json, parse.is_refused, lambda said: parse.single_line(said, r"\w+"),
        ]  # fmt: skip
        for each in asked:
            with contextlib.suppress(HarnessError):
                each(lines)
        parse.raise_if_refused("x", lines)

    def tiny(data: bytes) -> None:
        lines = data.decode("ascii", "backslashreplace").splitlines()
        asked: list[Callable[[list[str]], object]] = [
            lambda said: monitor.bracketed(said, "m-results-", "results"),
            lambda said: monitor.results(said[0] if said else ""),
            lambda said: monitor.printed_bytes(said, 16),
            lambda said: monitor.timed_run(said, 2, 1, 1.0).elapsed_us,
        ]  # fmt: skip
        for each in asked:
            with contextlib.suppress(HarnessError):
                each(lines)
        monitor.raise_if_refused("x", lines)

    def text(data: bytes) -> None:
        safe(data)
        printable(data)
        last_lines(data, 5)
        TelnetFilter().feed(data)
        unseal(data)

    def emulators(data: bytes) -> None:
        said = data.decode(errors="replace")
        find_terminals(data)
        find_iris(data)
        parse_banner(said)
        parse_parameters(said)
        MccLog().feed(data)
        parse_images_txt(said)

    def recorded(data: bytes) -> None:
        for read in (recording.read_session, lambda given: recording.read_transcript(given, given)):
            with contextlib.suppress(HarnessError):
                list(recording.replies(read(data)))
        recording.read_session(data)

    def ticks(data: bytes) -> None:
        half = len(data) // 2
        with contextlib.suppress(ValueError):  # "a length that is not a multiple of 4"
            Series.from_wire(data[:half], data[half:], name="x", clock=None)
        decode_record(data[:8].ljust(8, b"\0"))

    fault = {"t": "bus", "pc": 1, "ns": True, "cfsr": 2, "sfsr": 3, "ad": 4}
    model = {"slot": 0, "name": "m", "id": bytes(32), "ver": "1", "cnt": 1, "len": 2, "st": 0, "act": True}
    probed = {"fault": True, "n": 1, "info": fault, "last": [fault], "models": [model], "t": bytes(8)}
    shell_seed = (
        b"uart:~$ infer get\r\nAAT token:\r\n00000000: d2 84 43 a1 01 26                                |..C..&|\r\n"
        b"0x5001 | client | ok\r\n-----BEGIN CERTIFICATE REQUEST-----\r\nAAAA\r\n-----END CERTIFICATE REQUEST-----\r\n"
        b"[00:00:01.000,000] <inf> x: y\r\n\x1b[1;31merror\x1b[0m\r\nuart:~$ "
    )
    emulator_seed = (
        b"telnetterminal0: Listening for serial connection on port 5000\nFast Models [11.22.39 (Nov 2023)]\n"
        b"cpu0.x=1   # (int) text\nReading images file \\MB\\X.TXT\nWriting File A.BIN\nCmd> \n"
    )
    images_seed = (
        b"TITLE: x\n[IMAGES]\nTOTALIMAGES: 1\nIMAGE0ADDRESS: 0x00000000\nIMAGE0UPDATE: RAM\n"
        b"IMAGE0FILE: \\SOFTWARE\\A.BIN\n"
    )
    tiny_seed = (
        b"m-warmup-start-1\r\nm-warmup-done\r\nm-infer-start-2\r\nm-lap-us-5\r\nm-lap-us-9\r\nm-infer-done\r\n"
        b"m-results-[0.1,0.9]\r\nm-buffer-00-01-02\r\n"
    )
    refusal = b"Input db has 1 elemented, expected 2\r\ne-[no]\r\n"
    return {
        "smp-frames": (frames, [smp_frame(bytes(40)), b"[log]\r\n" + smp_frame(bytes(300))]),
        "smp-answer": (smp, [cbor2.dumps(probed), cbor2.dumps({"err": {"group": 64, "rc": 135}}), cbor2.dumps({})]),
        "shell": (shell, [shell_seed]),
        "monitor": (tiny, [tiny_seed, refusal]),
        "text": (text, [b"\x1b[2J\xff\xfb\x01\xff\xfa\x2c\xff\xf0text\r\n", seal("<1 ok 3")]),
        "emulator-output": (
            emulators,
            [emulator_seed, images_seed],
        ),
        "recorded-session": (
            recorded,
            [
                b"0.1 TX infer get\\r\n0.2 RX uart:~$ infer get\\r\\n1\\r\\nuart:~$ \n",
                b'{"at": 3, "sent": "6162"}\n',
            ],
        ),
        "ticks": (ticks, [bytes(64)]),
    }


def _consoles() -> dict[str, tuple[Target, list[bytes]]]:
    """Transcripts of test suites."""
    from tfm_harness.console_suites.registry import suite_names
    from tfm_harness.console_suites.transcripts import detect, judge_file, probe_lines
    from tfm_harness.verify.leaks import notations
    from tfm_harness.verify.leaks.scanner import Scanner
    from tfm_harness.verify.leaks.secrets import device_secrets

    scanner = Scanner(device_secrets(bytes(range(60, 92))))

    def transcript(data: bytes) -> None:
        detect(data)
        probe_lines(data)
        for suite in suite_names():
            judge_file(_file("u.log", data), suite)

    def leaks(data: bytes) -> None:
        scanner.scan(data)
        for reading in notations.readings(data):
            reading.place(0)

    ztest = (
        b"*** Booting Zephyr OS build v3.7.0 ***\nRunning TESTSUITE s\n======\nSTART - test_a\n"
        b" PASS - test_a in 0.1 s\nTESTSUITE s succeeded\nPROJECT EXECUTION SUCCESSFUL\n"
    )
    tfm = b"#### Execute test suites for the Secure area ####\nRunning Test Suite X (TFM_S_X)...\nTEST: A - PASSED!\n"
    lava = b'- {"dt": "2026-01-01T00:00:00", "lvl": "target", "msg": "START - test_a"}\n'
    return {
        "transcript": (transcript, [ztest, tfm, lava, b"***** PSA Architecture Test Suite *****\nTEST: 1 | x\n"]),
        "leaks": (leaks, [bytes(range(60, 92)).hex().encode(), b"0x3c, 0x3d, 60 61 62 PD4/QEFCQ0RFRkdISUpLTE1OT1A="]),
    }


def _files() -> dict[str, tuple[Target, list[bytes]]]:
    """What people and other tools write: YAML, CSV, arrays, recordings, hex files, keys, journals."""
    from tfm_harness.boards.image_bytes import segments
    from tfm_harness.cli.verify_files import read_evidence
    from tfm_harness.config.farm import load_farm
    from tfm_harness.config.loading import load_build, load_target
    from tfm_harness.config.result_profile import read_result_profile
    from tfm_harness.coverage.requirements import load_catalogue
    from tfm_harness.errors import HarnessError
    from tfm_harness.history.issues import load_issues
    from tfm_harness.importer.images import decoded
    from tfm_harness.mounts import read_mounts
    from tfm_harness.parity.dataset import read_dataset
    from tfm_harness.parity.inputs import load_inputs
    from tfm_harness.parity.model_parser import parse_model
    from tfm_harness.parity.replay import Failure, load_failure, save_failure
    from tfm_harness.parity.values import read_table
    from tfm_harness.stimulus.recordings.sds import read_sds
    from tfm_harness.stimulus.trace import load_trace
    from tfm_harness.trust.expectations import read_image_key, read_images, read_key
    from tfm_harness.trust.kept import read_kept
    from tfm_harness.verify.dumps import read_dump
    from tfm_harness.verify.hexfiles import read_ihex, read_srec

    from tests.stimulus import test_recordings as recordings
    from tests.verify import test_verify_images as image_kit
    from tests.verify import verify_kit

    info = parse_model((MODELS / "sine.tflite").read_bytes())

    def hexes(data: bytes) -> None:
        said = data.decode("latin-1")
        for read in (read_ihex, read_srec, read_dump):
            with contextlib.suppress(ValueError):
                read(said)
        for kind in ("hex", "srec", "elf"):
            with contextlib.suppress(HarnessError):
                segments(_file("image", data), kind, None)

    def sds(data: bytes) -> None:
        description = _file("rec.sds.yml", recordings.DESCRIPTION.encode())
        assert description.exists()
        read_sds(data, _file("rec.0.sds", data))

    def sds_description(data: bytes) -> None:
        _file("rec.sds.yml", data)
        some = recordings.record(10, (2, 1, 0.5, 60, 7))
        read_sds(some, _file("rec.0.sds", some))

    def evidence_file(data: bytes) -> None:
        read_evidence(str(_file("evidence", data)))

    def keys(data: bytes) -> None:
        path = _file("key.pem", data)
        for read in (read_key, read_image_key):
            with contextlib.suppress(OSError):
                read(path)

    def mounts(data: bytes) -> None:
        with contextlib.suppress(OSError):  # "a list longer than four megabytes"
            read_mounts(_file("mountinfo", data))

    def dataset(data: bytes) -> None:
        Path(_folder().name, "a.bin").write_bytes(bytes(4))
        read_dataset(Path(_folder().name), str(_file("y_labels.csv", data)), 4)

    npy, npz = io.BytesIO(), io.BytesIO()
    np.save(npy, np.zeros((3, 1), np.int8))
    np.savez(npz, temp=np.zeros(3), time=np.arange(3.0))
    one = io.BytesIO()
    np.savez(one, x=np.zeros((3, 1), np.int8))
    rows = (np.zeros((1, 1), np.int8),)
    failure = save_failure(
        Path(_folder().name),
        Failure(
            model="m", model_sha256="00", vectors=(0,), inputs=rows, reference=rows, device=rows, engine={"name": "x"}
        ),
    )
    build = (
        b"protocol: smp\ntrust: {iak: provisioned, results: provisioned}\n"
        b"waivers: [{finding: some.check, reason: known and harmless}]\n"
    )
    profile = (ROOT / "docs/examples/result_profile/example_result_profile/profile.yaml").read_bytes()
    catalogue = (ROOT / "harness/tfm_harness/coverage/catalogues/cra-annex-i.yaml").read_bytes()
    traces = [b"t,mag.x,temp\n0,1,20\n0.1,2,21\n", "temp;mag.x\n0;2,5\n1;3,5\n".encode("utf-16")]
    hex_files = [
        b":020000040000FA\n:0400000001020304F2\n:00000001FF\n",
        b"S1070000010203F2\nS9030000FC\n",
        b"0000: 01 02\n",
    ]
    token = verify_kit.message(verify_kit.enc(verify_kit.rfc_claims()))
    kept = b'{"schema": "tfm-harness-kept-evidence/1"}\n'
    return {
        "target-yaml": (_reads("t.yaml", load_target), [(ROOT / "targets" / "qemu-an547.yaml").read_bytes()]),
        "build-yaml": (_reads("build.yaml", load_build), [build]),
        "farm-yaml": (_reads("farm.yaml", load_farm), [b"builds: [a]\npools: {h: {targets: [a]}}\nsuites: [s]\n"]),
        "profile-yaml": (_reads("p.yaml", lambda path: read_result_profile(str(path))), [profile]),
        "catalogue-yaml": (_reads("c.yaml", lambda path: load_catalogue(str(path))), [catalogue]),
        "issues-yaml": (_reads("i.yaml", load_issues), [b"- {ticket: A-1, test: x, until: 2999-01-01}\n"]),
        "trace-csv": (_reads("t.csv", load_trace), traces),
        "trace-npz": (_reads("t.npz", load_trace), [npz.getvalue()]),
        "resd": (_reads("t.resd", load_trace), [recordings.HEAD + recordings.MAG + recordings.TEMP]),
        "sds": (sds, [recordings.record(10, (2, 1, 0.5, 60, 7), (4, 2, 0.25, 61, 8))]),
        "sds-description": (sds_description, [recordings.DESCRIPTION.encode()]),
        "inputs-csv": (_reads("i.csv", lambda path: load_inputs(path, info)), [b"1\n2\n3\n"]),
        "inputs-npy": (_reads("i.npy", lambda path: load_inputs(path, info)), [npy.getvalue()]),
        "inputs-npz": (_reads("i.npz", lambda path: load_inputs(path, info)), [one.getvalue()]),
        "dataset": (dataset, [b"a.bin, 2, 1\n"]),
        "table": (_reads("table.csv", read_table), [b"0 3f000000\n1 3e800000\n"]),
        "failure": (_reads("f.json", load_failure), [failure.read_bytes()]),
        "hex": (hexes, hex_files),
        "evidence-file": (evidence_file, [token.hex().encode(), verify_kit.KEY.pem.encode()]),
        "signed-image": (_reads("image.bin", lambda path: (decoded(path), read_images(path))), [image_kit.GOOD]),
        "trust-keys": (keys, [verify_kit.KEY.pem.encode(), verify_kit.KEY.spki]),
        "mounts": (mounts, [b"23 22 8:17 / /media/V2M\\040MPS3 rw shared:1 - vfat /dev/sdb1 rw\n"]),
        "kept": (lambda data: list(read_kept(_file("kept.jsonl", data))), [kept]),
    }


def _models() -> dict[str, tuple[Target, list[bytes]]]:
    """Neural networks as files: TFLite, ONNX, Vela's output."""
    from tfm_harness.parity.compiled import read_compiled
    from tfm_harness.parity.foreign_files import what_it_is
    from tfm_harness.parity.model_parser import parse_model
    from tfm_harness.parity.model_rewriting import expose_tensors, select_signature
    from tfm_harness.parity.onnx_model import formats_of, unpack
    from tfm_harness.parity.worker import read_frame
    from tfm_harness.verify.elf import flash_bytes, gateways, load_segments
    from tfm_harness.verify.marked_code import read_marked_code

    from tests.verify import test_verify_images as image_kit

    def tflite(data: bytes) -> None:
        what_it_is(data)
        model = parse_model(data)
        with contextlib.suppress(IndexError):
            select_signature(data, "serving_default")
        expose_tensors(data, [op.outputs[0] for op in model.operators[:2] if op.outputs])

    def elf(data: bytes) -> None:
        for read in (load_segments, flash_bytes, gateways, read_marked_code):
            with contextlib.suppress(ValueError):
                read(data)

    def frame(data: bytes) -> None:
        with contextlib.suppress(EOFError, ValueError, KeyError, TypeError):
            read_frame(io.BytesIO(data))

    def onnx(data: bytes) -> None:
        with contextlib.suppress(ValueError, KeyError):
            unpack(data)
            formats_of(data)

    seeds = [(MODELS / name).read_bytes() for name in ("sine.tflite",)]
    return {
        "tflite": (tflite, seeds),
        "vela": (read_compiled, seeds),
        "elf-segments": (elf, [image_kit.elf((1, 0, b"code"))]),
        "engine-frame": (frame, [b"\x02\0\0\0{}"]),
        "onnx-pack": (onnx, [b'{"folder": "", "inputs": {}, "outputs": {}, "expose": []}\n' + b"\x08\x08"]),
    }


def _records() -> dict[str, tuple[Target, list[bytes]]]:
    """Records of runs and nights, and every export made of what was read."""
    from tfm_harness.farm.engines.packed import pack, unpack
    from tfm_harness.farm.journal import Header, Journal, read_journal
    from tfm_harness.farm.record import NightRecord
    from tfm_harness.farm.storage import load_night, save_night
    from tfm_harness.farm.tasks import Times
    from tfm_harness.report import load_run
    from tfm_harness.report.storage import save_run

    from tests.campaigns.exports import every_export
    from tests.farm.farms import plan
    from tests.history.records import record as sample_run

    folder = Path(_folder().name, "seed")
    folder.mkdir(exist_ok=True)
    save_run(sample_run(), folder / "run.json")
    run = (folder / "run.json").read_bytes()
    save_night(
        NightRecord(name="n", farm="f", farm_sha256="00", verdict="passed", started="2026-01-01T00:00:00+00:00"),
        folder / "night.json",
    )
    header = Header(name="n", farm="00", began=0.0, plan=plan("a", "b"), health={}, times=Times())
    journal_of_one = Journal(folder)
    journal_of_one.add(header)
    journal_of_one.close()

    def record(data: bytes) -> None:
        every_export(load_run(_file("run.json", data)))

    def journal(data: bytes) -> None:
        place = Path(_folder().name, "night")
        place.mkdir(exist_ok=True)
        (place / "journal.jsonl").write_bytes(data)
        read_journal(place)

    def unpacked(data: bytes) -> None:
        with tempfile.TemporaryDirectory() as place:
            unpack(data, Path(place), 1 << 20)

    return {
        "run-json": (record, [run]),
        "night-json": (_reads("night.json", load_night), [(folder / "night.json").read_bytes()]),
        "journal": (journal, [b"".join(path.read_bytes() for path in folder.glob("*.jsonl"))]),
        "packed-session": (unpacked, [pack(folder)[0]]),
    }


def _evidence() -> dict[str, tuple[Target, list[bytes]]]:
    """Bundles, BOMs, CoRIM, attestation results."""
    from tfm_harness.errors import HarnessError
    from tfm_harness.evidence.appraise import appraise
    from tfm_harness.evidence.bom import check_bom
    from tfm_harness.evidence.corim import CorimError, make_corim, open_corim, read_corim
    from tfm_harness.evidence.dsse import EnvelopeVerificationError, parse_envelope
    from tfm_harness.evidence.tagged_cbor import Tagged, decode_tagged, encode_tagged
    from tfm_harness.evidence.timestamp import check_stamp, load_authorities
    from tfm_harness.evidence.tsa import split_url
    from tfm_harness.findings import Report
    from tfm_harness.verify.cbor import CborError
    from tfm_harness.verify.components import ExpectedComponent
    from tfm_harness.verify.cose_encrypt0 import parse_encrypted

    from tests.verify import verify_kit as kit

    component = ExpectedComponent(type="SPE", measurement=bytes(32), signer_ids=frozenset({bytes(32)}))
    corim = make_corim("x", bytes(32), [component], keys=[kit.KEY])

    def both(data: bytes) -> None:
        with contextlib.suppress(CorimError, HarnessError):
            read_corim(data)
        open_corim(data, [], Report())

    def tagged(data: bytes) -> None:
        with contextlib.suppress(CborError):
            decode_tagged(data)

    def envelope(data: bytes) -> None:
        with contextlib.suppress(EnvelopeVerificationError):
            parse_envelope(data.decode("utf-8", "replace"))

    def stamp(data: bytes) -> None:
        for read in (lambda: load_authorities(data, "x"), lambda: split_url(data.decode("latin-1"))):
            with contextlib.suppress(HarnessError):
                read()
        check_stamp(data, b"x", [], Report(), "x")

    def encrypted(data: bytes) -> None:
        with contextlib.suppress(ValueError):
            parse_encrypted(data)

    def appraised(data: bytes) -> None:
        appraise(data, read_corim(corim), Report(), challenge=kit.CHALLENGE)

    said = {
        "payloadType": "application/vnd.in-toto+json",
        "payload": "e30=",
        "signatures": [{"keyid": "k", "sig": "AA=="}],
    }
    bom = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": []}
    return {
        "corim": (both, [corim]),
        "tagged-cbor": (tagged, [encode_tagged(Tagged(500, {1: b"x"}))]),
        "envelope": (envelope, [json.dumps(said).encode()]),
        "encrypted": (encrypted, [cbor2.dumps(cbor2.CBORTag(16, [cbor2.dumps({1: 1}), {5: bytes(12)}, bytes(24)]))]),
        "timestamp": (stamp, [bytes.fromhex("30053003020102"), b"https://user@host:1/x?y"]),
        "bom": (check_bom, [json.dumps(bom).encode()]),
        "appraised-token": (appraised, [kit.message(kit.enc(kit.rfc_claims()))]),
    }


def parsers_called(targets: Mapping[str, tuple[Target, list[bytes]]]) -> Iterator[tuple[str, str]]:
    """Module path and name of each function of the package that some target's seeds have led into."""
    import sys

    import tfm_harness
    from tfm_harness.errors import HarnessError

    home = str(Path(tfm_harness.__file__).parent) + "/"
    seen: set[tuple[str, str]] = set()

    def note(frame: Any, event: str, _argument: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(home):
            seen.add((frame.f_code.co_filename.removeprefix(home), frame.f_code.co_qualname))

    for target, seeds in targets.values():
        for data in seeds:
            sys.setprofile(note)
            try:
                with contextlib.suppress(HarnessError):
                    target(data)
            finally:
                sys.setprofile(None)
    yield from sorted(seen)
