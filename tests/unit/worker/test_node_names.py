"""Names of nodes, and file names made of them."""

from __future__ import annotations

import pytest

from fastworker.errors import ImproperlyConfigured
from fastworker.worker.node_names import file_name, is_per_child, node_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (None, "fastworker@box.lan.org"),
        ("w1@%h", "w1@box.lan.org"),
        ("w1@%n", "w1@box"),
        ("w1@%d", "w1@lan.org"),
        ("w%%1@x", "w%1@x"),
        ("elsewhere", "fastworker@elsewhere"),
        ("w1@", "w1@box.lan.org"),
    ],
)
def test_a_node_name_is_expanded(text: str | None, name: str) -> None:
    assert node_name(text, host="box.lan.org") == name


def test_an_unknown_abbreviation_is_named() -> None:
    with pytest.raises(
        ImproperlyConfigured, match="%x, which stands for nothing: expected %h, %n, %d"
    ):
        node_name("w%x@h")


@pytest.mark.parametrize(
    ("template", "child", "name"),
    [
        ("%n.log", None, "w1.log"),
        ("/var/%h/%p", None, "/var/box.lan/w1@box.lan"),
        ("%n%I.log", None, "w1.log"),
        ("%n%I.log", 3, "w1-3.log"),
        ("%n-%i.log", None, "w1-0.log"),
    ],
)
def test_a_file_name_is_expanded(template: str, child: int | None, name: str) -> None:
    assert file_name(template, "w1@box.lan", child) == name


def test_a_percent_sign_that_is_meant_is_not_a_childs_number() -> None:
    assert is_per_child("%n%I.log")
    assert not is_per_child("%%I.log")
