"""The commands of ``mavkit-client`` about its wallet, and about itself, as upstream words them.

Sources: ``src/lib_client_commands/client_{keys,helpers,smart_rollup}_commands.ml``.
"""

from __future__ import annotations

from typing import Final

from ..cli.clic import Refused
from ..cli.usage import Command, Option, Param, words
from .sources import checked_uri
from .wallet import HASHES, ROLLUPS, Wallet, WalletError

KEYS_GROUP: Final = "Commands for managing the wallet of cryptographic keys"
ROLLUPS_GROUP: Final = "Commands for managing the record of known smart rollup"

_FORCE: Final = Option("force", "overwrite existing keys", short="f")


def _secret_uri(text: str) -> str:
    try:
        return checked_uri(text)
    except WalletError as error:
        raise Refused(*str(error).split("\n")) from None


def _algorithm(text: str) -> str:
    if text not in ("ed25519", "secp256k1", "p256", "bls"):
        available = "'ed25519', 'secp256k1','p256' or 'bls'"
        raise Refused(f"Unknown signature algorithm ({text}). Available: {available}")
    return text


_GENERATE: Final = (
    _FORCE,
    Option(
        "sig",
        "use custom signature algorithm",
        "ed25519|secp256k1|p256|bls",
        "s",
        parse=_algorithm,
        default="ed25519",
    ),
    Option("encrypted", "Encrypt the key on-disk"),
)


def wallet_commands(wallet: Wallet) -> tuple[Command, ...]:
    """Commands of the client that need no node."""

    def known(entity: str) -> Param:
        def parse(text: str) -> str:
            try:
                if text in wallet.aliases(entity):
                    return text
            except WalletError as error:
                raise Refused(*str(error).split("\n")) from None
            raise Refused(f"no {entity} alias named {text}")

        return Param("name", f"existing {entity} alias", parse)

    alias = known(HASHES)
    uri = Param(
        "uri",
        "secret key\nVaries from one scheme to the other.\n"
        "Use command `list signing schemes` for more information.",
        _secret_uri,
    )
    fresh = Param("new", "new secret_key alias")
    show = Option("show-secret", "show the private key", short="S")
    forget = Option("force", "delete associated keys when present", short="f")
    forget_all = Option("force", "you got to use the force for that", short="f")
    imported: tuple[str | Param, ...] = (*words("import secret key"), fresh, uri)
    listed = "List all addresses and associated keys."
    shown = "Show the keys associated with an implicit account."
    return (
        Command("gen keys", (*words("gen keys"), fresh), "Generate a pair of keys.", _GENERATE, KEYS_GROUP),
        Command("import", imported, "Add a secret key to the wallet.", (_FORCE,), KEYS_GROUP),
        Command("list addresses", words("list known addresses"), listed, group=KEYS_GROUP),
        Command("show address", (*words("show address"), alias), shown, (show,), KEYS_GROUP),
        Command("forget", (*words("forget address"), alias), "Forget one address.", (forget,), KEYS_GROUP),
        Command(
            "forget all",
            words("forget all keys"),
            "Forget the entire wallet of keys.",
            (forget_all,),
            KEYS_GROUP,
        ),
        Command("bootstrapped", words("bootstrapped"), "Wait for the node to be bootstrapped."),
        Command(
            "show rollup",
            (*words("show known smart rollup"), known(ROLLUPS)),
            "Display a smart rollup from the wallet.",
            group=ROLLUPS_GROUP,
        ),
        Command(
            "understood",
            words("list understood protocols"),
            "List the protocol versions that this client understands.",
        ),
    )
