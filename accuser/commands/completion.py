"""``accuser completion``: what a shell needs to complete the commands."""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import get_completion_class

from .output import echo

SHELLS: Final = ("bash", "zsh", "fish")


@click.command(
    short_help="Print the completion script of a shell.",
    epilog="""\b
Examples:
  accuser completion bash > ~/.local/share/bash-completion/completions/accuser
  eval "$(accuser completion zsh)"        in ~/.zshrc, after compinit
  accuser completion fish > ~/.config/fish/completions/accuser.fish""",
)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that completes commands and options in SHELL."""
    cls = get_completion_class(shell)
    assert cls is not None
    root = context.find_root()
    echo(cls(root.command, {}, "accuser", "_ACCUSER_COMPLETE").source())
