"""What is the least processor time that a task could cost: decoded, called and encoded in one bare loop, and moved
through Redis by nothing but its own commands?
"""

from __future__ import annotations

import base64
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from benches.harness import client
from benches.harness.broker import RedisServer
from benches.harness.load import HOLD, QUEUE, RedisLoad
from benches.harness.runner import IS_QUICK, open_run, rounds
from benches.harness.systems import FASTWORKER

CALLS = 20_000 if IS_QUICK else 200_000
BATCH = 100
RESULT = {"status": "SUCCESS", "traceback": None, "children": []}

CONDITIONS = {
    "message": "the one that .delay() of noop(42) writes: JSON in base64 in JSON, as Celery lays it out on Redis",
    "decode, call, encode": "processor time of one process that decodes the message and its body, calls the function, "
    "and writes the document of its result; with orjson, and with the standard library's json",
    "push, pop, lease, store": f"processor time of the server per message, {BATCH} messages a command: LPUSH; LPOP "
    "with a count; what keeps a message while a worker has it, HSET under a tag and HDEL; SET with an expiry of the "
    "result",
    "broker": "a private Redis on loopback, persistence off",
}


def main() -> None:
    """Run the scenario."""
    with (
        open_run("floor", __doc__, CONDITIONS) as run,
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        RedisServer(Path(folder)) as server,
    ):
        env = {"BENCH_BROKER": server.url, "BENCH_BACKEND": "", "BENCH_ACKS_LATE": "1"}
        client.run(FASTWORKER, env, "publish_one", task="noop", args=[42])
        load = RedisLoad(server)
        load.lay(1)
        message = server.client.lpop(HOLD)
        assert isinstance(message, bytes)
        systems: dict[str, Callable[[], dict[str, float]]] = {
            "orjson": lambda: loop(message, orjson.loads, orjson.dumps),
            "json": lambda: loop(
                message, json.loads, lambda document: json.dumps(document).encode()
            ),
            "redis": lambda: commands(server, load, message),
        }
        for number, name in rounds(list(systems)):
            run.add(number, name, systems[name]())


def noop(x: Any) -> None:
    """What the benches' task does."""


def loop(
    message: bytes, loads: Callable[[Any], Any], dumps: Callable[[Any], bytes]
) -> dict[str, float]:
    """Microseconds of each step, and of all in one loop."""

    def decoded() -> tuple[dict[str, Any], list[Any], dict[str, Any]]:
        envelope = loads(message)
        args, kwargs, _ = loads(base64.b64decode(envelope["body"]))
        return envelope["headers"], args, kwargs

    def called(args: list[Any], kwargs: dict[str, Any]) -> Any:
        return noop(*args, **kwargs)

    def encoded(headers: dict[str, Any], value: Any) -> bytes:
        return dumps({**RESULT, "result": value, "task_id": headers["id"]})

    def whole() -> None:
        headers, args, kwargs = decoded()
        encoded(headers, called(args, kwargs))

    headers, args, kwargs = decoded()
    return {
        "decode_us": each_us(decoded),
        "call_us": each_us(lambda: called(args, kwargs)),
        "encode_us": each_us(lambda: encoded(headers, None)),
        "whole_us": each_us(whole),
    }


def each_us(step: Callable[[], object]) -> float:
    """Processor time of a step."""
    before = time.process_time()
    for _ in range(CALLS):
        step()
    return (time.process_time() - before) / CALLS * 1e6


def commands(server: RedisServer, load: RedisLoad, message: bytes) -> dict[str, float]:
    """Microseconds of the server for each message."""
    redis = server.client
    result = orjson.dumps({**RESULT, "result": None, "task_id": "0" * 36})

    def spent(command: Callable[[int], object]) -> float:
        before = server.cpu_s()
        for start in range(0, CALLS, BATCH):
            command(start)
        return (server.cpu_s() - before) / CALLS * 1e6

    def store(start: int) -> None:
        with redis.pipeline(transaction=False) as pipeline:
            for number in range(start, start + BATCH):
                pipeline.set(f"result-{number}", result, ex=3600)
            pipeline.execute()

    def lease(start: int) -> None:
        redis.hset(
            "leases", mapping={str(number): message for number in range(start, start + BATCH)}
        )
        redis.hdel("leases", *map(str, range(start, start + BATCH)))

    figures = {
        "push_us": spent(lambda _: load.add(BATCH)),
        "pop_us": spent(lambda _: redis.lpop(QUEUE, BATCH)),
        "lease_us": spent(lease),
        "store_us": spent(store),
    }
    redis.flushall()
    return figures


if __name__ == "__main__":
    main()
