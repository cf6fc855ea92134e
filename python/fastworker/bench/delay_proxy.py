"""A TCP proxy that adds a stated round trip before the broker, as another host or availability zone would.

What a client sends is held for the whole delay, answers pass at once; so a request costs one delay more, and
requests that
are pipelined share it. Two threads per connection: one reads and stamps what came, one sends it when its time has
come. (An
event loop would round each delay up to its timer's millisecond.) It runs as a process of its own, so that its work
is not the client's.
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
from urllib.parse import urlsplit, urlunsplit

from fastworker.bench.errors import BenchError

_CHUNK = 1 << 16
_PORTS = {"redis": 6379, "valkey": 6379, "amqp": 5672, "pyamqp": 5672}


@contextmanager
def delayed(url: str, delay_s: float) -> Iterator[str]:
    """The URL of the same broker behind a proxy.

    Raises:
        BenchError: A broker without a connection (a file), or with an encrypted one.
    """
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or ";" in url:
        raise BenchError(
            f"--rtt with {parts.scheme}: expected one server, reached without TLS ({', '.join(_PORTS)})"
        )
    target = (parts.hostname or "127.0.0.1", parts.port or _PORTS[parts.scheme])
    command = [sys.executable, "-m", __name__, target[0], str(target[1]), str(delay_s)]
    with subprocess.Popen(
        command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as proxy:
        assert proxy.stdout is not None  # a pipe was asked for
        try:
            port = int(proxy.stdout.readline() or 0)
            if not port:
                raise BenchError("--rtt: the proxy did not start")
            login = parts.netloc.rpartition("@")[0]
            place = f"{login}@127.0.0.1:{port}" if login else f"127.0.0.1:{port}"
            yield urlunsplit(parts._replace(netloc=place))
        finally:
            proxy.terminate()


def main() -> None:
    """Serve until terminated, or until whoever started it is gone; the port goes to stdout."""
    target, delay_s = (sys.argv[1], int(sys.argv[2])), float(sys.argv[3])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        threading.Thread(target=_serve, args=(listener, target, delay_s), daemon=True).start()
        sys.stdin.read()


def _serve(listener: socket.socket, target: tuple[str, int], delay_s: float) -> None:
    while True:
        client, _ = listener.accept()
        try:
            server = socket.create_connection(target)
        except OSError:
            client.close()
            continue
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        waiting: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
        _start(_receive, client, waiting, delay_s)
        _start(_send_when_due, server, waiting)
        _start(_pass_on, server, client)


def _start(work: object, *arguments: object) -> None:
    threading.Thread(target=work, args=arguments, daemon=True).start()  # type: ignore[arg-type]


def _receive(
    client: socket.socket, waiting: queue.SimpleQueue[tuple[float, bytes]], delay_s: float
) -> None:
    """Stamp what the client sends with the time when it is due; an empty chunk is the end."""
    while True:
        chunk = _read(client)
        waiting.put((time.monotonic() + delay_s, chunk))
        if not chunk:
            return


def _send_when_due(server: socket.socket, waiting: queue.SimpleQueue[tuple[float, bytes]]) -> None:
    """Send each chunk to the server at its time."""
    while True:
        due, chunk = waiting.get()
        time.sleep(max(0.0, due - time.monotonic()))
        if not chunk or not _write(server, chunk):
            _hang_up(server)
            return


def _pass_on(server: socket.socket, client: socket.socket) -> None:
    """Send answers to the client at once."""
    while (chunk := _read(server)) and _write(client, chunk):
        pass
    _hang_up(client)


def _read(end: socket.socket) -> bytes:
    """The next chunk; empty when the peer is gone, however it went."""
    try:
        return end.recv(_CHUNK)
    except OSError:
        return b""


def _write(end: socket.socket, chunk: bytes) -> bool:
    """Send all; False when the peer is gone."""
    try:
        end.sendall(chunk)
    except OSError:
        return False
    return True


def _hang_up(end: socket.socket) -> None:
    """End both directions, so that the thread which reads here ends too."""
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it had gone before


if __name__ == "__main__":
    main()
