"""A TCP proxy that adds a stated round trip before the broker, as another host or availability zone
would.

What a client sends is held for the whole delay, answers pass at once; so a request costs one delay
more, and requests that are pipelined share it. Two threads per connection: one reads and stamps
what came, one sends it when its time has come. (An event loop would round each delay up to its
timer's millisecond.) It runs as a process of its own.
"""

from __future__ import annotations

import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benches.harness.worker import environment

CHUNK = 1 << 16


@contextmanager
def delayed(port: int, delay_ms: float) -> Iterator[int]:
    """Run a proxy before 127.0.0.1:``port``; yields its own port."""
    command = [sys.executable, "-m", "benches.harness.delay_proxy", str(port), str(delay_ms)]
    with subprocess.Popen(command, env=environment({}), text=True, stdout=subprocess.PIPE) as proxy:
        assert proxy.stdout is not None  # a pipe was asked for
        try:
            yield int(proxy.stdout.readline())
        finally:
            proxy.terminate()


def main() -> None:
    """Serve until terminated; the port goes to stdout."""
    target, delay_s = ("127.0.0.1", int(sys.argv[1])), float(sys.argv[2]) / 1e3
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            client, _ = listener.accept()
            server = socket.create_connection(target)
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            waiting: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
            for work in (
                (receive, client, waiting, delay_s),
                (send_when_due, server, waiting),
                (pass_on, server, client),
            ):
                threading.Thread(target=work[0], args=work[1:], daemon=True).start()


def receive(
    client: socket.socket, waiting: queue.SimpleQueue[tuple[float, bytes]], delay_s: float
) -> None:
    """Stamp what the client sends with the time when it is due; an empty chunk is the end."""
    while True:
        chunk = read(client)
        waiting.put((time.monotonic() + delay_s, chunk))
        if not chunk:
            return


def send_when_due(server: socket.socket, waiting: queue.SimpleQueue[tuple[float, bytes]]) -> None:
    """Send each chunk to the server at its time."""
    while True:
        due, chunk = waiting.get()
        time.sleep(max(0.0, due - time.monotonic()))
        if not chunk or not write(server, chunk):
            hang_up(server)
            return


def pass_on(server: socket.socket, client: socket.socket) -> None:
    """Send answers to the client at once."""
    while (chunk := read(server)) and write(client, chunk):
        pass
    hang_up(client)


def read(end: socket.socket) -> bytes:
    """The next chunk; empty when the peer is gone, however it went."""
    try:
        return end.recv(CHUNK)
    except OSError:
        return b""


def write(end: socket.socket, chunk: bytes) -> bool:
    """Send all; False when the peer is gone."""
    try:
        end.sendall(chunk)
    except OSError:
        return False
    return True


def hang_up(end: socket.socket) -> None:
    """End both directions, so that the thread which reads here ends too."""
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it had gone before


if __name__ == "__main__":
    main()
