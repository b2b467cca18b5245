"""What must be true in the end is judged: a node or an accuser without it is found."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from accuser._explore import making
from accuser._explore.bakers import Directory, Living
from accuser._explore.schedule import Bake, Cut, Down, Maker, Pass, Start, Stop, Up
from accuser.explore import Executable, Schedule, Watcher, play
from accuser.sandbox.accuser import loop
from accuser.sandbox.accuser.denunciation import Denunciator
from accuser.sandbox.chain import block_rules
from accuser.sandbox.chain.block import Block
from accuser.sandbox.chain.chain import Chain
from accuser.sandbox.chain.state import State
from accuser.sandbox.rpc.request import RpcFailed
from accuser.sandbox.sink.sink import Sink
from tests.explore import faulty

TWINS = (Bake(), Bake(), Bake(back=1, flavour=1))
Patch = pytest.MonkeyPatch


def found(*steps: Any, **network: Any) -> str:
    """The violations, as one text; none is a failure."""
    violations = play(Schedule(steps=steps, **network)).violations
    assert violations
    return "\n".join(violations)


def test_a_node_that_makes_money_is_found(monkeypatch: Patch) -> None:
    sound = block_rules.validate

    def validate(*given: Any) -> Block:
        block = sound(*given)
        ledger = block.state.ledger
        richer = attrs.evolve(ledger, supply=ledger.supply + (block.level == 3))
        return attrs.evolve(block, state=attrs.evolve(block.state, ledger=richer))

    monkeypatch.setattr(block_rules, "validate", validate)
    violations = found(Bake(), Bake())
    assert "mumav are owned" in violations
    assert "changed it by" in violations


def test_nodes_that_do_not_agree_are_found(monkeypatch: Patch) -> None:
    sound, chains = Chain.is_better, list[Chain]()

    def is_better(self: Chain, block: Block) -> bool:
        if not any(each is self for each in chains):
            chains.append(self)
        return sound(self, block) and (self is chains[0] or block.level < 3)

    monkeypatch.setattr(Chain, "is_better", is_better)
    assert "the nodes do not agree" in found(Bake(), nodes=2)


def test_a_node_that_takes_evidence_twice_is_found(monkeypatch: Patch) -> None:
    monkeypatch.setattr(State, "is_denounced", lambda self, misbehaviour: False)
    again = (Bake(back=3, flavour=2), Bake())
    violations = found(Bake(), Bake(), Bake(back=1, flavour=1), Bake(), Bake(), *again)
    assert "was included in 2 blocks" in violations


def test_evidence_that_nobody_includes_is_found(monkeypatch: Patch) -> None:
    sound = making.block

    def block(chain: Any, below: Any, at_round: int, flavour: int, operations: Any) -> Any:
        votes = [each for each in operations if each.validation_pass == 0]
        return sound(chain, below, at_round, flavour, votes)

    monkeypatch.setattr(making, "block", block)
    assert "could be included, and was not" in found(*TWINS)


@pytest.mark.parametrize(
    "steps",
    [(Bake(), Stop(), Start(), Bake()), (Bake(), Down(), Up(), Start(), Bake())],
    ids=["killed", "lost"],
)
def test_an_accuser_that_is_not_ready_again_is_found(monkeypatch: Patch, steps: Any) -> None:
    sound, lives = loop.Accuser.run, list[int]()

    async def run(self: loop.Accuser) -> None:
        lives.append(1)
        if len(lives) > 1:
            await trio.sleep_forever()
        await sound(self)

    monkeypatch.setattr(loop.Accuser, "run", run)
    assert "it is not ready" in found(*steps)


@pytest.mark.parametrize(
    ("good_lives", "steps"),
    [
        (0, ()),
        (1, (Bake(), Stop(), Start(), Bake())),
        (1, (Bake(), Down(), Up(), Start())),
        (1, (Bake(), Down(), Pass(), Up(), Pass(), Start(), Stop())),
    ],
)
def test_an_accuser_that_ends_before_it_is_ready_is_found(
    monkeypatch: Patch, good_lives: int, steps: Any
) -> None:
    sound, lives = loop.Accuser.run, list[int]()

    async def run(self: loop.Accuser) -> None:
        lives.append(1)
        if len(lives) > good_lives:
            raise RpcFailed([], "it ends")
        await sound(self)

    monkeypatch.setattr(loop.Accuser, "run", run)
    assert "it ended by itself, with status 1" in found(*steps)


def test_an_accuser_that_ends_while_it_waits_for_its_protocol_is_found(monkeypatch: Patch) -> None:
    async def run(self: loop.Accuser) -> None:
        await trio.sleep(0.5)
        raise RpcFailed([], "it ends")

    monkeypatch.setattr(loop.Accuser, "run", run)
    watchers = (Watcher(keep_alive=True),)
    assert "it ended by itself" in found(Down(), Up(), protocol="atlas", watchers=watchers)


def test_an_accuser_that_ignores_keep_alive_is_found(monkeypatch: Patch) -> None:
    sound = loop.Accuser.run

    async def run(self: loop.Accuser) -> None:
        self.keep_alive = False
        await sound(self)

    monkeypatch.setattr(loop.Accuser, "run", run)
    violations = found(Bake(), Down(), Up(), watchers=(Watcher(keep_alive=True),))
    assert "it ended in spite of --keep-alive" in violations


@pytest.mark.skipif(shutil.which("false") is None, reason="there is no such program")
def test_an_executable_that_ends_before_it_is_ready_is_found() -> None:
    path = Path(shutil.which("false") or "")
    (violation,) = play(Schedule(), Executable(path=path)).violations
    assert "it ended by itself, with status 1" in violation


def test_an_accuser_that_ends_by_itself_is_found(monkeypatch: Patch) -> None:
    async def watch(self: loop.Accuser, *given: Any) -> Any:  # noqa: RUF029 - a method's place
        return RpcFailed([], "it ends")

    monkeypatch.setattr(loop.Accuser, "_watch", watch)
    assert "it ended by itself" in found(Bake())


@pytest.mark.parametrize(("times", "words"), [(0, "missed: "), (2, "unwarranted: ")])
def test_an_event_that_is_lost_or_told_twice_is_found(monkeypatch: Patch, times: int, words: str) -> None:
    sound = Sink.emit

    async def emit(self: Sink, section: Any, name: str, *given: Any, **more: Any) -> None:
        for _ in range(times if name == "accuser_processed_block" else 1):
            await sound(self, section, name, *given, **more)

    monkeypatch.setattr(Sink, "emit", emit)
    assert f"{words}accuser_processed_block" in found(Bake())


def test_an_accuser_that_denounces_somebody_honest_is_found(monkeypatch: Patch) -> None:
    monkeypatch.setattr(Denunciator, "operations", faulty.eager)
    violations = found(Bake(), Bake(voters=1), Bake(voters=1), Bake())
    assert "somebody honest was denounced" in violations


def test_evidence_that_is_told_twice_is_found(monkeypatch: Patch) -> None:
    monkeypatch.setattr(Denunciator, "block", faulty.repeating)
    assert "unwarranted: double_baking_denounced" in found(*TWINS)


def test_bakers_whose_watermarks_do_not_hold_are_found(monkeypatch: Patch) -> None:
    def share(self: Living) -> None:
        self.directory = Directory("one directory")

    monkeypatch.setattr(Living, "_new_directory", share)
    steps = (Cut(at=1), Pass(seconds=3.0), Cut(), Pass(seconds=1.0))
    violations = found(*steps, nodes=2, makers=(Maker(), Maker(node=1)))
    assert "the watermarks of one directory let it sign twice" in violations
