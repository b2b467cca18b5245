"""Events as classes."""

from __future__ import annotations

import copy
import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import attrs
import pytest

from accuser import AccuserError, Event, Expectation, Protocol, UnexpectedValue, events
from accuser._stream.decoding import decode_block
from accuser.events import (
    AccuserSawBlock,
    BlockSeen,
    DoubleAttestationDetected,
    DoubleBakingDenounced,
    DoublePreattestationDetected,
    HeadIncrement,
    NodeIsReady,
    SetHead,
)
from accuser.testing import ScriptedDaemon

DATA = Path(__file__).parent.parent / "data"
OF_THE_ACCUSER = [
    *sorted((DATA / "recorded-runs").glob("*.events")),
    *sorted((DATA / "recorded-events").glob("9*.events")),
]


def event(name: str, value: Any) -> Event:
    return Event({name: value}, 1.5, ("s",), "h")


def recorded(path: Path) -> list[Event]:
    records = decode_block(path.read_bytes())
    return [record for record in records if isinstance(record, Event) and record.name]


def test_every_event_that_a_real_accuser_wrote_fits_its_class() -> None:
    seen: set[str] = set()
    for path in OF_THE_ACCUSER:
        for one in recorded(path):
            cls = events.find(one.name)
            assert cls is not None, one.name
            cls.from_event(one)
            assert one.section == tuple(part.replace("{protocol}", "002-PtBoreas") for part in cls.SECTION), (
                one.name
            )
            assert one.name in events.catalogue("accuser", Protocol.BOREAS)
            seen.add(one.name)
    assert len(seen) >= 20


# What upstream's sources say of each: section, level, and a value as daemons write it.

DENUNCIATION = "{protocol}.delegate.denunciation"
SCHEDULING = "{protocol}.delegate.baking-scheduling"
TRACE = [{"kind": "temporary", "id": "failure", "msg": "m"}]
DENOUNCED = {"hash": "o", "bytes": "03ff"}
CHANGE = {"view": {"hash": "B"}, "level": 2}
TIMES = {
    "pushed": "2025-08-16T12:00:03.093-00:00",
    "treated": "2025-08-16T12:00:03.094-00:00",
    "completed": "2025-08-16T14:00:03.100+02:00",
}
HEADER = {
    "level": 3,
    "proto": 1,
    "predecessor": "B",
    "timestamp": "2025-08-15T12:00:03Z",
    "validation_pass": 4,
    "operations_hash": "LLo",
    "fitness": ["02", "00000003", "", "ffffffff", "00000000"],
    "context": "Co",
    "protocol_data": "00ff",
}
SEEN = {
    "hash": "B",
    "occurrence": {"occurrence-kind": "valid-blocks", "chain-id": "Net"},
    "header": HEADER,
}
INJECT = {"request": "inject", "operation": {"branch": "B", "data": "03"}, "force": False}
NOTIFY = {"request": "notify", "peer": "id", "mempool": {"known_valid": ["o"], "pending": []}}
VERSION = {"major": 21, "minor": 0, "additional_info": {"rc": 1}}

NODES = ("node", "validator", "prevalidator", "protocol_updater")

DECLARED: dict[str, tuple[str, str, Any]] = {
    "uri_loaded_from_env.v0": ("internal_event_unix", "notice", {"variable": "V", "value": "uri"}),
    "daemon_setup.v0": (SCHEDULING, "info", "002-PtBoreas"),
    "daemon_start.v0": (SCHEDULING, "info", "002-PtBoreas"),
    "daemon_error.v0": (SCHEDULING, "error", {"worker": "002-PtBoreas", "errors": TRACE}),
    "daemon_connection_lost.v0": (SCHEDULING, "error", "002-PtBoreas"),
    "cannot_fetch_event.v0": (SCHEDULING, "info", "002-PtBoreas"),
    "daemon_wakeup.v0": (SCHEDULING, "debug", "002-PtBoreas"),
    "block-seen-{protocol}.v0": ("", "info", SEEN),
    "accuser_saw_block.v0": (DENUNCIATION, "debug", {"level": 3, "hash": "B"}),
    "accuser_processed_block.v0": (DENUNCIATION, "notice", "B"),
    "accuser_block_error.v0": (DENUNCIATION, "error", {"hash": "B", "errors": TRACE}),
    "fetch_operations_error.v0": (DENUNCIATION, "error", "B"),
    "unexpected_pruned_block.v0": (DENUNCIATION, "error", "B"),
    "protocol_change_detected.v0": (DENUNCIATION, "error", {}),
    "double_baking_detected.v0": (DENUNCIATION, "notice", {}),
    "double_baking_denounced.v0": (DENUNCIATION, "notice", DENOUNCED),
    "double_baking_but_not.v0": (DENUNCIATION, "debug", {}),
    "double_attestation_detected.v0": (
        *(DENUNCIATION, "notice"),
        {"existing_attestation": "o1", "new_attestation": "o2"},
    ),
    "double_attestation_denounced.v0": (DENUNCIATION, "notice", DENOUNCED),
    "double_preattestation_detected.v0": (
        *(DENUNCIATION, "notice"),
        {"existing_preattestation": "o1", "new_preattestation": "o2"},
    ),
    "double_preattestation_denounced.v0": (DENUNCIATION, "notice", DENOUNCED),
    "double_consensus_already_denounced.v0": (DENUNCIATION, "debug", "o"),
    "consensus_operation_too_old.v0": (DENUNCIATION, "debug", "o"),
    "consensus_operation_too_far_in_future.v0": (DENUNCIATION, "debug", "o"),
    "invalid_level_conversion.v0": (DENUNCIATION, "error", TRACE),
    "inconsistent_attestation.v0": (DENUNCIATION, "error", "o"),
    "node_is_ready.v0": ("node.main", "notice", {}),
    "starting_node.v0": ("node.main", "notice", {"chain": "C", "version": VERSION, "git_info": "g"}),
    "shutting_down_node.v0": ("node.main", "notice", {}),
    "bye.v0": ("node.main", "notice", -2),
    "read_identity.v0": ("node.identity", "notice", "id"),
    "head_increment.v0": ("validator.chain", "notice", CHANGE),
    "branch_switch.v0": ("validator.chain", "notice", CHANGE),
    "ignore_head.v0": ("validator.chain", "notice", CHANGE),
    "connection.v0": ("validator.chain", "info", "id"),
    "disconnection.v0": ("validator.chain", "info", "id"),
    "set_head.v0": ("node.store", "info", ["B", 2]),
    "request_completed_info.v0": ("prevalidator", "info", {"view": INJECT, "worker_status": TIMES}),
    "request_completed_debug.v0": ("prevalidator", "debug", {"view": NOTIFY, "worker_status": TIMES}),
    "request_failed.v0": (
        *("prevalidator", "notice"),
        {"view": INJECT, "worker_status": TIMES, "errors": TRACE},
    ),
    "operation_injected.v0": ("prevalidator", "notice", "o"),
    "compilation_error.v0": ("protocol_updater", "error", "compile.log"),
}


def test_names_sections_and_levels_are_the_declared_ones() -> None:
    declared = {name: (section, level) for name, (section, level, _) in DECLARED.items()}
    assert {cls.NAME: (".".join(cls.SECTION), cls.LEVEL) for cls in events.CLASSES} == declared


def meaning(typed: Any) -> Any:
    """A typed value in the words of JSON; times as they are."""
    if attrs.has(type(typed)):
        bare = getattr(typed, "BARE", None)
        fields = {
            field.metadata.get("json", field.name): meaning(getattr(typed, field.name))
            for field in attrs.fields(type(typed))
        }
        if isinstance(typed, get_args(events.Request)):
            fields["request"] = type(typed).__name__.lower()
        return fields[bare] if bare else {name: one for name, one in fields.items() if one is not None}
    if isinstance(typed, tuple):
        return [meaning(one) for one in typed]
    return typed.hex() if isinstance(typed, bytes) else typed


def timed(value: Any) -> Any:
    """A value with its times read."""
    if isinstance(value, dict):
        times = ("timestamp", *TIMES)
        return {
            name: datetime.datetime.fromisoformat(one) if name in times else timed(one)
            for name, one in value.items()
        }
    return [timed(one) for one in value] if isinstance(value, list) else value


def class_of(name: str) -> type[events.TypedEvent]:
    cls = events.find(name.replace("{protocol}", "alpha"))
    assert cls is not None, name
    return cls


@pytest.mark.parametrize("name", DECLARED)
def test_a_value_keeps_its_meaning(name: str) -> None:
    value = DECLARED[name][2]
    assert meaning(class_of(name).from_event(event(name, value))) == timed(value)


def test_recorded_values_keep_their_meaning() -> None:
    kept: set[str] = set()
    for path in [
        *OF_THE_ACCUSER,
        *(DATA / "recorded-events" / f"{name}.events" for name in ("01-default", "02-one-per-line-debug")),
        *(DATA / "recorded-events" / f"{name}.events" for name in ("30-node", "33-node-start-and-stop")),
    ]:
        for one in recorded(path):
            if (cls := events.find(one.name)) is not None:
                assert meaning(cls.from_event(one)) == timed(one.value), (path.name, one.name)
                kept.add(cls.NAME)
    assert kept >= {cls.NAME for cls in events.CLASSES if cls.KIND == "accuser"}
    assert kept >= {"starting_node.v0", "bye.v0", "set_head.v0", "branch_switch.v0"}


Place = tuple[str | int, ...]


def places(value: Any, path: Place = ()) -> Iterator[Place]:
    yield path
    for key, one in value.items() if isinstance(value, dict) else ():
        yield from places(one, (*path, key))
    for key, one in enumerate(value) if isinstance(value, list) else ():
        yield from places(one, (*path, key))


# The fields of classes that are called otherwise than those of the JSON.
OURS = {
    "occurrence-kind": "kind",
    "chain-id": "chain_id",
    "existing_attestation": "new",
    "new_attestation": "existing",
    "existing_preattestation": "new",
    "new_preattestation": "existing",
}


def at(value: Any, path: Place) -> Any:
    for key in path:
        value = value[key]
    return value


def shown(path: Place) -> str:
    return "$" + "".join(f"[{key}]" if isinstance(key, int) else f".{OURS.get(key, key)}" for key in path)


def problems_of(name: str, value: Any) -> tuple[str, ...]:
    with pytest.raises(UnexpectedValue) as caught:
        class_of(name).from_event(event(name, value))
    return caught.value.problems


# What is within an error of a trace is the daemon's own business.
PLACES = [
    (name, path)
    for name, (_, _, value) in DECLARED.items()
    for path in places(value)
    if path[-1:] not in {("kind",), ("id",), ("msg",)}
]


@pytest.mark.parametrize(("name", "path"), PLACES)
def test_a_wrong_type_anywhere_is_refused_with_its_path(name: str, path: Place) -> None:
    for wrong in (1.5, True, 7, "no such", {"x": "y"}, [1.5]):
        if fits(wrong, at(DECLARED[name][2], path), path):
            continue
        value = {"$": copy.deepcopy(DECLARED[name][2])}
        at(value, ("$", *path)[:-1])[("$", *path)[-1]] = wrong
        where = path[:-1] if path[-1:] in (("request",), ("rc",)) else path
        found = [problem.partition(" @ ")[2] for problem in problems_of(name, value["$"])]
        assert found
        assert all(place.startswith(shown(where)) for place in found), (wrong, found)


def fits(wrong: Any, right: Any, path: Place) -> bool:
    """Whether the wrong value happens to be a right one at this place."""
    if isinstance(wrong, str):
        coded = {"bytes", "fitness", "protocol_data", "data", "timestamp", "request", *TIMES}
        return path[-1:] == ("additional_info",) or (isinstance(right, str) and not coded & {*path})
    if isinstance(wrong, dict):
        return right in TRACE
    return type(wrong) is type(right) and isinstance(right, bool | int)


OBJECTS = [
    (name, path)
    for name, path in PLACES
    if isinstance(at(DECLARED[name][2], path), dict)
    if path[-1:] not in {("additional_info",), (0,)}
]


@pytest.mark.parametrize(("name", "path"), OBJECTS)
def test_a_field_too_many_or_too_few_is_refused(name: str, path: Place) -> None:
    value = copy.deepcopy(DECLARED[name][2])
    at(value, path)["more"] = 1
    assert problems_of(name, value) == (f"unknown fields more @ {shown(path)}",)
    for key in at(DECLARED[name][2], path):
        value = copy.deepcopy(DECLARED[name][2])
        del at(value, path)[key]
        if key == "chain-id":
            BlockSeen.from_event(event(name, value))
        elif key == "request":
            assert problems_of(name, value) == (f"no request @ {shown(path)}",)
        elif value == {"view": {}, "level": 2}:
            assert problems_of(name, value) == ("expected one of hash and peer_id @ $.view",)
        else:
            assert problems_of(name, value) == (f"required field missing @ {shown((*path, key))}",)


@pytest.mark.parametrize(
    "view",
    [
        {"request": "flush", "block": "B", "event": "branch"},
        {"request": "arrived", "operation_hash": "o", "operation": {"branch": "B", "data": "03"}},
        {"request": "advertise"},
        {"request": "leftover"},
        {"request": "ban", "operation_hash": "o"},
        INJECT,
        NOTIFY,
    ],
)
def test_a_request_has_the_class_of_its_name(view: dict[str, Any]) -> None:
    name = "request_completed_debug.v0"
    completed = events.RequestCompletedDebug.from_event(event(name, {"view": view, "worker_status": TIMES}))
    assert type(completed.view).__name__ == view["request"].title()
    assert meaning(completed.view) == view
    wrong = {"view": view | {"more": 1}, "worker_status": TIMES}
    assert problems_of(name, wrong) == ("unknown fields more @ $.view",)


@pytest.mark.parametrize(
    ("view", "problem"),
    [
        ({"request": "bann"}, "no request is called 'bann' @ $.view"),
        ({"request": ["ban"]}, "no request is called ['ban'] @ $.view"),
        ({"request": "flush", "block": "B", "event": "up"}, "up not in literal"),
        (INJECT | {"operation": {"branch": "B", "data": "0"}}, "@ $.view.operation.data"),
        (INJECT | {"force": 1}, "expected bool, got int @ $.view.force"),
    ],
)
def test_a_wrong_request_says_where(view: dict[str, Any], problem: str) -> None:
    (said,) = problems_of("request_completed_info.v0", {"view": view, "worker_status": TIMES})
    assert problem in said


@pytest.mark.parametrize("wrong", ["00 ff", " 00", "0", "0x", "\u0660\u0660"])
def test_bytes_are_hexadecimal_digits_and_nothing_else(wrong: str) -> None:
    (said,) = problems_of("double_baking_denounced.v0", {"hash": "o", "bytes": wrong})
    assert said.endswith("@ $.bytes")


@pytest.mark.parametrize("wrong", ["2025-08-16T12:00:03", "2025-08-16", "soon", ""])
def test_a_time_has_its_zone(wrong: str) -> None:
    (said,) = problems_of(
        "request_completed_info.v0", {"view": INJECT, "worker_status": TIMES | {"treated": wrong}}
    )
    assert said.endswith("@ $.worker_status.treated")


def test_changing_an_error_of_the_object_leaves_the_event_alone() -> None:
    written = event("daemon_error.v0", {"worker": "P", "errors": [{"id": "failure"}]})
    typed = events.DaemonError.from_event(written)
    typed.errors[0]["id"] = "another"
    assert written.value["errors"] == [{"id": "failure"}]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("double_attestation_denounced", ("double_attestation_denounced.v0",)),
        ("acuser_saw_block.v0", ("accuser_saw_block.v0",)),
        ("block-seen", ("block-seen-002-PtBoreas.v0",)),
        ("block-seen.v0", ("block-seen-002-PtBoreas.v0",)),
        ("block-seen-alpha.v0", ("block-seen-002-PtBoreas.v0",)),
        ("block-seen-PtBoreas.v0", ("block-seen-002-PtBoreas.v0",)),
        ("node_is_ready.v0", ()),
    ],
)
def test_what_was_probably_meant(name: str, meant: tuple[str, ...]) -> None:
    assert events.suggest(name, events.catalogue("accuser", Protocol.BOREAS)) == meant


def test_the_catalogues_are_those_of_the_contract() -> None:
    of_nodes = {name for name, (section, _, _) in DECLARED.items() if section.startswith(NODES)}
    anyone = {"uri_loaded_from_env.v0"}
    assert events.catalogue("node", Protocol.BOREAS) == of_nodes | anyone
    of_accusers = {name.format(protocol="alpha") for name in DECLARED.keys() - of_nodes}
    assert events.catalogue("accuser", Protocol.ALPHA) == of_accusers
    assert len([n for n in events.catalogue("accuser", None) if n.startswith("block-seen")]) == 3
    assert events.catalogue("baker", Protocol.BOREAS) == frozenset()


def test_every_event_of_the_contract_of_the_accuser_is_in_the_recording_of_all() -> None:
    names = {one.name for one in recorded(DATA / "recorded-events" / "02-one-per-line-debug.events")}
    assert names >= events.catalogue("accuser", Protocol.BOREAS)


def test_events_that_a_real_node_wrote_fit_their_classes() -> None:
    fitted = set()
    for name in ("30-node", "33-node-start-and-stop"):
        for one in recorded(DATA / "recorded-events" / f"{name}.events"):
            if (cls := events.find(one.name)) is not None:
                cls.from_event(one)
                assert one.section == cls.SECTION
                fitted.add(cls)
    assert {NodeIsReady, HeadIncrement, SetHead} <= fitted


def test_values_have_their_types() -> None:
    (block, *_) = [one for one in recorded(OF_THE_ACCUSER[0]) if one.name.startswith("block-seen")]
    seen = BlockSeen.from_event(block)
    assert seen.hash.startswith("B")
    assert (seen.occurrence.kind, seen.occurrence.chain_id) == ("valid-blocks", "NetXXAAR1wWQhhe")
    assert seen.header.timestamp == datetime.datetime(2025, 8, 15, 12, 0, 9, tzinfo=datetime.UTC)
    assert seen.header.fitness[0] == b"\x02"
    assert len(seen.header.protocol_data) > 64
    denounced = DoubleBakingDenounced.from_event(
        event("double_baking_denounced.v0", {"hash": "o", "bytes": "00ff"})
    )
    assert (denounced.hash, denounced.bytes) == ("o", b"\x00\xff")
    assert SetHead.from_event(event("set_head.v0", ["B", 2])).head == ("B", 2)


@pytest.mark.parametrize("cls", [DoubleAttestationDetected, DoublePreattestationDetected])
def test_the_swapped_hashes_are_put_right(
    cls: type[DoubleAttestationDetected] | type[DoublePreattestationDetected],
) -> None:
    kind = cls.NAME.split("_")[1]
    written = event(cls.NAME, {f"existing_{kind}": "the new one", f"new_{kind}": "the old one"})
    detected = cls.from_event(written)
    assert (detected.existing, detected.new) == ("the old one", "the new one")
    assert written.value[f"existing_{kind}"] == "the new one"


@pytest.mark.parametrize(
    ("name", "value", "problems"),
    [
        ("double_baking_denounced.v0", {"hash": "o"}, ("required field missing @ $.bytes",)),
        (
            "double_baking_denounced.v0",
            {"hash": "o", "bytes": "0g"},
            ("non-hexadecimal number found in fromhex() arg at position 1 @ $.bytes",),
        ),
        (
            "accuser_saw_block.v0",
            {"level": "1", "hash": "B", "x": 1},
            ("expected int, got str @ $.level", "unknown fields x @ $"),
        ),
        ("accuser_saw_block.v0", [], ("expected an object, got list @ $",)),
        ("accuser_processed_block.v0", 7, ("expected str, got int @ $",)),
        ("double_baking_detected.v0", {"x": 1}, ("unknown fields x @ $",)),
        (
            "head_increment.v0",
            {"view": {"hash": 1}, "level": 2},
            ("expected str, got int @ $.view.hash",),
        ),
    ],
)
def test_a_value_that_does_not_fit_says_where(name: str, value: Any, problems: tuple[str, ...]) -> None:
    cls = events.find(name)
    assert cls is not None
    with pytest.raises(UnexpectedValue) as caught:
        cls.from_event(event(name, value))
    assert caught.value.problems == problems
    assert str(caught.value) == f"{name}: {'; '.join(problems)}"


def test_names_with_a_protocol_in_them() -> None:
    assert BlockSeen.event_name(Protocol.ALPHA) == "block-seen-alpha.v0"
    assert events.find("block-seen-001-PtAtLas.v0") is BlockSeen
    assert events.find("no_such.v0") is None
    with pytest.raises(AccuserError, match="BlockSeen"):
        BlockSeen.event_name(None)


def test_classes_are_sound() -> None:
    names = [cls.NAME for cls in events.CLASSES]
    assert len(names) == len(set(names))
    for cls in events.CLASSES:
        assert cls.LEVEL in ("debug", "info", "notice", "error")
        assert cls.KIND in ("accuser", "node", "any")
        assert cls.__doc__


async def test_a_wait_by_class_gives_an_object(tmp_path: Path) -> None:
    body = """
        ready()
        event("accuser_saw_block.v0", '{"level":1,"hash":"B1"}')
        event("accuser_saw_block.v0", '{"level":2,"hash":"B2"}')
        event("accuser_saw_block.v0", '{"level":"three"}')
        until_term()
        event("accuser_saw_block.v0", '{"level":4,"hash":"B4"}')
        event("accuser_saw_block.v0", '"five"')
    """
    async with ScriptedDaemon(body).open(folder=tmp_path, unknown_events=False) as accuser:
        start = accuser.start_mark()
        first: AccuserSawBlock = await accuser.wait_for(AccuserSawBlock, since=start)
        assert first == AccuserSawBlock(level=1, hash="B1")
        level: int = await accuser.wait_for(
            AccuserSawBlock, lambda block: block.level if block.level > 1 else None, since=start
        )
        assert level == 2
        with pytest.raises(UnexpectedValue, match=r"\$\.level"):
            await accuser.wait_for(AccuserSawBlock, lambda block: None, since=start)
        later = accuser.expect(AccuserSawBlock)
        wrong: Expectation[object] = accuser.expect(AccuserSawBlock, lambda block: None)
        await accuser.terminate()
        assert (await later).level == 4
        with pytest.raises(UnexpectedValue, match="expected an object, got str"):
            await wrong
