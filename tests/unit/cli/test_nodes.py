"""``multi``: names of nodes, and which options are whose."""

from __future__ import annotations

import signal
import socket

import pytest

from fastworker.cli.nodes import nodes_of, signal_of
from fastworker.errors import ImproperlyConfigured

HOST = socket.gethostname()


def commands(line: str) -> list[str]:
    """What starts each node, without the interpreter."""
    return [" ".join(node.command[3:]) for node in nodes_of(line.split())]


def test_names_are_given_or_counted() -> None:
    assert [node.name for node in nodes_of(["w1", "w2@there"])] == [f"w1@{HOST}", "w2@there"]
    assert [node.name for node in nodes_of(["2"])] == [f"celery1@{HOST}", f"celery2@{HOST}"]
    assert [node.name for node in nodes_of(["2", "--prefix=w", "-n", "x.org"])] == [
        "w1@x.org",
        "w2@x.org",
    ]


def test_files_are_where_celery_has_them() -> None:
    [node] = nodes_of(["w@h"])
    assert (node.pidfile, node.logfile) == ("/var/run/celery/w.pid", "/var/log/celery/%n%I.log")


def test_options_are_for_all_or_for_some() -> None:
    line = "a@h b@h c@h -A proj -l INFO -c:1-2 3 --queues:c=mail -E:b -c5 --pidfile=/run/%n.pid --logfile=%n%I.log"
    all_of_them = "-l INFO -c5"
    assert commands(line) == [
        f"-A proj worker --detach --hostname a@h --pidfile /run/a.pid --logfile %n%I.log {all_of_them} -c 3",
        f"-A proj worker --detach --hostname b@h --pidfile /run/b.pid --logfile %n%I.log {all_of_them} -c 3 -E",
        f"-A proj worker --detach --hostname c@h --pidfile /run/c.pid --logfile %n%I.log {all_of_them} --queues mail",
    ]


def test_options_of_nodes_that_are_not_meant_now_are_left_out() -> None:
    [command] = commands("w1@h -c:w1 2 -c:w2 9")
    assert command.endswith("-c 2")


def test_global_options_stand_before_the_command() -> None:
    [command] = commands("w@h --app=proj -b redis://x -C --workdir /srv -l INFO -p %n.pid -f w.log")
    assert command == (
        "--app proj -b redis://x -C --workdir /srv worker --detach --hostname w@h --pidfile /srv/w.pid "
        "--logfile w.log -l INFO"
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("w1 w2 -c:3 2", "no node '3'; there are 2, expected numbers from 1 to 2"),
        ("w1 -c:1-2 2", "no node '1-2'"),
        ("w1 --pidfile", "--pidfile has no value"),
    ],
)
def test_mistakes_are_told(line: str, said: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=said):
        nodes_of(line.split())


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["w1"], (None, ["w1"])),
        (["-KILL", "w1"], (signal.SIGKILL, ["w1"])),
        (["w1", "-SIGQUIT", "-c", "3"], (signal.SIGQUIT, ["w1", "-c", "3"])),
        (["w1", "-9"], (9, ["w1"])),
        (["w1", "--term"], (None, ["w1", "--term"])),
    ],
)
def test_a_signal_may_stand_among_the_words(words: list[str], expected: object) -> None:
    assert signal_of(words) == expected
