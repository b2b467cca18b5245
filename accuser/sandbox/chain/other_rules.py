"""Anonymous operations and the noop: which are valid, and what two of them may not share.

Evidence has a module of its own, `evidence`. Source: ``lib_protocol/validate.ml``.
"""

from __future__ import annotations

from ..._mavryk.codec.anonymous import (
    ActivateAccount,
    Anonymous,
    DrainDelegate,
    FailingNoop,
    SeedNonceRevelation,
    VdfRevelation,
)
from ..._mavryk.codec.crypto import Watermark, verify, watermark
from ..._mavryk.codec.keys import Curve, curve_of_key, hash_of_key
from ..._mavryk.codec.operations import Operation
from . import anonymous, nonces
from .limits import limits
from .state import State
from .trace import (
    BRANCH,
    PERMANENT,
    TEMPORARY,
    NodeError,
    bad_signature,
    failure,
    protocol_error,
)


def check(
    operation: Operation,
    content: Anonymous | FailingNoop,
    state: State,
    level: int,
    *,
    signed: bool = True,
) -> None:
    """Validate one in a block of ``level`` on top of a state.

    Args:
        operation: which has it.
        content: its only content.
        state: before it.
        level: of the block.
        signed: whether a signature that it needs has to be right.

    Raises:
        NodeError: it is not valid.
    """
    if isinstance(content, SeedNonceRevelation):
        nonces.check(content, state, level)
    elif isinstance(content, FailingNoop):
        raise protocol_error(state.protocol, PERMANENT, "validate.operation.failing_noop_error")
    elif isinstance(content, ActivateAccount):
        if anonymous.blinded_hash(content) not in state.ledger.commitments:
            fields = {"pkh": content.pkh}
            raise protocol_error(state.protocol, PERMANENT, "validate.operation.invalid_activation", fields)
    elif isinstance(content, VdfRevelation):
        calendar = state.calendar
        assert calendar is not None
        if nonces.can_reveal(calendar, level):
            raise protocol_error(state.protocol, TEMPORARY, "vdf.too_early_revelation")
        # The sandbox computes no verifiable delay functions, so none is verified.
        raise protocol_error(state.protocol, BRANCH, "vdf.unverified_result")
    else:
        key = _check_drain(content, state)
        if signed:
            check_signature(operation, key, state)


def _check_drain(drain: DrainDelegate, state: State) -> str:
    """Returns the key that has to sign. Raises ``NodeError``."""

    def refused(name: str, **fields: str) -> NodeError:
        return protocol_error(state.protocol, TEMPORARY, name, {"delegate": drain.delegate, **fields})

    accounts = state.ledger.accounts
    account = accounts.get(drain.delegate)
    if account is None or not account.is_delegate:
        raise refused("operation.drain_delegate_key_on_unregistered_delegate")
    key = account.consensus_key or account.public_key
    assert key is not None
    active = hash_of_key(key)
    if active != drain.consensus_key:
        keys = {"consensus_key": drain.consensus_key, "active_consensus_key": active}
        raise refused("operation.invalid_drain.inactive_key", **keys)
    if active == drain.delegate:
        raise refused("operation.invalid_drain.no_consensus_key")
    if drain.destination == drain.delegate:
        raise refused("operation.invalid_drain.noop")
    assert state.calendar is not None
    burned = 0 if drain.destination in accounts else limits(state.calendar.parameters).origination_cost
    least = burned + anonymous.drain_fees(account.spendable)
    if account.spendable < least:
        needed = {"destination": drain.destination, "min_amount": str(least)}
        raise refused("operation.invalid_drain.insufficient_funds_for_burn_or_fees", **needed)
    return key


def check_signature(operation: Operation, key: str, state: State) -> None:
    """See that a key has signed an operation that is none of consensus. Raises ``NodeError``."""
    if operation.signature is not None and any(operation.signature):
        if curve_of_key(key) is Curve.BLS:
            raise failure(f"The sandbox knows no BLS12-381 signatures: it cannot verify one of {key}.")
        mark = watermark(Watermark.GENERIC)
        if verify(key, operation.signature, operation.unsigned_bytes(), watermark=mark):
            return
    raise bad_signature(state.protocol, operation.signature)


def conflict_key(content: Anonymous | FailingNoop) -> tuple[object, ...]:
    """What two of them may not share in one block or mempool."""
    if isinstance(content, SeedNonceRevelation):
        return (content.kind, content.level)
    if isinstance(content, ActivateAccount):
        return (content.kind, content.pkh)
    if isinstance(content, DrainDelegate):
        # Who is drained can do nothing else in the block.
        return ("manager", content.delegate)
    return (content.kind,)


def conflict_error(
    content: Anonymous | FailingNoop, operation: Operation, existing: str, protocol: str
) -> NodeError:
    """The block has one like it already, under that hash."""
    fields: dict[str, object] = {"conflict": {"existing": existing, "new_operation": operation.hash}}
    name = content.kind
    if isinstance(content, SeedNonceRevelation):
        name = "nonce_revelation"
    elif isinstance(content, ActivateAccount):
        name, fields = "activation", {"edpkh": content.pkh, **fields}
    elif isinstance(content, DrainDelegate):
        name, fields = "drain", {"delegate": content.delegate, **fields}
    return protocol_error(protocol, BRANCH, f"validate.operation.conflicting_{name}", fields)
