"""Pipes, connections and the network that are in memory alone."""

from __future__ import annotations

import errno

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from accuser.sandbox.surroundings.memory import (
    CAPACITY,
    Connection,
    Gate,
    Pipe,
    Reader,
    connected,
)
from accuser.sandbox.surroundings.network import Network
from accuser.sandbox.surroundings.task import Outlet


async def test_what_was_written_before_the_end_is_read_after_it() -> None:
    pipe = Pipe()
    reader = Reader(pipe)
    pipe.put(b"first ")
    pipe.put(b"last")
    pipe.close_writing()
    assert await reader.receive_some(3) == b"fir"
    assert await reader.receive_some() == b"st last"
    assert await reader.receive_some() == b""
    assert await reader.receive_some() == b""
    with pytest.raises(trio.ClosedResourceError):
        pipe.put(b"x")


async def test_a_reader_waits_for_data() -> None:
    ours, theirs = connected(None)
    read: list[bytes] = []

    async def reading() -> None:
        read.append(await theirs.receive_some())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reading)
        await wait_all_tasks_blocked()
        assert read == []
        await ours.send_all(b"now")
    assert read == [b"now"]


async def test_a_writer_waits_while_it_is_full() -> None:
    ours, theirs = connected(None)
    await ours.send_all(b"x" * CAPACITY)
    done: list[str] = []

    async def writing() -> None:
        await ours.send_all(b"y")
        done.append("written")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(writing)
        await wait_all_tasks_blocked()
        assert done == []
        assert len(await theirs.receive_some(1)) == 1
    assert done == ["written"]
    assert await theirs.receive_some() == b"x" * (CAPACITY - 1) + b"y"


@pytest.mark.parametrize("close", [True, False])
async def test_a_waiting_writer_is_let_go_when_nobody_reads_any_more(close: bool) -> None:
    ours, theirs = connected(None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ours.send_all, b"x" * (CAPACITY + 1))
        await wait_all_tasks_blocked()
        theirs.close() if close else ours.close()
    with pytest.raises((trio.BrokenResourceError, trio.ClosedResourceError)):
        await ours.send_all(b"more")


async def test_closing_ends_both_directions_for_both() -> None:
    ours, theirs = connected(None)
    await ours.send_all(b"bye")
    await ours.aclose()
    ours.close()
    assert await theirs.receive_some() == b"bye"
    assert await theirs.receive_some() == b""
    with pytest.raises(trio.BrokenResourceError):
        await theirs.send_all(b"?")
    with pytest.raises(trio.ClosedResourceError):
        await ours.receive_some()


async def test_a_reader_that_waits_hears_that_its_end_is_closed() -> None:
    ours, _ = connected(None)
    async with trio.open_nursery() as nursery:

        async def reading() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await ours.receive_some()

        nursery.start_soon(reading)
        await wait_all_tasks_blocked()
        ours.close()


async def test_a_closed_gate_holds_what_its_side_does_alone() -> None:
    gate = Gate()
    ours, theirs = connected(gate)
    done: list[str] = []

    async def write(connection: Connection, name: str) -> None:
        await connection.send_all(name.encode())
        done.append(f"{name} wrote")

    async def read(connection: Connection, name: str) -> None:
        await connection.receive_some()
        done.append(f"{name} read")

    gate.close()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(read, ours, "ours")
        nursery.start_soon(write, ours, "ours")
        nursery.start_soon(write, theirs, "theirs")
        await wait_all_tasks_blocked()
        assert done == ["theirs wrote"]
        gate.open()
        gate.open()
        await wait_all_tasks_blocked()
        nursery.start_soon(read, theirs, "theirs")
    assert sorted(done) == ["ours read", "ours wrote", "theirs read", "theirs wrote"]


async def test_a_reader_that_waited_before_the_gate_closed_reads_after_it() -> None:
    gate = Gate()
    ours, theirs = connected(gate)
    read: list[bytes] = []

    async def reading() -> None:
        read.append(await ours.receive_some())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reading)
        await wait_all_tasks_blocked()
        gate.close()
        await theirs.send_all(b"data")
        await wait_all_tasks_blocked()
        assert read == []
        gate.open()
    assert read == [b"data"]


async def test_an_outlet_answers_as_a_descriptor_does() -> None:
    pipe = Pipe()
    outlet, named = Outlet(pipe, Gate()), Outlet(pipe, Gate(), is_named=True)
    await named.write(b"named ")
    named.close()
    with pytest.raises(OSError, match="Bad file descriptor") as closed:
        await named.write(b"more")
    assert closed.value.errno == errno.EBADF
    # To close one of its writing ends does not end a named pipe.
    await outlet.write(b"other")
    reader = Reader(pipe)
    assert await reader.receive_some() == b"named other"
    reader.close()
    with pytest.raises(BrokenPipeError):
        await outlet.write(b"more")


async def test_a_network_knows_who_listens_where() -> None:
    network = Network()
    owned: list[Connection] = []
    listener = network.listen("localhost", 7, None, owned.append)
    for host in ("127.0.0.1", "localhost"):
        ours = network.connect(host, 7)
        theirs = await listener.accept()
        assert owned[-1] is theirs
        await ours.send_all(b"x")
        assert await theirs.receive_some() == b"x"
    for host, port in (("127.0.0.2", 7), ("127.0.0.1", 8), ("example.org", 7)):
        with pytest.raises(ConnectionRefusedError):
            network.connect(host, port)
    for host in ("127.0.0.1", "0.0.0.0", "::"):
        with pytest.raises(OSError, match="in use"):
            network.listen(host, 7, None, owned.append)


async def test_who_listens_everywhere_is_found_under_any_name() -> None:
    network = Network()
    listener = network.listen("::", 7, None, id)
    network.connect("127.0.0.1", 7)
    network.connect("anything", 7)
    assert await listener.accept() is not await listener.accept()
    with pytest.raises(OSError, match="in use"):
        network.listen("127.0.0.1", 7, None, id)
    free = [network.listen("127.0.0.1", 0, None, id).address[1] for _ in range(2)]
    assert free[0] != free[1]


async def test_a_listener_that_closes_refuses_those_who_wait() -> None:
    network = Network()
    listener = network.listen("127.0.0.1", 7, None, id)
    ours = network.connect("127.0.0.1", 7)
    await listener.aclose()
    listener.close()
    assert await ours.receive_some() == b""
    with pytest.raises(trio.ClosedResourceError):
        await listener.accept()
    with pytest.raises(ConnectionRefusedError):
        network.connect("127.0.0.1", 7)
    # The address is free again.
    again = network.listen("127.0.0.1", 7, None, id)
    async with trio.open_nursery() as nursery:

        async def accepting() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await again.accept()

        nursery.start_soon(accepting)
        await wait_all_tasks_blocked()
        again.close()
