"""The commands of ``mavkit-client`` about accounts and votes, while a protocol with delegates is active.

Sources: ``lib_client_commands/client_proto_{context,contracts}_commands.ml``, ``client_proto_args.ml``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from ..._mavryk.codec.base58 import Base58Error, Kind, decode
from ..cli.clic import Refused
from ..cli.usage import Command, Option, Param, Rest, words
from . import sources
from .amounts import AmountError, parse_amount
from .wallet import Wallet, WalletError

CONTEXT_GROUP: Final = "Block contextual commands (see option -block)"
CONTRACTS_GROUP: Final = "Commands for managing the record of known contracts"

_AMOUNT_FORMAT: Final = (
    "Text format: `DDDDDDD.DDDDDD`.\nTez and mumav and separated by a period sign. Trailing and pending "
    "zeroes are allowed."
)


def _proposal(text: str) -> str:
    try:
        decode(Kind.PROTOCOL, text)
    except Base58Error:
        raise Refused(f"Invalid proposal hash: '{text}'") from None
    return text


def _ballot(text: str) -> str:
    ballots = {"yay": "yay", "yea": "yay", "nay": "nay", "pass": "pass"}
    if text.lower() not in ballots:
        raise Refused(f"Invalid ballot: '{text.lower()}'")
    return ballots[text.lower()]


def _amount(parameter: str) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            return parse_amount(text)
        except AmountError:
            raise Refused(f"Invalid ṁ notation in parameter {parameter}: '{text}'") from None

    return parse


def _natural(complaint: str) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", text, re.ASCII):
            raise Refused(complaint)
        return int(text)

    return parse


_DRY_RUN: Final = Option("dry-run", "don't inject the operation, just display it", short="D")
_VERBOSE: Final = Option("verbose-signing", "display extra information before signing the operation")
_FORCE_VOTE: Final = Option(
    "force",
    "Do not fail when the checks that try to prevent the user from shooting themselves in the foot do fail.",
)


def amendment_commands(delegate: Callable[[str], str]) -> tuple[Command, ...]:
    """Commands about the amendment; ``delegate`` reads who votes."""
    proposer = Param("delegate", "the delegate who makes the proposal", delegate)
    voter = Param("delegate", "the delegate who votes", delegate)
    proposal = Rest("proposal", "the protocol hash proposal to be submitted", _proposal)
    voted_on = Param("proposal", "the protocol hash proposal to vote for", _proposal)
    values = "the ballot value (yea, nay, or pass; yay is a deprecated synonym for yea)"
    propose: tuple[str | Param | Rest, ...] = (*words("submit proposals for"), proposer, proposal)
    vote: tuple[str | Param, ...] = (
        *words("submit ballot for"),
        voter,
        voted_on,
        Param("ballot", values, _ballot),
    )
    proposing, voting = (_DRY_RUN, _VERBOSE, _FORCE_VOTE), (_VERBOSE, _DRY_RUN, _FORCE_VOTE)
    shown = "Summarize the current voting period"
    return (
        Command("show period", words("show voting period"), shown, group=CONTEXT_GROUP),
        Command("proposals", propose, "Submit protocol proposals", proposing, CONTEXT_GROUP),
        Command("ballot", vote, "Submit a ballot", voting, CONTEXT_GROUP),
    )


def _transfer_options() -> tuple[Option, ...]:
    gas = _natural("invalid gas limit (must be a positive number)")
    storage = _natural("invalid storage limit (must be a positive number of bytes)")
    number = _natural("Invalid counter, must be a non-negative number.")
    return (
        Option("fee", "fee in ṁ to pay to the baker", "amount", parse=_amount("--fee")),
        _DRY_RUN,
        _VERBOSE,
        Option(
            "simulation",
            "Simulate the execution of the command, without needing any signatures.",
        ),
        Option(
            "force",
            "disables the node's injection checks\nForce the injection of branch-invalid operation or force  "
            "the injection of block without a fitness greater than the  current head.",
            short="f",
        ),
        Option(
            "gas-limit",
            "Set the gas limit of the transaction instead of letting the client decide based on a simulation",
            "amount",
            "G",
            parse=gas,
        ),
        Option(
            "storage-limit",
            "Set the storage limit of the transaction instead of letting the client decide based on a "
            "simulation",
            "amount",
            "S",
            parse=storage,
        ),
        Option("counter", "Set the counter to be used by the transaction", "counter", "C", parse=number),
        Option(
            "minimal-fees",
            "exclude operations with fees lower than this threshold (in mav)",
            "amount",
            parse=_amount("--minimal-fees"),
            default="0.0001",
        ),
        Option("force-low-fee", "Don't check that the fee is lower than the estimated default value"),
        Option("fee-cap", "Set the fee cap", "amount", parse=_amount("--fee-cap"), default="1.0"),
        Option("burn-cap", "Set the burn cap", "amount", parse=_amount("--burn-cap"), default="0"),
    )


def account_commands(wallet: Wallet) -> tuple[Command, ...]:
    """Commands about accounts and what they own."""

    def contract(text: str) -> str:
        try:
            return sources.contract(wallet, text)
        except WalletError as error:
            raise Refused(*str(error).split("\n")) from None

    ways = (
        "Can be a literal, an alias, or a key (autodetected in order).\n"
        "Use 'text:<literal>', 'alias:<name>', 'key:<key>' to force."
    )
    source = Param("src", f"source contract\n{ways}", contract)
    sender = Param("src", f"name of the source contract\n{ways}", contract)
    receiver = Param("dst", f"name/literal of the destination contract\n{ways}", contract)
    quantity = Param("qty", f"amount taken from source in ṁ\n{_AMOUNT_FORMAT}", _amount("qty"))
    transfer = ("transfer", quantity, "from", sender, "to", receiver)
    seconds = Option("seconds", "output time in seconds", short="s")
    return (
        Command(
            "timestamp",
            words("get timestamp"),
            "Access the timestamp of the block.",
            (seconds,),
            CONTEXT_GROUP,
        ),
        Command(
            "balance",
            (*words("get balance for"), source),
            "Get the liquid balance of a contract.",
            group=CONTEXT_GROUP,
        ),
        Command(
            "transfer",
            transfer,
            "Transfer tokens / call a smart contract.",
            _transfer_options(),
            CONTEXT_GROUP,
        ),
        Command(
            "contracts",
            words("list known contracts"),
            "Lists all known contracts in the wallet.",
            group=CONTRACTS_GROUP,
        ),
    )
