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
        threading.Thread(target=stop_with_the_owner, args=(server,), daemon=True).start()
        said, is_ready = b"", False
        for line in server.stdout:  # to the end, or the server would block once the pipe is full
            if is_ready:
                continue
            said += line
            if b"ready to accept connections" in line.lower():  # Redis up to 7.0 begins "The server is now"
                is_ready = True
                print("ready", flush=True)  # noqa: T201
        if not is_ready:
            sys.stdout.write(said.decode(errors="replace"))
        return 0 if is_ready else 1
    finally:
        stop(server)
        shutil.rmtree(scratch, ignore_errors=True)


def stop_with_the_owner(server: subprocess.Popen[bytes]) -> None:
    """Wait for the owner to close standard input, or to die, and then stop the server."""
    sys.stdin.buffer.read()
    stop(server)


def stop(server: subprocess.Popen[bytes]) -> None:
    """Stop a server, by force if it will not."""
    server.terminate()
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


if __name__ == "__main__":
    sys.exit(main())
