"""What pages of other origins may ask of the node."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from accuser._http.client import HttpClient
from accuser._http.server import Answer, Feed, Request
from accuser.sandbox.node.arguments import parse
from accuser.sandbox.node.config import Config, ConfigError
from accuser.sandbox.node.cors import Cors
from accuser.sandbox.node.router import Router, get
from tests.support.nodes import serve_memory

ANY = Cors.of(["*"], [])
ONE = Cors.of(["http://page.example"], ["X-One", "X-Two"])


@asynccontextmanager
async def serving(cors: Cors) -> AsyncGenerator[HttpClient]:
    def stream(call: object) -> Feed:
        feed = Feed()
        feed.push(1)
        feed.end()
        return feed

    router = Router(cors=cors)
    router.add("GET", "/value", lambda call: 1)
    router.add("POST", "/value", lambda call: call.request.json())
    router.add("GET", "/stream", stream)
    async with trio.open_nursery() as nursery:
        yield HttpClient("http://node", connect=serve_memory(router, nursery))
        nursery.cancel_scope.cancel()


def from_page(origin: str, **more: str) -> tuple[tuple[str, str], ...]:
    return (("origin", origin), *((name.replace("_", "-"), value) for name, value in more.items()))


@pytest.mark.parametrize(
    ("origins", "origin", "allowed"),
    [
        ((), "http://a", None),
        (("*",), "http://a", "*"),
        (("http://a",), "http://a", "http://a"),
        (("http://a",), "http://a/page", "http://a"),
        (("http://a",), "http://ab", None),
        (("*", "http://a", "http://a/b"), "http://a/b/c", "http://a/b"),
    ],
)
def test_origins(origins: tuple[str, ...], origin: str, allowed: str | None) -> None:
    found = dict(Cors(origins).allow_origin({"origin": origin}))
    assert found.get("access-control-allow-origin") == allowed


@pytest.mark.parametrize("path", ["/value", "/stream", "/nothing"])
async def test_answers_name_the_origin_that_is_let_in(path: str) -> None:
    async with serving(ANY) as client:
        response = await client.request("GET", path, headers=from_page("http://page.example"))
        assert response.headers["access-control-allow-origin"] == "*"
        response = await client.request("GET", path)
        assert "access-control-allow-origin" not in response.headers
    async with serving(Cors()) as client:
        response = await client.request("GET", path, headers=from_page("http://page.example"))
        assert "access-control-allow-origin" not in response.headers


async def test_requests_for_another_host_are_refused() -> None:
    """As upstream refuses them, where there are origins at all."""
    async with serving(ONE) as client:
        response = await client.request("GET", "/value")
        assert (response.status, response.body) == (403, b"")
        assert response.headers["x-ocaml-resto-cors-error"] == "invalid host"
    async with serving(Cors.of(["node"], [])) as client:
        assert (await client.request("GET", "/value")).status == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example", 403),
        ("evil.example:8732", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example.", 403),
        ("127.0.0.1:8732", 200),
        ("[::1]:8732", 200),
        ("localhost:8732", 200),
        ("node:8732", 200),
        ("node.accusers.svc.cluster.local", 200),
        ("host.docker.internal:8732", 200),
    ],
)
async def test_no_page_whose_name_leads_here_is_answered(host: str, status: int) -> None:
    router = Router()
    router.serve([get("/value", lambda call: 1)])
    request = Request("GET", ("value",), {}, b"", {"host": host})
    answer = await router(request)
    assert isinstance(answer, Answer)
    assert answer.status == status


async def test_what_a_browser_asks_first() -> None:
    async with serving(ONE) as client:
        ask = from_page("http://page.example", access_control_request_method="POST")
        response = await client.request("OPTIONS", "/value", headers=ask)
        assert response.status == 200
        assert response.headers["access-control-allow-methods"] == "POST"
        assert response.headers["access-control-allow-headers"] == "X-One,X-Two"
        assert response.headers["access-control-allow-origin"] == "http://page.example"
        ask = from_page("http://page.example", access_control_request_method="PUT")
        assert (await client.request("OPTIONS", "/value", headers=ask)).status == 404
        response = await client.request("OPTIONS", "/value")
        assert response.headers["access-control-allow-methods"] == "GET,POST"
        assert (await client.request("OPTIONS", "/nothing")).status == 404
        assert (await client.request("HEAD", "/value")).status == 501


def test_options_go_into_the_configuration(tmp_path: Path) -> None:
    config = Config({})
    words = ["--cors-origin", "http://a", "--cors-origin=http://b", "--cors-header", "X-One"]
    arguments = parse(["config", "init", *words])
    assert arguments is not None
    config.patch(arguments)
    assert config.value["rpc"] == {"cors-origin": ["http://a", "http://b"], "cors-headers": ["X-One"]}
    config.write(tmp_path / "config.json")
    assert Config.read(tmp_path / "config.json").cors() == Cors(("http://a", "http://b"), ("X-One",))
    assert Config({}).cors() == Cors((), ("Content-Type",))


@pytest.mark.parametrize("value", ["*", [1], {}])
def test_a_configuration_without_lists(value: object) -> None:
    config = Config(json.loads(json.dumps({"rpc": {"cors-origin": value}})))
    with pytest.raises(ConfigError, match="lists of texts"):
        config.check()


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (None, "full"),
        ("archive", "archive"),
        ("full:5", {"full": {"additional_cycles": 5}}),
        ("rolling:0", {"rolling": {"additional_cycles": 0}}),
    ],
)
def test_history_modes(given: str | None, shown: object) -> None:
    config = Config({} if given is None else {"shell": {"history_mode": given}})
    assert config.history_mode == shown
