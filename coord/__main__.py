"""The command line: ``coord COMMAND``, or ``python -m coord COMMAND``."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, NoReturn

from coord import __version__
from coord.commands import board, completion, limits, locks
from coord.commands.server import Refused
from coord.demo import command as demo

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


class _Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are one line."""

    def error(self, message: str) -> NoReturn:
        raise Refused(f"{message} (see {self.prog} --help)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="coord", description="Distributed coordination primitives on Redis and Valkey.")
    parser.add_argument("--version", action="version", version=f"coord {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    about = "a fleet of processes reads a web server's access log together, through Redis alone"
    demo_parser = commands.add_parser("demo", help=about, description=f"See coord at work: {about}.")
    demo.add_arguments(demo_parser)
    demo_parser.set_defaults(run=demo.run)
    about = "what is locked now, by whom, and breaking a lock"
    locks_parser = commands.add_parser("locks", help=about, description=f"{about.capitalize()}.")
    locks.add_arguments(locks_parser)
    locks_parser.set_defaults(run=locks.run)
    about = "a leaderboard, once or as it changes"
    board_parser = commands.add_parser("board", help=about, description=f"{about.capitalize()}.")
    board.add_arguments(board_parser)
    board_parser.set_defaults(run=board.run)
    about = "what is charged to whom, who is throttled now, and letting somebody go on"
    limits_parser = commands.add_parser("limits", help=about, description=f"{about.capitalize()}.")
    limits.add_arguments(limits_parser)
    limits_parser.set_defaults(run=limits.run)
    about = "completions of these commands for a shell"
    completion_parser = commands.add_parser("completion", help=about, description=f"{about.capitalize()}.")
    completion.add_arguments(completion_parser)
    completion_parser.set_defaults(run=completion.run, parser=parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: Its arguments; ``None`` for those of the process.

    Returns:
        The exit status: 2 if what was asked for cannot be done, 3 if the server cannot be reached or no
        longer answers, 130 if interrupted, else the command's own: 0, or 1 for a plain no.
    """
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:  # a stand-in for stdout may have none
        reconfigure(errors="replace")
    try:
        arguments = _parser().parse_args(argv)
        status: int = arguments.run(arguments)
        sys.stdout.flush()
    except Refused as refusal:
        print(f"coord: {refusal}", file=sys.stderr)
        return refusal.status
    except SystemExit as done:  # --help and --version
        return int(done.code or 0)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has had enough. Python would complain once more as it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main())
