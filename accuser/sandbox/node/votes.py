"""What the RPCs under ``/votes`` tell (``lib_protocol/voting_services.ml``).

Lists of delegates are in the order of upstream's folds over its storage, the last key first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from ..chain.block import Block
from ..chain.parameters import Calendar

ShowVotes: TypeAlias = Callable[[Block, Calendar], object]


def _ballots(block: Block, calendar: Calendar) -> object:
    # Numbers of 64 bits are texts.
    return {name: str(power) for name, power in block.state.amendment.tally(calendar).items()}


def _ballot_list(block: Block, calendar: Calendar) -> object:
    ballots = sorted(block.state.amendment.ballots.items(), reverse=True)
    return [{"pkh": pkh, "ballot": ballot} for pkh, ballot in ballots]


def _listings(block: Block, calendar: Calendar) -> object:
    powers = sorted(calendar.voting_powers.items(), reverse=True)
    return [{"pkh": pkh, "voting_power": str(power)} for pkh, power in powers]


def _proposals(block: Block, calendar: Calendar) -> object:
    powers = sorted(block.state.amendment.powers(calendar).items())
    return [[proposal, str(power)] for proposal, power in powers]


VOTES: Final[Mapping[str, ShowVotes]] = {
    "ballots": _ballots,
    "ballot_list": _ballot_list,
    "current_period": lambda block, calendar: block.state.amendment.info(block.level, calendar),
    "successor_period": lambda block, calendar: block.state.amendment.info(
        block.level, calendar, successor=True
    ),
    "current_quorum": lambda block, calendar: block.state.amendment.quorum(calendar),
    "listings": _listings,
    "proposals": _proposals,
    "current_proposal": lambda block, calendar: block.state.amendment.proposal,
    "total_voting_power": lambda block, calendar: str(calendar.total_voting_power),
}
"""By the last word of the path."""
