"""What the non-secure side cannot do; at night, since the suites isolation and abuse look at the same ground."""

from __future__ import annotations

import random

import pytest
from lab import Lab
from qemu_board import QemuBoard
from shown_figures import ShowFigure

pytestmark = pytest.mark.nightly

RANDOM_CALLS = 1500
PROGRAMMER_ERROR = -129
NOT_PERMITTED = -133
SERVICES = {"attestation": 0x40000103, "platform": 0x40000104, "inference": 0x40000105, "model store": 0x40000106}
TYPES = {
    "attestation": (1001, 1002),
    "platform": (1013,),
    "inference": tuple(range(1, 10)),
    "model store": tuple(range(1001, 1007)),
}

SECURE = {
    "secure code": 0x10000000,
    "its non-secure alias": 0x00000000,
    "veneers": 0x10070000,
    "secure data": 0x30000000,
    "its non-secure alias (DTCM)": 0x20000000,
    "sensor window": 0x31200000,
    "sensor window, non-secure alias": 0x21200000,
    "model copy, non-secure alias": 0x21210000,
    "arena, non-secure alias": 0x21270000,
    "upload, non-secure alias": 0x21290000,
    "OTP": 0x38000000,
    "OTP, non-secure alias": 0x28000000,
    "factory model": 0x38100000,
    "NV memory": 0x70000000,
    "NV memory, non-secure alias": 0x60000000,
    "security configuration": 0x50080000,
    "memory protection controller": 0x50084000,
}
PROTECTED_PERIPHERALS = {
    "sensor I2C": 0x49206000,
    "secure log UART": 0x49304000,
}
NS_BUFFER = 0x21100000  # in the non-secure side's RAM, not used by it


# A boot for each half: the log has no more than 64 lines of faults.
@pytest.mark.parametrize("half", [0, 1])
def test_probe_of_secure_memory_faults(lab: Lab, half: int) -> None:
    probes: list[tuple[int, int, int | None]] = [(0, 4, None), (2, 2, None), (3, 1, None), (0, 4, 0xFFFFFFFF)]
    probed = [(where, *probe) for where in list(SECURE)[half::2] for probe in probes]
    with lab.boot() as board:
        board.device.wait_ready()
        for n, (where, offset, size, value) in enumerate(probed, 1):
            seen = board.device.probe(SECURE[where] + offset, size, value)
            assert seen["fault"] is True, where
            assert "val" not in seen, where
            assert seen["n"] == n, where
            assert seen["info"]["ns"] is True, where
            expected = "BusFault" if 0x21200000 <= SECURE[where] < 0x21400000 else "SecureFault"
            assert seen["info"]["t"] == expected, where
            if expected == "BusFault":  # this one comes with an address
                assert seen["info"]["ad"] in range(SECURE[where], SECURE[where] + 4), where
        assert board.device.echo("still here") == "still here"
        assert board.secure_log().count("[FAULT] non-secure") == len(probed)


@pytest.mark.parametrize("where", PROTECTED_PERIPHERALS)
def test_probe_of_protected_peripherals(lab: Lab, where: str) -> None:
    with lab.boot() as board:
        board.device.wait_ready()
        seen = board.device.probe(PROTECTED_PERIPHERALS[where])
        assert (seen["fault"], seen["info"]["t"], seen["info"]["ns"]) == (True, "PPC", True)
        assert seen["info"]["ppc"] != 0
        board.device.probe(PROTECTED_PERIPHERALS[where], 4, 0xFFFFFFFF)
        assert board.device.read(8)["n"] == 2


def test_probe_of_the_sampling_timer(lab: Lab) -> None:
    """Its protection controller answers with a bus error, and interrupts too: one violation."""
    with lab.boot() as board:
        board.device.wait_ready()
        seen = board.device.probe(0x48001000)
        assert (seen["fault"], seen["n"], seen["info"]["t"], seen["info"]["ad"]) == (True, 1, "BusFault", 0x48001000)
        assert board.device.probe(0x48001000, 4, 1)["n"] == 2


SYSTEM_REGISTERS = {
    "AIRCR: reset": (0xE000ED0C, 0x05FA0004),
    "AIRCR: faults to the non-secure side": (0xE000ED0C, 0x05FA2000),
    "SAU off": (0xE000EDD0, 0),
    "SAU all non-secure": (0xE000EDD0, 2),
    "interrupt targets": (0xE000E380, 0xFFFFFFFF),
    "secure interrupts off": (0xE000E180, 0xFFFFFFFF),
    "NSACR": (0xE000ED8C, 0),
    "FPCCR": (0xE000EF34, 0),
    "secure fault handlers off": (0xE000ED24, 0),
}


def test_system_registers_are_the_secure_sides(lab: Lab) -> None:
    with lab.boot() as board:
        before = board.device.wait_ready()
        for name, (address, value) in SYSTEM_REGISTERS.items():
            board.device.probe(address, 4, value)
            assert board.device.probe(0x30000000)["info"]["t"] == "SecureFault", name
            assert board.device.probe(0x21200000)["info"]["t"] == "BusFault", name
            assert board.device.probe(0x49206000)["info"]["t"] == "PPC", name
        assert board.device.describe() == before
        assert board.device.infer(bytes(32), bytes(128))


def test_own_memory_is_open(lab: Lab) -> None:
    with lab.boot() as board:
        board.device.wait_ready()
        assert board.device.probe(NS_BUFFER, 4, 0xCAFE1234)["fault"] is False
        assert board.device.probe(NS_BUFFER) == {"fault": False, "val": 0xCAFE1234, "n": 0}


def test_many_faults(lab: Lab) -> None:
    with lab.boot() as board:
        board.device.wait_ready()
        for n in range(1, 101):
            assert board.device.probe(0x30000000 + 4 * n)["n"] == n
        faults = board.device.read(8)
        assert (faults["n"], len(faults["last"])) == (100, 8)
        log = board.secure_log()
        assert log.count("[FAULT] non-secure") == 64
        assert "no more lines until the next boot" in log


def raw_call(board: QemuBoard, service: str, kind: int, into: list[list[int]], out: list[list[int]]) -> int:
    return board.device.psa_call(SERVICES[service], kind, into, out)


@pytest.mark.parametrize("service", SERVICES)
def test_pointers_into_secure_memory(lab: Lab, service: str, show_figure: ShowFigure) -> None:
    """Every service, every message type, every kind of secure memory; as input, as output, and by one byte."""
    with lab.boot() as board:
        before = board.device.wait_ready()
        tried = 0
        for kind in TYPES[service]:
            for address in SECURE.values():
                for into, out in (
                    ([[address, 32]], [[NS_BUFFER, 64]]),
                    ([[NS_BUFFER, 32]], [[address, 64]]),
                    ([[NS_BUFFER, 32], [address, 4]], [[NS_BUFFER + 256, 64]]),
                ):
                    assert raw_call(board, service, kind, into, out) == PROGRAMMER_ERROR, (kind, hex(address))
                    tried += 1
        assert tried == 3 * len(SECURE) * len(TYPES[service])
        show_figure(f"pointers into secure memory, {service}: {tried}, all refused")
        assert board.device.describe() == before
        assert board.device.read(8)["n"] == 0
        assert "PANIC" not in board.secure_log()


@pytest.mark.parametrize("service", SERVICES)
def test_vectors_that_reach_over_a_border(lab: Lab, service: str) -> None:
    with lab.boot() as board:
        board.device.wait_ready()
        kind = TYPES[service][0]
        for base, size in (
            (0x211FFFFF, 2),  # from RAM into the protected alias of ISRAM1
            (0x20FFFFFF, 2),
            (0x01FFFFF0, 0x20),
            (0x00FFFFFF, 2),
            (0x21000000, 0xFFFFFFFF),
            (0xFFFFFFF0, 0x20),
            (0x21000000, 0x80000000),
            (0x49303000, 4),  # a peripheral is no buffer
            (0xE000ED00, 4),
        ):
            assert raw_call(board, service, kind, [[base, size]], []) == PROGRAMMER_ERROR, hex(base)
            assert raw_call(board, service, kind, [], [[base, size]]) == PROGRAMMER_ERROR, hex(base)
        assert raw_call(board, service, kind, [[NS_BUFFER, 32]], [[0x01000400, 64]]) == PROGRAMMER_ERROR  # own code
        assert raw_call(board, service, kind, [[NS_BUFFER, 32]], [[NS_BUFFER + 31, 64]]) == PROGRAMMER_ERROR
        assert raw_call(board, service, kind, [], [[NS_BUFFER, 32], [NS_BUFFER + 16, 64]]) == PROGRAMMER_ERROR
        assert board.device.echo("x") == "x"


def test_what_is_not_a_service(lab: Lab) -> None:
    with lab.boot() as board:
        board.device.wait_ready()
        for handle in (0, 1, 0x40000100, 0x40000102, 0x40000107, 0x40000203, 0x7FFFFFFF):
            assert board.device.psa_call(handle, 1001, [], []) == PROGRAMMER_ERROR
        for service in SERVICES:
            assert raw_call(board, service, 0, [], []) not in (0, PROGRAMMER_ERROR)
            assert raw_call(board, service, 32767, [], []) not in (0, PROGRAMMER_ERROR)


def test_the_model_is_not_for_the_nonsecure_side(lab: Lab) -> None:
    with lab.boot() as board:
        board.device.wait_ready()
        assert raw_call(board, "model store", 1002, [], [[NS_BUFFER, 0x10000]]) == NOT_PERMITTED
        assert board.device.probe(NS_BUFFER)["val"] == 0


def test_sizes_that_a_service_does_not_expect(lab: Lab) -> None:
    """Wrong sizes get an error from every message type; the device stays as it is."""
    with lab.boot() as board:
        before = board.device.wait_ready()
        for service, kinds in TYPES.items():
            for kind in kinds:
                for sizes in ([], [0], [1], [3], [31], [33], [65], [4096], [1, 1, 1]):
                    into = [[NS_BUFFER + 0x2000 * n, size] for n, size in enumerate(sizes)]
                    for room in ([], [0], [1], [3]):
                        out = [[NS_BUFFER + 0x10000, size] for size in room]
                        assert raw_call(board, service, kind, into, out) <= 0
        assert "PANIC" not in board.secure_log()
        after = board.device.describe()
        assert {k: after[k] for k in ("boot", "nspe", "seed")} == {k: before[k] for k in ("boot", "nspe", "seed")}


def random_vectors(draw: random.Random) -> tuple[list[list[int]], list[list[int]]]:
    """Up to four vectors, most of them in the side's own memory."""
    own = [NS_BUFFER + 0x1000 * n for n in range(8)]
    foreign = [*SECURE.values(), 0x211FFFF0, 0x49303000, 0xE000ED00, 0xFFFFFFF0]
    sizes = [0, 1, 4, 31, 32, 33, 44, 64, 65, 256, 1024, 4096, 0x10000, 0x7FFFFFFF, 0xFFFFFFFF]
    count_in = draw.randrange(5)
    count = count_in + draw.randrange(5 - count_in)
    bases = [draw.choice(own if draw.random() < 0.8 else foreign) + draw.choice([0, 0, 0, 1, 3]) for _ in range(count)]
    vectors = [[base, draw.choice(sizes)] for base in bases]
    return vectors[:count_in], vectors[count_in:]


def test_random_calls(lab: Lab, show_figure: ShowFigure) -> None:
    """Calls drawn from what is likely to hurt, among right ones; only the reset is left out."""
    draw = random.Random(20260)  # noqa: S311  # repeatable test data
    handles = [*SERVICES.values(), 0x40000100, 0x40000107, 0]
    types = [0, 1, *range(1, 10), *range(1000, 1008), 1013, 32767]
    right = [
        (SERVICES["attestation"], 1001, [[NS_BUFFER, 32]], [[NS_BUFFER + 0x1000, 1024]]),
        (SERVICES["model store"], 1003, [], [[NS_BUFFER + 0x2000, 4096]]),
        (SERVICES["inference"], 1, [], [[NS_BUFFER + 0x3000, 256]]),
    ]
    refused = done = 0
    with lab.boot() as board:
        before = board.device.wait_ready()
        for n in range(RANDOM_CALLS):
            into, out = random_vectors(draw)
            status = board.device.psa_call(draw.choice(handles), draw.choice(types), into, out)
            assert status <= 0
            refused += status == PROGRAMMER_ERROR
            if n % 100 == 0:  # and the services still work
                done += board.device.psa_call(*right[n // 100 % len(right)]) == 0
        assert refused > 300
        show_figure(f"random calls: {RANDOM_CALLS}, {refused} refused for their vectors, handle or type")
        assert done == 15
        after = board.device.describe()
        assert {k: after[k] for k in ("boot", "nspe", "seed")} == {k: before[k] for k in ("boot", "nspe", "seed")}
        assert board.device.read(8)["n"] == 0
        assert "PANIC" not in board.secure_log()
