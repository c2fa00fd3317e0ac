"""What leaves the secure side: every output and every byte of non-secure memory is searched for its secrets."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from tfm_harness import (
    LSM303DLHC,
    TMP105,
    Axis,
    Bench,
    Burned,
    Check,
    Checks,
    Device,
    HarnessError,
    Inference,
    Mark,
    Refused,
    ResetKind,
    Sample,
    Source,
    Stimulus,
    VirtualBoard,
    build_result_profile,
    make_otp,
    storage_flash,
)
from tfm_harness.protocol.smp import Command, FrameDecoder, Packet
from tfm_harness.verify import (
    Leak,
    PublicKey,
    SampleValues,
    Scanner,
    Secret,
    device_secrets,
    fingerprints,
    gateways,
    missed_canaries,
    samples_in,
    secret_number,
    series_in,
    signature_of_result,
)

pytestmark = pytest.mark.needs("infer", "describe")

CANARY = bytes.fromhex("5e0f41cb97a25d3886d1f06b3c79e4120fb8c42d7a916e53ab08d7143ce95f62")
AXES: tuple[Axis, ...] = ("x", "y", "z")
EXTREMES = (
    Sample(2047, 1234, 1567, 1871), Sample(1357, 2047, 1111, -777), Sample(1471, 1589, 2047, 2047),
    Sample(1003, 1777, 1201, -880), Sample(0, 1913, 1087, 1999),
)  # fmt: skip
"""Counts at the ends of a channel's range, the others with values of their own."""
STORED_UID = 0x5345_4352
"""The uid of an object."""
MOST = 1 << 20
"""Bytes of a console that are searched, the newest."""
CHANCE = 1e-3
"""Hits by chance in all that one run searches; more, and a finding would mean little."""

SECRET_OUT = Check(
    id="confidentiality.secret-in-output",
    title="no private key, hardware secret or secret number of a signature appears in an output",
    requirement="PSA Security Model 1.1 s.4.5 (confidentiality of secrets)",
)
SECRET_LEFT = Check(
    id="confidentiality.secret-in-memory",
    title="no private key, hardware secret or secret number of a signature is left in non-secure memory",
    requirement="PSA Security Model 1.1 s.4.5 (confidentiality of secrets)",
)
SENSOR_OUT = Check(
    id="confidentiality.sensor-in-output",
    title="no sample and no tensor made of samples appears in an output",
    requirement="PSA Security Model 1.1 s.4.5 (confidentiality of assets)",
)
SENSOR_LEFT = Check(
    id="confidentiality.sensor-in-memory",
    title="no sample and no tensor made of samples is left in non-secure memory",
    requirement="PSA Security Model 1.1 s.4.5 (confidentiality of assets)",
)
MODEL_OUT = Check(
    id="confidentiality.model-in-output",
    title="no piece of the model appears in an output",
    requirement="PSA Security Model 1.1 s.4.5 (confidentiality of assets)",
)
MODEL_LEFT = Check(
    id="confidentiality.model-in-memory",
    title="no piece of the model is left in non-secure memory",
    requirement="PSA Security Model 1.1 s.4.5 (confidentiality of assets)",
)
MODEL_SHIPPED = Check(
    id="confidentiality.model-in-image",
    title="no piece of a model is part of a non-secure image",
    requirement="PSA Security Model 1.1 s.4.5 (confidentiality of assets)",
)
STORED = Check(
    id="confidentiality.secret-in-storage",
    title="no private key, hardware secret or sensor reading stands readable in memory outside of the chip",
    requirement="PSA Security Model 1.1 s.4.5 (confidentiality of secrets), goal 9 (secure storage)",
)
FILED = Check(
    id="confidentiality.secret-in-files",
    title="no secret of a board stands in a file that the harness keeps of a run",
    requirement="tfm-harness: a run's records can be shown to anybody",
    waivable=False,
)
REGISTERS = Check(
    id="confidentiality.registers-on-return",
    title="registers hold nothing of the secure side when a call returns to the non-secure side",
    requirement="Armv8-M Security Extension (Arm 100720 s.4: registers are cleared before BXNS); AAPCS32 s.6.1",
)
SCANNER_WORKS = Check(
    id="confidentiality.scanner-works",
    title="the scanner finds what was planted where secrets are looked for",
    requirement="tfm-harness: a search that never finds anything proves nothing",
    waivable=False,
)


def keys_of(bench: Bench) -> list[Secret]:
    """What the host knows of the board's keys."""
    huk = bench.board.identity.huk
    assert huk is not None
    return device_secrets(huk, bench.seed_source)


def secrets_of(bench: Bench, work: Work) -> list[Secret]:
    """The board's keys, and the secret numbers of the signatures that it has just made."""
    found = keys_of(bench)
    key, private = bench.trust.key("result"), bench.trust.private_key("result")
    if private is None or not isinstance(key, PublicKey):
        return found
    profile = build_result_profile(bench.combination.build)
    for number, inference in enumerate(work.results):
        record = signature_of_result(inference.answer.message, profile=profile, key=key)
        if record is not None:
            data = secret_number(record, private.private_numbers().private_value).to_bytes(32, "big")
            found.append(Secret(name=f"the secret number k of signature {number}", data=data))
    return found


def model_of(bench: Bench, name: str) -> Secret:
    """A model's bytes; any piece of 31 bytes counts as found."""
    data = bench.combination.build.model_file(name).read_bytes()
    return Secret(name=f"model {name}", data=data, window=16, step=16, every_form=False)


class Work:
    """A cold start, and then everything that touches a secret. With `start` false the test itself starts the board."""

    def __init__(self, bench: Bench, device: Device, *, start: bool = True) -> None:
        self.bench, self.device = bench, device
        self.results: list[Inference] = []
        self.samples: tuple[SampleValues, ...] = ()
        self.window = b""
        self.tensor = b""
        self.begun = {name: console.mark().offset for name, console in bench.board.consoles.items()}
        if start and not bench.missing(["cold-reset"]):
            device.reset(ResetKind.COLD)

    def keys(self) -> None:
        """Sign, attest, and ask for all there is to ask."""
        data = self.device.any_input()
        self.results = [
            self.device.infer_input(data),
            self.device.infer_input(bytes(n * 7 & 0xFF for n in range(len(data)))),
        ]
        if not self.bench.missing(["psa-token"]):
            self.device.attest()
        for feature, ask in (("public-keys", self.device.public_key), ("csr", self.device.csr)):
            if not self.bench.missing([feature]):
                for role in ("result", "client"):
                    ask(role)
        if not self.bench.missing(["encrypted-result"]):
            self.device.infer_input(data, encrypted=True)
        if not self.bench.missing(["protected-storage"]):
            commands = self.device.test_commands
            commands.ps_set(STORED_UID, b"stored and read")
            commands.ps_get(STORED_UID)
            commands.ps_remove(STORED_UID)
        self.refusals()
        if not self.bench.missing(["probe", "memory-map"]):
            violations = [region.at for region in self.bench.memory_map.owned_by("secure")]
            self.bench.probes.read_many(violations[: self.bench.probes.fewer(len(violations))])

    def refusals(self) -> None:
        """Ask for what is refused: a firmware that logs the reason of a refusal may log more than that."""
        if self.bench.combination.build.protocol != "smp":
            return
        commands, data = self.device.test_commands, self.device.any_input()
        wrong: dict[str, list[Callable[[], object]]] = {
            "infer": [lambda: self.device.infer_input(data + b"\0")],
            "psa-token": [lambda: self.device.attest(bytes(33)), lambda: commands.attest(bytes(32), buffer=64)],
            "csr": [lambda: commands.ask(Command.CSR, {"key": 1}, read=True)],
            "protected-storage": [lambda: commands.ps_get(STORED_UID)],
            "update": [lambda: commands.activate_model(commands.upload_model(bytes(range(1, 200))))],
            "models": [lambda: commands.select_model("nobody")],
        }
        for feature, asks in wrong.items():
            for ask in asks if not self.bench.missing([feature]) else ():
                with contextlib.suppress(Refused):
                    ask()

    def spoiled_object(self, virtual: VirtualBoard) -> None:
        """Ask for a stored object of which a byte has been changed, where the memory map says where objects lie."""
        flash = storage_flash(self.bench, virtual)
        if self.bench.missing(["protected-storage"]) or flash is None:
            return
        commands, before = self.device.test_commands, flash.read()
        commands.ps_set(STORED_UID, b"to be spoiled")
        after = flash.read()
        # Behind a message's begin or its nonce, which differ first, and before the end of this short one.
        place = 24 + next((n for n in range(flash.size) if before[n] != after[n]), 0)
        flash.write(bytes([after[place] ^ 1]), place)
        try:
            commands.ps_get(STORED_UID)
        finally:
            commands.ps_remove(STORED_UID)

    def sensor(self, stimulus: Stimulus) -> None:
        """A window of samples that all differ, and an inference of it."""
        from tfm_harness.parity import window_records, window_tensor

        test_commands = self.device.test_commands
        test_commands.sample("clear")
        units: list[tuple[float, ...]] = []
        for step in range(self.bench.window):
            values = (31.3 + 1.7 * step, 90.1 - 1.3 * step, 44.7 + 2.1 * step, 21.0625 + 0.4375 * step)
            for channel, value in zip(("mag.x", "mag.y", "mag.z", "temp"), values, strict=True):
                stimulus.set(channel, value)
            test_commands.sample("step")
            stimulus.taken()
            units.append(values)
            if step == self.bench.window // 2:
                self.ask_for_window()
        taken = stimulus.expected_samples(self.bench.window)
        self.device.infer_again(taken)
        if not self.bench.missing(["encrypted-result"]):
            self.ask_for_window(enc=1)
        self.samples = tuple(SampleValues((s.x, s.y, s.z, s.t), unit) for s, unit in zip(taken, units, strict=True))
        self.window = b"".join(sample.record() for sample in taken)
        self.tensor = window_tensor(window_records(taken)).tobytes()

    def ask_for_window(self, **keys: int) -> None:
        """Ask for a result of what has been sampled so far; half a window is refused."""
        with contextlib.suppress(Refused):
            self.device.test_commands.ask(Command.INFER, {"nonce": bytes(16), "src": int(Source.SENSOR), **keys})
            self.bench.asked_results += 1

    def outputs(self, *, begun: bool = False) -> Iterator[tuple[str, bytes, bool]]:
        """Everything that came out: name, bytes, whether it is a log for people.

        With `begun`: only what came since the cold start.
        """
        for name, console in self.bench.board.consoles.items():
            first = self.begun[name] if begun else 0
            raw = console.read_from(Mark(max(first, console.received - MOST)), limit=MOST)
            yield f"console {name}", raw, name != self.bench.combination.build.console
            if name == self.bench.combination.build.console and self.bench.combination.build.protocol == "smp":
                decoder = FrameDecoder()
                answers, log = bytearray(), bytearray()
                for item in decoder.feed(raw):
                    if isinstance(item, Packet):
                        answers += item.data + b"\n"
                    elif not hasattr(item, "kind"):
                        log += item.data + b"\n"
                yield f"answers on console {name}", bytes(answers), False
                yield f"log on console {name}", bytes(log), True

    def memories(self) -> Iterator[tuple[str, bytes]]:
        """Non-secure memory, region by region."""
        for region in self.bench.memory_map.owned_by("nonsecure"):
            yield region.name, self.bench.board.read_memory(region.at, region.size)


@pytest.fixture
def work(bench: Bench, device: Device) -> Work:
    """The board, cold."""
    return Work(bench, device)


Sought = Sequence[tuple[Check, Sequence[Secret]]]
"""What is looked for in one go: secrets of several kinds, each with the check that fails where one of them stands."""


def scanner_of(sought: Sought) -> Scanner:
    """For all of them."""
    return Scanner([secret for _, some in sought for secret in some])


def judge_leaks(checks: Checks, check: Check, leaks: Sequence[Leak], where: str) -> None:
    """Nothing was found there."""
    checks(check, not leaks, expected="nothing", seen="; ".join(map(str, leaks[:4])), subject=where)


def judge_kinds(checks: Checks, sought: Sought, leaks: Sequence[Leak], where: str) -> None:
    """Nothing of any kind was found there."""
    for check, some in sought:
        names = {secret.name for secret in some}
        judge_leaks(checks, check, [leak for leak in leaks if leak.secret in names], where)


def judge_outputs(
    checks: Checks, work: Work, sought: Sought, *, marked: Sequence[Secret] = (), newest: bool = False
) -> None:
    """No secret is in any output.

    Fingerprints of `marked` are searched since the cold start. With `newest`, output from before the cold start is
    left to the other tests.
    """
    scanner = scanner_of(sought)
    keys = Scanner(fingerprints(marked)) if marked else None
    for where, data, _ in work.outputs(begun=newest):
        judge_kinds(checks, sought, scanner.scan(data), where)
    # In all that a long run has logged, one number in millions would be a key's word by chance.
    for where, data, log in work.outputs(begun=True):
        judge_kinds(checks, sought, scanner.alone_in(data) if log else [], f"single words, {where}")
        if keys is not None:
            found = [*keys.scan(data), *(keys.alone_in(data) if log else ())]
            judge_leaks(checks, SECRET_OUT, found, f"fingerprints, {where}")


def judge_lines(checks: Checks, work: Work, samples: Sequence[SampleValues], *, newest: bool = False) -> None:
    """No line of a log shows these samples; with `newest`, only lines since the cold start are searched."""
    for where, data, log in work.outputs(begun=newest):
        lines = [*samples_in(data, samples), *series_in(data, samples)] if log else []
        seen = b"; ".join(line for _, line in lines[:3]).decode("ascii", "backslashreplace")
        checks(SENSOR_OUT, not lines, expected="no values of a sample", seen=seen, subject=f"lines of {where}")


def judge_memory(checks: Checks, work: Work, sought: Sought) -> None:
    """No secret is in non-secure memory."""
    scanner = scanner_of(sought)
    for where, data in work.memories():
        judge_kinds(checks, sought, scanner.scan(data, text=False), where)


@pytest.mark.needs("known-secrets")
def test_no_key_appears_in_an_output(bench: Bench, work: Work, checks: Checks) -> None:
    work.keys()
    judge_outputs(checks, work, [(SECRET_OUT, secrets_of(bench, work))], marked=keys_of(bench))


@pytest.mark.thorough
@pytest.mark.needs("known-secrets", "provision")
@pytest.mark.parametrize("lifecycle", [0x0000, 0x1000, 0x2000, 0x4000, 0x5000, 0x6000], ids=hex)
def test_nothing_secret_appears_in_another_lifecycle(
    bench: Bench, device: Device, checks: Checks, lifecycle: int
) -> None:
    """In lifecycle `assembly and test` firmware may print more, to calibrate and repair boards. Thieves could use that.

    Outputs and memory are searched for keys, samples and pieces of models.
    """
    work = Work(bench, device, start=False)
    with bench.provisioned(lifecycle):
        work.keys()
        models = [model_of(bench, name) for name in bench.combination.build.models]
        out: list[tuple[Check, list[Secret]]] = [(SECRET_OUT, keys_of(bench)), (MODEL_OUT, models)]
        left: list[tuple[Check, list[Secret]]] = [(SECRET_LEFT, keys_of(bench)), (MODEL_LEFT, models)]
        if bench.stimulus is not None and not bench.missing(["sensor", "sensor-model"]):
            work.sensor(bench.stimulus)
            out.append((SENSOR_OUT, sensor_secrets(work)))
            left.append((SENSOR_LEFT, sensor_secrets(work)))
            judge_lines(checks, work, work.samples, newest=True)
        judge_outputs(checks, work, out, marked=keys_of(bench), newest=True)
        if not bench.missing(["memory-dump", "memory-map"]):
            judge_memory(checks, work, left)


@pytest.mark.needs("known-secrets", "provision", "cold-reset")
@pytest.mark.parametrize("places", [(0x2F,), pytest.param((0x00, 0x08, 0xE0), marks=pytest.mark.thorough)], ids=str)
def test_no_key_appears_when_the_fuses_are_damaged(
    bench: Bench, device: Device, virtual: VirtualBoard, checks: Checks, places: tuple[int, ...]
) -> None:
    """The device may say that its fuses are damaged; it must not print what is in them."""
    work = Work(bench, device, start=False)
    huk = bytes((151 * n + 43) & 0xFF for n in range(32))
    whole = make_otp(huk=huk, lifecycle=0x3000, implementation_id=bytes(range(32)))
    secrets = [Secret(name="the hardware unique key in damaged fuses", data=huk)]
    with virtual.fuses() as burn:
        for at in places:
            burn(Burned(otp=whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]), answers=False)
            bench.answers()
            judge_outputs(checks, work, [(SECRET_OUT, secrets)], marked=secrets, newest=True)


@pytest.mark.needs("known-secrets", "memory-dump", "memory-map")
def test_no_key_is_left_in_memory(bench: Bench, device: Device, work: Work, checks: Checks) -> None:
    work.keys()
    judge_memory(checks, work, [(SECRET_LEFT, secrets_of(bench, work))])
    if not bench.missing(["warm-reset"]):
        device.reset(ResetKind.WARM)
        judge_memory(checks, work, [(SECRET_LEFT, secrets_of(bench, work))])


@pytest.mark.needs("sensor", "stimulus", "sensor-model")
def test_no_sample_appears_in_an_output(work: Work, stimulus: Stimulus, checks: Checks) -> None:
    work.sensor(stimulus)
    judge_outputs(checks, work, [(SENSOR_OUT, sensor_secrets(work))])
    judge_lines(checks, work, work.samples)


@pytest.mark.thorough
@pytest.mark.needs("sensor", "stimulus", "sensor-model")
@pytest.mark.parametrize(
    "gone", ["none", *(pytest.param(name, marks=pytest.mark.needs("sensor-removal")) for name in ("mag", "temp"))]
)
def test_no_sample_appears_when_something_is_wrong_with_it(
    bench: Bench, work: Work, stimulus: Stimulus, checks: Checks, gone: str
) -> None:
    """Readings at both ends of the range, and readings of one sensor while the other one is missing.

    A developer may once have printed these for debugging.
    """
    if gone not in {"none", *bench.combination.target.sensors}:
        pytest.skip(f"not covered: the target has no sensor {gone!r}")

    def sampled() -> None:
        test_commands = work.device.test_commands
        values = []
        for sample in EXTREMES:
            for axis in AXES:
                stimulus.set(f"mag.{axis}", LSM303DLHC.nanotesla(axis, getattr(sample, axis)) / 1000)
            stimulus.set("temp", TMP105.millidegrees(sample.t) / 1000)
            state = test_commands.sample("step")
            if state.status == 0:
                stimulus.taken()
            values.append(SampleValues((sample.x, sample.y, sample.z, sample.t)))
        if not bench.missing(["free-running"]):
            test_commands.sample("free", ms=1)
            test_commands.latency(1)
            test_commands.sample("stop")
        judge_lines(checks, work, values)

    if gone == "none":
        sampled()
    else:
        with bench.without_sensors(gone):
            sampled()


@pytest.mark.thorough
@pytest.mark.needs("sensor", "stimulus", "sensor-model", "memory-dump", "memory-map")
def test_no_sample_is_left_in_memory(work: Work, stimulus: Stimulus, checks: Checks) -> None:
    work.sensor(stimulus)
    judge_memory(checks, work, [(SENSOR_LEFT, sensor_secrets(work))])


def sensor_secrets(work: Work) -> list[Secret]:
    """The window as records and as 32-bit numbers, and the input tensor."""
    counts = [count for sample in work.samples for count in sample.counts]
    wide = b"".join((count & 0xFFFF_FFFF).to_bytes(4, "little") for count in counts)
    return [
        Secret(name="the sensor window", data=work.window, window=16, step=8),
        Secret(name="the sensor window in 32-bit numbers", data=wide, window=32, step=16, distinct=0.25),
        Secret(name="the input tensor", data=work.tensor, window=16, step=4),
    ]


@pytest.mark.needs("models")
def test_no_piece_of_the_model_appears_in_an_output(bench: Bench, work: Work, checks: Checks) -> None:
    work.keys()
    active = bench.description.model
    if active is None or active not in bench.combination.build.models:
        pytest.skip("not covered: the build names no file of the active model")
    judge_outputs(checks, work, [(MODEL_OUT, [model_of(bench, active)])])


@pytest.mark.thorough
@pytest.mark.needs("models", "memory-dump", "memory-map")
def test_no_piece_of_a_model_is_left_in_memory(bench: Bench, work: Work, checks: Checks) -> None:
    work.keys()
    judge_memory(checks, work, [(MODEL_LEFT, [model_of(bench, name) for name in bench.combination.build.models])])


def test_no_piece_of_a_model_is_in_a_non_secure_image(bench: Bench, device: Device, checks: Checks) -> None:
    del device
    build = bench.combination.build
    images = [image for image in build.images if image.world == "nonsecure"]
    if not images or not build.models:
        pytest.skip("not covered: the build names no non-secure image, or no model")
    scanner = Scanner([model_of(bench, name) for name in build.models])
    for image in images:
        judge_leaks(checks, MODEL_SHIPPED, scanner.scan(image.file.read_bytes(), text=False), image.file.name)


@pytest.mark.needs("known-secrets", "nv-access")
def test_nothing_secret_stands_in_storage_outside_of_the_chip(
    bench: Bench, work: Work, virtual: VirtualBoard, checks: Checks
) -> None:
    """An attacker can read that chip.

    It holds counters, updated models, and whatever else is kept over power cycles.
    """
    if bench.stimulus is not None and not bench.missing(["sensor", "sensor-model"]):
        work.sensor(bench.stimulus)
    work.keys()
    found = [*secrets_of(bench, work), *(sensor_secrets(work) if work.samples else [])]
    with contextlib.suppress(Refused):
        work.spoiled_object(virtual)
    judge_outputs(checks, work, [(SECRET_OUT, keys_of(bench))], marked=keys_of(bench), newest=True)
    data = virtual.nv.read()
    judge_leaks(checks, STORED, Scanner(found).scan(data, text=False), f"{len(data)} bytes of NV memory")
    finds_canaries(checks, "NV memory", data, text=False)


@pytest.mark.needs("known-secrets")
def test_the_harness_keeps_no_secret_of_a_board_in_its_files(bench: Bench, work: Work, checks: Checks) -> None:
    """Transcripts, journals and emulators' logs: they go into reports and evidence."""
    work.keys()
    scanner = Scanner(secrets_of(bench, work))
    files = [path for path in sorted(bench.context.run_dir.rglob("*")) if path.is_file() and not path.is_symlink()]
    for path in files:
        name = str(path.relative_to(bench.context.run_dir))
        judge_leaks(checks, FILED, scanner.scan(newest(path)), name)
    checks(FILED, bool(files), expected="files of this run", seen="none", subject="the run's folder")


def newest(path: Path) -> bytes:
    """The last bytes of a file, four times as many as of a console."""
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - 4 * MOST))
        return stream.read(4 * MOST)


@pytest.mark.needs("known-secrets", "call-stops")
def test_registers_hold_nothing_secret_on_return(
    bench: Bench, work: Work, virtual: VirtualBoard, checks: Checks
) -> None:
    """Looks at the registers on return from each call while keys are used.

    Those that the callee may change are cleared, the others are the caller's own.
    """
    entries = [at for image in bench.combination.build.images for at in gateways_of(image.file)]
    if not entries:
        pytest.skip("not covered: the build names no secure ELF image with gateways")
    calls = virtual.calls(work.keys, entries)
    scanner = Scanner(secrets_of(bench, work))
    checks(REGISTERS, bool(calls), expected="calls of the secure side", seen="none", subject="gateways")
    for number, (before, after) in enumerate(calls):
        left: list[str] = []
        for name, old, new in (
            *((f"r{n}", before.general[n], after.general[n]) for n in range(1, 13)),
            *((f"s{n}", before.floats[n], after.floats[n]) for n in range(32)),
        ):
            scratch = name in {"r1", "r2", "r3", "r12"} or (name[0] == "s" and int(name[1:]) < 16)
            own = {old, 0, before.lr, after.lr} if scratch else {old}
            if new not in own:
                left.append(f"{name} = {new:#010x}")
        names = [*(f"r{n}" for n in range(13)), *(f"s{n}" for n in range(32))]
        leaks = [
            f"{leak.length} bytes of {leak.secret} in {names[leak.at]}"
            for leak in scanner.in_words((*after.general, *after.floats))
        ]
        seen = "; ".join([*leaks[:2], *left[:6]])
        checks(
            REGISTERS, not left and not leaks,
            expected="r1-r3, r12, s0-s15 cleared, r4-r11, s16-s31 unchanged", seen=seen, subject=f"call {number}",
        )  # fmt: skip


def gateways_of(image: Path) -> list[int]:
    """Where a secure image is entered; none where it is no ELF file."""
    data = image.read_bytes()
    return gateways(data) if data.startswith(b"\x7fELF") else []


def finds_canaries(checks: Checks, where: str, data: bytes, *, text: bool) -> None:
    """Made-up secrets are hidden, in every notation, in a copy of what was searched: the search must find them.

    A search that does not read a notation misses every secret in it. One secret in many may look like something
    else.
    """
    seed = secrets.randbits(32)
    missed = missed_canaries(data, seed=seed, text=text)
    if missed:
        again = missed_canaries(data, seed=seed + 1, text=text)
        missed = [notation for notation in missed if notation in again]
    subject = f"canaries in {where} (seed {seed})"
    checks(SCANNER_WORKS, not missed, expected="every notation", seen=f"missed: {', '.join(missed)}", subject=subject)


@pytest.mark.needs("stats")
def test_what_is_planted_is_found(bench: Bench, work: Work, checks: Checks) -> None:
    """The non-secure side itself is made to hold and to say a text: in answers, and in its memory."""
    scanner = Scanner([Secret(name="the canary", data=CANARY)])
    work.device.test_commands.echo(f"canary {CANARY.hex(' ')}")
    found = [where for where, data, _ in work.outputs() if scanner.scan(data)]
    checks(SCANNER_WORKS, any("answers" in where for where in found), expected="in an answer", seen=found)
    for where, data, _ in work.outputs():
        finds_canaries(checks, where, data, text=True)
    keys = Scanner([Secret(name=f"key {number}", data=secrets.token_bytes(32)) for number in range(8)])
    chance = keys.chance(sum(len(data) for _, data, _ in work.outputs()) + 64 * MOST)
    checks(
        SCANNER_WORKS, chance < CHANCE, expected=f"chance hits below {CHANCE:g}", seen=f"{chance:.1e}", subject="chance"
    )
    if not bench.missing(["memory-dump", "memory-map", "probe"]):
        scratch = bench.memory_map.scratch
        if scratch is not None:
            work.device.test_commands.poke(scratch[0] + 0x1234, CANARY)
            memories = list(work.memories())
            seen = [where for where, data in memories if scanner.scan(data, text=False)]
            checks(SCANNER_WORKS, bool(seen), expected="in memory", seen=seen)
            for where, data in memories:
                finds_canaries(checks, where, data, text=False)
            try:
                work.device.test_commands.poke(scratch[0] + 0x1234, bytes(len(CANARY)))
            except HarnessError as error:  # the memory is the test's own; nothing depends on it being clean
                checks(SCANNER_WORKS, False, expected="memory wiped", seen=error.message)
