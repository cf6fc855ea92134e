"""Settings of connections become options of the drivers."""

from __future__ import annotations

import ssl

import pytest

from fastworker import FastWorker
from fastworker.errors import ImproperlyConfigured


def app_with(**settings: object) -> FastWorker:
    return FastWorker(
        "proj", broker="redis://h/0", result_backend="redis://h/1", set_as_current=False, **settings
    )


def test_nothing_is_added_by_default() -> None:
    broker = app_with().broker
    assert (broker.options, broker.result_options) == ({}, {})


@pytest.mark.shows("setting broker_use_ssl", "setting redis_backend_use_ssl")
def test_encryption_is_told_in_words_that_no_version_of_python_changes() -> None:
    told = {"ssl_cert_reqs": ssl.CERT_NONE, "ssl_ca_certs": "/ca.pem", "ssl_keyfile": None}
    broker = app_with(broker_use_ssl=told, redis_backend_use_ssl={"cert_reqs": "required"}).broker
    assert broker.options == {"ssl_cert_reqs": "CERT_NONE", "ssl_ca_certs": "/ca.pem"}
    assert broker.result_options == {"ssl_cert_reqs": "required"}


def test_true_means_that_the_certificate_is_checked() -> None:
    assert app_with(broker_use_ssl=True).broker.options == {"ssl_cert_reqs": "required"}


def test_anything_else_is_refused_by_name() -> None:
    with pytest.raises(ImproperlyConfigured, match="redis_backend_use_ssl is 'yes': expected True"):
        _ = app_with(redis_backend_use_ssl="yes").broker.result_options


@pytest.mark.shows(
    "setting broker_connection_timeout",
    "setting redis_socket_timeout",
    "setting redis_socket_connect_timeout",
)
def test_time_outs_that_are_set_are_told() -> None:
    broker = app_with(
        broker_connection_timeout=9, redis_socket_timeout=7.5, redis_socket_connect_timeout=3
    ).broker
    assert broker.options == {"socket_connect_timeout": "9"}
    assert broker.result_options == {"socket_timeout": "7.5", "socket_connect_timeout": "3"}


def test_transport_options_win() -> None:
    broker = app_with(
        broker_connection_timeout=9, broker_transport_options={"socket_connect_timeout": 1}
    ).broker
    assert broker.options == {"socket_connect_timeout": "1"}
