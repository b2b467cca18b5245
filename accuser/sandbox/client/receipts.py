"""What a manager operation did, as the client tells it (``lib_client/operation_result.ml``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from ..rpc.error_text import describe
from .amounts import SYMBOL, amount_text
from .context import unreadable

WIDTH: Final = 52
"""Columns of an account and the dots that lead to its change."""


def shown_sequence(contents: Sequence[Any], head: str = "This sequence of operations was run:") -> str:
    """Lines about the contents of an operation, with their metadata, under ``head``. Raises ``Failure``."""
    try:
        lines = [head]
        for content in contents:
            lines += [f"  {line}" for line in _content(content)]
        return "\n".join([*lines, ""])
    except (KeyError, TypeError, ValueError) as error:
        raise unreadable("simulate_operation", error) from error


def _content(content: Any) -> Iterator[str]:
    metadata = content["metadata"]
    if content["kind"] in ("proposals", "ballot"):
        yield from _vote(content)
        return
    yield "Manager signed operations:"
    yield f"  From: {content['source']}"
    yield f"  Fee to the baker: {_amount(int(content['fee']))}"
    yield f"  Expected counter: {content['counter']}"
    yield f"  Gas limit: {content['gas_limit']}"
    yield f"  Storage limit: {content['storage_limit']} bytes"
    yield from (f"  {line}" for line in _updates(metadata.get("balance_updates", ())))
    result = metadata["operation_result"]
    if content["kind"] == "transaction":
        yield "  Transaction:"
        yield f"    Amount: {_amount(int(content['amount']))}"
        yield f"    From: {content['source']}"
        yield f"    To: {content['destination']}"
        yield from (f"    {line}" for line in _result("transaction", result))
    else:
        yield f"  {'Revelation of manager public key'}:"
        yield f"    Contract: {content['source']}"
        yield f"    Key: {content['public_key']}"
        yield from (f"    {line}" for line in _result("revelation", result))


def _vote(content: Any) -> Iterator[str]:
    yield f"{content['kind'].capitalize()}:"
    yield f"  From: {content['source']}"
    yield f"  Period: {content['period']}"
    if content["kind"] == "ballot":
        yield f"  Protocol: {content['proposal']}"
        yield f'  Vote: "{content["ballot"]}"'
    else:
        yield "  Protocols:"
        yield from (f"    {one}" for one in content["proposals"])


def _result(what: str, result: Any) -> Iterator[str]:
    status = result["status"]
    if status == "applied":
        yield f"This {what} was successfully applied"
        yield f"Consumed gas: {gas_text(int(result.get('consumed_milligas', 0)))}"
        yield from _updates(result.get("balance_updates", ()))
    elif status == "failed":
        yield "This operation FAILED."
        for error in result.get("errors", ()):
            yield from describe(error).split("\n")
    elif status == "backtracked":
        yield f"This {what} was BACKTRACKED, its expected effects (as follow) were NOT applied."
    else:
        yield "This operation was skipped."


def gas_text(milligas: int) -> str:
    """An amount of gas in units, with its thousandths where there are any."""
    units, rest = divmod(milligas, 1000)
    return f"{units}.{rest:03}" if rest else str(units)


def _updates(updates: Sequence[Any]) -> Iterator[str]:
    if updates:
        yield "Balance updates:"
    for update in updates:
        name = update.get("contract") or update.get("category") or update["kind"]
        if name == "block fees":
            name = "payload fees(the block proposer)"
        change = int(update["change"])
        sign = "-" if change < 0 else "+"
        yield f"  {name} {'.' * max(1, WIDTH - len(name))} {sign}{_amount(abs(change))}"


def _amount(mumav: int) -> str:
    return f"{SYMBOL}{amount_text(mumav)}"
