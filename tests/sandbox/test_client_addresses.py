"""Addresses that the admin client takes, and upstream's words about texts that are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from accuser.sandbox.cli.clic import Refused
from accuser.sandbox.client.addresses import address
from tests.support.clients import world


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("127.0.0.1", ("127.0.0.1", 9732)),
        ("127.0.0.1:", ("127.0.0.1", 9732)),
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        ("[::1]:80", ("::1", 80)),
        ("[::1]", ("::1", 9732)),
        ("[::]", ("::", 9732)),
        ("[1:2:3:4:5:6:7:8]:1", ("1:2:3:4:5:6:7:8", 1)),
        ("[1:2::8]:1", ("1:2::8", 1)),
        ("[::ffff:10.0.0.7]:1", ("10.0.0.7", 1)),
    ],
)
def test_addresses(text: str, read: tuple[str, int]) -> None:
    assert address(text) == read


IPV4, IPV6 = "not an IPv4 address: ", "\\nnot an IPv6 address: "
SHORT = "not enough data"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("localhost:1", f"{IPV4}invalid character 'l' at 0{IPV6}{SHORT}"),
        ("1.2.3:1", f"{IPV4}{SHORT}{IPV6}{SHORT}"),
        ("1.2.3.256", f"{IPV4}fourth octet out of bounds{IPV6}fourth octet out of bounds"),
        ("1.2.3.4.5", f"{IPV4}invalid character '.' at 7{IPV6}invalid character '.' at 7"),
        ("[1:2]", f"{IPV4}invalid character ':' at 1{IPV6}{SHORT}"),
        ("[1::2::3]", f"{IPV4}invalid character ':' at 1{IPV6}invalid character ':' at 4"),
        ("[1:2:x]", f"{IPV4}invalid character ':' at 1{IPV6}invalid character 'x' at 4"),
        ("[1:2:3:4:5:6:7:8:9]", f"{IPV4}invalid character ':' at 1{IPV6}invalid character ':' at 15"),
        (":1", SHORT),
        ("::1", 'Invalid_argument("Utils.parse_addr_port: IPv6 addresses must be bracketed")'),
        ("[::1", "Invalid_argument(\"Utils.parse_addr_port (missing ']')\")"),
        ("[::1]2", "Invalid_argument(\"Utils.parse_addr_port (unexpected char after ']')\")"),
        ("1.2.3.4]", "Invalid_argument(\"Utils.parse_addr_port (unexpected char ']')\")"),
        ("1.2.3.4:x", 'Failure("int_of_string")'),
        ("1.2.3.4:65536", "between 0 and 65535"),
    ],
)
def test_texts_that_are_none(text: str, complaint: str) -> None:
    with pytest.raises(Refused) as caught:
        address(text)
    assert complaint in str(caught.value)


async def test_the_command_line_tells_the_complaint_of_the_parser(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        outcome = await w.run("trust", "address", "nonsense", program="mavkit-admin-client")
        said = f"{IPV4}invalid character 'n' at 0{IPV6}{SHORT}"
        head = "Error:\n  Erroneous command line argument 3 (nonsense).\n"
        assert (outcome.status, outcome.stdout) == (1, "")
        assert outcome.stderr.startswith(f'{head}  Ipaddr.Parse_error("{said}", "nonsense")\n\nUsage:\n')
