"""Random calls: what a seed gives, what must fail, and how a failing call becomes small."""

from __future__ import annotations

import pytest
from tfm_harness.bench.random_calls import RandomCall, RandomCalls, simplest
from tfm_harness.config.memory_map import MemoryMap, MemoryRegion, ServiceCall, ServiceConfig

MEMORY = MemoryMap(
    memory=(
        MemoryRegion(name="code", at=0x0100_0000, size=0x10_0000, owner="nonsecure"),
        MemoryRegion(name="secure code", at=0x1000_0000, size=0x8_0000, owner="secure"),
        MemoryRegion(name="RAM", at=0x2100_0000, size=0x20_0000, owner="nonsecure", scratch=0x2110_0000),
        MemoryRegion(name="RAM behind it", at=0x2120_0000, size=0x1000, owner="nonsecure"),
        MemoryRegion(name="secure RAM", at=0x3000_0000, size=0x8_0000, owner="secure"),
    ),
    holes=(0x0800_0000,),
)
CALL = ServiceCall.model_validate({"type": 1, "inputs": ["0102030405"], "outputs": [64]})
SERVICES = {
    "one": ServiceConfig(handle=0x4000_0103, types=(1, 2), calls=(CALL,)),
    "two": ServiceConfig(handle=0x4000_0104, types=(7, 8), resets=(8,)),
}
GOOD_VECTORS = ((0x2110_0000, 4),), ((0x2111_0000, 64),)
GOOD = RandomCall(0x4000_0103, 1, *GOOD_VECTORS)


def test_a_seed_gives_the_same_calls_again() -> None:
    one, two, other = (list(RandomCalls(MEMORY, SERVICES, seed).calls(200)) for seed in (1, 1, 2))
    assert one == two != other


def test_outputs_never_overwrite_what_the_non_secure_side_runs_on() -> None:
    fuzz = RandomCalls(MEMORY, SERVICES, 3)
    for call in fuzz.calls(20_000):
        for at, size in call.outputs:
            inside = at >= 0x2111_0000 and at + size <= 0x2120_0000
            assert inside or size == 0 or fuzz.must_fail(RandomCall(0x4000_0103, 1, (), ((at, size),))), (hex(at), size)
            assert at < 1 << 32
            assert 0 <= size < 1 << 32


def test_nobody_is_asked_to_reset() -> None:
    calls = list(RandomCalls(MEMORY, SERVICES, 5).calls(20_000))
    assert not [call for call in calls if call.handle == 0x4000_0104 and call.type == 8]
    assert [call for call in calls if call.handle == 0x4000_0104 and call.type == 7]


def test_no_call_has_more_vectors_than_can_be_sent() -> None:
    """Also where a call that works has three inputs, and more are put behind them."""
    three = CALL.model_copy(update={"inputs": (b"1", b"2", b"3")})
    services = {"one": ServiceConfig(handle=0x4000_0103, types=(1, 2), calls=(three,))}
    calls = list(RandomCalls(MEMORY, services, 5).calls(20_000))
    assert max(len(call.inputs) for call in calls) == max(len(call.outputs) for call in calls) == 7


def test_right_and_wrong_calls_of_every_kind_are_among_them() -> None:
    fuzz = RandomCalls(MEMORY, SERVICES, 4)
    reasons = [fuzz.must_fail(call) for call in fuzz.calls(2000)]
    assert set(reasons) == {
        "", "no service has this handle", "the service has no such message type", "more than 4 vectors",
        "an input vector is not the caller's", "an output vector is not the caller's",
    }  # fmt: skip
    assert reasons.count("") > 300


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (GOOD, ""),
        (RandomCall(0x4000_0103, 2, ((0x2110_0000, 0),)), ""),
        (RandomCall(0x4000_0103, 2, ((0x1000_0000, 0),)), ""),
        (RandomCall(0x4000_0103, 2, ((0x211F_FFFC, 8),)), ""),
        (RandomCall(0x4000_0105, 1), "no service"),
        (RandomCall(0x4001_0103, 1, *GOOD_VECTORS), ""),
        (RandomCall(0xC000_0123, 1, ((0x3000_0000, 1),)), "input vector"),
        (RandomCall(0x8001_0103, 1, *GOOD_VECTORS), "no service"),
        (RandomCall(0x4000_0203, 1, *GOOD_VECTORS), "no service"),
        (RandomCall(0x4000_0103, 7), "no such message type"),
        (RandomCall(0x4000_0103, -1), "no such message type"),
        (RandomCall(0x4000_0103, 1, ((0x2110_0000, 4),) * 3, ((0x2111_0000, 4),) * 2), "more than 4"),
        (RandomCall(0x4000_0103, 1, ((0x3000_0000, 1),)), "input vector"),
        (RandomCall(0x4000_0103, 1, ((0x2120_0FFF, 2),)), "input vector"),
        (RandomCall(0x4000_0103, 1, (), ((0x2110_0000, 0xFFFF_FFFF),)), "output vector"),
        (RandomCall(0x4000_0103, 1, (), ((0x0800_0000, 4),)), "output vector"),
    ],
)
def test_what_must_fail(call: RandomCall, why: str) -> None:
    seen = RandomCalls(MEMORY, SERVICES, 1).must_fail(call)
    assert (seen == "") if why == "" else (why in seen)


def test_a_failing_call_becomes_the_smallest() -> None:
    call = RandomCall(0x4000_0103, 0x1234, ((0x2110_0000, 4096), (0x2110_0004, 7)), ((0x2111_0000, 64), (5, 6)))
    asked: list[RandomCall] = []

    def fails(tried: RandomCall) -> bool:
        asked.append(tried)
        return any(size > 64 for _, size in tried.inputs) and tried.type >= 0x100

    small = simplest(call, fails)
    assert small == RandomCall(0x4000_0103, 0x100, ((0x2110_0000, 65),))
    assert len(asked) <= 200
    assert simplest(call, lambda _: False) == call


def test_a_call_that_always_fails_ends_with_nothing_left() -> None:
    small = simplest(RandomCall(1, -5, ((1, 2),) * 7, ((3, 4),) * 7), lambda _: True)
    assert (small.type, small.inputs, small.outputs) == (0, (), ())


def test_a_call_says_what_it_is() -> None:
    assert str(GOOD) == "psa_call(0x40000103, type 1, in [(0x21100000, 0x4)], out [(0x21110000, 0x40)])"


def test_without_memory_for_tests_there_are_no_calls() -> None:
    bare = MemoryMap(memory=(MemoryRegion(name="RAM", at=0, size=4096, owner="nonsecure"),))
    with pytest.raises(ValueError, match="memory for tests"):
        RandomCalls(bare, SERVICES, 1)
    with pytest.raises(ValueError, match="services"):
        RandomCalls(MEMORY, {}, 1)


def test_calls_that_work_are_among_them_and_their_inputs_in_the_content() -> None:
    fuzz = RandomCalls(MEMORY, SERVICES, 6)
    content = fuzz.content()
    at = content.index(bytes.fromhex("0102030405"))
    good = RandomCall(0x4000_0103, 1, ((0x2110_0000 + at, 5),), ((0x2111_0000, 64),))
    calls = list(fuzz.calls(2000))
    assert good in calls
    alike = [call for call in calls if (call.inputs, call.outputs) == (good.inputs, good.outputs) and call != good]
    assert any(call.handle != good.handle for call in alike)
    assert any(call.type & 0x7F == 1 and call.type != 1 for call in alike)


def test_a_handle_that_is_a_services_own_is_no_alias() -> None:
    """Numbers of other frameworks differ as they like; only those of TF-M's stateless services have reserved bits."""
    services = {"low": ServiceConfig(handle=0x01, types=(1,)), "near": ServiceConfig(handle=0x21, types=(2,))}
    fuzz = RandomCalls(MEMORY, services, 1)
    assert [fuzz.service(handle) for handle in (0x01, 0x21, 0x41)] == [services["low"], services["near"], None]
    tfm = RandomCalls(MEMORY, SERVICES, 1)
    assert [tfm.service(0x4000_0103 ^ 1 << bit) is SERVICES["one"] for bit in range(32)] == [
        bit in {5, 6, 7, 31, *range(16, 30)} for bit in range(32)
    ]


@pytest.mark.parametrize("status", [0, -129, -135, -256])
def test_statuses_of_the_psa_apis_are_no_services_own(status: int) -> None:
    with pytest.raises(ValueError, match="own_errors"):
        ServiceConfig(handle=1, types=(1,), own_errors=(status,))


def test_a_service_refuses_in_its_own_words() -> None:
    platform = ServiceConfig(handle=1, types=(1,), own_errors=(1, 2, 3))
    assert [platform.refuses(status) for status in (0, 1, 3, 4, -1, -129)] == [False, True, True, False, True, True]


def test_what_a_call_wrote_stays_until_it_was_looked_at() -> None:
    """Outputs of the 32 calls that are made at a time lie apart, or nearly all of them."""
    fuzz = RandomCalls(MEMORY, SERVICES, 6)
    for _ in range(50):
        written = [at for call in fuzz.calls(32) for at, size in call.outputs if size and MEMORY.is_nonsecure(at, size)]
        assert len({at & ~0x3FFF for at in written}) >= min(len(written), 50) * 0.9
