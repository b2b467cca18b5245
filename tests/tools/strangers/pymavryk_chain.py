"""A chain that pymavryk makes, and the steps that are tried on it."""

from __future__ import annotations

import os
import threading
import traceback
from collections.abc import Callable
from typing import Any, Final

from pymavryk.client import PyMavrykClient
from pymavryk.crypto.key import Key
from pymavryk.michelson.forge import optimize_timestamp
from pymavryk.rpc.errors import RpcError
from pymavryk.sandbox.node import get_next_baker_key
from pymavryk.sandbox.parameters import sandbox_addresses

BAKERS: Final = tuple(sandbox_addresses[f"bootstrap{number}"] for number in range(1, 6))


class Steps:
    """What was tried."""

    def __init__(self) -> None:
        self.done = 0
        self.failed = 0

    def __call__(self, body: Callable[[], object]) -> Callable[[], object]:
        """Do a step now, and tell how it went."""
        name = (body.__doc__ or body.__name__).strip().rstrip(".")
        self.done += 1
        try:
            body()
        except Exception as error:
            self.failed += 1
            at = traceback.extract_tb(error.__traceback__)[-1]
            text = " ".join(f"{type(error).__name__} {error}".split())[:500]
            print(f"{name}: FAILED {text} ({os.path.basename(at.filename)}:{at.lineno})")
        else:
            print(f"{name}: ok")
        return body


def refused(word: str, body: Callable[[], object]) -> None:
    """The node must refuse this, with a word of its error."""
    said = complaint(body)
    if said is None or word not in said:
        raise AssertionError(f"not refused: {said}")


def complaint(body: Callable[[], object]) -> str | None:
    """What the node says against something; None if it does it."""
    try:
        body()
    except RpcError as error:
        return str(error)
    return None


class Chain:
    """The client, and the blocks that it bakes."""

    def __init__(self, url: str) -> None:
        self.client = PyMavrykClient().using(shell=url)
        self.shell = self.client.shell
        self.fresh = self.using(Key.generate(export=False))
        """An account that is nowhere at first."""

    def using(self, key: Any) -> Any:
        return self.client.using(key=key)

    def bake(self, min_fee: int = 0) -> str:
        """A block of whoever is to bake next; its hash."""
        key = get_next_baker_key(self.client)
        found: str = self.using(key).bake_block(min_fee).fill().work().sign().inject()
        return found

    def bake_at_some_round(self) -> str:
        """A block of the first who has a right and is not forbidden; its hash."""
        head = self.shell.head
        names = {address: name for name, address in sandbox_addresses.items()}
        for right in head.helpers.baking_rights():
            if not head.context.delegates[right["delegate"]].is_forbidden():
                at = optimize_timestamp(right["estimated_time"])
                baker = self.using(names[right["delegate"]])
                found: str = baker.bake_block().fill(timestamp=at).work().sign().inject()
                return found
        raise AssertionError("everybody is forbidden")

    def included(self, block: str, operation: str, validation_pass: int = 3) -> Any:
        """The operation, which must be in the block, and applied if it has a status."""
        block_query = self.shell.blocks[block]
        assert operation in block_query.operation_hashes()[validation_pass], "it is not in the block"
        value = block_query.operations[operation]()
        for content in value["contents"]:
            result = content["metadata"].get("operation_result")
            assert result is None or result["status"] == "applied", content
        return value

    def while_baking(self, body: Callable[[], Any], blocks: int = 5) -> Any:
        """Do something during which somebody bakes, a block in a second."""
        over = threading.Event()

        def work() -> None:
            for _ in range(blocks):
                if over.wait(1):
                    return
                self.bake()

        worker = threading.Thread(target=work)
        worker.start()
        try:
            return body()
        finally:
            over.set()
            worker.join()
