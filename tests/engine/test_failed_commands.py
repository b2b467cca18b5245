"""What the error of a failed command says of what the program printed."""

from __future__ import annotations

import pytest

from accuser import Client, CommandFailed, Node
from accuser._report import error_before_usage, words_of_failure

USAGE = "\n".join(
    [
        "Usage:",
        "  mavkit-client [global options] command [command options]",
        "",
        "Global options (must come before the command):",
        *(f"  -{letter} --option-{letter}: an error: is not here" for letter in "abcdefghijklmnop"),
        "",
    ]
)
ERROR = "Error:\n  Erroneous command line argument 3 (nobody).\n  no alias named nobody\n"
COMMAND = ("/bin/mavkit-client", "--endpoint", "http://127.0.0.1:1", "-l", "bake", "for", "nobody", "--force")


def said(stderr: str, stdout: str = "", command: tuple[str, ...] = COMMAND) -> list[str]:
    return str(CommandFailed(command, 1, stdout, stderr)).splitlines()


@pytest.mark.parametrize(
    "stderr", [f"{ERROR}\n{USAGE}", f"{USAGE}\n{ERROR}", ERROR, f"Warning:\n  of what\n\n{ERROR}"]
)
def test_the_error_is_found_wherever_it_stands(stderr: str) -> None:
    wanted = [
        "mavkit-client bake for nobody: exit status 1",
        "  Erroneous command line argument 3 (nobody).",
        "  no alias named nobody",
    ]
    assert said(stderr) == wanted
    assert said("", stderr) == wanted


def test_errors_within_errors_stay_together() -> None:
    text = "Fatal error:\n  Unexpected error: Error:\n     Unable to connect\n    . Exiting...\n"
    assert said(text)[1:] == ["  Unexpected error: Error:", "     Unable to connect", "    . Exiting..."]
    assert said("Fatal error:\n  ERROR Initializing:\n  Error:\n    Wrong URI\n")[1:] == [
        "  ERROR Initializing:",
        "  Error:",
        "    Wrong URI",
    ]


def test_why_a_client_was_told_no_protocol() -> None:
    disclaimer = "Warning:\n\n                 This is NOT the Mavryk Mainnet.\n\n"
    warning = "Warning:\n  Failed to acquire the protocol version from the node\n"
    reason = "  Rpc request failed:\n     - meth: GET\n     - error: Unable to connect to the node\n\n"
    error = "Error:\n  Unrecognized command.\n"
    assert said(f"{disclaimer}{warning}{reason}{error}")[1:] == [
        "  Failed to acquire the protocol version from the node",
        "    Rpc request failed:",
        "       - meth: GET",
        "       - error: Unable to connect to the node",
        "  Unrecognized command.",
    ]
    assert said(f"{warning}  Timeout\n{disclaimer}{error}")[1:] == [
        "  Failed to acquire the protocol version from the node",
        "    Timeout",
        "  Unrecognized command.",
    ]


def test_a_program_that_announces_no_error() -> None:
    assert said(f"mavkit-node: unknown option '--x'\n{USAGE}")[1:] == ["  mavkit-node: unknown option '--x'"]
    assert said("\n".join(f"line {n}" for n in range(30)))[1:] == [f"  line {n}" for n in range(18, 30)]
    assert said("")[1:] == ["  (it printed nothing)"]
    assert said("error: on one line")[1:] == ["  on one line"]


def test_what_the_error_shows_does_no_harm() -> None:
    assert (
        said("Error:\n  \x1b[2J http://me:pass@host/ " + "x" * 500)[1]
        == "  \\x1b[2J http://host/ " + "x" * (300 - 3 - len("\\x1b[2J http://host/ ")) + "..."
    )
    assert len(said("", command=("mavkit-client", *["word"] * 100))[0]) < 130


@pytest.mark.parametrize(
    ("command", "short"),
    [
        (
            ("python", "-P", "/x/__main__.py", "mavkit-node", "config", "init", "--data-dir", "/y"),
            "mavkit-node config init",
        ),
        (("mavkit-client", "--wait", "none", "submit", "ballot"), "mavkit-client submit ballot"),
        (("mavkit-client", "--block=head~1", "list", "known"), "mavkit-client list known"),
        (("/bin/indexer", "now"), "indexer now"),
    ],
)
def test_a_command_without_its_options(command: tuple[str, ...], short: str) -> None:
    assert said("", command=command)[0] == f"{short}: exit status 1"


def test_what_failed_in_a_simulation_is_said_too() -> None:
    stdout = (
        "Node is bootstrapped.\nThis simulation failed:\n  Manager signed operations:\n    Fee: 0\n"
        "    Transaction:\n      This operation FAILED.\n      Balance of mv1 is too low\n"
        '      Unregistered error:\n        { "id": "balance_too_low" }\n'
    )
    assert words_of_failure("Fatal error:\n  transfer simulation failed\n", stdout) == [
        "transfer simulation failed",
        "Balance of mv1 is too low",
        "Unregistered error:",
        '  { "id": "balance_too_low" }',
    ]


def test_an_error_before_a_usage() -> None:
    usage = ["", "Usage:", *(f"  --option-{n}: of which there are many" for n in range(300))]
    assert error_before_usage(["Warning:", "  old", "Error:", "  no --x", *usage]) == ["no --x"]
    assert error_before_usage(["Error:", "  no --x"]) == []
    assert error_before_usage(usage) == []


@pytest.mark.mavryk(toolchains=["memory"])
async def test_a_command_to_a_node_that_has_ended(node: Node, client: Client) -> None:
    await node.kill()
    with pytest.raises(CommandFailed) as caught:
        await client.bake_for("bootstrap1")
    said = str(caught.value).splitlines()
    assert said[1] == "  Failed to acquire the protocol version from the node"
    assert any("Unable to connect to the node" in line for line in said[2:-2])
    assert said[-2] == "  Unrecognized command."


@pytest.mark.mavryk(toolchains=["memory"])
async def test_a_command_of_the_client(node: Node, client: Client) -> None:
    with pytest.raises(CommandFailed) as caught:
        await client.bake_for("bootstrap9")
    assert str(caught.value).splitlines()[:3] == [
        "mavkit-client bake for bootstrap9: exit status 1",
        "  Erroneous command line argument 3 (bootstrap9).",
        "  no public key hash alias named bootstrap9",
    ]
    assert "--minimal-timestamp" in caught.value.command
