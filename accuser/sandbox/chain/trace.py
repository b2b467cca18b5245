"""Errors as the node's RPCs tell them: a trace of JSON objects, the outermost first.

Identifiers, kinds and fields are those that upstream registers; a protocol's identifiers are
prefixed with ``proto.`` and its long name.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from ..._mavryk.protocol import GENESIS_PROTOCOL, Protocol

Error = dict[str, object]

PERMANENT = "permanent"
TEMPORARY = "temporary"
BRANCH = "branch"
OUTDATED = "outdated"


@attrs.frozen(eq=False)
class NodeError(Exception):
    """Something that the node refuses.

    ``trace`` holds at least one error, each with ``kind`` and ``id``.
    """

    trace: tuple[Error, ...]

    def __str__(self) -> str:
        return ": ".join(describe(error) for error in self.trace)

    @property
    def kind(self) -> str:
        """The kind of the whole trace: that of its innermost error which is not temporary."""
        kinds = [str(error["kind"]) for error in self.trace]
        return next((kind for kind in reversed(kinds) if kind != TEMPORARY), TEMPORARY)

    def under(self, outer: Error) -> NodeError:
        """The same trace, below another error."""
        return NodeError((outer, *self.trace))


def describe(error: Error) -> str:
    """One error in a few words, for messages to people."""
    if "msg" in error:
        return str(error["msg"])
    fields = ", ".join(f"{name}: {value}" for name, value in error.items() if name not in ("kind", "id"))
    return f"{error['id']} ({fields})" if fields else str(error["id"])


def failure(message: str) -> NodeError:
    """An error that upstream gives no identifier of its own."""
    return NodeError(({"kind": TEMPORARY, "id": "failure", "msg": message},))


def shell_error(kind: str, identifier: str, **fields: object) -> NodeError:
    """An error of the node, outside any protocol."""
    return NodeError(({"kind": kind, "id": identifier, **fields},))


def invalid_block(block: str, reason: Mapping[str, object]) -> NodeError:
    """The error for a block that the node itself refuses."""
    return shell_error(PERMANENT, "validator.invalid_block", invalid_block=block, error=reason)


def protocol_error(
    protocol: str, kind: str, identifier: str, fields: Mapping[str, object] | None = None
) -> NodeError:
    """An error of the protocol with that hash."""
    error: Error = {"kind": kind, "id": f"proto.{long_name(protocol)}.{identifier}"}
    for name, value in (fields or {}).items():
        error[_Again(name) if name in error else name] = value
    return NodeError((error,))


def bad_signature(protocol: str, signature: bytes | None) -> NodeError:
    """A signature is not right. One of zeros is none at all."""
    name = "invalid_signature" if signature is not None and any(signature) else "missing_signature"
    return protocol_error(protocol, PERMANENT, f"operation.{name}")


class _Again(str):
    """A key that an object has already: upstream's errors about a ``kind`` have that key twice.

    The first says what kind of error it is. Typed clients need both.
    """

    __slots__ = ()
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    def __ne__(self, other: object) -> bool:
        return self is not other


def long_name(protocol: str) -> str:
    """The name of a protocol hash in identifiers; the hash itself where there is none."""
    if protocol == GENESIS_PROTOCOL:
        return "genesis"
    return next((known.long_name for known in Protocol if known.hash == protocol), protocol)
