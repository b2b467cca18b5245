"""Values of events as objects: each value, each way to be wrong."""

from __future__ import annotations

import copy
import datetime
from collections.abc import Iterator
from typing import Any, get_args

import attrs
import pytest

from accuser import Protocol, UnexpectedValue, events
from accuser.events import (
    BlockSeen,
)
from tests.support.event_values import (
    DATA,
    DECLARED,
    INJECT,
    NOTIFY,
    OF_THE_ACCUSER,
    TIMES,
    TRACE,
    event,
    recorded,
)


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
