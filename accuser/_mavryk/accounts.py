"""The well-known accounts of sandbox chains (``tezt/lib_tezos/account.ml``, ``constant.ml``)."""

from __future__ import annotations

from typing import Final

import attrs


@attrs.frozen
class Account:
    """A key pair whose secret everybody knows."""

    alias: str
    pkh: str
    """Public key hash, ``mv1...``."""
    public_key: str
    """``edpk...``."""
    secret_key: str = attrs.field(repr=False)
    """``edsk...``, not encrypted."""


BOOTSTRAP: Final = (
    Account(
        "bootstrap1",
        "mv18Cw7psUrAAPBpXYd9CtCpHg9EgjHP9KTe",
        "edpkuBknW28nW72KG6RoHtYW7p12T6GKc7nAbwYX5m8Wd9sDVC9yav",
        "edsk3gUfUPyBSfrS9CCgmCiQsTCHGkviBDusMxDJstFtojtc1zcpsh",
    ),
    Account(
        "bootstrap2",
        "mv1V73YiKvinVumxwvYWjCZBoT44wqBNhta7",
        "edpktzNbDAUjUk697W7gYg2CRuBQjyPxbEg8dLccYYwKSKvkPvjtV9",
        "edsk39qAm1fiMjgmPkw1EgQYkMzkJezLNewd7PLNHTkr6w9XA2zdfo",
    ),
    Account(
        "bootstrap3",
        "mv1TxMEnmav51G1Hwcib1rBnBeniDMgG8nkJ",
        "edpkuTXkJDGcFd5nh6VvMz8phXxU3Bi7h6hqgywNFi1vZTfQNnS1RV",
        "edsk4ArLQgBTLWG5FJmnGnT689VKoqhXwmDPBuGx3z4cvwU9MmrPZZ",
    ),
    Account(
        "bootstrap4",
        "mv1PVMnW8iyYxCoqLfPAha8EAPRxjTx7wqbn",
        "edpkuFrRoDSEbJYgxRtLx2ps82UdaYc1WwfS9sE11yhauZt5DgCHbU",
        "edsk2uqQB9AY4FvioK2YMdfmyMrer5R8mGFyuaLLFfSRo8EoyNdht3",
    ),
    Account(
        "bootstrap5",
        "mv1S14SxfuavHMGDXxZJoBERZafLTyX3Z6Dx",
        "edpkv8EUUH68jmo3f7Um5PezmfGrRF24gnfLpH3sVNwJnV5bVCxL2n",
        "edsk4QLrcijEffxV31gGdN2HU7UpyJjA8drFoNcmnB28n89YjPNRFm",
    ),
)

ACTIVATOR: Final = Account(
    "activator",
    "mv1XLiKa1vywAuPWuLF9WEYB3BPvRRQ8oCsp",
    "edpkv4NbnxPuHtCwszff3vB7vtwYXmPUsaaM1DBcxuJhvTfGUFsej4",
    "edsk4YZKqjTvHuAHmYZfMCHwWcL4zMt9X87tbzwYLb1LBba7hK1tom",
)
