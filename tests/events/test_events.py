"""The classes of events, their names and their catalogue."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest

from accuser import AccuserError, Expectation, Protocol, UnexpectedValue, events
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
from tests.support.event_values import (
    DATA,
    DECLARED,
    OF_THE_ACCUSER,
    event,
    recorded,
)

NODES = ("node", "validator", "prevalidator", "protocol_updater")


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
