"""Random workflows on several sides at once, and what differs between them."""

from __future__ import annotations

import collections
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.support.flow_sides import ENDED, Outcome, Side
from tests.support.flows import Flow, smaller


def differing(theirs: Outcome, ours: Outcome) -> list[str]:
    """What differs and has no reason that is known, in words.

    These are known. What a chord's failure leaves without an end in Celery (the body of a chord in another one's
    header, a replacement, a group or the steps behind it) fails here. What waits behind a chord's header, does not run
    and has errbacks has them called here; of a chord in a chord Celery calls them about the inner one instead. A task
    that fails for good may be left with Celery's RETRY, whose worker stores that after it has published the next
    attempt. And of ``group | group | group`` the last runs once for each member of the one before, under one id, in
    both: which run stores last is chance.
    """
    if "refused" in theirs or "refused" in ours:
        return [] if theirs == ours else [f"refused: Celery {theirs}, ours {ours}"]
    more, less = _without(ours["calls"], theirs["calls"]), _without(theirs["calls"], ours["calls"])
    excused = [line for line in more if _is_about_unrun(line, ours)]
    found = [f"only ours calls {line}" for line in more if line not in excused]
    moved = collections.Counter(map(_errback, excused))
    for line in less:
        if moved[_errback(line)] > 0:
            moved[_errback(line)] -= 1
        else:
            found.append(f"only Celery calls {line}")
    by_chance = _run_again(ours["calls"])
    told = {json.loads(line)[1] for line in excused}
    for name in sorted({*theirs["states"], *ours["states"]}):
        one, other = theirs["states"].get(name), ours["states"].get(name)
        if name in told or (one, other) in (("PENDING", "FAILURE"), ("RETRY", "FAILURE")):
            continue
        if one != other:
            found.append(f"state of {name}: Celery {one}, ours {other}")
        elif not by_chance and theirs["results"][name] != ours["results"][name]:
            texts = theirs["results"][name], ours["results"][name]
            found.append("result of {}: Celery {}, ours {}".format(name, *texts))
    if theirs["last"] != ours["last"]:
        found.append(f"ends with: Celery {theirs['last']}, ours {ours['last']}")
    elif (
        theirs["got"] not in (None, ours["got"])
        and not by_chance
        and not (_is_one_of_several(theirs) and _is_one_of_several(ours))
    ):
        found.append(f"get(): Celery {theirs['got']}, ours {ours['got']}")
    return found


def _is_about_unrun(line: str, ours: Outcome) -> bool:
    """Whether a call is that of an errback about something that did not run, and failed since what is before it did."""
    _, _, what, told = json.loads(line)
    if what not in ("told", "heard"):
        return False
    name = told if what == "told" else told[0]
    ran = {call[1] for call in map(json.loads, ours["calls"]) if not call[2].startswith("replaced")}
    # Ids that are not in the tree of results are named by the call that ran under them.
    return name not in ran and ours["states"].get(name, "FAILURE") == "FAILURE"


def _errback(line: str) -> tuple[str, str]:
    """Which errback a line is about."""
    key, _, what, _ = json.loads(line)
    return key, what


def _is_one_of_several(outcome: Outcome) -> bool:
    """Whether what ``get`` raised is the error of one of several that failed: of whichever it saw first."""
    errors = []
    for name, text in outcome["results"].items():
        if outcome["states"][name] == "FAILURE":
            (kind, arguments), _ = json.loads(text)
            errors.append({kind, *map(str, arguments)})
    return len(errors) > 1 and set(json.loads(outcome["got"])) in errors


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


def on_all(
    sides: Mapping[str, Side], flows: Mapping[str, Flow], timeout_s: float
) -> dict[str, dict[str, Outcome]]:
    """Run workflows on all sides at once; by key, what they came to on each."""
    with ThreadPoolExecutor(len(sides)) as pool:
        ran = pool.map(lambda side: side.run(flows, timeout_s), sides.values())
        outcomes = dict(zip(sides, ran, strict=True))
    return {key: {name: outcomes[name][key] for name in sides} for key in flows}


def faults(outcomes: Mapping[str, Outcome]) -> list[str]:
    """What is wrong: ``celery`` is how it should be."""
    theirs = outcomes["celery"]
    return [
        f"{name}: {fault}"
        for name, ours in outcomes.items()
        if name != "celery"
        for fault in (*differing(theirs, ours), *(f"{it} never ends" for it in unended(ours)))
    ]


def shrunk(
    sides: Mapping[str, Side], flow: Flow, wrong: list[str], timeout_s: float, rounds: int = 12
) -> tuple[Flow, list[str]]:
    """The smallest workflow found in which something is still wrong, and what; ``wrong`` is what was."""
    found: tuple[Flow, list[str]] = (flow, ["not again, when it ran alone:", *wrong])
    tried = {"s": flow}
    for number in range(rounds):
        outcomes = on_all(sides, tried, timeout_s)
        bad = [key for key in tried if faults(outcomes[key])]
        if not bad:
            break
        found = (tried[bad[0]], faults(outcomes[bad[0]]))
        fewer = sorted({*smaller(found[0])}, key=lambda each: len(str(each)))
        tried = {f"s{number}x{at}": each for at, each in enumerate(fewer)}
    return found
