"""Two recordings, aligned: what is an accident of the run, and what is a difference."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accuser import CompareRules, Comparison, RecordingError, compare
from accuser._comparison.align import aligned
from accuser._comparison.compare import compare_entries
from accuser._comparison.normal import normal_text
from tests.support.cli import accuser
from tests.support.recordings import parsed

Entry = dict[str, Any]


def block(number: int) -> str:
    return "B" + "".join(random.Random(number).choices("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdef", k=50))


def operation(number: int) -> str:
    return "o" + block(number)[1:]


def event(name: str, value: Any, daemon: str = "node1", section: str = "node.main", t: float = 0.0) -> Entry:
    parts = section.split(".") if section else []
    item = {"hostname": "h", "time_stamp": t, "section": parts, "event": {name: value}}
    return {"t": t, "daemon": daemon, "session": 1, "type": "event", "item": {"fd-sink-item.v0": item}}


def compared(a: list[Entry], b: list[Entry], rules: CompareRules | None = None) -> Comparison:
    return compare_entries(parsed(a), parsed(b), rules)


def texts(a: list[Entry], b: list[Entry], **rules: Any) -> list[str]:
    comparison = compared(a, b, CompareRules(**rules))
    return [line.sign + line.text for track in comparison.tracks for line in track.lines]


def equal(a: list[Entry], b: list[Entry], **rules: Any) -> bool:
    return compared(a, b, CompareRules(**rules)).equal


# What happened, as (daemon, section, name, hashes, level), for runs that are drawn at random.
happenings = st.lists(
    st.tuples(
        st.sampled_from(["node1", "node2"]),
        st.sampled_from(["node.store", "prevalidator"]),
        st.sampled_from(["set_head.v0", "seen.v0"]),
        st.lists(st.integers(0, 5), max_size=3),
        st.integers(1, 3),
    ),
    max_size=12,
)


def run(happened: list[Any], names: dict[int, str], start: float = 0.0) -> list[Entry]:
    return [
        event(
            name,
            {"hashes": [names[number] for number in hashes], "level": level},
            daemon,
            section,
            start + at,
        )
        for at, (daemon, section, name, hashes, level) in enumerate(happened)
    ]


def common(a: str, b: str) -> int:
    """The length of a longest common subsequence, by the textbook's table."""
    row = [0] * (len(b) + 1)
    for x in a:
        above = row[:]
        for index, y in enumerate(b):
            row[index + 1] = above[index] + 1 if x == y else max(above[index + 1], row[index])
    return row[-1]


words = st.text("abc", max_size=12)


@given(words, words, st.sampled_from([1, 2, 3, 400]))
def test_an_alignment_is_a_longest_one(a: str, b: str, limit: int) -> None:
    pairs = list(aligned(a, b, limit))
    assert [x for x, _ in pairs if x is not None] == list(range(len(a)))
    assert [y for _, y in pairs if y is not None] == list(range(len(b)))
    same = [(x, y) for x, y in pairs if x is not None and y is not None]
    assert all(a[x] == b[y] for x, y in same)
    assert limit < 400 or len(same) == common(a, b)
    if a == b:
        assert len(same) == len(a)


FIRST = {number: block(number) for number in range(6)}


@given(happenings, st.permutations(range(100, 106)), st.randoms(use_true_random=False))
def test_other_hashes_times_and_turns_are_equal(
    happened: list[Any], others: list[int], chance: random.Random
) -> None:
    second = {number: block(other) for number, other in enumerate(others)}
    # The tracks take turns otherwise; the order within each stays.
    lanes: dict[Any, list[Any]] = {}
    for entry in happened:
        lanes.setdefault(entry[:2], []).append(entry)
    shuffled = []
    while any(lanes.values()):
        shuffled.append(chance.choice([lane for lane in lanes.values() if lane]).pop(0))
    assert equal(run(happened, FIRST), run(shuffled, second, 7.5))


@given(happenings, st.integers(0, 5), st.integers(0, 5))
def test_two_hashes_that_became_one_are_a_difference(happened: list[Any], one: int, other: int) -> None:
    merged = {**FIRST, other: FIRST[one]}
    used = {number for entry in happened for number in entry[3]}
    assert equal(run(happened, FIRST), run(happened, merged)) == (one == other or not {one, other} <= used)


@given(happenings, happenings)
def test_an_alignment_has_every_entry_in_order(first: list[Any], second: list[Any]) -> None:
    a, b = run(first, FIRST), run(second, FIRST)
    comparison = compared(a, b)
    for track in comparison.tracks:
        times = [line.a for line in track.lines if line.a is not None]
        assert times == sorted(times)
        times = [line.b for line in track.lines if line.b is not None]
        assert times == sorted(times)
    lines = [line for track in comparison.tracks for line in track.lines]
    assert sum(line.a is not None for line in lines) == len(a)
    assert sum(line.b is not None for line in lines) == len(b)
    assert comparison.equal == all(line.a is not None and line.b is not None for line in lines)


@given(happenings.filter(bool), st.data())
def test_what_is_missing_is_the_difference(happened: list[Any], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(happened) - 1))
    comparison = compared(run(happened, FIRST), run(happened[:index] + happened[index + 1 :], FIRST))
    assert comparison.differences >= 1
    assert not comparison.equal


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        (block(1), "<block>"),
        (f"head is now {block(1)} (3)", "head is now <block> (3)"),
        (f"x{block(1)}", f"x{block(1)}"),
        ("idrBY5DqF3YePoJ494Ht6vTADA93YU", "<peer>"),
        ("NetXXAAR1wWQhhe", "<chain>"),
        ("LLoa7bxRTKaQN2bLYoitYB6bU2DvLnBAqrVjZcvJ364cTcX2PZYKU", "<ops>"),
        ("CoV3HKzmhyXNmjyw73MhxPiwvdwto6DAi9hUDqtNz4ZpXe5b9wqm", "<context>"),
        ("ab" * 20, "<bytes>"),
        ("PtBoreasK2KPuKbeYtXeEdudEHS7YcMFHE9amwheUc4kejTxgRi", None),
        ("mv1E7Ms4p1e3jV2WMehLB3FBFwbV56GiRQfe", None),
        ("2026-11-23T06:11:25.716-00:00", "<time>"),
        ("Nov 23 06:11:25.531: bye", "<time>: bye"),
        ("treated in 12.5ms, completed in 3s", "treated in <duration>, completed in <duration>"),
        ("on 127.0.0.1:12656 and [::1]:80", "on 127.0.0.1:<port> and [::1]:<port>"),
        ("http://localhost:80/chains/main/blocks", "http://localhost:<port>/chains/main/blocks"),
        ("file-descriptor-path:///tmp/accuser-n-x/pipe?a=b", "file-descriptor-path://<folder>pipe?a=b"),
        ("/private/injection/operation", None),
        ("level 3, pid 17", "level 3, pid <pid>"),
    ],
)
def test_accidents_of_texts(text: str, normal: str | None) -> None:
    assert normal_text(text, lambda kind, _: f"<{kind}>") == (text if normal is None else normal)


def test_a_hash_keeps_its_symbol_across_daemons() -> None:
    a = [
        event("set_head.v0", [block(1), 1], t=1),
        event("set_head.v0", [block(2), 2], t=2),
        event("seen.v0", {"hash": block(2), "by": operation(1)}, "accuser1", t=3),
    ]
    b = [
        event("set_head.v0", [block(11), 1], t=1),
        event("set_head.v0", [block(12), 2], t=2),
        event("seen.v0", {"hash": block(12), "by": operation(9)}, "accuser1", t=3),
    ]
    assert texts(a, b) == [
        ' seen.v0 {"hash":"block#2","by":"op#1"}',
        ' set_head.v0 ["block#1",1]',
        ' set_head.v0 ["block#2",2]',
    ]
    b[2] = event("seen.v0", {"hash": block(11), "by": operation(9)}, "accuser1", t=3)
    assert texts(a, b)[:2] == [
        '-seen.v0 {"hash":"block#2","by":"op#1"}',
        '+seen.v0 {"hash":"block#1","by":"op#1"}',
    ]


def test_one_more_hash_does_not_spoil_what_follows() -> None:
    a = [event("set_head.v0", [block(n), n]) for n in range(1, 9)]
    b = [event("set_head.v0", [block(20 + n), n]) for n in range(1, 9)]
    b.insert(3, event("ignore_head.v0", block(40)))
    assert [text for text in texts(a, b) if text[0] != " "] == ['+ignore_head.v0 "block#9"']


def test_a_daemon_that_prints_a_symbol_fools_nobody() -> None:
    assert not equal([event("a.v0", block(1))], [event("a.v0", "block#1")])
    assert not equal([event("a.v0", block(1))], [event("a.v0", "<block>")])


def test_the_order_within_a_section_counts_and_between_sections_by_choice() -> None:
    head, injected = event("head.v0", 1, section="validator"), event("injected.v0", 2, section="prevalidator")
    assert equal([head, injected], [injected, head])
    assert not equal([head, injected], [injected, head], order="session")
    other = event("other.v0", 3, section="validator")
    assert not equal([head, other], [other, head])
    assert equal([head, other], [other, head], apart=("other.*",))
    assert not equal([head, other], [head], apart=("other.*",))


def test_what_is_ignored() -> None:
    head = event("head.v0", {"level": 1, "peers": 3}, section="validator.chain")
    woken = event("daemon_wakeup.v0", "w", "accuser1", "x")
    assert not equal([head, woken], [head])
    assert equal([head, woken], [head], ignore_levels=frozenset({"debug"}))
    assert not equal([head, woken], [head], ignore_levels=frozenset({"error"}))
    assert equal([head, woken], [head], ignore_events=("daemon_*",))
    assert equal([head, woken], [woken], ignore_sections=("validator",))
    assert not equal([head, woken], [woken], ignore_sections=("valid",))
    more = event("head.v0", {"level": 1, "peers": 4}, section="validator.chain")
    assert not equal([head], [more])
    assert equal([head], [more], ignore_fields=frozenset({"peers"}))


def life(*entries: Entry) -> list[Entry]:
    return [{"t": 0.0, "daemon": "node1", "session": 1, **entry} for entry in entries]


def test_lives_lines_and_waits() -> None:
    start = {"type": "start", "kind": "node", "protocol": None, "command": ["/x", "y"], "pid": 3}
    other_start = {**start, "command": ["/z"], "pid": 4}
    exited = {"type": "exit", "status": 127}
    assert equal(life(start, exited), life(other_start, exited))
    assert not equal(life(start, exited), life(other_start, {**exited, "status": -9}))
    restart = {"type": "restart", "status": 1, "attempt": 1, "delay": 0.1}
    assert equal(life(restart), life({**restart, "delay": 0.2}))
    assert not equal(life(restart), life({**restart, "attempt": 2}))
    malformed = {"type": "malformed", "reason": "no JSON", "raw": "00"}
    assert not equal(life(malformed), life())
    line = {"type": "line", "stream": "stderr", "text": "words"}
    assert equal(life(line), life())
    assert not equal(life(line), life(), lines=True)
    wait = {"type": "wait", "what": "a.v0", "where": None, "begun": 0.0, "outcome": "satisfied"}
    assert equal(life(wait), life({**wait, "outcome": "timed out"}))
    assert not equal(life(wait), life({**wait, "outcome": "timed out"}), waits=True)
    assert equal(life(wait), life({**wait, "begun": 0.5}), waits=True)


def test_long_recordings_are_aligned_too() -> None:
    a = [event("seen.v0", number % 7) for number in range(12_000)]
    assert equal(a, [*a])
    comparison = compared(a, [*a[:100], event("new.v0", 1), *a[100:8_000], *a[8_001:]])
    assert comparison.differences == 2
    # All of it differs.
    comparison = compared(a[:1500], [event("new.v0", 1)] * 1500)
    assert comparison.differences == 3000


def write(path: Path, entries: list[Entry]) -> str:
    first = {"t": 0.0, "type": "recording", "version": 1, "started": 1.0}
    path.write_text("".join(json.dumps(entry) + "\n" for entry in [first, *entries]))
    return str(path)


def test_what_is_no_recording_is_not_compared(tmp_path: Path) -> None:
    good = write(tmp_path / "good.jsonl", [])
    (tmp_path / "bad.jsonl").write_text("words\n")
    with pytest.raises(RecordingError, match="line 1 is no entry"):
        compare(good, tmp_path / "bad.jsonl")


async def test_two_runs_of_a_scenario_are_equal(tmp_path: Path) -> None:
    paths = [str(tmp_path / name) for name in ("a.jsonl", "b.jsonl")]
    for path in paths:
        done = await accuser("demo", "--scenario", "operation-too-far-in-the-future", "--record", path)
        assert (done.returncode, done.stderr) == (0, "")
    done = await accuser("compare", *paths)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert done.stdout.startswith("equal: ")
    assert {json.loads(line).get("daemon") for line in Path(paths[0]).read_text().splitlines()} == {
        None,
        "node1",
        "accuser1",
    }


async def test_differences_are_shown_with_what_is_around(tmp_path: Path) -> None:
    heads = [event("set_head.v0", [block(n), n], t=n) for n in range(1, 20)]
    a = write(tmp_path / "a.jsonl", heads)
    b = write(tmp_path / "b.jsonl", [*heads[:9], event("set_head.v0", [block(10), 99], t=9.5), *heads[10:]])
    done = await accuser("compare", a, b, "--context", "1")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines()[3:] == [
        "node1, session 1, node.main: 2 differences",
        "  ... 8 alike",
        '      9.000    9.000  set_head.v0 ["block#9",9]',
        '-    10.000           set_head.v0 ["block#10",10]',
        '+              9.500  set_head.v0 ["block#20",99]',
        '     11.000   11.000  set_head.v0 ["block#11",11]',
        "  ... 8 alike",
        "",
        "different: 2 of 20 entries in 1 track, in 1 of them",
    ]
    done = await accuser("compare", a, b, "--json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert (found["equal"], found["differences"]) == (False, 2)
    (track,) = found["tracks"]
    assert (track["daemon"], track["session"], track["part"]) == ("node1", 1, "node.main")
    assert [line for line in track["lines"] if line["b"] is None] == [
        {"text": 'set_head.v0 ["block#10",10]', "a": 10.0, "b": None}
    ]
    done = await accuser("compare", a, b, "--ignore-event", "set_*")
    assert (done.returncode, done.stdout) == (0, "equal: 0 entries in 0 tracks\n")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("good.jsonl",), "Missing argument 'B'"),
        (("good.jsonl", "none.jsonl"), "cannot read none.jsonl: No such file"),
        (("good.jsonl", "bad.jsonl"), "line 1 is no entry of a recording"),
        (("good.jsonl", "good.jsonl", "--order", "none"), "'none' is not one of"),
    ],
)
async def test_a_wrong_use_is_no_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], text: str
) -> None:
    write(tmp_path / "good.jsonl", [])
    (tmp_path / "bad.jsonl").write_text("words\n")
    monkeypatch.chdir(tmp_path)
    done = await accuser("compare", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert text in done.stderr


def started(name: str, kind: str, *values: int) -> list[Entry]:
    fields = {"t": 0.0, "daemon": name, "session": 1, "type": "start", "protocol": None, "pid": 1}
    begin: Entry = {**fields, "kind": kind, "command": []}
    return [begin, *(event("n.v0", value, name) for value in values)]


def test_daemons_of_a_second_run_in_one_process_have_other_numbers() -> None:
    a = [*started("node1", "node", 1), *started("node2", "node", 2), *started("accuser1", "accuser", 3)]
    b = [*started("node2", "node", 1), *started("node3", "node", 2), *started("accuser2", "accuser", 3)]
    comparison = compared(a, b)
    assert comparison.equal
    assert comparison.renamed == (("node1", "node2"), ("node2", "node3"), ("accuser1", "accuser2"))
    assert {track.daemon for track in comparison.tracks} == {"node1", "node2", "accuser1"}
    assert compared(b, a).equal
    assert not compared(a, [*b[:1], event("n.v0", 9, "node2"), *b[2:]]).equal


def test_names_in_what_daemons_say_are_those_of_the_first_run() -> None:
    a = [
        *started("node1", "node"),
        event("uri.v0", "/tmp/x/node1-event-pipe node2", "node1"),
        *started("node2", "node"),
    ]
    b = [
        *started("node2", "node"),
        event("uri.v0", "/tmp/y/node2-event-pipe node3", "node2"),
        *started("node3", "node"),
    ]
    assert compared(a, b).equal
    assert not compared(a, [*b[:1], event("uri.v0", "/tmp/y/node2-event-pipe node4", "node2"), *b[2:]]).equal


def test_names_that_are_the_same_in_both_or_were_given_are_kept() -> None:
    a = [*started("node1", "node", 1), *started("node2", "node", 2)]
    # The order of starts is an accident then.
    assert compared(a, a[2:] + a[:2]).renamed == ()
    given = [*started("bob", "node", 1), *started("node1", "node", 2)]
    later = [*started("node5", "node", 2), *started("bob", "node", 1)]
    assert compared(given, later).renamed == (("node1", "node5"),)
    assert compared(given, later).equal


def test_one_daemon_more_is_a_difference() -> None:
    a = started("node2", "node", 1)
    more = [*started("node1", "node", 1), *started("node2", "node", 2)]
    comparison = compared(a, more)
    assert comparison.renamed == (("node2", "node1"),)
    assert {track.daemon for track in comparison.tracks if track.differences} == {"node2 of the second"}
    assert not compared(more, a).equal
