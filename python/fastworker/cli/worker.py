"""``fastworker worker``: from the command line to ``worker.run``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fastworker.cli.daemon import go_on_detached, set_umask
from fastworker.cli.group import Command, Option
from fastworker.cli.reload import is_watched_already, run_reloading
from fastworker.cli.session import Session, complain, pass_session
from fastworker.cli.values import (
    AUTOSCALE,
    COMMA_SEPARATED,
    CONCURRENCY,
    LANE,
    LOG_LEVEL,
    QUEUE_NUMBER,
)
from fastworker.cli.worker_later import later_options

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker
    from fastworker.worker.lane_spec import LaneSpec
    from fastworker.worker.options import WorkerOptions

F = TypeVar("F", bound=Callable[..., Any])

_PROCESSES = ("prefork", "processes")
_SHARED = ("threads", "asyncio", "gevent", "eventlet")
_POOLS = (*_PROCESSES, *_SHARED, "solo")


def _option(*names: str, **attributes: Any) -> Callable[[F], F]:
    return click.option(*names, cls=Option, **attributes)


@click.command(cls=Command)
@_option(
    "-n",
    "--hostname",
    metavar="NAME",
    help="Node name, such as w1@%h (%h host, %n its first label, %d the rest).",
)
@_option(
    "-l",
    "--loglevel",
    type=LOG_LEVEL,
    default="WARNING",
    help="DEBUG, INFO, WARNING, ERROR or CRITICAL.",
)
@_option("-f", "--logfile", metavar="FILE", help="Log there; %n %h %d %p are expanded.")
@_option("--log-format", type=click.Choice(["text", "json"]), help="How log lines look.")
@_option(
    "-c",
    "--concurrency",
    type=CONCURRENCY,
    help="Processes; with a pool whose tasks share one: tasks in each process. auto: one per core that may be used.",
)
@_option(
    "--processes",
    type=click.IntRange(min=1),
    metavar="N",
    help="Processes of the pools threads, asyncio, gevent and eventlet; 1 if not given.",
)
@_option(
    "-P",
    "--pool",
    help="What runs tasks: prefork (processes), threads, asyncio, gevent, eventlet, or solo (one at a time, here).",
)
@_option(
    "--lane",
    "lanes",
    type=LANE,
    multiple=True,
    metavar="NAME=QUEUE,…,POOL,CONCURRENCY",
    help="A pool of its own for these queues, such as cpu=parse,thumbs,processes,2 or io=crawl,asyncio,500; may be "
    "given more than once. After the concurrency: processes=N, autoscale=MAX, prefetch-multiplier=N, "
    "max-tasks-per-child=N, max-memory-per-child=KIB.",
)
@_option(
    "-Q",
    "--queues",
    type=COMMA_SEPARATED,
    default=(),
    metavar="A,B",
    help="Consume only these queues.",
)
@_option(
    "-X",
    "--exclude-queues",
    type=COMMA_SEPARATED,
    default=(),
    metavar="A,B",
    help="Consume all but these queues.",
)
@_option(
    "--queue-limit",
    type=QUEUE_NUMBER,
    multiple=True,
    metavar="QUEUE=N",
    help="Run at most N tasks of this queue at once; may be given more than once.",
)
@_option(
    "--queue-weight",
    type=QUEUE_NUMBER,
    multiple=True,
    metavar="QUEUE=N",
    help="Fetch N of this queue for 1 of another that has work; may be given more than once.",
)
@_option(
    "-I",
    "--include",
    type=COMMA_SEPARATED,
    default=(),
    metavar="A,B",
    help="More modules to import.",
)
@_option(
    "-E",
    "--task-events",
    "--events",
    is_flag=True,
    default=None,
    help="Publish events about tasks.",
)
@_option(
    "--heartbeat-interval",
    type=click.FloatRange(min=0, min_open=True),
    default=2.0,
    show_default=True,
    help="Seconds between events that tell of this worker.",
)
@_option("--without-heartbeat", is_flag=True, help="Send no events about this worker.")
@_option(
    "--prefetch-multiplier",
    type=click.IntRange(0),
    help="Messages to hold per process; 0: no limit.",
)
@_option(
    "--disable-prefetch",
    is_flag=True,
    default=None,
    help="Hold no more messages than run at once.",
)
@_option(
    "--time-limit", type=click.FloatRange(0), metavar="SECONDS", help="Kill tasks that run longer."
)
@_option(
    "--soft-time-limit",
    type=click.FloatRange(0),
    metavar="SECONDS",
    help="Interrupt tasks that run longer.",
)
@_option(
    "--disable-rate-limits",
    is_flag=True,
    default=None,
    help="Run tasks as often as they come.",
)
@_option(
    "--autoscale",
    type=AUTOSCALE,
    help="MAX,MIN tasks at once: grow while work waits, shrink when it is quiet. Processes come and go, each with one, "
    "or with --concurrency tasks.",
)
@_option(
    "--max-tasks-per-child",
    type=click.IntRange(1),
    metavar="N",
    help="Replace a process after N tasks.",
)
@_option(
    "--max-memory-per-child",
    type=click.IntRange(1),
    metavar="KIB",
    help="Replace a process that has grown beyond this.",
)
@_option("--purge", "--discard", is_flag=True, help="Empty the queues first.")
@_option("--pidfile", metavar="FILE", help="Write the process number there; %n %h are expanded.")
@_option(
    "-S", "--statedb", metavar="FILE", help="Remember revoked tasks there; %n %h are expanded."
)
@_option(
    "--reload",
    "--autoreload",
    is_flag=True,
    help="Start again when the code changes; for development.",
)
@_option(
    "--reload-dir",
    multiple=True,
    metavar="DIR",
    help="Watch this directory; again for more. Without it: the current one.",
)
@_option(
    "-D",
    "--detach",
    is_flag=True,
    help="Go on in the background; with --logfile, what is printed goes there too.",
)
@_option("--umask", metavar="OCTAL", help="Permissions that new files do not get.")
@_option(
    "-O", "--optimization", type=click.Choice(["default", "fair"]), hidden=True, expose_value=False
)
@_option(
    "--pool-start-method",
    type=click.Choice(["fork", "spawn"]),
    help="Whether processes are forks, or import the application each by itself.",
)
@_option(
    "--cpu-affinity",
    metavar="CORES",
    help="Keep each process to one of these cores, such as 0,2-5; auto: all that may be used.",
)
@later_options
@pass_session
def worker(
    session: Session,
    /,
    *,
    hostname: str | None,
    concurrency: int | str | None,
    pool: str | None,
    pidfile: str | None,
    statedb: str | None,
    umask: str | None,
    heartbeat_interval: float,
    without_heartbeat: bool,
    reload: bool,
    reload_dir: tuple[str, ...],
    detach: bool,
    lanes: tuple[LaneSpec, ...],
    **options: Any,
) -> int:
    """Run a worker: fetch tasks from the broker and run them in processes.

    \b
    fastworker -A proj worker -l INFO
    fastworker -A proj -l INFO -Q mail,images -c 4
    """
    _check_pool(pool, "--pool")
    if reload and not is_watched_already():
        return run_reloading(reload_dir or (".",), session.workdir)
    set_umask(umask)
    app = session.app
    if lanes or app.conf.worker_lanes:
        _check_lanes(bool(lanes), {"--pool": pool, "--concurrency": concurrency, **options})
        pool = "prefork"
    pool = pool or app.conf.worker_pool
    if pool == "solo":
        _check_solo(concurrency, options)
    _check_size(pool, options)

    from fastworker.worker.lane_spec import with_own_names
    from fastworker.worker.node_names import file_name, node_name
    from fastworker.worker.options import WorkerOptions

    node = node_name(hostname)
    if detach:
        logfile = options["logfile"]
        return go_on_detached(
            session,
            None if pidfile is None else file_name(pidfile, node),
            None if logfile is None else file_name(logfile, node),
        )
    said = WorkerOptions(
        hostname=node,
        app_spec=session.spec or "",
        concurrency=concurrency if isinstance(concurrency, int) else None,
        pool=pool,
        lanes=with_own_names(lanes),
        pidfile=None if pidfile is None else file_name(pidfile, node),
        statedb=None if statedb is None else file_name(statedb, node),
        heartbeat_s=None if without_heartbeat else heartbeat_interval,
        quiet=session.quiet,
        no_color=session.no_color,
        **options,
    )
    app.conf.update(said.overrides())
    if concurrency == "auto":
        app.conf.worker_concurrency = "auto"
    return _run(app, said)


def _run(app: FastWorker, options: WorkerOptions) -> int:
    from fastworker.app.settings_check import check
    from fastworker.worker.lane_spec import lanes_of
    from fastworker.worker.worker import run

    check(app.conf)
    lanes_of(app.conf.worker_lanes)
    _check_pool(app.conf.worker_pool, "setting worker_pool")
    if options.purge:
        _purge(app, options)
    return run(app, options)


def _purge(app: FastWorker, options: WorkerOptions) -> None:
    """Empty the queues that will be consumed. The connection must not live on into the forks."""
    from fastworker.worker.copies import name_at_broker
    from fastworker.worker.lane_plan import lane_plans

    names = [name for plan in lane_plans(app, options) for name in plan.queues]
    own = [name_at_broker(app, name, options.hostname) for name in names]
    removed = sum(app.publishing.publisher.purge(name) for name in own)
    app.publishing.close()
    complain(f"fastworker: purged {removed} messages from {', '.join(names)}")


def _check_pool(pool: Any, who: str) -> None:
    if pool is None or pool in _POOLS:
        return
    from fastworker.app.nearest import did_you_mean

    raise click.UsageError(
        f"{who} {pool!r}: expected prefork, threads, asyncio, gevent, eventlet or solo"
        f"{did_you_mean(str(pool), _POOLS)}"
    )


def _check_solo(concurrency: int | str | None, options: dict[str, Any]) -> None:
    """Say what is without effect."""
    without_effect = {
        "--concurrency": isinstance(concurrency, int) and concurrency > 1,
        "--max-tasks-per-child": options["max_tasks_per_child"] is not None,
        "--max-memory-per-child": options["max_memory_per_child"] is not None,
    }
    for name, is_given in without_effect.items():
        if is_given:
            complain(
                f"fastworker: {name} has no effect with the pool solo: it runs one task at a time, in this process"
            )


#: Options that say what lanes say each for itself.
_LANES_SAY = {
    "--pool": "--pool",
    "--concurrency": "--concurrency",
    "processes": "--processes",
    "queues": "--queues",
    "exclude_queues": "--exclude-queues",
    "autoscale": "--autoscale",
}


def _check_lanes(is_said: bool, options: dict[str, Any]) -> None:
    """Refuse what is said beside lanes and contradicts them."""
    contradicting = [name for key, name in _LANES_SAY.items() if options[key] not in (None, ())]
    if contradicting:
        who = "--lane" if is_said else "the setting worker_lanes"
        raise click.UsageError(
            f"{contradicting[0]} is for a worker with one pool, and {who} says for each lane which queues, pool and "
            f"concurrency it has; leave one of them out"
        )


def _check_size(pool: str, options: dict[str, Any]) -> None:
    """Refuse what the pool cannot follow."""
    from fastworker.worker.pools import lack

    if options["autoscale"] is None:
        pass
    elif (instead := lack(pool, "autoscale")) is not None:
        raise click.UsageError(
            f"--autoscale: the pool {pool} cannot grow; leave it out, or take {instead}"
        )
    elif options["processes"] is not None:
        raise click.UsageError(
            "--processes: with --autoscale the number of processes follows the load; leave one of them out"
        )
    if pool not in _SHARED and options["processes"] is not None:
        raise click.UsageError(
            f"--processes: with the pool {pool} it is --concurrency that says how many; leave it out"
        )
