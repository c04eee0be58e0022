"""What a forked child has of its parent's: nothing."""

from __future__ import annotations

import os
import signal
import time

import pytest

from coord import Coord, NotOwned

pytestmark = pytest.mark.anyio


def test_a_forked_child_does_not_own_its_parents_lease(real_server: str, prefix: str) -> None:
    with Coord.connect(real_server, prefix=prefix) as hub, hub.lock("x", ttl=5) as lease:
        pid = os.fork()
        if pid == 0:
            verdict = 1
            try:
                lease.release()
            except NotOwned:
                with Coord.connect(real_server, prefix=prefix) as own, own.lock("y", ttl=0.3):
                    time.sleep(0.5)
                    verdict = 0
            finally:
                os._exit(verdict)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert lease.valid


def test_a_forked_child_renews_nothing_of_its_parents(real_server: str, prefix: str) -> None:
    """The parent's lease ends with its time once the parent itself renews it no longer."""
    with Coord.connect(real_server, prefix=prefix) as hub, hub.lock("x", ttl=1) as lease:
        pid = os.fork()
        if pid == 0:
            verdict = 1
            signal.alarm(20)
            try:
                with hub.lock("y", ttl=1) as own:
                    time.sleep(2.5)
                    parents = hub.lock("x").status()
                    verdict = (0 if own.valid else 2) + (4 if parents.held else 0)
            finally:
                os._exit(verdict)
        lease.export()  # whoever gives it away stops to renew it
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_forked_processes_have_tokens_of_their_own(real_server: str, prefix: str) -> None:
    with Coord.connect(real_server, prefix=prefix) as hub:
        hub.lock("warm").acquire().release()
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.write(writer, hub.lock("child").acquire().token.encode())
            finally:
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        childs = os.read(reader, 100).decode()
        os.close(reader)
        os.close(writer)

        assert len(childs) == 32
        assert childs != hub.lock("parent").acquire().token
