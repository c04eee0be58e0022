"""The only code that knows threads, event loops or a Redis client.

From the inside out:

- ``script``: a Redis operation as a value.
- ``port``: what an algorithm may ask of the world, and ``step``, which runs it without a loop.
- ``faults``, ``retry``: what an exception says of a call, and whether it is asked again.
- ``courier``: how one call travels, whatever the client: script cache, redirects, repeats, deadline.
- ``convoys``: how several calls travel together, whatever the client.
- ``wires``: where the two flavours of client differ.
- ``coalescing``, ``trunk``: how the concurrent calls of an event loop travel together.
- ``parking``: what becomes of a thread's connection between its calls.
- ``taps``: connections that messages come in on.
- ``threads``, ``tasks``: the two ports.
- ``keys``, ``checks``, ``clock``, ``faces``, ``replies``: what every room shares.
- ``wakeups``, ``listeners``, ``renewals``: what runs beside the callers, as flows over the port.
- ``urls``, ``embedded``, ``reaper``: where a client comes from when ``connect`` makes one.
"""
