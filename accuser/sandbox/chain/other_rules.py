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
from ..._mavryk.codec.operations import Operation
from . import nonces
from .state import State
from .trace import (
    BRANCH,
    PERMANENT,
    NodeError,
    failure,
    protocol_error,
)


def check(content: Anonymous | FailingNoop, state: State, level: int) -> None:
    """Validate one in a block of ``level`` on top of a state. Raises ``NodeError``."""
    if isinstance(content, SeedNonceRevelation):
        nonces.check(content, state, level)
    elif isinstance(content, FailingNoop):
        raise protocol_error(state.protocol, PERMANENT, "validate.operation.failing_noop_error")
    elif isinstance(content, ActivateAccount):
        # Nothing is set aside for anybody: parameters with commitments are not read.
        fields = {"pkh": content.pkh}
        raise protocol_error(state.protocol, PERMANENT, "validate.operation.invalid_activation", fields)
    elif isinstance(content, VdfRevelation):
        raise failure("The sandbox computes no verifiable delay functions: it takes no vdf_revelation.")
    else:
        raise failure("The sandbox takes no drain_delegate.")


def conflict_key(content: Anonymous | FailingNoop) -> tuple[object, ...]:
    """What two of them may not share in one block or mempool."""
    if isinstance(content, SeedNonceRevelation):
        return (content.kind, content.level)
    if isinstance(content, ActivateAccount):
        return (content.kind, content.pkh)
    if isinstance(content, DrainDelegate):
        return (content.kind, content.delegate)
    return (content.kind,)


def conflict_error(
    content: Anonymous | FailingNoop, operation: Operation, existing: str, protocol: str
) -> NodeError:
    """The block has one like it already, under that hash."""
    conflict = {"conflict": {"existing": existing, "new_operation": operation.hash}}
    name = "conflicting_nonce_revelation" if isinstance(content, SeedNonceRevelation) else "conflict"
    return protocol_error(protocol, BRANCH, f"validate.operation.{name}", conflict)
