"""What tests ask for.

The daemons' fixtures are tasks of pytest-trio, and depend on one that holds them all: it is torn
down last, and stops them in the opposite order of their starts, whatever the order of the fixtures.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from typing import TYPE_CHECKING, Final

import pytest

from ._checks import check_surroundings
from ._options import NEEDS_MAVKIT, bundles_of, choice_of, description_of, protocol_of
from ._pool import MAVKIT, brings_mavkit, place_of

if TYPE_CHECKING:
    from .. import Accuser, Baker, Client, Node, Protocol, Toolchain
    from ._bundle import Bundle
    from ._stand import Stand
    from ._types import OpenAccuser, OpenBaker, OpenClient, OpenNode

BUNDLE: Final = pytest.StashKey["Bundle"]()


@pytest.fixture
def toolchain(request: pytest.FixtureRequest) -> Toolchain:
    """The executables of the test: those of ``--mavkit``, or of its marker, on its host of a pool."""
    choice = choice_of(request.config)
    wanted: str | None = getattr(request, "param", None)
    usual = choice.toolchain
    if wanted == MAVKIT:
        if choice.mavkit is None and not brings_mavkit(request.node):
            pytest.skip(NEEDS_MAVKIT)
        usual = choice.mavkit or usual
    elif wanted is not None:
        from .._hosts.selection import toolchain_called

        usual = toolchain_called(wanted)
    return place_of(request.node, usual)


@pytest.fixture
def protocol(request: pytest.FixtureRequest, toolchain: Toolchain) -> Protocol:
    """The protocol of the test: that of ``--mavryk-protocol``, or of its marker."""
    marked: Protocol | None = getattr(request, "param", None)
    if marked is None:
        return protocol_of(request.config)
    from .._errors import BinaryNotFound

    try:
        toolchain.command(marked.accuser_binary)
    except BinaryNotFound as error:
        pytest.skip(f"no {error.binary} in {toolchain}")
    return marked


@pytest.fixture
def _mavryk_bundle(request: pytest.FixtureRequest, toolchain: Toolchain) -> Iterator[Bundle]:
    check_surroundings(request)
    from ._bundle import Bundle

    tmp_path_factory: pytest.TempPathFactory = request.getfixturevalue("tmp_path_factory")

    choice, config = choice_of(request.config), request.config
    executables = description_of(config) if toolchain == choice.toolchain else [str(toolchain)]
    work = tmp_path_factory.getbasetemp() / "mavryk"
    work.mkdir(exist_ok=True)
    bundle = Bundle.make(request.node.nodeid, executables, work, bundles_of(config))
    request.node.stash[BUNDLE] = bundle
    # Open for the whole test, so that what it does beside daemons is written down too.
    with bundle.recording.in_use():
        yield bundle
    bundle.remove()


@pytest.fixture
async def _mavryk_stand(
    toolchain: Toolchain, protocol: Protocol, _mavryk_bundle: Bundle
) -> AsyncGenerator[Stand]:
    from .._logs import reset_names
    from ._stand import open_stand

    reset_names()
    async with open_stand(toolchain, protocol, _mavryk_bundle) as stand:
        yield stand


@pytest.fixture
async def open_node(_mavryk_stand: Stand) -> OpenNode:
    """``node = await open_node(...)``: further nodes, with the options of `accuser.open_node`."""
    return _mavryk_stand.open_node


@pytest.fixture
async def open_accuser(_mavryk_stand: Stand) -> OpenAccuser:
    """``accuser = await open_accuser(node)``: further accusers, as `accuser.open_accuser`."""
    return _mavryk_stand.open_accuser


@pytest.fixture
async def open_baker(_mavryk_stand: Stand) -> OpenBaker:
    """``baker = await open_baker(node, client)``: further bakers, as `accuser.open_baker`."""
    return _mavryk_stand.open_baker


@pytest.fixture
async def open_client(_mavryk_stand: Stand) -> OpenClient:
    """``client = await open_client(node)``: further clients, as `accuser.open_client`."""
    return _mavryk_stand.open_client


@pytest.fixture
async def node(request: pytest.FixtureRequest, _mavryk_stand: Stand, protocol: Protocol) -> Node:
    """A node of its own, which is bootstrapped alone; the protocol is active at level 1.

    Its chain begins a day ago; in a test that has a baker, now.
    """
    from .._daemons.client import open_client

    node = await _mavryk_stand.open_node(arguments=("--connections 0", "--synchronisation-threshold 0"))
    async with open_client(node, name="activator") as client:
        # Bakers go on at the round of the present time, and later rounds are longer.
        baked = {"baker", "open_baker"} & set(request.fixturenames)
        await client.activate_protocol(protocol, timestamp="now" if baked else None)
    return node


@pytest.fixture
async def client(_mavryk_stand: Stand, node: Node) -> Client:
    """A client of ``node``, with the well-known accounts."""
    return await _mavryk_stand.open_client(node)


@pytest.fixture
async def accuser(_mavryk_stand: Stand, node: Node) -> Accuser:
    """An accuser of ``node`` that sees everything which happens from now on."""
    accuser = await _mavryk_stand.open_accuser(node)
    # What is baked before it has opened its streams, an accuser never sees.
    await accuser.wait_for("daemon_start.v0", since=accuser.start_mark())
    return accuser


@pytest.fixture
async def baker(_mavryk_stand: Stand, node: Node, client: Client) -> Baker:
    """A baker of ``node`` with all keys of ``client``: the chain lives by itself from now on."""
    return await _mavryk_stand.open_baker(node, client)
