"""Every example runs, without a warning, and prints what it promises."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
PROMISES = {
    "lock": [
        "another try meanwhile gives None",
        "5 tasks wrote one after the other",
        "still held by another",
    ],
    "several_locks": [
        "holding ann, bob with one lease",
        "one of them and another: None",
        "36 transfers later there are 400 in all",
    ],
    "fenced_value": [
        "has been there",
        "sync:  the balance is b'150'",
        "after 5 deposits of 10 the balance is b'50'",
    ],
    "quorum": [
        "another try meanwhile gives None",
        "5 tasks held it in turn; fences in order: True",
        "no majority, since these failed",
    ],
    "token_bucket": ["request 6: denied, retry after", "costs 4: True; then one that costs 3: False"],
    "sliding_window": ["attempt 4: denied, retry after", "of 20 attempts at once, 3 were allowed"],
    "compare_limiters": ["token bucket           █       ██████████", "async: 10 workers had their turns"],
    "llm_client": [
        "then False for want of tokens",
        "requests left: 59",
        "a second call at a time is denied by 'calls'",
        "8 questions were answered, at most 3 at a time",
        "'requests' denies for now",
    ],
    "concurrency": [
        "a third one meanwhile: None",
        "had no room of 1 for 'host-0'",
        "from each host at most 3 at a time",
    ],
    "unique_visitors": [
        "1000 in truth",
        "800 in truth",
        "Tuesday: 2 readers; June: 3 readers",
        "2 readers in the last five minutes",
    ],
    "daily_actives": [
        "on both 40; was 75 among them? True",
        "lost 60, on either 130",
        "in the week 130",
        "2025-06-02   100  100%  40%   -",
        "three days 1; is it cyd? True",
        "on two of them: bob, cyd",
    ],
    "funnels": ["ordered    1       25%          25%", "paid    1       33%", "stuck at the cart: ann, cyd"],
    "leaderboard": [
        "1. ann 310",
        "without gaps: 1. ann, 2. bob, 2. cyd, 3. dan",
        "from rank 5 to 2, past bob, cyd, dan",
        "up 3 since yesterday, and better than 75 %",
        "today: 1. ann 100, 1. fay 100",
        "around dan: 2. cyd, 4. dan, 5. eve",
        "of all time: 4. fay 190, nobody, 1. ann 410",
        "of 5001 in the world ann is 2501., before 50 %",
    ],
}


def run(name: str, *args: str) -> str:
    command = [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py"), *args]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_every_example_is_tested() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(PROMISES)


@pytest.mark.parametrize("name", PROMISES)
def test_an_example_prints_what_it_promises(name: str) -> None:
    output = run(name)

    assert [promise for promise in PROMISES[name] if promise not in output] == []


def test_an_example_takes_a_url() -> None:
    assert "5 tasks wrote" in run("lock", "memory://")
