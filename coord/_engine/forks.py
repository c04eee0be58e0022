"""Locks among the threads of this process, which neither a fork nor the end of the process leaves held.

Theory
------
A fork copies the memory and one thread. What another thread held at that moment, it holds for ever in the
child, where it does not exist; and so do the locks that client libraries have in their connection pools.
And when the interpreter ends, threads that run beside are stopped wherever they are, with what they hold.

Rules
-----
1. There is one hook for a process. Before a fork it takes every mutex, so that no thread is amidst of what
   they guard; after it both processes go on with all of them free. It waits for ``PATIENCE`` at the most: a
   mutex that it did not get is made anew in the child.
2. The locks inside of the clients that are in use are made anew in the child. What they guard the library
   itself begins anew there: it knows its own process by the number.
3. Whoever has what a child must not have (possession, threads, connections) forgets it in the child.
4. While the interpreter ends there is but one thread left, which nothing keeps out.
5. A thread may take a mutex that it has: it may be amidst of what that guards when the garbage collector
   closes a generator, which leaves its blocks.
"""

# pyright: basic

from __future__ import annotations

import itertools
import os
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

from coord._engine.uptime import uptime

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Mutex", "forget_in_child", "renew_in_child"]

PATIENCE = 1.0
"""Seconds. A mutex is held for a few lines that wait for nothing; this is for an overloaded machine."""
LIBRARIES = frozenset({"redis", "valkey", "fakeredis"})
LOCKS = (type(threading.Lock()), type(threading.RLock()))
LEFT_OUT = frozenset(
    {"_available_connections", "_in_use_connections", "_connections", "pool", "slots_cache", "dbs"}
)
"""What leads to nothing but data, or to the connections that a pool drops in a child."""

_numbers = itertools.count()
_mutexes: dict[int, weakref.ref[Mutex]] = {}
_owners: dict[int, Callable[[], Callable[[], object] | None]] = {}
_clients: dict[int, weakref.ref[Any]] = {}
_taken: list[Mutex] = []
_turn = threading.RLock()
_forks_here = 0
"""Which thread has the turn, and is about to fork or has done so."""
_is_watched: bool = False


class Mutex:
    """What keeps other threads out of a few lines. Reusable, and reentrant."""

    __slots__ = ("__weakref__", "_lock")

    def __init__(self) -> None:
        self._lock = threading.RLock()
        _note(_mutexes, weakref.ref, self)

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False) and not sys.is_finalizing():
            self._lock.acquire()

    def __exit__(self, *details: object) -> None:
        self.free()

    def take(self, seconds: float) -> bool:
        """Take it, if that is possible in so many seconds."""
        return self._lock.acquire(timeout=max(0.0, seconds))

    def free(self) -> None:
        """Give it back."""
        try:
            self._lock.release()
        except RuntimeError:
            if not sys.is_finalizing():
                raise

    def renew(self) -> None:
        """Let nobody have it."""
        self._lock = threading.RLock()


def forget_in_child(forget: Callable[[], object]) -> None:
    """Have a method called in every child that is forked from now on, for as long as its object lives."""
    _note(_owners, weakref.WeakMethod, forget)


def renew_in_child(client: object) -> None:
    """Have the locks of a client, and of all that belongs to it, made anew in every child."""
    _note(_clients, weakref.ref, client)


def _note(where: dict[int, Any], reference: Callable[..., Any], thing: object) -> None:
    global _is_watched  # noqa: PLW0603  # a process has one hook, from the first thing on that needs it
    with _turn:
        if not _is_watched:
            _is_watched = True
            if hasattr(os, "register_at_fork"):  # Windows has no fork
                os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
        number = next(_numbers)
    where[number] = reference(thing, lambda _: where.pop(number, None))


def _living(where: dict[int, Any]) -> list[Any]:
    # In the order in which they were made: so two threads that fork at once take them in the same order.
    # A copy is made in one go, while a list of the items may collect garbage, and so drop some, on the way.
    return [thing for _, found in sorted(where.copy().items()) if (thing := found()) is not None]


def _before() -> None:
    global _forks_here  # noqa: PLW0603
    until = uptime() + PATIENCE
    if _turn.acquire(timeout=PATIENCE):
        _forks_here = threading.get_ident()
        _taken[:] = [mutex for mutex in _living(_mutexes) if mutex.take(until - uptime())]


def _in_parent() -> None:
    global _forks_here  # noqa: PLW0603
    if _forks_here == threading.get_ident():
        _free_all()
        _forks_here = 0
        _turn.release()


def _free_all() -> None:
    while _taken:
        _taken.pop().free()


def _in_child() -> None:
    global _turn, _forks_here
    taken = set(map(id, _taken)) if _forks_here == threading.get_ident() else set[int]()
    if not taken:
        _taken.clear()  # they are of another thread, which has forked at the same time
    _free_all()
    _turn, _forks_here = threading.RLock(), 0
    for mutex in _living(_mutexes):
        if id(mutex) not in taken:
            mutex.renew()
    _renew_locks(_living(_clients))
    for forget in _living(_owners):
        forget()


def _renew_locks(things: list[Any]) -> None:
    """Free the locks of some objects of client libraries, and of all others that they lead to."""
    seen: dict[int, Any] = {}
    while things:
        thing = things.pop()
        if id(thing) in seen:
            continue
        seen[id(thing)] = thing
        if isinstance(thing, LOCKS):
            _renew(thing)
        elif isinstance(thing, dict):
            things += list(thing.values())
        elif isinstance(thing, list | tuple | set | frozenset):
            things += list(thing)
        elif type(thing).__module__.partition(".")[0] in LIBRARIES:
            attributes: dict[str, Any] = getattr(thing, "__dict__", {})
            things += [value for name, value in attributes.copy().items() if name not in LEFT_OUT]


def _renew(lock: Any) -> None:  # noqa: ANN401  # the type of a lock has no public name
    """Free a lock in its place, as the standard library does with its own: others refer to it too."""
    if not (hasattr(lock, "_is_owned") and lock._is_owned()):
        lock._at_fork_reinit()
