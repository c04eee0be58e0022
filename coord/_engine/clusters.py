"""Sync cluster clients that pass on what they are told.

The cluster clients of redis-py and valkey-py drop keywords of a connection that are not on a list of
theirs, in silence: how TLS is checked, among others. So what they would drop rides on the class of the
connections.
"""

# pyright: basic

from __future__ import annotations

from functools import partialmethod
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["blocking"]


def blocking(factory: Any, hosts: Sequence[tuple[str, int]], kind: type, settings: Mapping[str, Any]) -> Any:
    """Make a sync cluster client. It asks the nodes for the others at once.

    Args:
        factory: ``RedisCluster`` of redis-py, or ``ValkeyCluster`` of valkey-py.
        hosts: Nodes to ask, one after the other.
        kind: The class of its connections.
        settings: Keywords of these.
    """
    module: Any = import_module(factory.__module__)
    passed_on = {"max_connections", "username", "password", "retry"}
    own = {name: value for name, value in settings.items() if name not in passed_on}
    init = partialmethod(kind.__init__, **own)  # type: ignore[misc]
    told = type(kind.__name__, (kind,), {"__init__": init, "__module__": kind.__module__})
    # Only where it is made from a URL does a cluster client let its nodes have connections of a given class.
    name, port = hosts[-1]
    url = f"redis://[{name}]:{port}" if ":" in name else f"redis://{name}:{port}"
    first = [module.ClusterNode(*host) for host in hosts[:-1]]
    kept = {name: value for name, value in settings.items() if name in passed_on}
    return factory(startup_nodes=first, url=url, connection_class=told, **kept)
