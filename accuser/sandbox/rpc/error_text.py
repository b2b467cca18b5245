"""What upstream's programs print for an error of a trace.

Only the errors that an accuser or a client of this sandbox can meet have their own message; any
other one is shown as JSON, as upstream shows what is not registered.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

MARGIN: Final = 78
EMPTY_TRACE: Final = "RPC.Empty_error_list"

_NO_TRACE: Final = "The RPC returned with an error code but no associated error.\n"


_BARE: Final = "\v"
"""Stands for a line end inside of a text from elsewhere."""


def describe(error: object) -> str:
    """The message of one error, of one or several lines."""
    return _message(error).replace(_BARE, "\n")


def laid_out(error: object, indent: str) -> str:
    """The message of one error, each line indented, and ended.

    A line end that a server sent stays as it is: ``Format`` indents after breaks of its own alone.
    """
    lines = _message(error).split("\n")
    return "".join(f"{indent}{line}\n" for line in lines).replace(_BARE, "\n")


def _bare(text: str) -> str:
    return text.replace("\n", _BARE)


def _message(error: object) -> str:
    if isinstance(error, Mapping) and isinstance(identifier := error.get("id"), str):
        known = _TEXTS.get(identifier)
        if known is None and identifier.startswith("proto."):
            known = _PROTOCOL_TEXTS.get(identifier.split(".", 2)[-1])
        if known is not None:
            kind, message = known
            try:
                if error.get("kind") == kind:
                    return message(error)
            except (KeyError, TypeError):
                # Fields that do not fit the definition: upstream does not recognise it either.
                pass
    return "\n".join(["Unregistered error:", *_packed(error)])


def quoted(text: str) -> str:
    """A string as OCaml's ``%S`` writes it."""
    escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r", "\b": "\\b"}
    parts = []
    for byte in text.encode("utf-8", "surrogateescape"):
        character = chr(byte)
        plain = escapes.get(character, character if 32 <= byte < 127 else f"\\{byte:03d}")
        parts.append(plain)
    return f'"{"".join(parts)}"'


def _packed(value: object) -> list[str]:
    """JSON in a box that breaks between fields where a line would be too long."""
    if not isinstance(value, Mapping):
        return [f"  {json.dumps(value, ensure_ascii=False)}"]
    fields = [f"{json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}" for k, v in value.items()]
    pieces = [f"{field}," for field in fields[:-1]] + [f"{field} }}" for field in fields[-1:]]
    lines = ["  {"]
    for piece in pieces or ["}"]:
        if lines[-1].strip() != "{" and len(lines[-1]) + 1 + len(piece) + 2 > MARGIN:
            lines.append(f"    {piece}")
        else:
            lines[-1] += f" {piece}"
    return lines


def _request_failed(error: Mapping[str, Any]) -> str:
    lines = ["Rpc request failed:", f"   - meth: {error['meth']}", f"   - uri: {error['uri']}"]
    first, *more = _client_error(error["error"]).split("\n")
    lines.append(f"   - error: {first}")
    lines += [f"            {line}" for line in more]
    return "\n".join(lines)


def _client_error(error: Mapping[str, Any]) -> str:
    match error["kind"]:
        case "connection_failed":
            return f'Unable to connect to the node: "{error["message"]}"'
        case "bad_request":
            return f"Oops! It looks like we forged an invalid HTTP request.\n  {_bare(error['message'])}"
        case "forbidden":
            return "The server forbids access."
        case "unauthorized_uri":
            return "The server doesn't authorize this endpoint (ACL filtering)."
        case "method_not_allowed":
            methods = "\n   ".join(error["allowed"])
            return f"The requested service only accepts the following method:\n   {methods}"
        case "unsupported_media_type":
            return "The server wants to known the media type we used."
        case "not_acceptable":
            return (
                "No intersection between the media types we accept and  the ones the server is able "
                f"to send.\n   We proposed: {error['proposed']}\n"
                f"   The server is only able to serve: {_bare(error['acceptable'])}."
            )
        case "unexpected_status_code":
            return f"Unexpected error {error['code']}:\n  {quoted(error['content'])}"
        case "unexpected_content_type":
            head = f"The server answered with a media type we do not understand: {error['received']}."
            return f"{head}\nThe response body was:\n{_bare(error['body'])}"
        case "unexpected_content":
            complaint = str(error["error"]).replace("\n", "\n    ")
            return (
                f"Failed to parse the answer ({error['media_type']}):\n"
                f"  error:\n    {complaint}\n  content:\n    {quoted(error['content'])}"
            )
        case "ocaml_exception":
            return f"The server failed with an unexpected exception:\n  {_bare(error['message'])}"
        case "empty_answer":
            return "The server answered with an empty response."
        case _:
            raise KeyError(error["kind"])


_Text = tuple[str, Callable[[Mapping[str, Any]], str]]

_DENUNCIATIONS: Final = {"preattestation": "preattestation", "attestation": "attestation", "block": "block"}


def _already_denounced(error: Mapping[str, Any]) -> str:
    level = error["level"]["level"]
    what = _DENUNCIATIONS[error["denunciation_kind"]]
    return f"Delegate {error['delegate']} at level {level} has already been denounced for a double {what}."


def _conflicting(error: Mapping[str, Any]) -> str:
    what = _DENUNCIATIONS[error["denunciation_kind"]]
    return (
        f"Double {what} evidence already exists in the current validation state as operation "
        f"{error['conflict']['existing']}."
    )


def _inconsistent(error: Mapping[str, Any]) -> str:
    what = _DENUNCIATIONS[error["kind"]]
    first, second = str(error["delegate1"])[:15], str(error["delegate2"])[:15]
    return f"Inconsistent double-{what} evidence (distinct delegate: {first} and {second})"


def _always(text: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda error: text


_TEXTS: Final[Mapping[str, _Text]] = {
    "node.p2p_pool.connection_failed": (
        "permanent",
        _always("TCP connection failed (refused or no route to host."),
    ),
    "node.p2p_pool.private_mode": ("permanent", _always("Node is in private mode.")),
    "node.p2p_pool.point_banned": ("permanent", _always("The address you tried to connect is banned.")),
    "failure": ("temporary", lambda error: str(error["msg"])),
    "rpc_client.request_failed": ("permanent", _request_failed),
    "prevalidation.operation_conflict": (
        "temporary",
        lambda error: (
            f"The operation {error['new_hash']} cannot be added because the mempool already contains a "
            "conflicting operation. The pre-existing operation cannot be replaced with the new one, even "
            "if fees were increased. Try again after the next block has been baked."
        ),
    ),
    "RPC_context.Not_found": (
        "branch",
        lambda error: f"Did not find service: {error['method']} {error['uri']}",
    ),
    "RPC_context.Gone": (
        "branch",
        lambda error: (
            "RPC lookup failed. Block has been pruned and requested data deleted, service: "
            f"{error['method']} {error['uri']}"
        ),
    ),
    "RPC_context.Generic_error": (
        "branch",
        lambda error: f"Generic error: {error['method']} {error['uri']}",
    ),
    EMPTY_TRACE: ("branch", lambda error: _NO_TRACE),
}

_PROTOCOL_TEXTS: Final[Mapping[str, _Text]] = {
    "validate.operation.already_denounced": ("branch", _already_denounced),
    "validate.operation.conflicting_denunciation": ("branch", _conflicting),
    "validate.operation.block.inconsistent_denunciation": ("permanent", _inconsistent),
    "validate.temporarily_forbidden_delegate": (
        "permanent",
        lambda error: (
            f"Delegate {error['delegate']} has committed too many misbehaviours; it is temporarily not "
            "allowed to bake/preattest/attest."
        ),
    ),
    "delegate_service.balance_rpc_on_non_delegate": (
        "temporary",
        lambda error: (
            f"The implicit account ({error['pkh']}) whose balance was requested is not a registered "
            "delegate. To get the balance of this account you can use the "
            f"../context/contracts/{error['pkh']}/balance RPC."
        ),
    ),
    "delegate.not_registered": (
        "temporary",
        lambda error: (
            f"The provided public key hash ({error['pkh']}) is not the address of a registered delegate. If "
            "you own this account and want to register it as a delegate, use a delegation operation to "
            "delegate the account to itself."
        ),
    ),
    "invalid_fitness": ("permanent", lambda error: "Invalid fitness"),
}
