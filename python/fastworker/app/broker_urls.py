"""The broker's URLs: what separate settings say of one, and in which order several are tried.

Celery's settings ``broker_transport``, ``broker_host``, ``broker_port``, ``broker_user``, ``broker_password`` and
``broker_vhost`` make a URL where there is none, and fill in what a URL leaves out. Source: kombu/connection.py.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import quote, urlsplit

from fastworker.errors import ImproperlyConfigured

_PARTS = ("broker_transport", "broker_port", "broker_user", "broker_password", "broker_vhost")
_DEFAULT_TRANSPORT = "amqp"
#: They have no host, and nothing that could be filled in.
_HOSTLESS = ("sqlite", "memory", "cache+memory", "unix", "redis+socket")
#: Looks at what a strategy yields; more than any strategy needs to name each URL once.
_MOST_LOOKS = 100


def ordered(conf: Any, url: str | Iterable[str] | None) -> list[str]:
    """The URLs to try, in their order; empty when nothing names a broker.

    Args:
        conf: The settings.
        url: One of the settings that have URLs: several with ``;`` between them or in a list, or the name of a host.

    Raises:
        ImproperlyConfigured: ``broker_failover_strategy`` cannot be used.
    """
    said = {name: conf.get(name) for name in _PARTS}
    urls = _split(url)
    if not urls and any(value not in (None, "") for value in said.values()):
        urls = [""]
    filled = [_filled(one, said) for one in urls]
    return _by_strategy(filled, conf.broker_failover_strategy) if len(filled) > 1 else filled


def _split(url: str | Iterable[str] | None) -> list[str]:
    parts = [url] if isinstance(url, str) else list(url or ())
    return [one.strip() for part in parts for one in part.split(";") if one.strip()]


def _filled(url: str, said: dict[str, Any]) -> str:
    """``url`` with what the settings say and it does not."""
    if "://" in url:
        scheme, rest = url.split("://", 1)
        if scheme.lower() in _HOSTLESS or not any(said.values()):
            return url
    else:
        scheme, rest = _DEFAULT_TRANSPORT, url
    scheme = str(said["broker_transport"] or scheme)
    parts = urlsplit(f"//{rest}")
    login, _, address = parts.netloc.rpartition("@")
    user, colon, password = login.partition(":")
    user = user or _quoted(said["broker_user"])
    password = password if colon else _quoted(said["broker_password"])
    host, port = _host_and_port(address)
    port = port or str(said["broker_port"] or "")
    path = parts.path
    if path in ("", "/") and said["broker_vhost"]:
        # Of AMQP the name follows the slash; Redis' database is a number, with or without one.
        vhost = str(said["broker_vhost"])
        path = f"/{quote(vhost if _is_amqp(scheme) else vhost.lstrip('/'), safe='')}"
    login = f"{user}{':' + password if password else ''}@" if user or password else ""
    query = f"?{parts.query}" if parts.query else ""
    return f"{scheme}://{login}{host or 'localhost'}{':' + port if port else ''}{path}{query}"


def _quoted(value: Any) -> str:
    return quote(str(value), safe="") if value else ""


def _host_and_port(address: str) -> tuple[str, str]:
    """An IPv6 address has colons, in brackets."""
    host, bracket, rest = address.rpartition("]")
    if bracket:
        return f"{host}]", rest.lstrip(":")
    host, _, port = address.partition(":")
    return host, port


def _is_amqp(scheme: str) -> bool:
    return scheme.lower() in ("amqp", "amqps", "pyamqp")


def _by_strategy(urls: list[str], strategy: Any) -> list[str]:
    """The first stays the first, as in kombu; the strategy says what comes after it. Drawn once in each process.

    Raises:
        ImproperlyConfigured: It is neither a name that kombu knows nor can be called.
    """
    first, others = urls[0], urls[1:]
    if strategy in (None, "", "round-robin"):
        return urls
    if strategy == "shuffle":
        return [first, *random.sample(others, len(others))]
    if not callable(strategy):
        raise ImproperlyConfigured(
            f"setting broker_failover_strategy is {strategy!r}: expected 'round-robin', 'shuffle', or a function of "
            f"the list of URLs that gives an iterator of those to try"
        )
    return list(dict.fromkeys([first, *_yielded(strategy, urls)]))


def _yielded(strategy: Callable[[list[str]], Iterable[str]], urls: list[str]) -> Iterator[str]:
    """What it names after the first, which kombu skips, until every URL was named."""
    tried = iter(strategy(list(urls)))
    next(tried, None)
    named = {urls[0]}
    for _, one in zip(range(_MOST_LOOKS), tried, strict=False):
        named.add(one)
        yield one
        if named >= set(urls):
            return
