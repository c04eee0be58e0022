"""How many different ids: exactly while they are few, then as a sketch with known error bounds.

Theory
------
A HyperLogLog is a sketch of at most 12 KiB from which the number of different ids can be estimated with a
standard error of at most 0.81 %, and which can be united with others without counting anyone twice. It is
not exact even for ten ids. So a period begins as a set of 64-bit hashes, which a server stores compactly, and
becomes a sketch with its 513th id: then the set would be larger than the sketch.

A count over many periods is a union. The days of a month that is over are united once, into a *roll-up*, and
the same goes for the minutes of an hour, the hours of a day and the months of a year.

Rules
-----
1. An id is known by the hash of its bytes, computed here: ``1``, ``"1"`` and ``b"1"`` agree. A sketch is fed
   hashes, not ids, or what was promoted would be counted again. A raw counter has keys of another kind.
2. Promotion happens in the script that adds the id, and never the other way.
3. A roll-up is always equal to the union of its periods. What changes a period removes the roll-up in the
   same script, whatever the time; and it expires with the first of them.
4. Every key of an ``add`` is derived from one instant, and given its TTL by the script that writes it.
5. No answer without its bounds; no negative overlap; and none that is mostly noise, unless asked.
6. Nothing says whether one id was seen. A sketch would be wrong, for 100,000 ids, 85 times in 100.

Sources: P. Flajolet et al., "HyperLogLog: the analysis of a near-optimal cardinality estimation algorithm"
(2007), as implemented by the ``PFADD`` and ``PFCOUNT`` commands.

In this package: ``counter`` is the algorithm, ``sliding`` that of windows, ``store`` what is kept,
``estimate`` how wrong it is, ``sketch`` a HyperLogLog read here, ``export`` how it is written down,
``blocking`` the sync faces.
"""

from coord.uniques.blocking import Selection, SlidingUniqueCounter, UniqueCounter
from coord.uniques.counter import AsyncSelection, AsyncUniqueCounter
from coord.uniques.estimate import Estimate
from coord.uniques.sliding import AsyncSlidingUniqueCounter

__all__ = [
    "AsyncSelection",
    "AsyncSlidingUniqueCounter",
    "AsyncUniqueCounter",
    "Estimate",
    "Selection",
    "SlidingUniqueCounter",
    "UniqueCounter",
]
