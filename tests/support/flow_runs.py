"""Random workflows in one worker of Celery and one of ours at once: what each came to, comparable."""

from __future__ import annotations

import collections
import importlib
import json
import re
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.support.flow_tasks import CALLS
from tests.support.flows import Flow, build, smaller
from tests.support.rig import Rig

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: Without anything to do for so long, a worker will not do anything any more.
_QUIET_S = 1.0
#: States that do not change.
ENDED = ("SUCCESS", "FAILURE", "REVOKED")

#: What a workflow came to: ``calls``, ``states``, ``value`` and so on.
Outcome = dict[str, Any]


class Stuck(AssertionError):
    """A worker does not come to rest."""


class Side:
    """One framework's client and its worker, which runs."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._canvas = importlib.import_module(f"{rig.spec.framework}.canvas")
        self._server = rig.redis()

    def run(self, flows: Mapping[str, Flow], timeout_s: float) -> dict[str, Outcome]:
        """Publish all, wait until the worker is at rest, and read what they came to.

        Raises:
            Stuck: It is not at rest in time; the text says what is left to do.
        """
        self._server.delete(CALLS)
        results: dict[str, Any] = {}
        refused: dict[str, str] = {}
        for key, flow in flows.items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    results[key] = build(flow, self._canvas, self._rig.app, key).apply_async()
                except Exception as error:
                    refused[key] = type(error).__name__
        self._rest(timeout_s)
        calls = collections.defaultdict(list)
        for line in self._server.lrange(CALLS, 0, -1):
            call = json.loads(line)
            calls[call[0].split("/")[0]].append(call)
        return {
            key: {"refused": refused[key]}
            if key in refused
            else self._outcome(results[key], calls[key])
            for key in flows
        }

    def _rest(self, timeout_s: float) -> None:
        """Wait until nothing is queued, leased or to be joined, for a while: no more will come of it."""
        deadline = time.monotonic() + timeout_s
        since = time.monotonic()
        seen: Any = None
        while True:
            todo = {
                "queued": self._server.llen("celery"),
                "leased": self._server.hlen("unacked"),
                "joins": self._server.hlen("fastworker:joins"),
            }
            calls = self._server.llen(CALLS)
            now = time.monotonic()
            if any(todo.values()) or calls != seen:
                since, seen = now, calls
            if now - since >= _QUIET_S:
                return
            if now > deadline:
                raise Stuck(f"{self._rig.spec.framework} after {timeout_s} s: {todo}")
            time.sleep(0.05)

    def _outcome(self, result: Any, calls: Sequence[Any]) -> Outcome:
        names: dict[str, str] = {}
        if result is not None:
            for path, task_id in _tree("", result, set()):
                names.setdefault(task_id, path)
        for key, task_id, _, _ in sorted(calls, key=lambda call: call[0]):
            if task_id:
                names.setdefault(task_id, f"call {key}")

        def named(value: Any) -> str:
            text = json.dumps(value, sort_keys=True)
            return _ID.sub(lambda found: names.get(found[0], "an id"), text)

        docs = self._server.mget([f"celery-task-meta-{task_id}" for task_id in names])
        states, results = {}, {}
        for name, doc in zip(names.values(), docs, strict=True):
            found = json.loads(doc) if doc else {"status": "PENDING", "result": None}
            states[name] = found["status"]
            value = found["result"]
            if found["status"] in ("FAILURE", "RETRY"):
                value = [value["exc_type"], value["exc_message"]]
            # What failed without running has, in Celery, the children of the task that stored its failure.
            children = found.get("children") if found["status"] == "SUCCESS" else None
            results[name] = named([value, children])
        last = [names[task_id] for task_id in _last(result)]
        has_ended = all(states[name] in ENDED for name in last)
        return {
            "got": named(_got(result)) if result is not None and has_ended else None,
            "calls": sorted(named(call) for call in calls),
            "states": states,
            "results": results,
            "last": last,
        }


def _tree(path: str, result: Any, seen: set[str]) -> Iterator[tuple[str, str]]:
    """The ids of all results that a workflow's one leads to, with their places; groups have no state."""
    if result.id in seen:
        return
    seen.add(result.id)
    members = getattr(result, "results", None)
    if members is None:
        yield f"result{path}", result.id
    for number, member in enumerate(members or ()):
        yield from _tree(f"{path}[{number}]", member, seen)
    if result.parent is not None:
        yield from _tree(f"{path}.parent", result.parent, seen)


def _last(result: Any) -> list[str]:
    """The ids that whoever waits for a workflow waits for."""
    if result is None:
        return []
    members = getattr(result, "results", None)
    if members is None:
        return [result.id]
    return [task_id for member in members for task_id in _last(member)]


def _got(result: Any) -> Any:
    """What ``get`` gives, or raises."""
    try:
        return result.get(timeout=10)
    except Exception as error:
        return [type(error).__name__, str(error)]


def differing(theirs: Outcome, ours: Outcome) -> list[str]:
    """What differs and has no reason that is known, in words.

    Two differences are known. What a chord's failure leaves without an end in Celery (the body of a chord in another
    one's header, a replacement, a group or the steps behind it) fails here, and its errbacks are called. And of
    ``group | group | group`` the last runs once for each member of the one before, under one id, in both: which run
    stores last is chance.
    """
    if "refused" in theirs or "refused" in ours:
        return [] if theirs == ours else [f"refused: Celery {theirs}, ours {ours}"]
    found = []
    more, less = _without(ours["calls"], theirs["calls"]), _without(theirs["calls"], ours["calls"])
    found += [f"only Celery calls {line}" for line in less]
    has_failed_chord = any("ChordError" in text for text in ours["results"].values())
    excused = set()
    for line in more:
        _, task_id, what, _ = json.loads(line)
        if what in ("told", "heard") and has_failed_chord and line not in theirs["calls"]:
            excused.add(task_id)
        else:
            found.append(f"only ours calls {line}")
    by_chance = _run_again(ours["calls"])
    for name in sorted({*theirs["states"], *ours["states"]}):
        one, other = theirs["states"].get(name), ours["states"].get(name)
        if name in excused or (one, other) == ("PENDING", "FAILURE"):
            continue
        if one != other:
            found.append(f"state of {name}: Celery {one}, ours {other}")
        elif not by_chance and theirs["results"][name] != ours["results"][name]:
            texts = theirs["results"][name], ours["results"][name]
            found.append("result of {}: Celery {}, ours {}".format(name, *texts))
    if theirs["last"] != ours["last"]:
        found.append(f"ends with: Celery {theirs['last']}, ours {ours['last']}")
    elif theirs["got"] not in (None, ours["got"]) and not by_chance:
        found.append(f"get(): Celery {theirs['got']}, ours {ours['got']}")
    return found


def unended(ours: Outcome) -> list[str]:
    """The ids that somebody waits for and that have no end, of a workflow whose worker is at rest."""
    unkept = {call[1] for call in map(json.loads, ours.get("calls", ())) if call[2] == "unkept"}
    return [
        name
        for name in ours.get("last", ())
        if name not in unkept and ours["states"][name] not in ENDED
    ]


def _run_again(calls: Sequence[str]) -> bool:
    """Whether a task ran twice under one id, and not because it was retried or replaced."""
    seen = collections.Counter(
        (call[0], call[1], call[2]) for call in map(json.loads, calls) if call[1]
    )
    return any(count > 1 for count in seen.values())


def _without(lines: Sequence[str], others: Sequence[str]) -> list[str]:
    return sorted((collections.Counter(lines) - collections.Counter(others)).elements())


def both(
    sides: Sequence[Side], flows: Mapping[str, Flow], timeout_s: float
) -> dict[str, tuple[Outcome, Outcome]]:
    """Run workflows on two sides at once; by key what they came to."""
    with ThreadPoolExecutor(len(sides)) as pool:
        theirs, ours = pool.map(lambda side: side.run(flows, timeout_s), sides)
    return {key: (theirs[key], ours[key]) for key in flows}


def faults(theirs: Outcome, ours: Outcome) -> list[str]:
    """What is wrong with ours."""
    return [*differing(theirs, ours), *(f"{name} never ends" for name in unended(ours))]


def shrunk(
    sides: Sequence[Side], flow: Flow, timeout_s: float, rounds: int = 12
) -> tuple[Flow, list[str]]:
    """The smallest workflow found in which something is still wrong, and what."""
    found: tuple[Flow, list[str]] = (flow, ["not again, when it ran alone"])
    tried = {"s": flow}
    for number in range(rounds):
        outcomes = both(sides, tried, timeout_s)
        bad = [key for key in tried if faults(*outcomes[key])]
        if not bad:
            break
        found = (tried[bad[0]], faults(*outcomes[bad[0]]))
        fewer = sorted({*smaller(found[0])}, key=lambda each: len(str(each)))
        tried = {f"s{number}x{at}": each for at, each in enumerate(fewer)}
    return found
