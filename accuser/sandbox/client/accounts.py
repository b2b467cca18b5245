"""``get timestamp``, ``get balance for``, ``list known contracts``."""

from __future__ import annotations

from ..._mavryk.codec.fields import ForgeError
from ..._mavryk.codec.forge import parse_timestamp
from .amounts import SYMBOL, amount_text
from .context import Context, unreadable
from .wallet import CONTRACTS, HASHES


async def show_timestamp(context: Context, *, seconds: bool) -> None:
    """Print the time of the block. Raises ``RpcFailed`` and ``Failure``."""
    header = await context.get(f"{context.at}/header/shell")
    try:
        text = header["timestamp"]
        context.message(str(parse_timestamp(text)) if seconds else str(text))
    except (ForgeError, KeyError, TypeError) as error:
        raise unreadable("header/shell", error) from error


async def show_balance(context: Context, contract: str) -> None:
    """Print what an account can spend. Raises ``RpcFailed`` and ``Failure``."""
    balance = await context.get(f"{context.at}/context/contracts/{contract}/balance")
    try:
        context.message(f"{amount_text(int(balance))} {SYMBOL}")
    except (TypeError, ValueError) as error:
        raise unreadable("balance", error) from error


def list_contracts(context: Context) -> None:
    """Print the wallet's contracts and accounts. Raises ``WalletError``."""
    contracts = context.wallet.aliases(CONTRACTS)
    for alias, contract in contracts.items():
        context.message(f"{alias}: {contract}")
    for alias, pkh in context.wallet.aliases(HASHES).items():
        context.message(f"{'key:' if alias in contracts else ''}{alias}: {pkh}")
