"""A real site that is always at hand: Python's documentation of its own library, on loopback.

``pydoc -w`` writes one HTML page per module, linked with each other. They are written once, into
``.fastworker/`` beside this file, and served by a threaded server that answers after a stated
latency, as a server on the network would.
"""

from __future__ import annotations

import importlib.util
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from threading import Thread

from pydoc_modules import MODULES

FOLDER = Path(__file__).parent / ".fastworker"
CHUNK = 15
"""Modules per pydoc process: enough to spread its start, few enough to show progress."""


def write(on_progress: Callable[[int, int], None]) -> Path:
    """Write the pages unless they are there, and return their folder.

    They appear under their final name only when all are written, so an interrupted run leaves
    nothing half done.

    Args:
        on_progress: Called with pages handled so far and their total.
    """
    folder = FOLDER / f"pydoc-{platform.python_version()}"
    if folder.is_dir():
        return folder
    FOLDER.mkdir(exist_ok=True)
    names = [name for name in MODULES if is_here(name)]
    draft = Path(tempfile.mkdtemp(prefix="pydoc-draft-", dir=FOLDER))
    try:
        remaining = iter(names)
        chunks = list(iter(lambda: list(islice(remaining, CHUNK)), []))
        handled = 0
        with ThreadPoolExecutor(max_workers=2) as pool:
            for count in pool.map(partial(document, draft), chunks):
                handled += count
                on_progress(handled, len(names))
        take_out_dead_links(draft)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def is_here(name: str) -> bool:
    """This Python has the module; builds and versions differ."""
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:  # its package is missing
        return False


def document(folder: Path, names: list[str]) -> int:
    """Let pydoc write the pages of ``names``; returns how many names were handled.

    pydoc stops at the first module that cannot be imported (an optional part that this Python was
    built without); that one is left out.
    """
    remaining = list(names)
    while remaining:
        command = [sys.executable, "-W", "ignore", "-m", "pydoc", "-w", *remaining]
        subprocess.run(command, cwd=folder, capture_output=True, check=False)
        unwritten = [name for name in remaining if not (folder / f"{name}.html").exists()]
        remaining = unwritten[1:]
    return len(names)


def take_out_dead_links(folder: Path) -> None:
    """Keep only the links to pages that exist, and write an index of the top-level modules."""
    written = {path.name for path in folder.glob("*.html")}
    tops = sorted(name for name in written if name.count(".") == 1)
    items = "".join(f'<li><a href="{name}">{name.removesuffix(".html")}</a>' for name in tops)
    index = f"<title>Python's library</title><h1>Python's library</h1><ul>{items}</ul>"

    def keep_if_alive(link: re.Match[str]) -> str:
        return link[0] if link[1] in written else link[3]

    for path in folder.glob("*.html"):
        text = path.read_text(encoding="utf-8", errors="replace")
        pattern = r'<a href="([^"#:]+\.html)(#[^"]*)?">(.*?)</a>'
        path.write_text(re.sub(pattern, keep_if_alive, text, flags=re.DOTALL), encoding="utf-8")
    (folder / "index.html").write_text(index, encoding="utf-8")


@contextmanager
def serve(folder: Path, latency_s: float) -> Iterator[str]:
    """Serve ``folder`` on a free loopback port; yields its URL."""
    handler = partial(_Handler, latency_s, directory=str(folder))
    with _Server(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, name="site", daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()


class _Server(ThreadingHTTPServer):
    """Many visitors may knock at once."""

    request_queue_size = 128
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A visitor that hangs up in the middle is its own affair (Ctrl-C stops workers so)."""


class _Handler(SimpleHTTPRequestHandler):
    """Files, each after the latency; without a log line per request."""

    def __init__(self, latency_s: float, *args: object, **kwargs: object) -> None:
        self._latency_s = latency_s
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        time.sleep(self._latency_s)
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the crawl's own display says what happens."""
