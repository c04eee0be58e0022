"""Stands between a private server and the process that wanted it, so that neither outlives the other.

Run as its own process: ``python -IS reaper.py SERVER SCRATCH``. It reads the server's configuration from
its standard input up to an empty line, starts the server with it (nothing secret reaches a command
line), prints ``ready`` once the server accepts connections, and then waits for the end of its standard
input. That end comes when the owner closes it, and just as well when the owner is killed: then the
server is stopped and the scratch folder removed. If the server cannot start, what it said is printed.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading

STOP_SECONDS = 10
"""Seconds for a server to stop by itself: it writes down what an embedded folder keeps. Then it is killed."""


def main() -> int:
    """Run one server for as long as standard input stays open."""
    server_path, scratch = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.umask(0o077)  # its files are nobody else's
    config = b"".join(iter(sys.stdin.buffer.readline, b"\n"))
    server = subprocess.Popen(  # noqa: S603  # the path comes from an installed wheel
        [server_path, "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        assert server.stdin is not None  # noqa: S101
        assert server.stdout is not None  # noqa: S101
        server.stdin.write(config)
        server.stdin.close()
        said = b""
        for line in server.stdout:
            said += line
            if b"ready to accept connections" in line.lower():  # Redis up to 7.0 begins "The server is now"
                break
        else:
            sys.stdout.write(said.decode(errors="replace"))
            return 1
        print("ready", flush=True)  # noqa: T201
        # The server's log must be read on, or it would block once the pipe is full.
        threading.Thread(target=server.stdout.read, daemon=True).start()
        sys.stdin.buffer.read()
        return 0
    finally:
        server.terminate()
        try:
            server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
