"""``coord completion``: what a shell needs to complete the commands."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from coord.commands.server import Refused

if TYPE_CHECKING:
    import argparse

__all__ = ["add_arguments", "run"]

SHELLS = ("bash", "zsh", "tcsh")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("shell", choices=SHELLS, help="which; its output goes where the shell looks for such")


def run(arguments: argparse.Namespace) -> int:
    """Print the completions of all commands.

    Returns:
        0.

    Raises:
        Refused: What makes them is not installed.
    """
    try:
        shtab: Any = import_module("shtab")
    except ImportError:
        raise Refused("completions are made by shtab: pip install 'coord[completion]'") from None
    print(shtab.complete(arguments.parser, arguments.shell))
    return 0
