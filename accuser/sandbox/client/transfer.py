"""``transfer``: an operation of a manager, simulated, paid for, injected and awaited.

Sources: ``lib_client/{injection,client_proto_context}.ml``. Contracts are not run in the sandbox, so
tokens go between accounts only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from ..._mavryk.codec.crypto import Key, Watermark, watermark
from ..._mavryk.codec.manager import Body, Manager, Reveal, Transaction
from ..._mavryk.codec.operations import Operation
from ..rpc.error_text import describe
from ..rpc.request import RpcFailed
from .amounts import SYMBOL, amount_text
from .context import ZERO_SIGNATURE, Context, Failure, unreadable
from .receipts import gas_text, shown_sequence
from .waiting import bootstrapped, included, recommend

SAFETY_GAS: Final = 0
"""What is added to the gas of transfers between accounts and of revelations; that of calls may vary."""
SAFETY_STORAGE: Final = 20
"""Bytes that are added to the storage of what takes any."""
FEE_PER_BYTE: Final = 1000
"""In nanomav, as of the unit of gas."""
FEE_PER_GAS: Final = 100
COST_PER_BYTE: Final = 250
"""Of storage, in mumav."""
ALLOCATION: Final = 257
"""Bytes of storage that a new account is paid for."""


@attrs.frozen
class TransferOptions:
    """The options of ``transfer``; amounts in mumav, None for what the client finds out itself."""

    minimal_fees: int
    fee_cap: int
    burn_cap: int
    fee: int | None = None
    gas_limit: int | None = None
    storage_limit: int | None = None
    counter: int | None = None
    force_low_fee: bool = False
    dry_run: bool = False
    simulation: bool = False

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> TransferOptions:
        """Out of a command line's options."""
        return cls(**{one.name: options[one.name.replace("_", "-")] for one in attrs.fields(cls)})


async def transfer(
    context: Context, amount: int, source: str, destination: str, options: TransferOptions
) -> None:
    """Give ``amount`` mumav to an account.

    Raises:
        Failure: the node refused something, or it would cost more than is allowed.
        WalletError: there is no key to sign with.
    """
    key = context.wallet.key(source)
    try:
        await _transfer(context, key, source, Transaction(amount, destination), options)
    except RpcFailed as error:
        # As upstream, which reports them as it does those of a script.
        context.warning("\n".join(describe(one) for one in error.trace))
        raise Failure("transfer simulation failed") from error


async def _transfer(
    context: Context, key: Key, source: str, transaction: Transaction, options: TransferOptions
) -> None:
    counter = options.counter
    if counter is None:
        counter = int(await context.get(f"{context.at}/context/contracts/{source}/counter")) + 1
    bodies = await _bodies(context, key, transaction)
    await bootstrapped(context)
    branch = await context.get(f"{context.at}/hash")
    constants = await context.get(f"{context.at}/context/constants")
    gas = options.gas_limit or min(
        int(constants.get("hard_gas_limit_per_operation", 1_040_000)),
        int(constants.get("hard_gas_limit_per_block", 1_733_333)) // len(bodies),
    )
    # A chain of few parameters does not tell its limits; these are then the usual ones.
    storage = int(constants.get("hard_storage_limit_per_operation", 60_000))
    tried = tuple(
        Manager(source, options.fee or 0, counter + index, gas, storage, body)
        for index, body in enumerate(bodies)
    )
    receipts = await _simulated(context, Operation(branch, tried, ZERO_SIGNATURE))
    _check_burn(receipts, options)
    final = _limited(context, tried, receipts, options)
    _check_fees(final, options)
    unsigned = Operation(branch, final)
    signature = key.sign(unsigned.unsigned_bytes(), watermark=watermark(Watermark.GENERIC))
    signed = attrs.evolve(unsigned, signature=signature)
    if options.dry_run or options.simulation:
        context.message(f"Operation: 0x{signed.to_bytes().hex()}\nOperation hash is '{signed.hash}'")
        context.message(shown_sequence(await _simulated(context, signed), "Simulation result:"))
        return
    results = await _simulated(context, signed)
    chain_id = await context.get(f"/chains/{context.chain}/chain_id")
    path = f"/injection/operation?chain={chain_id}"
    injected = str(await context.call("POST", path, signed.to_bytes().hex()))
    context.message(f"Operation successfully injected in the node.\nOperation hash is '{injected}'")
    if (operation := await included(context, injected, branch)) is not None:
        results = list(operation["contents"])
    context.message(shown_sequence(results))
    recommend(context, injected, branch)


async def _bodies(context: Context, key: Key, body: Body) -> tuple[Body, ...]:
    """The operation, after the revelation of the source's key where that is needed."""
    known = await context.get(f"{context.at}/context/contracts/{key.pkh}/manager_key")
    return (body,) if known is not None else (Reveal(key.public_key), body)


async def _simulated(context: Context, operation: Operation) -> list[Any]:
    """The contents with their metadata. Raises ``RpcFailed``, and ``Failure`` if one would fail."""
    chain_id = await context.get(f"/chains/{context.chain}/chain_id")
    path = f"{context.at}/helpers/scripts/simulate_operation"
    answer = await context.call("POST", path, {"operation": operation.to_json(), "chain_id": chain_id})
    try:
        contents = list(answer["contents"])
        applied = all(one["metadata"]["operation_result"]["status"] == "applied" for one in contents)
    except (KeyError, TypeError) as error:
        raise unreadable("simulate_operation", error) from error
    if not applied:
        context.message(shown_sequence(contents, "This simulation failed:"))
        raise Failure("transfer simulation failed")
    return contents


def _limited(
    context: Context, tried: tuple[Manager, ...], receipts: list[Any], options: TransferOptions
) -> tuple[Manager, ...]:
    """The contents with limits by what they consumed, and the least fee that is enough."""
    final = []
    for content, receipt in zip(tried, receipts, strict=True):
        last = content is tried[-1]
        gas, storage = options.gas_limit if last else None, options.storage_limit if last else None
        if gas is None:
            used = int(receipt["metadata"]["operation_result"]["consumed_milligas"])
            context.message(f"Estimated gas: {gas_text(used)} units (will add {SAFETY_GAS} for safety)")
            gas = -(-used // 1000) + SAFETY_GAS
        if storage is None:
            storage = added = _storage(receipt)
            if added:
                what = f"{added} bytes added (will add {SAFETY_STORAGE} for safety)"
                storage = added + SAFETY_STORAGE
            else:
                what = "no bytes added"
            context.message(f"Estimated storage: {what}")
        final.append(attrs.evolve(content, gas_limit=gas, storage_limit=storage, fee=0))
    for index, content in enumerate(final):
        if options.fee is not None and index == len(final) - 1:
            final[index] = attrs.evolve(content, fee=options.fee)
        else:
            final[index] = _paid(content, options.minimal_fees, overhead=96 if index == 0 else 0)
    return tuple(final)


def _paid(content: Manager, minimal: int, *, overhead: int) -> Manager:
    """With the least fee: by the bytes, which the fee itself has part in, and by the gas."""
    while True:
        size = len(content.to_bytes()) + overhead
        nano = minimal * 1000 + size * FEE_PER_BYTE + content.gas_limit * FEE_PER_GAS
        fee = -(-nano // 1000)
        if fee <= content.fee:
            return content
        content = attrs.evolve(content, fee=fee)


def _storage(receipt: Any) -> int:
    result = receipt["metadata"]["operation_result"]
    allocated = ALLOCATION if result.get("allocated_destination_contract") else 0
    return allocated + int(result.get("paid_storage_size_diff", 0))


def _check_burn(receipts: list[Any], options: TransferOptions) -> None:
    burned = sum(map(_storage, receipts)) * COST_PER_BYTE
    if burned > options.burn_cap:
        raise Failure(
            f"The operation will burn {SYMBOL}{amount_text(burned)} which is higher than the configured "
            f"burn cap ({SYMBOL}{amount_text(options.burn_cap)}).\n"
            f" Use `--burn-cap {amount_text(burned)}` to emit this operation."
        )


def _check_fees(final: tuple[Manager, ...], options: TransferOptions) -> None:
    fee = sum(content.fee for content in final)
    if fee > options.fee_cap:
        raise Failure(
            f"The proposed fee ({SYMBOL}{amount_text(fee)}) are higher than the configured fee cap "
            f"({SYMBOL}{amount_text(options.fee_cap)}).\n"
            f" Use `--fee-cap {amount_text(fee)}` to emit this operation anyway."
        )
    least = _paid(attrs.evolve(final[-1], fee=0), options.minimal_fees, overhead=96 if len(final) == 1 else 0)
    if final[-1].fee < least.fee and not options.force_low_fee:
        raise Failure(
            "The proposed fee "
            f"({SYMBOL}{amount_text(final[-1].fee)}) are lower than the fee that baker expect "
            f"({SYMBOL}{amount_text(least.fee)}).\n Use `--force-low-fee` to emit this operation anyway."
        )
