"""Schedules: what happens on a network, step by step, as plain data.

A schedule says what is attempted, relative to what is there: "the block two below the head of node
1". So every part of a schedule is a schedule too, which shrinking needs.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from .._mavryk.protocol import Protocol

VotedKind = Literal["attestation", "preattestation"]
Answer = Literal["block", "header", "hash", "forge", "inject", "validators", "pruned", "bare", "nobody"]
"""What a node fails to answer; or that it answers with a pruned block, one without any list of
operations, or no rights at all."""


class _Step(msgspec.Struct, frozen=True, tag_field="do", omit_defaults=True, kw_only=True):
    """Nodes, accusers and bakers are meant modulo their number."""


class Bake(_Step, frozen=True, tag="bake"):
    """Who owns a round bakes a block on the chain of a node, and hands it to that node."""

    node: int = 0
    back: int = 0
    """How far below the node's head the block below is."""
    round: int = 0
    flavour: int = 0
    """Blocks that are otherwise alike differ in this."""
    voters: int = 0
    """How many delegates attest the block below, inside this one."""
    evidence: bool = True
    """Whether it includes what the node's mempool has against others."""
    times: int = 1
    """How many such blocks, one after the other."""


class Vote(_Step, frozen=True, tag="vote"):
    """A delegate preattests or attests, and hands that to a node."""

    node: int = 0
    kind: VotedKind = "attestation"
    delegate: int = 0
    level: int = 0
    """Seen from the node's head."""
    round: int = 0
    slot: int = 0
    """Which of the delegate's slots."""
    payload: int = 0
    """0 is that of the head."""
    branch: int = 0
    """How far below the head the block is that it names."""
    dal: int | None = None
    """With so much of DAL content, which only attestations have."""


class Pass(_Step, frozen=True, tag="pass"):
    """Time passes, and what is on its way arrives."""

    seconds: float = 1.0


class Link(_Step, frozen=True, tag="link"):
    """The links of two nodes are good or bad from now on; a delay that varies changes the order."""

    one: int = 0
    other: int = 1
    delay: float = 0.0
    """Seconds."""
    jitter: float = 0.0
    """Seconds, at most, by which each message takes longer."""
    loss: float = 0.0
    """How many of all messages get lost, from 0 to 1."""


class Cut(_Step, frozen=True, tag="cut"):
    """Nodes below this number no longer hear those from it on; 0 heals everything."""

    at: int = 0


class Stop(_Step, frozen=True, tag="stop"):
    """An accuser is ended."""

    accuser: int = 0
    how: Literal["kill", "terminate"] = "kill"


class Start(_Step, frozen=True, tag="start"):
    """An accuser that does not run is started."""

    accuser: int = 0


class Down(_Step, frozen=True, tag="down"):
    """A node is killed: its blocks stay, its mempool is lost."""

    node: int = 0


class Up(_Step, frozen=True, tag="up"):
    """A node that is down runs again, and learns what it missed."""

    node: int = 0


class Fault(_Step, frozen=True, tag="fault"):
    """The node of an accuser fails to answer its next request of a kind."""

    accuser: int = 0
    what: Answer = "block"


class Again(_Step, frozen=True, tag="again"):
    """The node of an accuser tells of a block again, which nodes do after a reorganisation."""

    accuser: int = 0
    back: int = 0
    """How far below the head it is."""


class Halt(_Step, frozen=True, tag="halt"):
    """A baker is ended."""

    maker: int = 0


class Resume(_Step, frozen=True, tag="resume"):
    """A baker that does not run is started."""

    maker: int = 0
    forgets: bool = False
    """Whether its directory is a new one, without the watermarks of before."""


Step = Again | Bake | Vote | Pass | Link | Cut | Stop | Start | Down | Up | Fault | Halt | Resume


class Maker(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A baker of a network, which lives by itself while time passes."""

    node: int = 0
    delegates: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Whose keys it has. Two bakers with one key are what double signing comes from."""


class Watcher(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An accuser of a network."""

    node: int = 0
    protocol: str = "boreas"
    preserved_levels: int | None = None
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
    upgrades: dict[int, str] = {}
    """The protocols that the nodes' users activate, by the levels of the blocks before them."""
    watchers: tuple[Watcher, ...] = (Watcher(),)
    makers: tuple[Maker, ...] = ()
    quorum: int = 0
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
