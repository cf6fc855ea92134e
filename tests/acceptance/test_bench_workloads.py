"""The built-in workloads of ``fastworker bench run``, other pools, a distant broker, and the search for a rate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fastworker import _core
from fastworker.bench import server_process
from tests.support.bench_command import SHORT, bench, read
from tests.support.rabbitmq import VirtualHost


def _measured(content: dict[str, Any]) -> list[dict[str, Any]]:
    found = [phase for phase in content["phases"] if phase["kind"] == "measure"]
    assert found
    for phase in found:
        assert (phase["lost"], phase["duplicated"]) == (0, 0)
    return found


def test_a_tree_ends_with_all_of_its_calls(tmp_path: Path, broker_url: str) -> None:
    run = ("bench", "run", "-w", "tree", "--width", "3", "--depth", "2", "--rate", "5", *SHORT)
    bench(tmp_path, *run, "--json", "b.json", broker=broker_url)
    content = read(tmp_path / "b.json")
    phases = _measured(content)
    roots = sum(phase["published"] for phase in phases)
    assert roots > 5
    # 1 + 3 + 9, of which the bench published one.
    assert content["workload"]["ends_per_call"] == 13
    assert [phase["completed"] for phase in phases] == [13 * p["published"] for p in phases]
    assert content["tasks"]["bench.tree"]["count"] == 13 * roots
    assert content["tasks"]["bench.tree"]["wait_s"]["count"] == roots


@pytest.mark.parametrize("members", [1, 100])
def test_a_chord_of_any_size(tmp_path: Path, redis_url: str, members: int) -> None:
    run = ("bench", "run", "-w", "chord", "--members", str(members), "--rate", "3", *SHORT)
    bench(tmp_path, *run, "--json", "b.json", broker=redis_url)
    content = read(tmp_path / "b.json")
    _measured(content)
    tasks = content["tasks"]
    chords = tasks["bench.fan"]["count"]
    assert chords > 2
    assert tasks["bench.member"]["count"] == members * chords
    assert tasks["bench.collect"]["count"] == chords


def test_hosts_of_a_crawl_wait_for_their_limit(tmp_path: Path, broker_url: str) -> None:
    # 60 a second, of which by Zipf's law some 9 are of the first host: it may have 4, and the small ones wait for
    # nobody.
    run = ("bench", "run", "-w", "crawl", "--mean", "1ms", "--rate", "60", *SHORT, "-c", "2")
    own_rate = {"FASTWORKER_BENCH_HOST_RATE": "4"}
    bench(tmp_path, *run, "--json", "b.json", broker=broker_url, environment=own_rate)
    content = read(tmp_path / "b.json")
    _measured(content)
    waits = content["tasks"]["bench.crawl"]["wait_s"]
    assert waits["quantiles"]["0.5"] < 0.3
    assert waits["max"] > 1.0
    assert content["tasks"]["bench.crawl"]["service_s"]["min"] >= 0.001


@pytest.mark.parametrize("pool", ["threads", "asyncio", "gevent", "eventlet", "solo"])
def test_every_pool_is_measured(tmp_path: Path, pool: str) -> None:
    run = (
        "bench",
        "run",
        "-P",
        pool,
        "-c",
        "1" if pool == "solo" else "3",
        "-w",
        "sleep",
        "--mean",
        "5ms",
    )
    bench(tmp_path, *run, "--rate", "50", *SHORT, "--json", "b.json")
    content = read(tmp_path / "b.json")
    _measured(content)
    task = content["tasks"]["bench.sleep"]
    assert task["outcomes"] == {"success": task["count"]}
    assert task["count"] > 100
    assert task["service_s"]["min"] >= 0.0049
    assert (content["pool"], content["slots"]) == (pool, 1 if pool == "solo" else 3)
    cost = content["overhead"]
    assert cost["cpu_s_per_1000_tasks"]["supervisor"] > 0
    assert (cost["task_cpu_s_per_1000_tasks"] is None) == (pool != "solo")


def test_a_distant_broker_is_told_of_and_felt(tmp_path: Path, redis_url: str) -> None:
    run = ("bench", "run", "--rate", "20", *SHORT, "--json", "b.json")
    bench(tmp_path, *run, "--rtt", "40ms", broker=redis_url)
    content = read(tmp_path / "b.json")
    _measured(content)
    assert content["broker"]["added_rtt_s"] == 0.04
    assert content["broker"]["rtt_s"] < 0.04  # of the broker itself
    # A message is on its way so long before it is in the queue, and its confirmation comes no sooner.
    assert content["tasks"]["bench.noop"]["queue_s"]["min"] >= 0.04
    assert content["publish_s"]["min"] >= 0.04
    assert content["tasks"]["bench.noop"]["service_s"]["quantiles"]["0.5"] < 0.04
    refused = bench(tmp_path, "bench", "run", "--rtt", "1ms", status=1)
    assert "--rtt with sqlite: expected one server" in refused.stderr


def test_results_are_waited_for_by_a_client(tmp_path: Path, broker_url: str) -> None:
    run = ("--result-backend", broker_url, "bench", "run", "-w", "echo", "--rate", "40", *SHORT)
    bench(tmp_path, *run, "--json", "b.json", "--html", "b.html", broker=broker_url)
    content = read(tmp_path / "b.json")
    published = sum(phase["published"] for phase in _measured(content))
    result = content["result_s"]
    # All of so few are waited for.
    assert result["count"] == published
    assert 0 < result["mean"] < 0.5
    histogram = _core.Histogram.decode(result["histogram"]["data"])
    assert histogram.count == published
    assert content["summary"]["result_p99_s"]["median"] > 0
    assert "a client that waits has it" in (tmp_path / "b.html").read_text()


def test_the_highest_rate_is_that_of_the_slots(tmp_path: Path, sqlite_url: str) -> None:
    # Two slots and 20 ms: no more than 100 a second.
    run = (
        "bench",
        "run",
        "--search",
        "-w",
        "sleep",
        "--mean",
        "20ms",
        "-c",
        "2",
        "--precision",
        "0.15",
    )
    short = (
        "--duration",
        "2s",
        "--warm-up",
        "500ms",
        "--repeats",
        "1",
        "--assert",
        "stable_rate<130/s",
    )
    done = bench(tmp_path, *run, *short, "--json", "b.json", "--html", "b.html", broker=sqlite_url)
    content = read(tmp_path / "b.json")
    (best,) = _measured(content)
    row = content["summary"]["stable_rate"]
    # Chance may send fewer than were asked for, and leave something of them over.
    assert 55 < row["median"] < 130
    assert row["low"] <= row["median"] <= row["high"]
    assert best["unstable_because"] is None
    assert best["next_rate_unstable_because"]
    tried = [phase for phase in content["phases"] if phase["kind"] == "search"]
    assert any(phase["unstable_because"] for phase in tried)
    assert content["arrivals"]["search"] == {"target": "p99_wait<1s", "precision": 0.15}
    assert content["limits"]["uses"]
    assert "stable_rate" in done.stdout
    assert "The rates that were tried" in (tmp_path / "b.html").read_text()
    wrong = bench(tmp_path, "bench", "run", "--search", "--arrivals", "drain", status=2)
    assert "expected poisson, constant or bursts" in " ".join(wrong.stderr.split())


def test_a_rabbitmq_of_this_machine_is_found_by_its_port(
    tmp_path: Path, rabbit: VirtualHost
) -> None:
    run = ("bench", "run", "--arrivals", "closed", "--in-flight", "200", *SHORT, "-c", "2")
    bench(tmp_path, *run, "--json", "b.json", broker=rabbit.url)
    content = read(tmp_path / "b.json")
    assert all(phase["completed"] > 100 for phase in _measured(content))
    if server_process.find(rabbit.url) is None:
        pytest.skip("the server is not this user's, or on another machine")
    cost = content["overhead"]
    assert cost["cpu_s_per_1000_tasks"]["broker"] > 0
    assert cost["broker_commands_per_task"] is None
    # One of its many threads that was full could not be told.
    assert "broker CPU" not in {use["resource"] for use in content["limits"]["uses"]}
