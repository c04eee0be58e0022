"""The one way in: a ``Coord`` owns the connection and hands out primitives.

``Coord`` and ``AsyncCoord`` are twins: the same methods, with the same arguments, answered by twins.
Nothing is sent until a primitive is used, so both may be made when a module is imported. In this
package: ``limiting`` is how limiters are made, ``suspending`` and ``blocking`` all else.
"""

from coord.hub.blocking import Coord
from coord.hub.suspending import AsyncCoord

__all__ = ["AsyncCoord", "Coord"]
