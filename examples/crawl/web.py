"""HTTP and HTML with the standard library: fetch one page, find its title and links."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
import urllib.robotparser
from dataclasses import dataclass
from functools import lru_cache
from html.parser import HTMLParser
from urllib.parse import urldefrag, urljoin, urlsplit

USER_AGENT = "fastworker-crawl-example"
TIMEOUT_S = 10.0
MAX_BYTES = 4_000_000
"""What is beyond is not read: a crawler must survive a page that never ends."""


class FetchError(Exception):
    """The page could not be had; the text says why."""


@dataclass(frozen=True)
class Page:
    """A fetched page. ``links`` are absolute, without fragments, on the page's own host."""

    title: str
    size_bytes: int
    links: list[str]


def fetch(url: str) -> Page:
    """Fetch ``url``; something that is not HTML is a page without links.

    Raises:
        FetchError: Refused by robots.txt, an HTTP error, no answer, or a redirect to another host.
    """
    if not _robots(_origin(url)).can_fetch(USER_AGENT, url):
        raise FetchError("robots.txt asks not to fetch it")
    request = urllib.request.Request(url, headers={"User-Agent": USER_AGENT})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
            final_url = response.geturl()
            body = response.read(MAX_BYTES)
            kind = response.headers.get_content_type()
            charset = response.headers.get_content_charset("utf-8")
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise FetchError(str(error) or type(error).__name__) from error
    if _origin(final_url) != _origin(url):
        raise FetchError(f"redirected to another host: {final_url}")
    if kind != "text/html":
        return Page("", len(body), [])
    parser = _PageParser(final_url)
    parser.feed(_decoded(body, charset))
    return Page(parser.title.strip(), len(body), parser.links)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _decoded(body: bytes, charset: str) -> str:
    try:
        return body.decode(charset, errors="replace")
    except LookupError:  # a charset that Python does not know
        return body.decode("utf-8", errors="replace")


@lru_cache(maxsize=64)
def _robots(origin: str) -> urllib.robotparser.RobotFileParser:
    """What the host allows, read once per worker process.

    A host that keeps its robots.txt to itself (401, 403) wants no visit; one that has none, or does
    not answer for it, has no rules.
    """
    rules = urllib.robotparser.RobotFileParser()
    request = urllib.request.Request(f"{origin}/robots.txt", headers={"User-Agent": USER_AGENT})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
            lines = response.read(MAX_BYTES).decode("utf-8", errors="replace").splitlines()
    except urllib.error.HTTPError as error:
        lines = ["User-agent: *", "Disallow: /"] if error.code in (401, 403) else []
    except (OSError, http.client.HTTPException):
        lines = []
    rules.parse(lines)
    return rules


class _PageParser(HTMLParser):
    """Collects the title and the links to the same host."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.title = ""
        self.links: list[str] = []
        self._url = url
        self._origin = _origin(url)
        self._is_in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._is_in_title = tag == "title"
        href = dict(attrs).get("href") if tag == "a" else None
        if href and not href.startswith("#"):
            self._add(href)

    def handle_endtag(self, tag: str) -> None:
        self._is_in_title = False

    def handle_data(self, data: str) -> None:
        if self._is_in_title:
            self.title += data

    def _add(self, href: str) -> None:
        try:
            link = urldefrag(urljoin(self._url, href)).url
            is_ours = _origin(link) == self._origin
        except ValueError:  # such as an unclosed bracket in the host
            return
        if is_ours:
            self.links.append(link)
