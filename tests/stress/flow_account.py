"""What workflows under fire came to: what has no end, and which calls came twice without a reason."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set

from tests.support.flow_runs import unended
from tests.support.flow_sides import Call, Outcome

#: (key, task id, what): of one task, each attempt for itself.
Which = tuple[str, str, str]


def broken_promises(
    expected: Mapping[str, Outcome],
    outcomes: Mapping[str, Outcome],
    calls: Sequence[Call],
    living: Set[int],
) -> list[str]:
    """What is wrong, one line each, with workflows whose workers were killed.

    Args:
        expected: What the same workflows came to when nobody was killed.
        outcomes: What they came to.
        calls: All that was called.
        living: The processes that are left.
    """
    by_chance = {key for key, outcome in expected.items() if _runs_again(outcome)}
    found = []
    for key, outcome in outcomes.items():
        found += [f"{key}: {name} never ends" for name in unended(outcome)]
        if key not in by_chance:
            found += [f"{key}: {line}" for line in _differing(expected[key], outcome)]
    runs: dict[Which, list[tuple[str, int]]] = defaultdict(list)
    for call_key, task_id, what, _, message, pid in calls:
        if message is not None:
            runs[call_key, task_id, what].append((message, pid))
    found += _second_runs(runs, living)
    found += _second_messages(runs, by_chance)
    return found


def _second_runs(runs: Mapping[Which, Sequence[tuple[str, int]]], living: Set[int]) -> list[str]:
    """Messages that ran again although the process that ran them lives."""
    found = []
    for which, each in runs.items():
        pids = defaultdict(list)
        for message, pid in each:
            pids[message].append(pid)
        found += [
            f"{which} ran again, and process {pid} that ran it first was not killed"
            for ran_by in pids.values()
            for pid in ran_by[:-1]
            if pid in living
        ]
    return found


def _second_messages(
    runs: Mapping[Which, Sequence[tuple[str, int]]], by_chance: Set[str]
) -> list[str]:
    """Steps, bodies and callbacks that were published more than once. A task that publishes while it runs, and runs
    again, publishes again; what follows from that comes again, too."""
    excused = by_chance | {
        _flow(key)
        for (key, _, what), each in runs.items()
        if len(each) > 1 and (what.startswith("replaced") or what == "adder")
    }
    return [
        f"{which} was published {len(messages)} times"
        for which, each in runs.items()
        if len(messages := {message for message, _ in each}) > 1 and _flow(which[0]) not in excused
    ]


def _differing(expected: Outcome, outcome: Outcome) -> Iterable[str]:
    """Of the states of what a workflow's result leads to, and of what ``get`` gives of one that succeeds."""
    if "refused" in expected or "refused" in outcome:
        return
    for name, state in expected["states"].items():
        ours = outcome["states"].get(name)
        if name.startswith("result") and ours != state:
            yield f"state of {name}: {ours}, without kills {state}"
    has_succeeded = all(expected["states"][name] == "SUCCESS" for name in expected["last"])
    if has_succeeded and outcome["got"] != expected["got"]:
        yield f"get(): {outcome['got']}, without kills {expected['got']}"


def _runs_again(outcome: Outcome) -> bool:
    """Whether some task is called more than once under one id without a kill: what it gives is chance."""
    seen: set[tuple[str, str, str]] = set()
    for key, task_id, what, _ in map(json.loads, outcome.get("calls", ())):
        if task_id and (key, task_id, what) in seen:
            return True
        seen.add((key, task_id, what))
    return False


def _flow(key: str) -> str:
    return key.split("/")[0]
