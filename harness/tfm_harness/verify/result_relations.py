"""Relations across several signed results: counters, replay, ticks, boot seeds, ECDSA nonces."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tfm_harness.findings import Report
from tfm_harness.verify.checks import result as check
from tfm_harness.verify.judge import Judge
from tfm_harness.verify.keys import PublicKey
from tfm_harness.verify.relations import TokenObservation
from tfm_harness.verify.signatures import SignatureLedger, SignatureRecord, check_signatures, record_signature
from tfm_harness.verify.signed_result import SignedResult

__all__ = ["ResultObservation", "check_one_identity", "check_result_relations"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultObservation:
    """One result, and what the host knows about it; observations are in the order in which results were received.

    Attributes:
        result: as judged by `verify_result`.
        request: distinguishes requests: the nonce, or a running number.
        stimulus: distinguishes inputs: the bytes that were played; None when not known.
        board: which board.
        boot: which boot of it; another value after each reset.
        requests_between: the number of results that were requested since the previous observation of
            this board, this one included: the counter should have risen by so much; None: not known.
    """

    result: SignedResult
    request: bytes | int
    stimulus: bytes | None = None
    board: str = "board"
    boot: str | int = 0
    requests_between: int | None = 1


def check_result_relations(
    observations: Sequence[ResultObservation], report: Report, *, ledger: SignatureLedger | None = None
) -> None:
    """Judge results together, in the order received.

    Only relations for which there is something to compare are judged. `ledger` carries the
    signatures of earlier runs, and learns those of this one.
    """
    judge = Judge(report)
    boards: dict[str, list[ResultObservation]] = defaultdict(list)
    for seen in observations:
        boards[seen.board].append(seen)
    for board, group in boards.items():
        _check_counter(board, group, judge)
        _check_replay(board, group, judge)
        _check_ticks(board, group, judge)
        _check_seeds(board, group, judge)
        _check_digests(board, group, judge)
    signed: list[tuple[SignatureRecord, PublicKey]] = []
    boots: dict[tuple[str, str | int], list[SignatureRecord]] = defaultdict(list)
    for index, o in enumerate(observations):
        if o.result.message is not None and isinstance(o.result.key, PublicKey):
            where = f"result {index} of {o.board}, boot {o.boot}"
            signed.append((record_signature(o.result.message, o.result.key, where=where), o.result.key))
            boots[o.board, o.boot].append(signed[-1][0])
    if signed:
        check_signatures(signed, report, ledger=ledger)
        _check_nonces_in_boot(boots, judge)
        _check_deterministic(observations, judge)


def _check_nonces_in_boot(boots: Mapping[tuple[str, str | int], Sequence[SignatureRecord]], judge: Judge) -> None:
    """Judge each boot alone: a waiver may excuse entropy that repeats at every start, but no repeat within one boot."""
    for (board, boot), records in boots.items():
        if len(records) < 2:
            continue
        one = SignatureLedger()
        found = [reuse for reuse in map(one.add, records) if reuse is not None]
        places = [f"{reuse.first.where} and {reuse.second.where}" for reuse in found[:5]]
        judge.judge(
            check.NONCE_IN_BOOT, not found, expected="a new r for each message", seen="; ".join(places),
            where=f"{board}, boot {boot}",
        )  # fmt: skip


def check_one_identity(
    results: Sequence[ResultObservation], tokens: Sequence[TokenObservation], report: Report
) -> None:
    """Judge that a board gives the same instance id in results and in tokens.

    Two different ids may both be right: an instance id has two forms (`PublicKey.instance_ids`). But a relying party
    that looks up one form finds nothing under the other. Boards with only one kind of evidence, or whose result profile
    has no instance id, are not judged.
    """
    judge = Judge(report)
    for board in sorted({seen.board for seen in results} & {seen.board for seen in tokens}):
        in_results = {
            seen.result.octets("instance_id")
            for seen in results
            if seen.board == board and seen.result.profile.rule("instance_id") is not None
        } - {None}
        in_tokens = {seen.token.instance_id for seen in tokens if seen.board == board} - {None}
        if not in_results or not in_tokens:
            continue
        judge.judge(
            check.ONE_IDENTITY,
            in_results == in_tokens,
            expected=f"{_ids(in_tokens)}, as the token says",
            seen=_ids(in_results),
            where=board,
        )


def _ids(found: set[bytes | None]) -> str:
    return " and ".join(sorted((one or b"").hex() for one in found))


def _check_counter(board: str, group: Sequence[ResultObservation], judge: Judge) -> None:
    group = [seen for seen in group if seen.result.profile.rule("counter") is not None]
    if len(group) < 2:
        return
    falls: list[str] = []
    repeats: list[str] = []
    steps: list[str] = []
    stepped = False
    last: int | None = None
    earlier: int | None = None  # the highest value of the boots before this one
    boot = group[0].boot
    compared: set[bool] = set()  # within a boot, and over a reset
    for index, seen in enumerate(group):
        counter = seen.result.counter
        if counter is None:
            falls.append(f"result {index}: no counter")
            compared.add(False)
            continue
        if seen.boot != boot:
            boot = seen.boot
            earlier = max((value for value in (earlier, last) if value is not None), default=None)
            last = None
        if earlier is not None:
            compared.add(True)
            if counter <= earlier:
                repeats.append(f"result {index} (boot {seen.boot}): {counter}, an earlier boot had {earlier}")
            elif last is None and seen.requests_between is not None:
                stepped = True
                if counter - earlier != seen.requests_between:
                    steps.append(f"result {index}: {earlier} to {counter} for {seen.requests_between} request(s)")
        if last is not None:
            compared.add(False)
            if counter <= last:
                falls.append(f"result {index} (boot {seen.boot}): {counter} after {last}")
            elif seen.requests_between is not None:
                stepped = True
                if counter - last != seen.requests_between:
                    steps.append(f"result {index}: {last} to {counter} for {seen.requests_between} request(s)")
        # After a counter that fell, later values must not look new.
        last = counter if last is None else max(last, counter)
    if False in compared:
        judge.judge(check.COUNTER_RISES, not falls, expected="rising", seen="; ".join(falls[:5]), where=board)
    if True in compared:
        judge.judge(check.COUNTER_OVER_BOOTS, not repeats, expected="rising", seen="; ".join(repeats[:5]), where=board)
    if stepped:
        judge.judge(
            check.COUNTER_STEP, not steps, expected="one for each result", seen="; ".join(steps[:5]), where=board
        )


def _check_replay(board: str, group: Sequence[ResultObservation], judge: Judge) -> None:
    if len({seen.request for seen in group}) < 2:
        return
    payloads: dict[bytes, ResultObservation] = {}
    problems = []
    for index, seen in enumerate(group):
        if seen.result.message is None:
            continue
        # The payload, not the signature: (r, n-s) would make a copy look new.
        first = payloads.setdefault(seen.result.message.payload, seen)
        if first.request != seen.request and not seen.result.may_repeat:
            problems.append(f"result {index} repeats an earlier payload for another request")
    judge.judge(
        check.REPLAYED,
        not problems,
        expected="a new payload for each request",
        seen="; ".join(problems[:5]),
        where=board,
    )


def _check_ticks(board: str, group: Sequence[ResultObservation], judge: Judge) -> None:
    problems = []
    compared = False
    last: dict[str | int, int] = {}
    for index, seen in enumerate(group):
        start, end = seen.result.integer("start_ticks"), seen.result.integer("end_ticks")
        if start is None or end is None:
            continue
        if seen.boot in last:
            compared = True
            if start < last[seen.boot]:
                problems.append(f"result {index}: starts at {start}, the one before ended at {last[seen.boot]}")
        last[seen.boot] = end
    if compared:
        judge.judge(check.TICKS_ORDERED, not problems, expected="rising", seen="; ".join(problems[:5]), where=board)


def _check_seeds(board: str, group: Sequence[ResultObservation], judge: Judge) -> None:
    group = [seen for seen in group if seen.result.profile.rule("boot_seed") is not None]
    if len(group) < 2:
        return
    seeds: dict[str | int, set[str]] = defaultdict(set)
    for seen in group:
        seeds[seen.boot].add((seen.result.octets("boot_seed") or b"").hex() or "none")
    problems = [f"boot {boot} has {len(values)} seeds" for boot, values in seeds.items() if len(values) > 1]
    owners: dict[str, str | int] = {}
    for boot, value in ((boot, value) for boot, values in seeds.items() for value in sorted(values)):
        if owners.setdefault(value, boot) != boot:
            problems += [f"boots {owners[value]} and {boot} share seed {value[:16]}"]
    judge.judge(
        check.SEED_RELATION,
        not problems,
        expected="one new seed for each boot",
        seen="; ".join(problems[:5]),
        where=board,
    )


def _check_digests(board: str, group: Sequence[ResultObservation], judge: Judge) -> None:
    group = [s for s in group if s.stimulus is not None and s.result.profile.rule("input_digest") is not None]
    known = [(seen.stimulus, seen.result.octets("input_digest")) for seen in group]
    if len({stimulus for stimulus, _ in known}) < 2:
        return
    digests: dict[bytes | None, bytes | None] = {}
    problems = []
    for stimulus, digest in known:
        if digests.setdefault(digest, stimulus) != stimulus:
            problems.append(f"digest {(digest or b'').hex()[:16]} for two different inputs")
    judge.judge(
        check.STUCK_OUTPUT, not problems, expected="a digest for each input", seen="; ".join(problems[:5]), where=board
    )


def _check_deterministic(observations: Sequence[ResultObservation], judge: Judge) -> None:
    """Two signatures over one payload are equal under RFC 6979 and differ otherwise."""
    signatures: dict[tuple[str, bytes], set[bytes]] = defaultdict(set)
    counts: dict[tuple[str, bytes], int] = defaultdict(int)
    promised = False
    for seen in observations:
        if seen.result.message is not None and seen.result.verified:
            promised = seen.result.profile.deterministic
            signatures[seen.board, seen.result.message.payload].add(seen.result.message.signature)
            counts[seen.board, seen.result.message.payload] += 1
    repeated = [key for key, count in counts.items() if count > 1]
    if repeated:
        deterministic = all(len(signatures[key]) == 1 for key in repeated)
        judge.judge(
            check.DETERMINISTIC, deterministic == promised,
            expected="deterministic signatures" if promised else "fresh randomness in each signature",
            seen="equal signatures" if deterministic else "different signatures over one payload",
        )  # fmt: skip
