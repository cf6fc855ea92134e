"""A TCP proxy that breaks connections on purpose: at a random byte, all at once, or slowly by a
fixed delay.
"""

from __future__ import annotations

import contextlib
import queue
import random
import socket
import struct
import threading
import time
from types import TracebackType

# Bytes read at once; small, so that a cut falls inside a command often.
CHUNK = 4096


class Proxy:
    """Forwards 127.0.0.1:``port`` to ``target``; a context manager that closes everything.

    Args:
        target: Host and port behind it.
        seed: Makes the cuts repeatable.
        delay_s: Held back per direction, so a round trip costs twice this.
    """

    def __init__(self, target: tuple[str, int], *, seed: int = 0, delay_s: float = 0.0) -> None:
        self.target = target
        self.delay_s = delay_s
        self.cuts = 0
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._is_refusing = False
        self._pairs: set[_Pair] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> int:
        """Reset every connection after up to 2,000 more bytes, counted over both directions;
        returns how many.
        """
        with self._lock:
            pairs = list(self._pairs)
            for pair in pairs:
                pair.budget = self._random.randrange(2000)
            self.cuts += len(pairs)
        return len(pairs)

    def refuse(self) -> None:
        """Reset every connection now, and each new one at once, until ``accept_again``: the server
        is down.
        """
        self._is_refusing = True
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            pair.reset()

    def accept_again(self) -> None:
        """End ``refuse``."""
        self._is_refusing = False

    def close(self) -> None:
        """Stop listening and reset what is open."""
        self._listener.close()
        self.refuse()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                if self._is_refusing:
                    raise ConnectionRefusedError
                server = socket.create_connection(self.target, timeout=5)
            except OSError:
                _reset(client)
                continue
            server.settimeout(None)
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pair = _Pair(self, client, server)
            with self._lock:
                self._pairs.add(pair)
            pair.start()

    def _forget(self, pair: _Pair) -> None:
        with self._lock:
            self._pairs.discard(pair)

    def __enter__(self) -> Proxy:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Pair:
    """One connection: two sockets and a thread per direction. ``budget`` counts bytes until the
    cut; None: no cut.
    """

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self.proxy = proxy
        self.ends = (client, server)
        self.budget: int | None = None

    def start(self) -> None:
        client, server = self.ends
        for source, sink in ((client, server), (server, client)):
            threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def reset(self) -> None:
        for end in self.ends:
            _reset(end)
        self.proxy._forget(self)

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        write = sink.sendall
        if self.proxy.delay_s:
            write = _Delayed(sink, self.proxy.delay_s).write
        with contextlib.suppress(OSError):
            while chunk := source.recv(CHUNK):
                budget = self.budget
                if budget is not None and len(chunk) > budget:
                    write(chunk[:budget])
                    break
                if budget is not None:
                    self.budget = budget - len(chunk)
                write(chunk)
        self.reset()


class _Delayed:
    """Writes each chunk ``delay_s`` after it came, without holding up the reading of the next
    one.
    """

    def __init__(self, sink: socket.socket, delay_s: float) -> None:
        self._sink = sink
        self._delay_s = delay_s
        self._chunks: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
        threading.Thread(target=self._run, daemon=True).start()

    def write(self, chunk: bytes) -> None:
        self._chunks.put((time.monotonic() + self._delay_s, chunk))

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                due, chunk = self._chunks.get()
                time.sleep(max(0.0, due - time.monotonic()))
                self._sink.sendall(chunk)


def _reset(end: socket.socket) -> None:
    """Close with RST, as a vanished peer would: no orderly end of file."""
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        end.close()
