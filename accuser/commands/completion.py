"""``accuser completion``: a script by which a shell completes the words of ``accuser``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print a script by which SHELL completes commands and options of accuser.

    \b
    Examples:
      accuser completion bash >> ~/.bashrc
      accuser completion zsh >> ~/.zshrc
      accuser completion fish > ~/.config/fish/completions/accuser.fish
    """
    context = click.get_current_context()
    found = get_completion_class(shell)
    assert found is not None
    root = context.find_root().command
    click.echo(found(root, {}, "accuser", "_ACCUSER_COMPLETE").source())
