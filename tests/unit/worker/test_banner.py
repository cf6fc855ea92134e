"""The start banner says what was chosen and why."""

from __future__ import annotations

import logging
from dataclasses import replace

from fastworker.worker.banner import Facts, LaneFacts, banner

FACTS = Facts(
    node="w1@box",
    version="1.2.3",
    app="proj",
    broker="redis://:hunter2@h:6379/0",
    broker_reason="setting broker_url",
    results="redis://:hunter2@h:6379/1",
    concurrency=2,
    concurrency_reason="2 cores: cgroup quota",
    prefetch=1024,
    prefetch_reason="automatic",
    queues=["celery", "mail"],
    lease_s=10.0,
    is_acked_late=True,
    fails_when_lost=False,
    max_deliveries=3,
    sends_events=False,
    loglevel=logging.INFO,
    tasks=["proj.add"],
)


def test_every_choice_is_there_with_its_reason() -> None:
    text = banner(FACTS)
    for said in ("w1@box", "1.2.3", "proj", "setting broker_url", "2 cores: cgroup quota", "1024"):
        assert said in text
    for said in ("automatic", "10 s", "at most 3 times", "INFO", ". mail", ". proj.add", "off"):
        assert said in text


def test_passwords_are_masked() -> None:
    assert "hunter2" not in banner(FACTS)


def test_early_acknowledgement_says_what_it_costs() -> None:
    assert "is lost" in banner(replace(FACTS, is_acked_late=False))


def test_a_task_that_fails_with_its_process_is_not_said_to_start_again() -> None:
    text = banner(replace(FACTS, fails_when_lost=True))
    assert "whose process dies fails, and one whose worker dies is started at most 3 times" in text


def test_tasks_are_left_out_when_they_are_not_to_be_listed() -> None:
    assert "[tasks]" not in banner(replace(FACTS, tasks=()))


def test_lanes_have_their_own_sizes_and_queues() -> None:
    lanes = [
        LaneFacts("cpu", "prefork", 2, 1, 8, 1024, ["parse", "thumbs"]),
        LaneFacts("io", "asyncio", 1, 500, None, 1012, ["crawl"]),
    ]
    text = banner(replace(FACTS, lanes=lanes))
    assert "cpu:          prefork, 2 processes, up to 8, prefetch 1024: parse, thumbs\n" in text
    assert "io:           asyncio, 1 process, 500 tasks in each, prefetch 1012: crawl\n" in text
    for of_the_node in ("concurrency:", "[queues]", "celery"):
        assert of_the_node not in text
