"""Settings of connections, as options of our drivers: encryption and time-outs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastworker.errors import ImproperlyConfigured

#: Setting, option.
_OF_BROKER = (("broker_connection_timeout", "socket_connect_timeout"),)
_OF_RESULTS = (
    ("redis_retry_on_timeout", "retry_on_timeout"),
    ("redis_socket_timeout", "socket_timeout"),
    ("redis_socket_connect_timeout", "socket_connect_timeout"),
)


def of_broker(conf: Any) -> dict[str, str]:
    """Those of the broker.

    Raises:
        ImproperlyConfigured: ``broker_use_ssl`` cannot be used.
    """
    return {**_given(conf, _OF_BROKER), **_encryption("broker_use_ssl", conf.broker_use_ssl)}


def of_results(conf: Any) -> dict[str, str]:
    """Those of the result store.

    Raises:
        ImproperlyConfigured: ``redis_backend_use_ssl`` cannot be used.
    """
    encryption = _encryption("redis_backend_use_ssl", conf.redis_backend_use_ssl)
    return {**_given(conf, _OF_RESULTS), **encryption}


def _given(conf: Any, names: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """The drivers' defaults are not Celery's: only what somebody said counts."""
    told = conf.without_defaults()
    return {option: str(told[name]) for name, option in names if told.get(name) is not None}


def _encryption(setting: str, value: Any) -> dict[str, str]:
    """True: encrypted, and the server's certificate checked. A mapping has Python's names, with or without ``ssl_``."""
    if not value:
        return {}
    if value is True:
        return {"ssl_cert_reqs": "required"}
    if not isinstance(value, Mapping):
        raise ImproperlyConfigured(
            f"setting {setting} is {value!r}: expected True, or a dict such as "
            '{"ssl_cert_reqs": "required", "ssl_ca_certs": "/etc/ssl/ca.pem"}'
        )
    # Members of ssl.VerifyMode are numbers whose text differs between versions of Python.
    return {
        f"ssl_{str(name).removeprefix('ssl_')}": str(getattr(option, "name", option))
        for name, option in value.items()
        if option is not None
    }
