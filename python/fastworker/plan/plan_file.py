"""The plan file: TOML or JSON, read into ``Inputs``. ``docs/guides/capacity.md`` has every key."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fastworker.app.nearest import did_you_mean
from fastworker.errors import ImproperlyConfigured
from fastworker.plan import bench_figures, service_times, target
from fastworker.plan.arrivals import FLAT, HOURS, Arrivals, scv_of
from fastworker.plan.bench_file import BenchFile, doubts
from fastworker.plan.figure import Figure, Measured, Origin
from fastworker.plan.inputs import Broker, ClassInput, Headroom, Inputs, Node
from fastworker.plan.keyed import KeyedLimit
from fastworker.plan.quantities import count, duration_s, size_bytes
from fastworker.plan.table_reader import TableReader
from fastworker.plan.workload import Overhead
from fastworker.worker.pools import POOLS

_DAY_S = 86400.0
_BROKERS = ("redis", "rabbitmq")


def load(path: Path) -> dict[str, Any]:
    """The file's content.

    Raises:
        ImproperlyConfigured: It cannot be read; the text has the line.
    """
    try:
        text = path.read_text()
    except OSError as error:
        raise ImproperlyConfigured(f"plan file {str(path)!r}: {error.strerror}") from error
    try:
        found = json.loads(text) if path.suffix == ".json" else _toml(text)
    except ValueError as error:
        raise ImproperlyConfigured(f"plan file {str(path)!r}: {error}") from error
    if not isinstance(found, dict):
        raise ImproperlyConfigured(f"plan file {str(path)!r}: expected a table")
    return found


def _toml(text: str) -> Any:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        try:
            import tomli as tomllib
        except ImportError as missing:
            raise ImproperlyConfigured(
                'Python 3.10 reads TOML with tomli: pip install "fastworker-rs[bench]", or write the plan in JSON'
            ) from missing
    return tomllib.loads(text)


def read(
    document: Mapping[str, Any],
    folder: Path,
    *,
    despite_faults: bool = False,
    warnings: Sequence[str] = (),
) -> Inputs:
    """Make inputs of a file's content.

    Args:
        document: The content.
        folder: What paths in it are relative to.
        despite_faults: Take benches that call themselves not valid.
        warnings: What is known already of where the content comes from.

    Raises:
        ImproperlyConfigured: Something cannot be used; says what and where.
    """
    figures: list[Figure] = []
    top = TableReader(document, "", figures)
    said = top.take("target", "p95 wait <= 1s")
    texts = [said] if isinstance(said, str) else said
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ImproperlyConfigured(f"target: {said!r}: expected text, or a list of texts")
    classes = top.take("class", [])
    if not isinstance(classes, list) or not classes:
        raise ImproperlyConfigured("plan: no class: expected [[class]] with task, rate and service")
    made = tuple(
        _class(TableReader(each, f"class[{number}]", figures), folder, despite_faults)
        for number, each in enumerate(classes)
    )
    found = {each.service.bench.name: each.service.bench for each in made if each.service.bench}
    benches = tuple(found.values())
    node = _node(TableReader(top.take("node", {}), "node", figures), benches)
    broker = _broker(TableReader(top.take("broker", {}), "broker", figures), benches)
    headroom = _headroom(TableReader(top.take("headroom", {}), "headroom", figures))
    overhead = _overhead(TableReader(top.take("overhead", {}), "overhead", figures), benches)
    top.end()
    targets = tuple(target.parse(text) for text in texts)
    doubtful = [text for bench in benches for text in doubts(bench, node.pool)]
    pools = {bench.pool for bench in benches} - {None}
    if node.pool is None and len(pools) > 1:
        doubtful.append(
            f"the benches were measured with different pools ({', '.join(sorted(map(str, pools)))}): say which one is "
            "planned for with node.pool"
        )
    return Inputs(
        made, targets, node, broker, headroom, overhead, tuple(figures), (*warnings, *doubtful)
    )


def _class(table: TableReader, folder: Path, despite_faults: bool) -> ClassInput:
    task = table.take("task")
    if not isinstance(task, str) or not task:
        raise ImproperlyConfigured(f"{table.where}: task is missing: expected its name")
    table.where = f"class {task}"
    arrivals = _arrivals(table, folder)
    waited = table.take("waited")
    if isinstance(waited, Measured):
        table.note("waited", waited.value, "s", Origin.MEASURED, waited.note)
    elif waited is not None:
        raise ImproperlyConfigured(
            f"{table.where}: 'waited' is measured by --live, and cannot be given"
        )
    given = table.take("service")
    if given is None:
        raise ImproperlyConfigured(
            f'{table.where}: service is missing: expected seconds, {{bench = "bench.json"}}, '
            '{samples = "times.jsonl"} or {distribution = "lognormal", mean = 0.3, scv = 2}'
        )
    service = service_times.parse(
        given, task, f"{table.where}.service", folder, despite_faults=despite_faults
    )
    if service.bench is not None:
        measured = {
            "cpu_share": bench_figures.cpu_share(service.bench, service.task),
            "message_bytes": bench_figures.message_bytes(service.bench),
        }
        table.fill({name: figure for name, figure in measured.items() if figure is not None})
    for name, value in (("mean", service.times.mean_s), ("scv", service.times.scv)):
        unit = "s" if name == "mean" else ""
        table.note(f"service.{name}", value, unit, service.origin, service.note)
    share = table.number("cpu_share", count, "", 0.0, "tasks wait, and hardly compute")
    if share > 1:
        raise ImproperlyConfigured(f"{table.where}.cpu_share: {share}: expected 0 to 1")
    keys = table.take("keys")
    limit = None if keys is None else _limit(table.part(keys, "keys"))
    made = ClassInput(
        task,
        arrivals,
        service,
        share,
        limit,
        table.number("message_bytes", size_bytes, "bytes", 1000, "a call with short arguments"),
        table.number("result_bytes", size_bytes, "bytes", 400, "a short result with its key"),
        table.number("results_kept", duration_s, "s", _DAY_S, "result_expires' default"),
        table.number("seen_bytes", size_bytes, "bytes", 0, "nothing is remembered of a task"),
    )
    table.end()
    return made


def _arrivals(table: TableReader, folder: Path) -> Arrivals:
    heard = table.take("arrivals")
    if isinstance(heard, Arrivals):
        known = (
            f"--live, {heard.known_hours} of {HOURS} hours known" if heard.known_hours else "--live"
        )
        table.note("rate", heard.rate, "/s", Origin.MEASURED, known)
        table.note("burstiness", heard.scv, "", Origin.MEASURED, "--live")
        return heard
    recorded = table.take("recorded")
    if recorded is not None:
        return _recorded(table, folder / str(recorded))
    per_day = table.take("per_day")
    if per_day is not None:
        rate = count(per_day, f"{table.where}.per_day") / _DAY_S
        table.note("per_day", rate, "/s", Origin.GIVEN, f"{per_day} a day")
    else:
        rate = table.number("rate", count, "/s")
    if rate <= 0:
        raise ImproperlyConfigured(f"{table.where}: rate {rate}: expected more than 0")
    shape = table.take("shape")
    if shape is None:
        table.note("shape", 1, "", Origin.ASSUMED, "all hours alike")
        hours = FLAT
    else:
        hours = _shape(shape, f"{table.where}.shape")
        most = max(hours) * HOURS / sum(hours)
        table.note("shape", most, "", Origin.GIVEN, "peak hour, of the mean hour")
    scv = table.number("burstiness", count, "", 1.0, "Poisson")
    return Arrivals(rate, hours, scv)


def _shape(given: Any, where: str) -> tuple[float, ...]:
    if not isinstance(given, list) or len(given) != HOURS:
        raise ImproperlyConfigured(f"{where}: expected 24 numbers, one for each hour")
    hours = tuple(count(value, f"{where}[{hour}]") for hour, value in enumerate(given))
    if sum(hours) <= 0:
        raise ImproperlyConfigured(f"{where}: all hours are 0")
    return hours


def _recorded(table: TableReader, path: Path) -> Arrivals:
    """Moments of arrivals, Unix time, one a line: rate, shape of the day (UTC), and burstiness."""
    where = f"{table.where}.recorded"
    try:
        moments = sorted(float(line) for line in path.read_text().split())
    except OSError as error:
        raise ImproperlyConfigured(f"{where}: {str(path)!r}: {error.strerror}") from error
    except ValueError as error:
        raise ImproperlyConfigured(
            f"{where}: {str(path)!r}: {error}; expected a Unix time on each line"
        ) from error
    span_s = moments[-1] - moments[0] if moments else 0.0
    if len(moments) < 3 or span_s <= 0:
        raise ImproperlyConfigured(f"{where}: {str(path)!r}: expected three moments or more")
    shape = FLAT
    if span_s >= _DAY_S - 3600:
        hours = [0.0] * HOURS
        for moment in moments:
            hours[int(moment // 3600) % HOURS] += 1
        shape = tuple(hours)
    arrivals = Arrivals((len(moments) - 1) / span_s, shape, scv_of(moments))
    table.note("rate", arrivals.rate, "/s", Origin.MEASURED, f"{len(moments):,} in {path.name}")
    table.note("burstiness", arrivals.scv, "", Origin.MEASURED, path.name)
    return arrivals


def _limit(table: TableReader) -> KeyedLimit:
    limit = KeyedLimit(
        int(table.number("count", count, "")),
        table.number("zipf", count, "", 1.0, "usual for hosts"),
        table.number("rate", count, "/s"),
    )
    table.end()
    if limit.keys < 1 or limit.rate <= 0:
        raise ImproperlyConfigured(f"{table.where}: expected a count and a rate above 0")
    return limit


def _node(table: TableReader, benches: Sequence[BenchFile]) -> Node:
    table.fill(bench_figures.largest([bench_figures.node(bench) for bench in benches]))
    pool = table.take("pool")
    if pool is not None and pool not in POOLS:
        raise ImproperlyConfigured(
            f"node.pool: {pool!r}{did_you_mean(str(pool), POOLS)}: expected one of {', '.join(POOLS)}"
        )
    cores = table.number("cores", count, "", 2, "a small instance")
    node = Node(
        int(table.number("slots", count, "", max(1, int(cores)), "a slot for each core")),
        cores,
        table.number("memory", size_bytes, "bytes", 4e9, "a small instance"),
        table.number(
            "base_memory",
            size_bytes,
            "bytes",
            bench_figures.BASE_BYTES,
            "measured: benches, memory scenario",
        ),
        table.number("slot_memory", size_bytes, "bytes", 60e6, "an application of 60 MB a process"),
        table.number("price", count, "/h", 0.0, "not said"),
        pool,
        table.number("drift", count, "", 0.0, "always as fast: no bench with repeats"),
    )
    table.end()
    if node.slots < 1 or cores <= 0:
        raise ImproperlyConfigured("node: expected a slot and a core or more")
    return node


def _broker(table: TableReader, benches: Sequence[BenchFile]) -> Broker:
    kind = table.take("kind", "redis")
    if kind not in _BROKERS:
        raise ImproperlyConfigured(f"broker.kind: {kind!r}: expected {' or '.join(_BROKERS)}")
    table.fill(bench_figures.largest([bench_figures.broker(bench, kind) for bench in benches]))
    broker = Broker(
        str(kind),
        table.number(
            "tasks_per_s", count, "/s", 30_000, "a third of what Redis did in our benches"
        ),
        table.number("memory", size_bytes, "bytes", 4e9, "a small instance"),
        table.number("most_use", count, "", 0.6, "room for peaks and for a failover"),
        table.number("price", count, "/h", 0.0, "not said"),
        table.number("commands", count, "", 0.0, "not measured"),
        table.number("bytes", size_bytes, "bytes", 0.0, "not measured"),
    )
    table.end()
    return broker


def _headroom(table: TableReader) -> Headroom:
    headroom = Headroom(
        int(table.number("nodes_lost", count, "", 1, "one node may fail at the peak")),
        table.number("deploy_share", count, "", 0.25, "a quarter of the slots at a time"),
        table.number("deploy", duration_s, "s", 60, "a rolling restart"),
        table.number("outage", duration_s, "s", 3600, "no worker runs for an hour"),
    )
    table.end()
    if headroom.deploy_share >= 1:
        raise ImproperlyConfigured("headroom.deploy_share: expected less than 1")
    return headroom


def _overhead(table: TableReader, benches: Sequence[BenchFile]) -> Overhead:
    table.fill(bench_figures.largest([bench_figures.overhead(bench) for bench in benches]))
    why = "measured on Redis on loopback: docs/plan-validation.md"
    overhead = Overhead(
        table.number("start", duration_s, "s", 0.001, why),
        table.number("slot", duration_s, "s", 0.0003, why),
        table.number("cpu", duration_s, "s", 0.0001, "parent and child, for one task at a time"),
    )
    table.end()
    return overhead
