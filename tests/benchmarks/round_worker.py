"""Runs one measurement in one interpreter: a JSON request on standard input, a JSON answer on the output.

It imports nothing but the standard library until the request names a function, so it starts under the
interpreter of any peer, whatever that has installed.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any


def pin(core: int | None) -> None:
    """Keep this process and its children on one core, where the system can do that."""
    if core is not None and sys.platform == "linux":
        os.sched_setaffinity(0, {core})


def versions(packages: list[str]) -> dict[str, str]:
    """Look up which versions of ``packages`` are installed here; those that are not are left out."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Do what ``request`` asks: pin, import, call.

    Args:
        request: ``function`` as ``module:name``, its ``arguments``, the ``core`` to stay on or ``None``,
            and the ``packages`` whose versions to tell.
    """
    pin(request["core"])
    module, _, name = request["function"].partition(":")
    sample = getattr(import_module(module), name)(**request["arguments"])
    return {"sample": sample, "versions": versions(request["packages"])}


def main() -> None:
    """Answer the request on standard input, in one line on standard output."""
    try:
        told = answer(json.load(sys.stdin))
    except Exception as error:  # noqa: BLE001  # whatever it is, the table is to say so
        told = {"error": f"{type(error).__name__}: {error}"}
    sys.stdout.write("\n" + json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
