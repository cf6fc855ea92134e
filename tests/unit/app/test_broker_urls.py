"""URLs of the broker: filled in from separate settings, and in the order of the strategy."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import pytest

from fastworker import FastWorker
from fastworker.errors import ImproperlyConfigured


def url_of(**settings: Any) -> str:
    app = FastWorker("proj", set_as_current=False)
    app.conf.update(settings)
    return app.broker.url


PARTS = {
    "broker_host": "h",
    "broker_port": 77,
    "broker_user": "us er",
    "broker_password": "p@ss:/",
    "broker_vhost": "a/b",
}


def test_parts_make_a_url_with_what_must_be_quoted() -> None:
    assert url_of(**PARTS) == "amqp://us%20er:p%40ss%3A%2F@h:77/a%2Fb"
    assert url_of(broker_transport="redis", broker_vhost=3) == "redis://localhost/3"
    assert url_of(broker_transport="redis", broker_vhost="/3") == "redis://localhost/3"


def test_without_any_part_the_default_file_is_used() -> None:
    assert url_of().startswith("sqlite:///")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("amqp://x:1/v", "amqp://us%20er:p%40ss%3A%2F@x:1/v"),
        ("amqp://me@x", "amqp://me:p%40ss%3A%2F@x:77/a%2Fb"),
        ("amqp://me:it@[::1]/v?heartbeat=3", "amqp://me:it@[::1]:77/v?heartbeat=3"),
        ("sqlite:///q.db", "sqlite:///q.db"),
        ("redis+socket:///r.sock", "redis+socket:///r.sock"),
    ],
)
def test_a_url_says_more_than_parts(url: str, expected: str) -> None:
    assert url_of(broker_url=url, **PARTS) == expected


def test_a_host_may_be_a_url() -> None:
    assert url_of(broker_host="redis://h/1") == "redis://h/1"


def test_the_transport_takes_the_place_of_the_scheme() -> None:
    assert url_of(broker_url="amqp://h/v", broker_transport="pyamqp") == "pyamqp://h/v"


URLS = ["amqp://a", "amqp://b", "amqp://c", "amqp://d"]


def test_several_are_tried_in_the_order_in_which_they_are_given() -> None:
    assert url_of(broker_url=URLS) == url_of(broker_url=";".join(URLS)) == ";".join(URLS)


def test_shuffling_leaves_the_first_where_it_is_and_draws_once() -> None:
    app = FastWorker("proj", broker=URLS, set_as_current=False)
    app.conf.broker_failover_strategy = "shuffle"
    drawn = app.broker.url.split(";")
    assert drawn[0] == URLS[0]
    assert sorted(drawn) == URLS
    assert app.broker.url.split(";") == drawn
    orders = {url_of(broker_url=URLS, broker_failover_strategy="shuffle") for _ in range(50)}
    assert len(orders) > 1


def test_a_function_says_what_comes_next() -> None:
    def backwards(urls: list[str]) -> Any:
        return cycle(reversed(urls))

    found = url_of(broker_url=URLS, broker_failover_strategy=backwards)
    # kombu skips the first that it gives.
    assert found.split(";") == [URLS[0], URLS[2], URLS[1], URLS[3]]


def test_another_strategy_is_refused_by_name() -> None:
    with pytest.raises(ImproperlyConfigured, match="broker_failover_strategy is 'random'"):
        url_of(broker_url=URLS, broker_failover_strategy="random")
