"""A demonstration: a fleet of processes reads a web server's access log together, through Redis alone.

``python -m coord demo`` runs it. Each worker is a process of its own; what they share is a Redis server
and the log, which they read by byte range.

- A lock with a fence hands out chunks of the log. Whoever holds ``chunk-7`` renews its lease as it goes,
  and writes the chunk's record to a ledger with ``HSETNX``: the first record of a chunk is the only one,
  so each line counts once, even if its first reader was killed or came back from the dead.
- A unique counter and an activity record take each day's visitors. Both are idempotent: a chunk read
  twice changes nothing.
- A token bucket throttles each address, one request a line.
- A leaderboard ranks the pages. A worker that has committed a chunk adds up its pages over all committed
  chunks and submits these totals with ``keep="best"``: totals only grow, so the order of submissions
  does not matter, nor does repeating them. A worker that is killed between its commit and its submission
  leaves the board short; so each worker, when no chunk is left, looks for totals that the board lacks
  and submits them before it exits.

Then the parent reads everything back and holds it against its own single pass over the file.
"""
