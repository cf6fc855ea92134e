"""What becomes of a chord when members of its header fail: its policy, and how the policy travels.

A chord has it beside its header and body (``chord.kwargs["errors"]``), where Celery finds and ignores it. When the
header is published it becomes an option of the body, which every member carries: whoever counts a member, or joins the
chord, reads it there and takes it off.

Members of a chord that may end before all of them did are stamped with the group's id, so that the rest of them can be
revoked, on workers of Celery's too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fastworker import states
from fastworker.canvas.kinds import is_chain, is_chord, is_group
from fastworker.canvas.lazy import LazyList
from fastworker.canvas.signature import maybe_signature
from fastworker.errors import ChordError, ImproperlyConfigured
from fastworker.results.member_failure import MemberFailure
from fastworker.results.result_set import ResultSet

#: A word, or how many members may fail.
Policy = str | int

#: Celery's: the body fails when all members have ended and one of them has failed.
DEFAULT: Policy = "fail"
#: The option of a body.
OPTION = "chord_errors"
#: The stamp of members.
STAMP = "fastworker_chord"
#: How many failures each word bears.
_WORDS: dict[str, float] = {"fail": 0, "fail_fast": 0, "continue": math.inf}
EXPECTED = "'fail', 'continue', 'fail_fast', or how many members may fail (0 or more)"


def is_policy(errors: Any) -> bool:
    """Whether it says what becomes of a chord."""
    if isinstance(errors, int) and not isinstance(errors, bool):
        return errors >= 0
    return isinstance(errors, str) and errors in _WORDS


def checked(errors: Any) -> Policy:
    """``errors``.

    Raises:
        ValueError: It is no policy.
    """
    if not is_policy(errors):
        raise ValueError(f"chord(errors={errors!r}): expected {EXPECTED}")
    policy: Policy = errors
    return policy


def policy_set(setting: Any) -> Policy:
    """What ``task_chord_errors`` says.

    Raises:
        ImproperlyConfigured: It is no policy.
    """
    if not is_policy(setting):
        raise ImproperlyConfigured(f"setting task_chord_errors is {setting!r}: expected {EXPECTED}")
    policy: Policy = setting
    return policy


def policy_of(body: Mapping[str, Any]) -> Policy:
    """The policy of the chord whose body this is, on its way. One that this version does not know is Celery's."""
    found: Any = (body.get("options") or {}).get(OPTION)
    policy: Policy = found if is_policy(found) else DEFAULT
    return policy


def without_policy(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body as it is to be published."""
    options = {name: it for name, it in (body.get("options") or {}).items() if name != OPTION}
    return {**body, "options": options}


def of_fold(policy: Policy) -> dict[str, Policy]:
    """The option of a body that folds results.

    Raises:
        ValueError: The policy ends a chord early: a fold is many chords.
    """
    if borne_early(policy) is not None:
        raise ValueError(
            f"chord(errors={policy!r}, reduce=…): expected 'fail' or 'continue' with reduce"
        )
    return {} if policy == DEFAULT else {OPTION: policy}


def borne_early(policy: Policy) -> int | None:
    """With how many failures the chord still waits for other members; None: with any number."""
    if policy == "fail_fast":
        return 0
    return policy if isinstance(policy, int) else None


def bears_some(policy: Policy) -> bool:
    """Whether the body may run although a member has failed."""
    return bool(_borne(policy))


def _borne(policy: Policy) -> float:
    return policy if isinstance(policy, int) else _WORDS[policy]


def judge(failures: list[MemberFailure], policy: Policy) -> None:
    """
    Raises:
        ChordError: There are more failures than the policy bears. Names the first in the header's order.
    """
    borne = _borne(policy)
    if len(failures) <= borne:
        return
    first = failures[0]
    text = f"Dependency {first.task_id} raised {first.error!r}"
    if borne:
        text += f"; {len(failures)} members failed, and {borne} may"
    raise ChordError(text) from first.error


def outcomes(result: Any, known: Mapping[str, Any]) -> Any:
    """What ended tasks returned, or how they failed, in the shape of ``result``.

    Args:
        result: Of a task, or a set.
        known: What needs not be asked for, by task id.
    """
    if isinstance(result, ResultSet):
        return [outcomes(member, known) for member in result.results]
    if result.id in known:
        return known[result.id]
    state = result.state
    if state in states.PROPAGATE_STATES:
        return MemberFailure(result.id, state, result.result)
    return result.result


def tasks_of(result: Any) -> Iterator[str]:
    """The ids of all tasks in ``result``, a task's or a set."""
    if isinstance(result, ResultSet):
        for member in result.results:
            yield from tasks_of(member)
    else:
        yield result.id


def failures_in(values: Any) -> Iterator[MemberFailure]:
    """Those in what ``outcomes`` gave."""
    for value in values:
        if isinstance(value, MemberFailure):
            yield value
        elif isinstance(value, list):
            yield from failures_in(value)


def stamped(tasks: Any, app: Any, group_id: str) -> Any:
    """Copies of a header's members that can be revoked by the id of their group; those of a stream as they are read."""

    def of(task: Any) -> Any:
        twin = _own_copy(maybe_signature(task, app=app))
        twin.stamp(append_stamps=True, **{STAMP: group_id})
        return twin

    return _each(tasks, of)


def _own_copy(sig: Any) -> Any:
    """A copy of all that is stamped: a signature that is published twice must not have the stamps of its first time."""
    twin = sig.clone()
    if is_group(twin) or is_chain(twin):
        twin.tasks = _each(twin.tasks, _copied_task)
    elif is_chord(twin):
        members = twin.tasks.tasks if is_group(twin.tasks) else twin.tasks
        twin.tasks = _each(members, _copied_task)
    return twin


def _copied_task(task: Any) -> Any:
    return _own_copy(maybe_signature(task))


def _each(tasks: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(tasks, LazyList):
        return LazyList(map(change, tasks.drain()))
    return [change(task) for task in tasks]
