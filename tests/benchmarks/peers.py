"""Packages that cannot be installed beside the others, each in an interpreter that has it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

__all__ = ["BITMAPIST", "COORD", "REDIS_PY", "Peer", "UnavailableError", "cache_folder", "interpreter"]

INSTALL_TIME = 300


class UnavailableError(Exception):
    """A peer cannot be installed, or cannot be run."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A package to compare with.

    Attributes:
        package: What pip installs.
        module: What is imported of it.
    """

    package: str
    module: str


COORD = Peer("coord", "coord")
REDIS_PY = Peer("redis", "redis")
BITMAPIST = Peer("bitmapist", "bitmapist")


@cache
def interpreter(peer: Peer) -> Path:
    """Find an interpreter that has ``peer``: this one, or that of an environment made for it.

    Raises:
        UnavailableError: It could not be installed.
    """
    if find_spec(peer.module) is not None:
        return Path(sys.executable)
    home = cache_folder() / f"{peer.package}-py{sys.version_info.major}.{sys.version_info.minor}"
    python = home / "bin" / "python"
    done = home / "installed"
    if not done.exists():
        _make(home, python, peer)
        done.touch()
    return python


def cache_folder() -> Path:
    """Where the peers' environments are kept between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "coord-benchmarks"


def compiling(**more: str) -> dict[str, str]:
    """Let programs find compiled modules, as those that are installed do, wherever those are kept."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {"PYTHONPYCACHEPREFIX": str(cache_folder() / "compiled"), **kept, **more}


def _make(home: Path, python: Path, peer: Peer) -> None:
    shutil.rmtree(home, ignore_errors=True)
    _run(sys.executable, "-m", "venv", str(home))
    install = (str(python), "-m", "pip", "install", "--quiet", peer.package)
    try:
        _run(*install, *_same_client())
    except UnavailableError:
        _run(*install)  # its pins clash with the client used here: with what it wants, then


def _same_client() -> list[str]:
    """Pin the client library to what is installed here, so that peers differ in nothing but themselves."""
    wanted = []
    for package in ("redis", "hiredis"):
        try:
            wanted.append(f"{package}=={version(package)}")
        except PackageNotFoundError:
            continue
    return wanted


def _run(*command: str) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_TIME)
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UnavailableError(last) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(str(error)) from error
