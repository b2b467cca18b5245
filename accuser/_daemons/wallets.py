"""Wallets of clients: files with the well-known accounts, on this machine or on that of the client."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import attrs
import trio

from .._files import write_private, writing
from .._hosts.remote.runner import Runner
from .._mavryk.accounts import ACTIVATOR, BOOTSTRAP, Account

_FILES: Final = ("public_key_hashs", "public_keys", "secret_keys")
"""The last one shows that the others are there."""


def _texts(accounts: Sequence[Account]) -> dict[str, str]:
    # Upstream writes the files too, rather than importing six keys with six commands.
    values = (
        [(account.alias, account.pkh) for account in accounts],
        [(account.alias, f"unencrypted:{account.public_key}") for account in accounts],
        [(account.alias, f"unencrypted:{account.secret_key}") for account in accounts],
    )
    return {
        name: json.dumps([{"name": alias, "value": value} for alias, value in entries])
        for name, entries in zip(_FILES, values, strict=True)
    }


def write_wallet(folder: Path) -> None:
    """Write a wallet of the well-known accounts here, unless there is one. Raises `DirectoryError`."""
    if (folder / _FILES[-1]).exists():
        return
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in _texts((ACTIVATOR, *BOOTSTRAP)).items():
            write_private(folder / name, text)


@attrs.define(eq=False, repr=False)
class WalletThere:
    """The wallet of a client that runs on a machine whose files are not here."""

    runner: Runner
    folder: Path
    begun: bool = attrs.field(default=False, init=False)
    """Whether there may be something of it."""
    _made: bool = attrs.field(default=False, init=False)
    _making: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    _changing: trio.Lock = attrs.field(factory=trio.Lock, init=False)

    async def make(self) -> None:
        """Write the well-known accounts there, once; what is there stays.

        Raises `DirectoryError` and `RunnerError`.
        """
        if self._made:
            return
        async with self._making, self.runner.connected():
            self.begun = True
            await self.runner.make_folder(self.folder)
            for name, text in _texts((ACTIVATOR, *BOOTSTRAP)).items():
                await self.runner.write_new(self.folder / name, text)
            self._made = True

    async def place(self, path: Path, text: str) -> None:
        """Write a file there, for a command to read."""
        async with self.runner.connected():
            self.begun = True
            await self.runner.make_folder(path.parent)
            await self.runner.write(path, text)

    async def change(self, change: Callable[[Path], None]) -> None:
        """Change the wallet as ``change`` changes a copy of it that is here."""
        await self.make()
        with tempfile.TemporaryDirectory(prefix="accuser-wallet-") as here:
            async with self._changing, self.runner.connected():
                for name in _FILES:
                    write_private(Path(here, name), await self.runner.read(self.folder / name))
                change(Path(here))
                for name in _FILES:
                    text = Path(here, name).read_text(encoding="utf-8")  # noqa: ASYNC240 - small
                    await self.runner.write(self.folder / name, text)
