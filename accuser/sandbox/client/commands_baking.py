"""The commands of ``mavkit-client`` while a protocol with delegates is active, as upstream words them.

Source: ``lib_delegate/baking_commands.ml``.
"""

from __future__ import annotations

import re
from typing import Final

from ..._mavryk.codec.forge import VOTES
from ..cli.clic import Refused
from ..cli.usage import Command, Option, Rest, words
from . import sources
from .commands_accounts import account_commands, amendment_commands
from .wallet import Wallet, WalletError

BAKING_GROUP: Final = "Tenderbake client commands"


def _vote(text: str) -> str:
    if text not in VOTES:
        raise Refused(f'unexpected vote: {text}, expected either "on", "off", or "pass".')
    return text


def _count(text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII) or int(text) < 1:
        raise Refused("Parameter should be a positive integer literal")
    return int(text)


_POOL: Final = Option(
    "operations-pool",
    "When specified, the baker will try to fetch operations from this file (or uri) and to include "
    "retrieved operations in the block. The expected format of the contents is a list of operations "
    "[ alpha.operation ].  Environment variable 'MAVRYK_CLIENT_REMOTE_OPERATIONS_POOL_HTTP_HEADERS' may also "
    "be specified to add headers to the requests (only 'host' headers are supported). If the resource "
    "cannot be retrieved, e.g., if the file is absent, unreadable, or the web service returns a 404 error, "
    "the resource is simply ignored.",
    "file|uri",
)
_MINIMAL: Final = Option(
    "minimal-timestamp",
    "Use the minimal timestamp instead of the current date as timestamp of the baked block.",
)
_FORCE: Final = Option(
    "force",
    "disables the node's injection checks\nForce the injection of branch-invalid operation or force  the "
    "injection of block without a fitness greater than the  current head.",
    short="f",
)
_FEES: Final = (
    Option(
        "minimal-fees",
        "exclude operations with fees lower than this threshold (in mav)",
        "amount",
        default="0.0001",
    ),
    Option(
        "minimal-nanomav-per-gas-unit",
        "exclude operations with fees per gas lower than this threshold (in nanomav)",
        "amount",
        default="100",
    ),
    Option(
        "minimal-nanomav-per-byte",
        "exclude operations with fees per byte lower than this threshold (in nanomav)",
        "amount",
        default="1000",
    ),
)
_APPLY: Final = Option("force-apply", "Force the baker to not only validate but also apply operations.")
_CONTEXT: Final = Option(
    "context",
    "When specified, the client will read in the local context at the provided path in order to build the "
    "block, instead of relying on the 'preapply' RPC.",
    "path",
)
_RECORD: Final = Option(
    "record-state",
    "If record-state flag is set, the baker saves all its internal consensus state in the filesystem, "
    "otherwise just in memory.",
)
_ISSUANCE: Final = Option(
    "adaptive-issuance-vote",
    "Vote to adopt or not the adaptive issuance feature. The possible values for this option are: "
    '"off" to request not activating it, "on" to request activating it, and "pass" to abstain. If you '
    'do not vote, default value is "pass".',
    "vote",
    parse=_vote,
)
_NO_MEMPOOL: Final = Option(
    "ignore-node-mempool",
    "Ignore mempool operations from the node and do not subsequently monitor them. Use in conjunction "
    "with --operations option to restrict the observed operations to those of the mempool file.",
)
_DAL: Final = Option("dal-node", "endpoint of the DAL node, e.g. 'http://localhost:8933'", "uri")
_COUNT: Final = Option("count", "number of blocks to bake", "block count", "n", parse=_count, default="1")

_BAKE: Final = (
    *_FEES,
    _MINIMAL,
    _APPLY,
    _FORCE,
    _POOL,
    _CONTEXT,
    _ISSUANCE,
    _NO_MEMPOOL,
    _DAL,
    _COUNT,
    _RECORD,
)
_PROPOSE: Final = (*_FEES, _MINIMAL, _APPLY, _FORCE, _POOL, _CONTEXT, _RECORD)
_VOTE: Final = (
    Option(
        "force",
        "Disable consistency, injection and double signature checks for (pre)attestations.",
        short="f",
    ),
)


def economic_commands(wallet: Wallet) -> tuple[Command, ...]:
    """Commands of the client while a protocol with delegates is active."""

    def delegate(text: str) -> str:
        try:
            return sources.delegate(wallet, text)
        except WalletError as error:
            raise Refused(*str(error).split("\n")) from None

    delegates = Rest(
        "baker",
        "name of the delegate owning the attestation/baking right or name of the consensus key signing "
        "on the delegate's behalf",
        delegate,
    )
    bake: tuple[str | Rest, ...] = (*words("bake for"), delegates)
    propose: tuple[str | Rest, ...] = (*words("propose for"), delegates)
    baking = "Forge and inject block using the delegates' rights."
    return (
        Command("bake", bake, baking, _BAKE, BAKING_GROUP),
        *_vote_commands(delegates),
        Command("propose", propose, "Send a Tenderbake proposal", _PROPOSE, BAKING_GROUP),
        *amendment_commands(delegate),
        *account_commands(wallet),
    )


def _vote_commands(delegates: Rest) -> list[Command]:
    commands = []
    for word, what in (
        ("attest", "attestation"),
        ("endorse", "attestation"),
        ("preattest", "preattestation"),
        ("preendorse", "preattestation"),
    ):
        doc = f"Forge and inject {'an' if what[0] == 'a' else 'a'} {what} operation."
        if "endorse" in word:
            doc = f"Deprecated, use **{word.replace('endorse', 'attest')} for** instead. {doc}"
        commands.append(Command(what, (*words(f"{word} for"), delegates), doc, _VOTE, BAKING_GROUP))
    return commands
