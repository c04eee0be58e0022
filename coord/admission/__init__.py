"""Admission: so many at work at a time *and* so much of each rate, decided together.

Theory
------
A permit is given back and a charge is not, so the two are kept as they are alone: the permit in the sorted
set of its concurrency limit, each rate in the state of its limiter. What is together is the decision. One
script looks at the room and at all rates of a subject, whose keys share a slot, and takes all of it or
nothing.

A turn at a rate can be booked ahead, since it is known when it comes. Room cannot: nobody knows when it is
given back. So whoever waits stands in the line of the fair concurrency limit, and only the first in it asks
again: when there is room, and when the rates allow what it wants. Then it is the next one's turn to look.

Rules
-----
1. Who holds the permit was charged exactly once, however often the request was sent: a key of its token
   says so, for as long as it may be sent again.
2. Whoever was not told of a grant holds nothing and has paid nothing. One script gives back both, and what
   was charged only if that key is there, which it deletes; so it may be repeated too.
3. Nobody goes before the first in the line, not even one whom the rates would allow because it wants less.
4. What is charged can be corrected like any charge; the permit lives and dies like any other.

In this package: ``calls`` is what the server is asked, ``entrance`` one acquisition, ``permit`` what it
gives and a block of it, ``denied`` what it answers otherwise, ``admission`` the way in, and ``blocking`` the
sync faces.
"""

from coord.admission.admission import AsyncAdmission
from coord.admission.blocking import Admission, AdmissionHold, AdmissionPermit
from coord.admission.denied import Denied
from coord.admission.permit import AsyncAdmissionHold, AsyncAdmissionPermit

__all__ = [
    "Admission",
    "AdmissionHold",
    "AdmissionPermit",
    "AsyncAdmission",
    "AsyncAdmissionHold",
    "AsyncAdmissionPermit",
    "Denied",
]
