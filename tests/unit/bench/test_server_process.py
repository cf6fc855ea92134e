"""The CPU time of a server that is found by its port."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

from fastworker.bench.server_process import find

SERVER = """
import socket, sys
with socket.create_server(("127.0.0.1", 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    while sys.stdin.readline():
        sum(range(3_000_000))
        print("done", flush=True)
"""


def test_what_a_server_of_this_machine_uses_is_seen() -> None:
    command = [sys.executable, "-c", SERVER]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        found = find(f"amqp://guest:guest@127.0.0.1:{int(server.stdout.readline())}/")
        assert found is not None
        assert found.pid == server.pid
        before = found.figures()
        for _ in range(5):
            print("work", file=server.stdin, flush=True)
            assert server.stdout.readline() == "done\n"
        used = found.figures() - before
        assert used.cpu_s > 0.05
        assert (used.thread_s, used.commands) == (None, None)
        server.stdin.close()


def test_nobody_is_found_where_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        found = find(f"amqp://127.0.0.1:{port}/")
        assert found is not None
        assert found.pid == os.getpid()
    assert find(f"amqp://127.0.0.1:{port}/") is None


def test_servers_elsewhere_and_files_have_no_process_here() -> None:
    assert find("sqlite:////tmp/queue.db") is None
    assert find("amqp://192.0.2.1:5672/") is None
    assert find("amqp://a;amqp://b") is None
