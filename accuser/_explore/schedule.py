"""Schedules: what happens on a network, step by step, as plain data.

A schedule says what is attempted, relative to what is there: "the block two below the head of node
1". So every part of a schedule is a schedule too, which shrinking needs.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from .._mavryk.protocol import Protocol

VotedKind = Literal["attestation", "preattestation"]
Answer = Literal["block", "header", "hash", "forge", "inject", "validators", "pruned", "bare", "nobody"]
"""What a node fails to answer; or that it answers with a pruned block, one without any list of
operations, or no rights at all."""


_MOST_SECONDS: Final = 1e6
"""Of time that passes at once; a chain has no time beyond some seconds more."""

Count = Annotated[int, msgspec.Meta(ge=0)]
Round = Annotated[int, msgspec.Meta(ge=0, le=10_000)]
Offset = Annotated[int, msgspec.Meta(ge=-1_000_000, le=1_000_000)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=_MOST_SECONDS)]
Part = Annotated[float, msgspec.Meta(ge=0, le=1)]
Slots = Annotated[int, msgspec.Meta(ge=0, le=256)]
Level = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]


class _Step(msgspec.Struct, frozen=True, tag_field="do", omit_defaults=True, kw_only=True):
    """Nodes, accusers and bakers are meant modulo their number."""


class Bake(_Step, frozen=True, tag="bake"):
    """Who owns a round bakes a block on the chain of a node, and hands it to that node."""

    node: Count = 0
    back: Count = 0
    """How far below the node's head the block below is."""
    round: Round = 0
    flavour: Count = 0
    """Blocks that are otherwise alike differ in this."""
    voters: Count = 0
    """How many delegates attest the block below, inside this one."""
    evidence: bool = True
    """Whether it includes what the node's mempool has against others."""
    times: Count = 1
    """How many such blocks, one after the other."""


class Vote(_Step, frozen=True, tag="vote"):
    """A delegate preattests or attests, and hands that to a node."""

    node: Count = 0
    kind: VotedKind = "attestation"
    delegate: Count = 0
    level: Offset = 0
    """Seen from the node's head."""
    round: Round = 0
    slot: Count = 0
    """Which of the delegate's slots."""
    payload: Count = 0
    """0 is that of the head."""
    branch: Count = 0
    """How far below the head the block is that it names."""
    dal: Count | None = None
    """With so much of DAL content, which only attestations have; of others it is left out."""


class Pass(_Step, frozen=True, tag="pass"):
    """Time passes, and what is on its way arrives."""

    seconds: Seconds = 1.0


class Link(_Step, frozen=True, tag="link"):
    """The links of two nodes are good or bad from now on; a delay that varies changes the order."""

    one: Count = 0
    other: Count = 1
    delay: Seconds = 0.0
    """Seconds."""
    jitter: Seconds = 0.0
    """Seconds, at most, by which each message takes longer."""
    loss: Part = 0.0
    """How many of all messages get lost, from 0 to 1."""


class Cut(_Step, frozen=True, tag="cut"):
    """Nodes below this number no longer hear those from it on; 0 heals everything."""

    at: Count = 0


class Stop(_Step, frozen=True, tag="stop"):
    """An accuser is ended."""

    accuser: Count = 0
    how: Literal["kill", "terminate"] = "kill"


class Start(_Step, frozen=True, tag="start"):
    """An accuser that does not run is started."""

    accuser: Count = 0


class Down(_Step, frozen=True, tag="down"):
    """A node is killed: its blocks stay, its mempool is lost."""

    node: Count = 0


class Up(_Step, frozen=True, tag="up"):
    """A node that is down runs again, and learns what it missed."""

    node: Count = 0


class Fault(_Step, frozen=True, tag="fault"):
    """The node of an accuser fails to answer its next request of a kind."""

    accuser: Count = 0
    what: Answer = "block"


class Again(_Step, frozen=True, tag="again"):
    """The node of an accuser tells of a block again, which nodes do after a reorganisation."""

    accuser: Count = 0
    back: Count = 0
    """How far below the head it is."""


class Halt(_Step, frozen=True, tag="halt"):
    """A baker is ended."""

    maker: Count = 0


class Resume(_Step, frozen=True, tag="resume"):
    """A baker that does not run is started."""

    maker: Count = 0
    forgets: bool = False
    """Whether its directory is a new one, without the watermarks of before."""


Step = Again | Bake | Vote | Pass | Link | Cut | Stop | Start | Down | Up | Fault | Halt | Resume


class Maker(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A baker of a network, which lives by itself while time passes."""

    node: Count = 0
    delegates: tuple[Count, ...] = (0, 1, 2, 3, 4)
    """Whose keys it has. Two bakers with one key are what double signing comes from."""


class Watcher(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An accuser of a network."""

    node: Count = 0
    protocol: str = "boreas"
    preserved_levels: Count | None = None
    keep_alive: bool = False


class Schedule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A network, and what happens on it."""

    seed: int = 0
    """Where chances come from: which messages get lost, and when the others arrive."""
    nodes: int = 1
    protocol: str = "boreas"
    """What the chain is activated with."""
    replaced: bool = False
    """Whether it is activated with another one, which the users of the nodes override."""
    upgrades: dict[Level, str] = {}
    """The protocols that the nodes' users activate, by the levels of the blocks before them."""
    watchers: Annotated[tuple[Watcher, ...], msgspec.Meta(min_length=1)] = (Watcher(),)
    makers: tuple[Maker, ...] = ()
    quorum: Slots = 0
    """How many of the 256 slots must vote for a block before its bakers build on it."""
    steps: tuple[Step, ...] = ()

    def to_json(self) -> bytes:
        """As a file has it, laid out for people."""
        return msgspec.json.format(_encode(self), indent=1) + b"\n"

    @classmethod
    def from_json(cls, data: bytes | str) -> Schedule:
        """Read a schedule.

        Raises:
            ValueError: it is none; says where.
        """
        try:
            schedule = msgspec.json.decode(data, type=cls)
            for name in (schedule.protocol, *schedule.upgrades.values()):
                Protocol.parse(name)
            for watcher in schedule.watchers:
                Protocol.parse(watcher.protocol)
        except msgspec.DecodeError as error:
            raise ValueError(f"this is no schedule: {error}") from error
        except Exception as error:
            raise ValueError(f"this is no schedule: {error}") from error
        if not 1 <= schedule.nodes <= MOST_NODES:
            raise ValueError(f"a network has 1 to {MOST_NODES} nodes, not {schedule.nodes}")
        return schedule


MOST_NODES: Final = 5
_encode: Final = msgspec.json.Encoder().encode
