"""What pymavryk does with a node in sandbox mode: ``python -m tests.tools.strangers.with_pymavryk URL``.

The chain is pymavryk's from the first block on: it activates, bakes, and denounces who bakes twice. Each
step is one line of the output: its name and ``ok``, or what went wrong; the status is 1 if any did.
"""

from __future__ import annotations

import os
import sys
import time
from decimal import Decimal

from pymavryk.crypto.key import Key
from pymavryk.michelson.forge import forge_base58
from pymavryk.sandbox.node import get_next_baker_key
from pymavryk.sandbox.parameters import LATEST, sandbox_addresses

from .pymavryk_chain import BAKERS, Chain, Steps, refused
from .pymavryk_reads import reads


def transfers(step: Steps, chain: Chain) -> None:
    """Transfers and revelations, and what is read of them."""
    one, two, fresh = chain.using("bootstrap1"), chain.using("bootstrap2"), chain.fresh
    there, home = BAKERS[1], fresh.key.public_key_hash()

    @step
    def transfer() -> None:
        """transfer: autofill, sign, inject"""
        before = two.balance()
        sent = one.transaction(destination=there, amount=Decimal("2.5")).autofill().sign().inject()
        chain.included(chain.bake(), sent["hash"])
        assert two.balance() >= before + Decimal("2.5")

    @step
    def alice() -> None:
        """what an account pays for its revelation and a transfer, to the mumav"""
        address = sandbox_addresses["alice"]
        one.transaction(destination=address, amount=4200).fill().sign().inject()
        chain.bake()
        own = chain.using("alice")
        made = own.reveal().transaction(destination=BAKERS[3], amount=69)
        sent = made.autofill().sign().inject()
        chain.included(chain.bake(), sent["hash"])
        # What pymavryk's own tests saw of a real node.
        assert own.account()["balance"] == "3665"

    @step
    def allocate() -> None:
        """send to an account that is not there yet"""
        sent = one.transaction(destination=home, amount=10_000_000).send()
        value = chain.included(chain.bake(), sent.opg_hash)
        assert value["contents"][0]["metadata"]["operation_result"]["allocated_destination_contract"]
        assert fresh.balance() == Decimal(10)

    @step
    def not_revealed() -> None:
        """who is not revealed is refused"""
        refused("unrevealed_key", lambda: fresh.transaction(there, 1).autofill().sign().inject())

    @step
    def reveal() -> None:
        """reveal: autofill, sign, inject"""
        sent = fresh.reveal().autofill().sign().inject()
        chain.included(chain.bake(), sent["hash"])
        assert chain.shell.contracts[home].manager_key() == fresh.key.public_key()
        refused("previously_revealed_key", lambda: fresh.reveal().autofill())

    @step
    def reveal_and_send() -> None:
        """bulk: reveal, register and send at once, of secp256k1"""
        other = chain.using(Key.generate(curve=b"sp", export=False))
        name = other.key.public_key_hash()
        one.transaction(destination=name, amount=10_000_000).send()
        chain.bake()
        made = other.bulk(other.reveal(), other.delegation(), other.transaction(there, 3))
        sent = made.autofill().sign().inject()
        assert len(chain.included(chain.bake(), sent["hash"])["contents"]) == 3
        assert chain.shell.contracts[name].delegate() == name


def delegations(step: Steps, chain: Chain) -> None:
    """Batches, delegations, and what the node refuses."""
    one, two, fresh = chain.using("bootstrap1"), chain.using("bootstrap2"), chain.fresh
    there, home = BAKERS[1], fresh.key.public_key_hash()

    @step
    def bulk() -> None:
        """bulk of five transfers"""
        made = fresh.bulk(*[fresh.transaction(destination=there, amount=i + 1) for i in range(5)])
        sent = made.autofill().sign().inject()
        assert len(chain.included(chain.bake(), sent["hash"])["contents"]) == 5

    @step
    def delegation() -> None:
        """delegation to another, to nobody, and to oneself"""
        sent = fresh.delegation(delegate=BAKERS[1]).autofill().sign().inject()
        chain.included(chain.bake(), sent["hash"])
        assert fresh.account()["delegate"] == BAKERS[1]
        content = {key: value for key, value in fresh.delegation().contents[0].items() if key != "delegate"}
        sent = fresh.operation(content).autofill().sign().inject()
        chain.included(chain.bake(), sent["hash"])
        assert "delegate" not in fresh.account()
        sent = fresh.delegation().autofill().sign().inject()
        chain.included(chain.bake(), sent["hash"])
        assert chain.shell.head.context.delegates[home]()["deactivated"] is False

    @step
    def refusals() -> None:
        """too much, too early, to oneself: the node's errors"""
        refused("balance_too_low", lambda: fresh.transaction(there, 10**15).autofill())
        refused("counter_in_the_past", lambda: one.transaction(there, 1).fill(counter=1).sign().inject())
        refused("counter_in_the_future", lambda: one.transaction(there, 1).fill(counter=9999).sign().inject())
        refused("already_active", lambda: fresh.delegation().autofill())
        refused("failing_noop", lambda: one.failing_noop("6869").fill().sign().inject())
        wrong = one.transaction(there, 1).autofill().sign()
        refused(
            "invalid_signature",
            lambda: wrong._spawn(signature=two.transaction(there, 1).autofill().sign().signature).inject(),
        )


def preparations(step: Steps, chain: Chain) -> None:
    """What is made before an operation is injected, and what becomes of it in the mempool."""
    one, there, home = chain.using("bootstrap1"), BAKERS[1], chain.fresh.key.public_key_hash()

    @step
    def forging() -> None:
        """bytes of its forger are the node's"""
        micheline: tuple[list[object], ...] = ([{"prim": "unit"}], [{"prim": "unit"}], [[]])
        names = ("parameter", "storage", "code")
        code = [{"prim": name, "args": args} for name, args in zip(names, micheline, strict=True)]
        parameters = {"entrypoint": "set_delegate", "value": {"prim": "Unit"}}
        for made in (
            one.transaction(there, 1),
            one.transaction(there, 1, parameters=parameters),
            one.bulk(one.reveal(), one.delegation(there), one.transaction(there, 7)),
            one.register_global_constant({"int": "3"}),
            one.activate_account(activation_code="41f98b15efc63fa893d61d7d6eee4a2ce9427ac4", pkh=home),
            one.origination(script={"code": code, "storage": {"prim": "Unit"}}),
        ):
            made.fill().forge(validate=True)

    @step
    def simulation() -> None:
        """run_operation, and stakes by an entrypoint"""
        result = one.transaction(there, 1).autofill().run_operation()
        assert result["contents"][0]["metadata"]["operation_result"]["status"] == "applied"
        stake = {"entrypoint": "stake", "value": {"prim": "Unit"}}
        made = one.transaction(one.key.public_key_hash(), 10**6, parameters=stake)
        refused("manual_staking_forbidden", made.autofill)

    @step
    def message() -> None:
        """sign and check a message"""
        one.check_message("hi", one.key.public_key(), one.sign_message("hi"))

    @step
    def without_simulation() -> None:
        """send_async, and the pending operations"""
        counter = int(one.account()["counter"]) + 1
        limits = {"gas_limit": 2000, "storage_limit": 0}
        sent = one.transaction(there, 1).send_async(ttl=120, counter=counter, **limits)
        pending = chain.shell.mempool.pending_operations
        for _ in range(100):
            if any(one_of["hash"] == sent.opg_hash for one_of in pending.flatten()):
                break
            time.sleep(0.05)
        assert pending[sent.opg_hash]["metadata"]["operation_result"]["status"] == "validated"
        chain.included(chain.bake(), sent.opg_hash)

    @step
    def fees() -> None:
        """blocks leave out what is cheap"""
        sent = one.transaction(there, 1).send()
        left_out = chain.bake(min_fee=10**9)
        assert sent.opg_hash not in chain.shell.blocks[left_out].operation_hashes()[3]
        chain.included(chain.bake(), sent.opg_hash)


def waits(step: Steps, chain: Chain) -> None:
    """What takes some blocks."""
    one, there = chain.using("bootstrap1"), BAKERS[1]

    @step
    def confirmations() -> None:
        """inject with two confirmations"""
        made = one.transaction(there, 1).autofill().sign()
        found = chain.while_baking(lambda: made.inject(min_confirmations=2, time_between_blocks=1))
        assert found["contents"][0]["metadata"]["operation_result"]["status"] == "applied"

    @step
    def wait() -> None:
        """send with a confirmation; wait for an operation"""
        chain.while_baking(lambda: one.transaction(there, 1).send(min_confirmations=1, ttl=120))
        sent = one.transaction(there, 1).send()
        (found,) = chain.while_baking(lambda: one.wait(sent, time_between_blocks=1))
        assert found["hash"] == sent.opg_hash

    @step
    def sleep() -> None:
        """sleep two blocks; wait for the next one"""
        assert len(chain.while_baking(lambda: one.sleep(2, time_between_blocks=1))) == 2
        old = chain.shell.head.hash()
        found = chain.while_baking(lambda: chain.shell.wait_next_block(prev_hash=old, max_iterations=9))
        assert found != old


def denunciation(step: Steps, chain: Chain) -> None:
    """Who bakes twice."""

    @step
    def double_bake() -> None:
        """double bake, and denounce it"""
        key = get_next_baker_key(chain.client)
        baker = chain.using(key)
        first = baker.bake_block().fill().work().sign()
        other = next(name for name in ("bootstrap4", "bootstrap5") if name != key)
        chain.using(other).transaction(BAKERS[0], 3).send()
        second = baker.bake_block().fill().work().sign()
        hashes = sorted([first.inject(), second.inject(force=True)])
        assert {first.hash(), second.hash()} == set(hashes)
        headers = []
        for block in hashes:
            header = chain.shell.blocks[block].header()
            left = ("protocol", "chain_id", "hash")
            headers.append({name: value for name, value in header.items() if name not in left})
        content = baker.double_baking_evidence(*headers).contents[0]
        body = {"branch": chain.shell.head.hash(), "contents": [content]}
        raw = bytes.fromhex(chain.shell.head.helpers.forge.operations.post(body))
        # pymavryk bakes no operation without a signature, and signs no evidence by itself.
        signature = baker.key.sign(b"\x03" + raw, generic=True)
        evidence = chain.shell.injection.operation.post(raw + forge_base58(signature))
        block = chain.bake()
        (told,) = chain.shell.blocks[block].operations.anonymous()
        assert told["hash"] == evidence
        assert told["contents"][0]["metadata"]["forbidden_delegate"] == baker.key.public_key_hash()
        assert chain.shell.head.context.delegates[baker.key.public_key_hash()].is_forbidden() is True


def main(url: str) -> int:
    """Do everything; 1 if something failed."""
    step, chain = Steps(), Chain(url)

    @step
    def activate() -> None:
        """activate a protocol, and bake three blocks"""
        chain.using("dictator").activate_protocol(LATEST).fill().sign().inject()
        assert [chain.bake() for _ in range(3)][-1] == chain.shell.head.hash()

    for part in (transfers, delegations, preparations, waits, reads, denunciation):
        part(step, chain)

    @step
    def on() -> None:
        """two cycles more, at the next round where a delegate is forbidden"""
        for _ in range(16):
            chain.bake_at_some_round()

    print(f"{step.done - step.failed} of {step.done} steps are right")
    return 1 if step.failed else 0


if __name__ == "__main__":
    status = main(sys.argv[1])
    sys.stdout.flush()
    # pymavryk looks for containers when the interpreter ends, and complains where there is no engine.
    os._exit(status)
