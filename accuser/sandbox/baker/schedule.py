"""When a baker acts next: the end of a round, or the time to make the next level's block. Pure.

As ``compute_next_timeout`` of ``lib_delegate/baking_scheduling.ml``. Times are seconds since the epoch.
"""

from __future__ import annotations

import attrs

from ..._mavryk.codec.forge import rfc3339
from ..client.delegates import Constants
from .state import Automaton
from .values import EndOfRound, Note, TimeToBake


@attrs.frozen
class Alarm:
    """What happens at a time."""

    at: float
    happening: EndOfRound | TimeToBake


def next_alarm(
    state: Automaton, constants: Constants, pre_emptive: float, now: float
) -> tuple[Alarm | None, list[Note]]:
    """What to wait for; None when only the node can bring something new.

    Args:
        state: the automaton.
        constants: of the protocol.
        pre_emptive: seconds before a round that its block is forged in advance.
        now: the time.
    """
    predecessor, elected = state.latest.predecessor, state.elected
    end = constants.timestamp(predecessor, state.round + 1)
    if elected is None:
        return _end_of_round(state, end, now)
    block = elected.proposal.block
    notes = [Note("compute_next_timeout_elected_block", {"level": state.level, "round": block.round})]
    own = state.next_rights.first_round(constants.round_at(block, now))
    if own is None:
        notes.append(Note("no_need_to_wait_for_proposal"))
        alarm, more = _end_of_round(state, end, now)
        return alarm, [*notes, *more]
    at = constants.timestamp(block, own)
    place = {
        "level": state.level + 1,
        "round": own,
        "timestamp": rfc3339(at),
        "delegate": state.next_rights.owner(own),
    }
    notes.append(Note("next_potential_slot", place))
    if state.proposed_round is not None and state.proposed_round >= own:
        return None, [*notes, Note("proposal_already_injected"), Note("waiting_for_new_head")]
    if own == 0:
        forging = at - pre_emptive
        notes.append(Note("first_baker_of_next_level"))
        if forging <= now:
            notes.append(Note("no_need_to_wait_to_forge_block"))
        else:
            waiting = {"timespan": forging - now, "timestamp": rfc3339(int(forging))}
            notes.append(Note("waiting_to_forge_block", waiting))
        return Alarm(forging, TimeToBake(0)), notes
    if at < constants.timestamp(predecessor, state.round + 2):
        if at <= now:
            notes.append(Note("no_need_to_wait_for_proposal"))
        else:
            waiting = {"timespan": at - now, "timestamp": rfc3339(at)}
            notes.append(Note("waiting_time_to_bake", waiting))
        return Alarm(at, TimeToBake(own)), notes
    if state.rights.owner(state.round + 1) is not None:
        delay = constants.minimal_block_delay // 5
        late = {
            "timespan": end + delay - now,
            "round": state.round,
            "timestamp": rfc3339(end + delay),
            "delay": delay,
        }
        notes.append(Note("waiting_delayed_end_of_round", late))
        return Alarm(end + delay, EndOfRound(state.round)), notes
    alarm, more = _end_of_round(state, end, now)
    return alarm, [*notes, *more]


def _end_of_round(state: Automaton, end: int, now: float) -> tuple[Alarm, list[Note]]:
    value = {"timespan": float(end - now), "round": state.round, "timestamp": rfc3339(end)}
    return Alarm(end, EndOfRound(state.round)), [Note("waiting_end_of_round", value)]
