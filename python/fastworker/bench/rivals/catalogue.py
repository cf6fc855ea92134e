"""The systems, and the command lines and numbers that their documents advise; what is set in code is in ``adapters``.

Tasks at once in one process: for tasks that wait, enough that the processor is the limit and no more, since more made
most of them slower, by trial of 100 to 1,000; for quick tasks, as many as it fetches at once; for tasks that compute,
few, so that none waits behind another in a process that is busy.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from fastworker.bench.errors import BenchError
from fastworker.bench.rivals.rival import PROCESSES, Load, Rival, Setting

_COROUTINES = {"RIVALS_COROUTINES": "1"}
_ONE_AT_ONCE = "runs one task at a time in a process, and has no way to wait for many"


def _all(
    command: str, *, quick: int, waiting: int, computing: int, copies: int = 1
) -> dict[Load, Setting]:
    """The same command for all loads."""
    numbers = {Load.QUICK: quick, Load.WAITING: waiting, Load.COMPUTING: computing}
    return {load: Setting(command, n, copies) for load, n in numbers.items()}


def _quick(
    command: str, concurrency: int, environment: Mapping[str, str] | None = None
) -> dict[Load, Setting]:
    """Processes that run one task each, for tasks that do not wait."""
    setting = Setting(command, concurrency, environment=environment or {})
    return dict.fromkeys((Load.QUICK, Load.COMPUTING), setting)


_FASTWORKER = "python -m fastworker -A rival_apps.fastworker_app worker --loglevel WARNING "
FASTWORKER = Rival(
    "fastworker",
    "fastworker",
    "fastworker-rs",
    "fastworker_app",
    {
        **_quick(_FASTWORKER + "--concurrency {processes}", 1),
        Load.WAITING: Setting(
            _FASTWORKER + "--pool asyncio --processes {processes} --concurrency {n}",
            1_000,
            environment=_COROUTINES,
        ),
    },
)

_CELERY = (
    "python -m celery -A rival_apps.celery_app worker --loglevel WARNING --without-gossip --without-mingle "
    "--without-heartbeat -O fair "
)
_CELERY_WAITING = _CELERY + "--concurrency {{n}} --pool {}"
CELERY_GEVENT = Rival(
    "celery-gevent",
    "celery",
    "celery",
    "celery_app",
    {Load.WAITING: Setting(_CELERY_WAITING.format("gevent"), 1_000, PROCESSES)},
    acks_late=False,
)
CELERY_THREADS = Rival(
    "celery-threads",
    "celery",
    "celery",
    "celery_app",
    {Load.WAITING: Setting(_CELERY_WAITING.format("threads"), 200, PROCESSES)},
    acks_late=False,
)
CELERY = Rival(
    "celery",
    "celery",
    "celery",
    "celery_app",
    {
        Load.QUICK: Setting(
            _CELERY + "--pool prefork --concurrency {processes} --prefetch-multiplier {n}", 128
        ),
        Load.COMPUTING: Setting(
            _CELERY + "--pool prefork --concurrency {processes} --prefetch-multiplier {n}", 4
        ),
    },
    acks_late=False,
)

_DRAMATIQ = " rival_apps.dramatiq_app --processes {processes} --threads {n} --skip-logging"
_HUEY = "huey_consumer rival_apps.huey_app.huey --quiet --no-periodic "
_PGQUEUER = "python -m rival_apps.pgqueuer_app"
_PROCRASTINATE = (
    "procrastinate --log-level warning --app rival_apps.procrastinate_app.app worker --concurrency {n} "
    "--delete-jobs always"
)
_FLEXIQ = "flexiq worker --app rival_apps.flexiq_app:queue --queues bench"
_FLEXIQ_QUIET = {"FLEXIQ_LOG_LEVEL": "WARNING"}
_POTATOQ = "potatoq -A rival_apps.potatoq_app worker --loglevel WARNING -c {processes}"

RIVALS: Sequence[Rival] = (
    CELERY,
    CELERY_GEVENT,
    CELERY_THREADS,
    Rival(
        "dramatiq",
        "dramatiq",
        "dramatiq",
        "dramatiq_app",
        {
            Load.QUICK: Setting("dramatiq" + _DRAMATIQ, 8),
            Load.WAITING: Setting("dramatiq-gevent" + _DRAMATIQ, 500),
            Load.COMPUTING: Setting("dramatiq" + _DRAMATIQ, 1),
        },
    ),
    Rival(
        "taskiq",
        "taskiq",
        "taskiq",
        "taskiq_app",
        _all(
            "taskiq worker rival_apps.taskiq_app:broker --workers {processes} "
            "--max-async-tasks {n} --max-prefetch {n} --no-parse --log-level WARNING",
            quick=100,
            waiting=500,
            computing=10,
        ),
        acks_late=False,
    ),
    Rival(
        "arq",
        "arq",
        "arq",
        "arq_app",
        _all(
            "arq rival_apps.arq_app.WorkerSettings",
            quick=100,
            waiting=300,
            computing=10,
            copies=PROCESSES,
        ),
    ),
    Rival(
        "rq",
        "rq",
        "rq",
        "rq_app",
        _quick("rq worker-pool --url {broker} --quiet --num-workers {processes} bench", 1),
        acks_late=False,
        refuses={Load.WAITING: _ONE_AT_ONCE},
    ),
    Rival(
        "rq-simple",
        "rq",
        "rq",
        "rq_app",
        _quick(
            "rq worker-pool --url {broker} --quiet --num-workers {processes} "
            "--worker-class rq.worker.SimpleWorker bench",
            1,
        ),
        acks_late=False,
        refuses={Load.WAITING: _ONE_AT_ONCE},
    ),
    Rival(
        "huey",
        "huey",
        "huey",
        "huey_app",
        {
            **_quick(_HUEY + "--worker-type process --workers {processes}", 1),
            Load.WAITING: Setting(
                _HUEY + "--worker-type greenlet --workers {n}",
                500,
                PROCESSES,
                {"RIVALS_GREENLETS": "1"},
            ),
        },
        acks_late=False,
    ),
    Rival(
        "saq",
        "saq",
        "saq",
        "saq_app",
        _all(
            "saq rival_apps.saq_app.settings",
            quick=100,
            waiting=300,
            computing=10,
            copies=PROCESSES,
        ),
    ),
    Rival(
        "streaq",
        "streaq",
        "streaq",
        "streaq_app",
        _all(
            "streaq run rival_apps.streaq_app:worker",
            quick=100,
            waiting=500,
            computing=10,
            copies=PROCESSES,
        ),
        oldest_python=(3, 11),
    ),
    Rival(
        "pgqueuer",
        "pgqueuer",
        "pgqueuer",
        "pgqueuer_app",
        _all(_PGQUEUER, quick=1_000, waiting=1_000, computing=10, copies=PROCESSES),
        broker="postgres",
        prepare="pgq --pg-dsn {broker} install --durability volatile",
    ),
    Rival(
        "procrastinate",
        "procrastinate",
        "procrastinate",
        "procrastinate_app",
        _all(_PROCRASTINATE, quick=20, waiting=300, computing=2, copies=PROCESSES),
        broker="postgres",
        prepare="procrastinate --app rival_apps.procrastinate_app.app schema --apply",
    ),
    Rival(
        "potatoq",
        "potatoq",
        "potatoq",
        "potatoq_app",
        {
            **_quick(_POTATOQ, 1),
            Load.WAITING: Setting(_POTATOQ + " --threads {n}", 100),
        },
        oldest_python=(3, 11),
    ),
    Rival(
        "flexiq",
        "flexiq",
        "flexiq",
        "flexiq_app",
        {
            **_quick(_FLEXIQ + " --pool prefork", PROCESSES, _FLEXIQ_QUIET),
            Load.WAITING: Setting(_FLEXIQ, 200, PROCESSES, _FLEXIQ_QUIET),
        },
    ),
    Rival(
        "tarsk",
        "tarsk",
        "tarsk-redis",
        "tarsk_app",
        _all(
            "tarsk worker --app rival_apps.tarsk_app:app --broker {broker} --queues bench "
            "--children {processes} --slots {n}",
            quick=100,
            waiting=500,
            computing=1,
        ),
        oldest_python=(3, 11),
    ),
    Rival(
        "ardiq",
        "ardiq",
        "ardiq",
        "ardiq_app",
        _all(
            "ardiq run rival_apps.ardiq_app:app --quiet --workers {processes}",
            quick=500,
            waiting=1_000,
            computing=10,
        ),
        oldest_python=(3, 12),
    ),
    Rival(
        "mayu",
        "mayu",
        "mayu",
        "mayu_app",
        {
            **_quick(
                "mayu worker rival_apps.mayu_app:app --mode process --processes {processes} "
                "--log-level WARNING",
                1,
            ),
            Load.WAITING: Setting(
                "mayu worker rival_apps.mayu_app:app --mode thread --processes {processes} --threads 8 "
                "--prefetch-multiplier {n} --log-level WARNING",
                128,
                environment=_COROUTINES,
            ),
        },
        oldest_python=(3, 13),
    ),
)


def chosen(names: Sequence[str]) -> list[Rival]:
    """Those that are named, by project or system; all without names. fastworker is not among them.

    Raises:
        BenchError: There is none of this name; the text says what there is.
    """
    known = list(dict.fromkeys([*(one.project for one in RIVALS), *(one.name for one in RIVALS)]))
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise BenchError(f"--only {name}: expected some of {', '.join(known)}{hint}")
    return [one for one in RIVALS if not names or one.project in names or one.name in names]
