"""What the exceptions of a client library say about the call that failed."""

# pyright: basic

from __future__ import annotations

import ssl
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coord._engine.retry import Failure

__all__ = ["Faults", "Node", "NotExecutedError", "bare"]

Node = tuple[str, int]
"""Host and port of a cluster's node."""

NOT_NOW = ("BUSY ", "NOREPLICAS ")
"""How answers begin, for which the libraries have no class, that say "not executed" for the time being."""


class NotExecutedError(Exception):
    """The call certainly did nothing, since it never left."""

    def __init__(self, failure: Exception) -> None:
        super().__init__(failure)
        self.failure = failure


def bare(error: Exception) -> Exception:
    """Find the client library's own exception."""
    return error.failure if isinstance(error, NotExecutedError) else error


def _is_distrust(error: BaseException | None) -> bool:
    """Tell whether a connection was not made since the server's certificate is not to be trusted."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


@dataclass(frozen=True, slots=True)
class Faults:
    """The exceptions of one client library, by what they say about the call.

    Attributes:
        refused: The server answered with an error; of these:
        no_script: it does not have the script cached;
        ask: another node serves the slot (ASK, and MOVED, which is a kind of it);
        not_now: nothing was executed, and later it may be.
        broken: No answer: the connection could not be made, broke, or timed out.
        denied: Of these: who asks is not let in, now or later.
        topology: What makes another look at the cluster's slots worth while.
        timed_out: Raised when the call's own deadline passes.
        lost: Raised when the connection breaks.
        read_only: The server does not take writes: it is a replica.
    """

    refused: type[Exception]
    no_script: type[Exception]
    ask: type[Exception]
    not_now: tuple[type[Exception], ...]
    broken: tuple[type[Exception], ...]
    denied: tuple[type[Exception], ...]
    topology: tuple[type[Exception], ...]
    timed_out: type[Exception]
    moved: type[Exception]
    lost: type[Exception]
    read_only: type[Exception]

    @classmethod
    def of(cls, client: object) -> Faults:
        """Find the exceptions of the library that ``client`` comes from."""
        roots = [base.__module__.partition(".")[0] for base in type(client).__mro__]
        library = "valkey" if "valkey" in roots else "redis"
        errors: Any = import_module(f"{library}.exceptions")
        cluster = getattr(errors, f"{library.capitalize()}ClusterException")
        gone = (errors.ConnectionError, cluster)
        busy = (errors.TryAgainError, errors.ClusterDownError, errors.MasterDownError)
        return cls(
            refused=errors.ResponseError,
            no_script=errors.NoScriptError,
            ask=errors.AskError,
            not_now=(*busy, errors.BusyLoadingError),
            broken=(*gone, errors.TimeoutError, OSError),
            denied=(errors.AuthenticationError, errors.AuthorizationError),
            topology=(errors.MovedError, errors.ClusterDownError, *gone, errors.ReadOnlyError),
            timed_out=errors.TimeoutError,
            moved=errors.MovedError,
            lost=errors.ConnectionError,
            read_only=errors.ReadOnlyError,
        )

    def kind(self, error: Exception) -> Failure:
        """Say how an attempt failed that ended with ``error``."""
        known = bare(error)
        if isinstance(known, self.denied) or _is_distrust(known):
            return "final"
        if isinstance(known, self.not_now) or str(known).startswith(NOT_NOW):
            return "not now"
        if isinstance(known, self.read_only) or self._was_demoted(known):
            return "replica"
        if isinstance(known, self.broken):
            return "lost" if known is error else "unsent"
        return self._redirection(known)

    def _redirection(self, error: Exception) -> Failure:
        if isinstance(error, self.no_script):
            return "no script"
        if isinstance(error, self.moved):
            return "moved"
        return "asked" if isinstance(error, self.ask) else "final"

    def _was_demoted(self, error: Exception) -> bool:
        """Tell whether a Sentinel's connection says in its own way that its master takes no writes now."""
        return isinstance(error, self.lost) and isinstance(error.__context__, self.read_only)

    def is_answer(self, error: Exception) -> bool:
        """Say whether a server answered, and this is what it said."""
        return error is bare(error) and isinstance(error, (self.refused, *self.not_now, *self.denied))

    def is_outage(self, error: Exception) -> bool:
        """Say whether what a call has raised means that the server cannot be asked now, and may later."""
        return self.kind(error) != "final"

    def asked_node(self, redirect: Any) -> Node:
        """Name the node of an ASK."""
        return redirect.host, redirect.port
