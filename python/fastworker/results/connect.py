"""From ``result_backend`` to a backend."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from fastworker.errors import ImproperlyConfigured
from fastworker.results import rpc
from fastworker.results.application import ResultApp
from fastworker.results.backend import Backend
from fastworker.results.disabled import DisabledBackend

_SCHEMES = (
    "redis",
    "rediss",
    "valkey",
    "valkeys",
    "redis+socket",
    "unix",
    "sqlite",
    "memory",
    "cache+memory",
)
_DISABLED = ("disabled", "disabled://")


def connect(app: ResultApp, url: str | None, options: dict[str, str]) -> Backend:
    """The backend of a store; nothing is opened yet.

    Args:
        app: Whose results.
        url: From ``store_url``.
        options: Transport options, as text.
    """
    if url == rpc.URL:
        return rpc.RpcBackend(app, options)
    return DisabledBackend(app) if url is None else Backend(app, url, options)


def store_url(conf: Any, url: Any) -> str | None:
    """The URL of the store; None when results are not stored.

    Args:
        conf: Settings; ``"redis"`` alone takes host, port and db from the ``redis_…`` ones.
        url: ``result_backend``. None or ``"disabled"``: results are not stored.

    Raises:
        ImproperlyConfigured: A kind of backend that fastworker does not have.
    """
    if not url or url in _DISABLED:
        return None
    if not isinstance(url, str):
        raise ImproperlyConfigured(
            f"result_backend {url!r}: expected a URL as text; custom backend classes are not "
            f"supported"
        )
    if url in ("rpc", rpc.URL):
        return rpc.URL
    if url in ("redis", "redis://"):
        return redis_url(conf)
    scheme = url.partition("://")[0]
    if scheme not in _SCHEMES:
        raise ImproperlyConfigured(
            f"result_backend {scheme!r} is not supported: expected a URL that begins with one of "
            f"{', '.join(f'{known}://' for known in (*_SCHEMES, 'rpc'))}; or 'disabled' to store no results"
        )
    return url


def redis_url(conf: Any) -> str:
    """The URL that ``redis_host``, ``redis_port``, ``redis_db``, ``redis_username`` and
    ``redis_password`` spell.
    """
    user = quote(str(conf.get("redis_username") or ""), safe="")
    password = conf.get("redis_password")
    login = f"{user}:{quote(str(password), safe='')}@" if password else ""
    host, port = conf.get("redis_host") or "localhost", conf.get("redis_port") or 6379
    return f"redis://{login}{host}:{port}/{conf.get('redis_db') or 0}"
