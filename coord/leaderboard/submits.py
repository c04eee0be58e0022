"""Writing scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from coord._engine.checks import integer, one_of
from coord._engine.replies import as_rows, text
from coord._engine.script import Script
from coord.leaderboard.base import BoardFlow, ask, lifetime, settled
from coord.leaderboard.scores import KEEPS, member_bytes, meta_bytes, score_text, submissions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord._engine.checks import Seconds
    from coord._engine.script import Reply
    from coord.leaderboard.scores import Keep, Submission
    from coord.periods import Instant

__all__ = ["AsyncSubmits", "Target", "checked_rows"]

MOST_OVERTAKEN = 100
"""Overtaken members in one answer: more than anyone is shown, and named within half a millisecond."""

ROWS = 50
"""Scores that one script takes, in one or two milliseconds."""

NAMED = 16
"""Overtaken members that cost a server to name about as much as a score does."""


@dataclass(frozen=True, slots=True)
class Target:
    """A board that a submission goes to.

    Attributes:
        kind: Which of the board's periods it is; empty for a board that has none.
        keys: Its keys.
        keep: Its rule.
        ends: When its period ends, milliseconds since the epoch; empty if it is permanent.
        retain: How long it is kept after that, milliseconds.
    """

    kind: str
    keys: Sequence[str]
    keep: str
    ends: int | str = ""
    retain: int = 0


@dataclass(frozen=True, slots=True)
class _Done:
    """How the server answered: what each row did on each board, or why none was taken."""

    boards: list[list[Submission]]
    refused: tuple[str, str] | None = None


def _done(reply: Reply) -> _Done:
    first = as_rows(reply)[0]
    if isinstance(first, list):
        return _Done(submissions(reply))
    why, what = as_rows(reply)
    return _Done([], (text(why), text(what)))


_SUBMIT = Script("board_submit", parse=settled(_done), repeatable=False)


class AsyncSubmits(BoardFlow):
    """How scores get onto a board."""

    async def submit(
        self,
        member: str,
        score: float,
        *,
        keep: Keep | None = None,
        meta: str | None = None,
        ttl: Seconds | None = None,
        overtaken: int = 0,
        at: Instant | None = None,
    ) -> Submission:
        """Give a member a score.

        Args:
            member: Who.
            score: A finite number that a double can hold exactly.
            keep: Which score stays: ``"last"`` this one, ``"best"`` or ``"worst"`` of old and new by the
                board's order, ``"sum"`` old and new added, ``"first"`` the old one if there is one;
                ``None`` for the board's rule.
            meta: Any text to keep with the score. It is kept if this score wins, or adds up; a score that
                loses to the old one leaves the old meta. ``None`` leaves it in any case.
            ttl: How long the score lives from now on; ``None`` for the board's ``member_ttl``, and if it
                has none, to leave that as it is.
            overtaken: How many of those to name whom the member passed, up to 100. Under a shared rank,
                these had a better score before and have a worse one now; with ``ties="ordinal"``, they
                stood before the member. A newcomer passes all who come after it.
            at: When it was scored, for a board with periods; ``None`` for now.

        Returns:
            The score that stays, whether it changed, and the ranks after and before by the board's rule
            for ties.

        Raises:
            TypeError: ``member`` or ``meta`` is not a ``str``, or ``score`` not a number.
            ValueError: A double cannot hold the score or the sum, or the board that is there has another
                ``tiebreak``. Nothing was changed.

        Complexity: O(log n) for each period, and the rows overtaken. One round trip.
        """
        metas = None if meta is None else {member: meta}
        done = await self.submit_many(
            {member: score}, keep=keep, meta=metas, ttl=ttl, overtaken=overtaken, at=at
        )
        return done[member]

    async def submit_many(
        self,
        scores: Mapping[str, float],
        *,
        keep: Keep | None = None,
        meta: Mapping[str, str] | None = None,
        ttl: Seconds | None = None,
        overtaken: int = 0,
        at: Instant | None = None,
    ) -> dict[str, Submission]:
        """Give many members a score each, as ``submit`` does one after the other.

        Up to 50 scores (divided by the number of periods, and by up to 7 if ``overtaken`` is asked for) are
        one step and one round trip; more travel in slices of that size, so that none of them holds the
        server up.

        Args:
            scores: A score for each member.
            keep: As for ``submit``.
            meta: That of some of these members.
            ttl: As for ``submit``.
            overtaken: As for ``submit``, for each member.
            at: As for ``submit``.

        Returns:
            What each score did when it was taken, by member.

        Raises:
            TypeError: As for ``submit``.
            ValueError: As for ``submit``; no score of the slice was taken, and none of a later slice.

        Complexity: O(log n) for each member and period.
        """
        rule = "" if keep is None else one_of(keep, "keep", KEEPS)
        lives = lifetime(self._setup.member_ttl, "member_ttl") if ttl is None else lifetime(ttl, "ttl")
        limit = integer(overtaken, "overtaken", at_least=0, at_most=MOST_OVERTAKEN)
        rows = checked_rows(scores, meta or {})
        self._check_instant(at)
        done: dict[str, Submission] = {}
        targets = await self._targets(rule, at)
        size = max(1, ROWS * NAMED // (len(targets) * (NAMED + limit)))
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            reply = await ask(
                self._setup,
                [key for target in targets for key in target.keys],
                _SUBMIT,
                *(self._order, self._setup.ties, limit, lives),
                *(word for target in targets for word in (target.keep, target.ends, target.retain)),
                *(word for row in part for word in row),
            )
            if reply.refused is not None:
                raise self._refusal(*reply.refused)
            for at_row, row in enumerate(part):
                by_kind = {
                    target.kind: board[at_row] for target, board in zip(targets, reply.boards, strict=True)
                }
                first = by_kind[targets[0].kind]
                done[row[0].decode()] = replace(first, periods=by_kind) if targets[0].kind else first
        return done

    async def _targets(self, keep: str, at: Instant | None) -> list[Target]:
        """Say to which boards a submission goes; ``keep`` overrides their rules unless it is empty."""
        setup, schedule = self._setup, self._setup.schedule
        if schedule is None:
            return [Target("", setup.keys(), keep or setup.keep)]
        return [
            Target(
                slot.kind,
                setup.keys(*slot.within),
                keep or schedule.keeps.get(slot.kind, setup.keep),
                slot.ends,
                slot.retain,
            )
            for slot in await schedule.slots(at)
        ]

    def _check_instant(self, at: Instant | None) -> None:
        if self._setup.schedule is not None:
            self._setup.schedule.check(at)
        elif at is not None:
            raise ValueError(f"board {self.name!r} has no periods, so at= has no meaning")

    def _refusal(self, why: str, what: str) -> ValueError:
        if why == "tiebreak":
            return ValueError(
                f"tiebreak={self._setup.tiebreak!r} does not fit board {self.name!r}, which was begun with "
                f"{what!r}; clear it, or take another name"
            )
        return ValueError(
            f"the score of {what!r} plus the new one is a sum that a double cannot hold: from 2**53 on sums "
            "lose points"
        )


def checked_rows(
    scores: Mapping[str, float], metas: Mapping[str, str]
) -> list[tuple[bytes, str, int, bytes]]:
    """Return scores as the script wants them, if there is nothing wrong with any of them."""
    for what, given in (("scores", scores), ("meta", metas)):
        if not isinstance(given, Mapping):
            raise TypeError(f"{what} must be a mapping by member, not {type(given).__name__}")
    strangers = metas.keys() - scores.keys()
    if strangers:
        raise ValueError(f"meta must be of members that are given a score, not of {min(strangers)!r}")
    return [
        (
            member_bytes(member),
            score_text(score),
            int(member in metas),
            meta_bytes(metas[member]) if member in metas else b"",
        )
        for member, score in scores.items()
    ]
