"""What upstream tests with its accuser, against the public interface of this package.

Each scenario takes its toolchain as an argument, so that it runs unchanged on the real
executables and on the sandbox. `SCENARIOS` has all of them by name. May import the public names of
``accuser``, and ``_unwrap``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final

import attrs

from .. import Protocol
from ._adaptive_issuance import PROTOCOLS as _WITH_FORBIDDEN
from ._adaptive_issuance import AdaptiveIssuance as AdaptiveIssuance
from ._adaptive_issuance import Slashing as Slashing
from ._adaptive_issuance import adaptive_issuance as adaptive_issuance
from ._common import CONSENSUS_KINDS
from ._common import Denunciation as Denunciation
from ._common import Inclusion as Inclusion
from ._common import Report as Report
from ._common import Result as Result
from ._common import ScenarioOptions as ScenarioOptions
from ._double_baking import DoubleBaking as DoubleBaking
from ._double_baking import double_baking as double_baking
from ._double_baking_remote import double_baking_remote as double_baking_remote
from ._double_consensus import DIFFERENCES
from ._double_consensus import Difference as Difference
from ._double_consensus import DoubleConsensus as DoubleConsensus
from ._double_consensus import Misdeed as Misdeed
from ._double_consensus import double_consensus as double_consensus
from ._fork import NODE_ARGUMENTS as NODE_ARGUMENTS
from ._migration import Handover as Handover
from ._migration import Migration as Migration
from ._migration import migration as migration
from ._out_of_range import OutOfRange as OutOfRange
from ._out_of_range import operation_too_far_in_future as operation_too_far_in_future
from ._out_of_range import operation_too_old as operation_too_old
from ._stage import EVIDENCE_PASS as EVIDENCE_PASS
from ._two_bakers import TwoBakers as TwoBakers
from ._two_bakers import two_bakers_one_key as two_bakers_one_key
from ._voting import VotingOverride as VotingOverride
from ._voting import voting_override as voting_override


@attrs.frozen
class Scenario:
    """One that can be run by name."""

    summary: str
    """What it shows, in a line."""
    run: Callable[..., Awaitable[Result]]
    """Takes a toolchain and a protocol, and `ScenarioOptions`."""
    twin: str
    """What is otherwise in its twin, which ``twin=True`` runs, and which must fail."""
    protocols: tuple[Protocol, ...] = tuple(Protocol)
    """The protocols that it applies to; others know nothing of what it is about."""
    needs_runner: bool = False
    """Whether it also takes, by name, a ``runner``, and a ``node_path`` there."""


SCENARIOS: Final[Mapping[str, Scenario]] = {
    "double-baking": Scenario(
        "two blocks of one level and round by one delegate",
        double_baking,
        "the last block is baked without the evidence",
    ),
    **{
        f"double-{kind}-wrong-{difference.replace('_', '-')}": Scenario(
            f"three {kind}s of one level and round that differ in their {difference.replace('_', ' ')}",
            partial(double_consensus, kind=kind, difference=difference),
            "they differ in nothing",
        )
        for kind in CONSENSUS_KINDS
        for difference in DIFFERENCES
    },
    "operation-too-old": Scenario(
        "an attestation of a level that the accuser forgot",
        operation_too_old,
        "the accuser preserves as many levels as usual",
    ),
    "operation-too-far-in-the-future": Scenario(
        "an attestation of three levels above the head",
        operation_too_far_in_future,
        "the attestation is of two levels above the head",
    ),
    "adaptive-issuance": Scenario(
        "a double baking, for which the delegate is forbidden and slashed",
        adaptive_issuance,
        "the last block of the cycle is baked without the evidence",
        _WITH_FORBIDDEN,
    ),
    "migration": Scenario(
        "an accuser that is there before its protocol, and takes over",
        migration,
        "the new accuser is there one block too late",
        protocols=(Protocol.BOREAS, Protocol.ALPHA),
    ),
    "voting-override": Scenario(
        "the same, after votes for a protocol that the node's users override",
        voting_override,
        "the delegates vote nay",
        protocols=(Protocol.BOREAS, Protocol.ALPHA),
    ),
    "two-bakers-one-key": Scenario(
        "two bakers with copies of the keys, which double bake and double attest by themselves",
        two_bakers_one_key,
        "the second baker is the first one, restarted on the same directory",
    ),
    "double-baking-remote": Scenario(
        "the double baking with its nodes on another machine",
        double_baking_remote,
        "as that of the double baking",
        needs_runner=True,
    ),
}
"""The scenarios, by the names that ``accuser demo --scenario`` takes."""
