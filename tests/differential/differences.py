"""Every difference from Celery that is known, with its reason. Two kinds: ``chosen`` ones stay;
``missing`` ones are what fastworker does not do yet.

The tests fail on a difference that is not listed here, and on an entry here that no difference
needs any more. ``docs/reference/differences.md`` is made from this list.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass

from tests.differential.compare import Found

CHOSEN = "chosen"
MISSING = "missing"


@dataclass(frozen=True)
class Difference:
    """A known difference.

    Attributes:
        what: What differs, for a person.
        celery: What Celery does.
        ours: What fastworker does.
        reason: Why.
        where: ``group/scenario`` patterns, as in a shell.
        fields: Patterns of fields (``compare.Found.field``).
        kind: ``chosen`` or ``missing``.
    """

    what: str
    celery: str
    ours: str
    reason: str
    where: tuple[str, ...]
    fields: tuple[str, ...] = ("*",)
    kind: str = CHOSEN

    def covers(self, group: str, found: Found) -> bool:
        """Whether it explains ``found``."""
        place = f"{group}/{found.scenario}"
        return any(fnmatch.fnmatchcase(place, pattern) for pattern in self.where) and any(
            fnmatch.fnmatchcase(found.field, pattern) for pattern in self.fields
        )


@dataclass(frozen=True)
class Verdict:
    """What is left of a comparison.

    Attributes:
        unexplained: ``group/scenario: field``, with both values.
        needed: Entries that explained something.
    """

    unexplained: list[str]
    needed: set[Difference]


def judge(group: str, found: Iterable[Found]) -> Verdict:
    """Explain each difference of a group, where possible."""
    verdict = Verdict([], set())
    for one in found:
        reasons = [entry for entry in DIFFERENCES if entry.covers(group, one)]
        verdict.needed.update(reasons)
        if not reasons:
            place = f"{group}/{one.scenario}: {one.field}"
            verdict.unexplained.append(f"{place}\n  celery {one.celery!r}\n  ours   {one.ours!r}")
    return verdict


ERROR_TEXT = ("*exc_message*", "*traceback", "*get raises", "*result", "log*", "record.*")
SAYS_MORE = "Errors say what failed, on what, what was expected and what to try."

DIFFERENCES: tuple[Difference, ...] = (
    # ------------------------------------------------------------------------------- publishing
    Difference(
        "text and class of errors at publish",
        "the text of the library underneath; an unknown compression is OperationalError",
        "names the task, the argument or the option and the names that exist",
        SAYS_MORE,
        (
            "publishing/argument without a JSON form",
            "publishing/option serializer nobody has",
            "publishing/option compression nobody has",
            "publishing/args that are a string",
            "strict_queues/*",
        ),
        ("raised",),
    ),
    Difference(
        "an exchange that no queue is bound to",
        "the message vanishes: Redis has no such binding, and nobody is told",
        "QueueNotFound at the call",
        "Nothing is lost, and nothing fails silently.",
        (
            "publishing/declared keyed",
            "publishing/option exchange*",
            "routing/by exchange",
        ),
    ),
    Difference(
        "an option that does not exist",
        "published, without effect",
        "TypeError at the call",
        "A misspelt option is an error where it is written.",
        ("publishing/option content of the unknown",),
    ),
    Difference(
        "options repeated in the message's properties",
        "argsrepr, kwargsrepr and origin stand in headers and properties",
        "in the headers",
        "Nobody reads them from the properties; every message would be longer.",
        (
            "publishing/option argsrepr",
            "calls/request of a call with options",
            "retries/message of *",
        ),
        ("*properties.argsrepr", "*properties.kwargsrepr", "*properties.origin"),
    ),
    Difference(
        "priorities above 9",
        "kept in the properties; queued as 9",
        "written as 9",
        "The property says what the queue does.",
        ("publishing/option priority above nine",),
        ("*.priority",),
    ),
    Difference(
        "soft_time_limit above time_limit at the call",
        "published; refused only for limits that the task declares",
        "ValueError at the call",
        "A soft limit that can never be reached is a mistake wherever it is written.",
        ("publishing/option soft above hard",),
    ),
    Difference(
        "a positional-only argument given by keyword",
        "published; the task fails in the worker",
        "TypeError at the call",
        "Arguments are checked against the real signature.",
        ("publishing/positional only by keyword",),
    ),
    Difference(
        "a route that says expires or time_limit",
        "TypeError at the call: multiple values for an argument",
        "used like any other option of a route",
        "A route gives options of apply_async.",
        ("routing/by options without a queue",),
    ),
    Difference(
        "property expiration of a naive expires",
        "counted as if the time was in UTC, while the header expires has it in the configured zone",
        "counted from the header",
        "Both say the same moment.",
        ("zone/expires naive", "zone_without_utc/expires naive"),
        ("*.expiration",),
    ),
    # ------------------------------------------------------------------------------------ results
    Difference(
        "a value that the result serializer cannot write",
        "EncodeError of the serializer's error",
        "EncodeError that names the task and the type of the value",
        SAYS_MORE,
        (
            "calls/returns *",
            "calls/handlers of a value that cannot be stored",
            "links/errback of a failure to store",
            "links/result that the link cannot take",
            "pickled_results/returns *",
        ),
        ERROR_TEXT,
    ),
    Difference(
        "result.get() inside a task",
        "RuntimeError with a link to a page",
        "RuntimeError that says why, and what to use",
        SAYS_MORE,
        ("calls/result is awaited inside a task",),
        ERROR_TEXT,
    ),
    Difference(
        "traceback and log line of an exception that cannot be pickled",
        "name celery.utils.serialization.UnpickleableExceptionWrapper",
        "name the exception itself",
        "The author looks for their own class. What is stored is the same.",
        (
            "calls/raises *",
            "retries/gives up with one that cannot be pickled",
            "pickled_results/raises *",
        ),
        ("*traceback", "log*"),
    ),
    Difference(
        "a second success of the same id",
        "the first one is kept",
        "the later one is kept",
        "Celery reads the stored document before each write for it.",
        ("retries/throw=False",),
        ("calls.a.doc.*", "calls.a.get", "calls.a.result", "calls.a.states", "calls.a.stored"),
    ),
    Difference(
        "children in documents of steps that a failure left out",
        "an empty list",
        "null",
        "Those steps never ran; both readers take null for none.",
        ("links/chain that fails *", "links/chain with an errback"),
        ("*.doc.children",),
    ),
    Difference(
        "result_extended of an expired call",
        "REVOKED with name, arguments, worker and queue",
        "REVOKED without them",
        "The worker itself ends an expired call and does not decode its body.",
        ("extended/expired",),
        ("calls.a.doc.*",),
        MISSING,
    ),
    # ----------------------------------------------------------------------------------- handlers
    Difference(
        "an on_failure or on_retry that raises",
        "its exception replaces the task's own, and the state becomes FAILURE for a while",
        "logged; the outcome stays as it is, and after_return is called",
        "As for on_success and after_return: a handler observes, it does not decide.",
        ("calls/broken on_failure", "calls/broken on_retry"),
    ),
    Difference(
        "an errback that raises",
        "logged without the task's id",
        "logged with it",
        SAYS_MORE,
        ("links/broken errback",),
        ("log*",),
    ),
    # ------------------------------------------------------------------------------------ log text
    Difference(
        "stacks of a task that its hard limit kills",
        "nothing is known of where it was",
        "a warning with the Python stacks of its process, just before the kill",
        "Where a task hangs is what its author needs to know.",
        ("limits/hard*",),
        ("log",),
    ),
    Difference(
        "shadow in the line that says received",
        "the shadow name",
        "the task's name",
        "That line is written before the headers are decoded.",
        (
            "calls/shadow in logs",
            "calls/request of a call with options",
            "retries/keeps what the call said",
            "retries/message of a retry with everything",
            "extended/with options",
        ),
        ("log*",),
        MISSING,
    ),
    # -------------------------------------------------------------------------- limits and deaths
    Difference(
        "how often the log says that a soft limit is exceeded",
        "once, or again after the task has ended",
        "once",
        "One signal, one line.",
        ("limits/soft, with an errback",),
        ("log",),
    ),
    Difference(
        "how often FAILURE is stored for a hard limit",
        "twice, and its errbacks are called twice",
        "once",
        "One end, one step.",
        ("limits/hard*", "afterwards/hard*"),
        ("*states", "*stored"),
    ),
    Difference(
        "what follows from a hard limit or a dead process",
        "handlers and errbacks are called in the parent, those of a hard limit twice, with an exception "
        "without traceback; the limit is a whole number",
        "once, when the end is stored; with a traceback; the limit is a float",
        "One end, one call.",
        ("afterwards/hard, with *", "afterwards/hard, in a chain", "afterwards/kill*"),
        ("calls.*", "record*", "log*"),
    ),
    Difference(
        "acks_on_failure_or_timeout=False and a hard limit",
        "FAILURE is stored, then the message runs again",
        "the message runs again",
        "What runs again has not failed yet.",
        ("afterwards/hard, not acknowledged",),
    ),
    Difference(
        "a process that dies, acks_late",
        "FAILURE at once, unless reject_on_worker_lost",
        "delivered again, at most task_max_deliveries times",
        "Nothing is lost: that is what acks_late is for.",
        ("deaths/kill, acks late",),
    ),
    Difference(
        "text of WorkerLostError",
        "Worker exited prematurely: signal 9 (SIGKILL) Job: 1.",
        "says how often the process died while running it",
        "One task may have ended several processes.",
        ("deaths/*", "afterwards/kill*", "base_exceptions/*"),
        ERROR_TEXT,
    ),
    Difference(
        "retry_on_worker_lost",
        "a retry is published when the process dies",
        "FAILURE",
        "Not acted on yet; with acks_late the message is delivered again.",
        ("lost_retry/*",),
        kind=MISSING,
    ),
    Difference(
        "an exception that is no Exception",
        "FAILURE, without log line, handlers and after_return",
        "a failure like any other",
        "asyncio.CancelledError is one of them.",
        (
            "base_exceptions/raises base",
            "base_exceptions/raises cancelled",
            "base_exceptions/raises generator exit",
        ),
        ("log*", "*traceback"),
    ),
    Difference(
        "MemoryError in a task",
        "the whole worker ends",
        "FAILURE of that task",
        "A task cannot end the worker.",
        ("memory/*",),
    ),
    # -------------------------------------------------------------------------------------- eager
    Difference(
        "traceback of Ignore and Reject in eager mode",
        "set",
        "None",
        "They are no failures.",
        ("eager/Ignore", "eager/Reject", "eager_propagates/Ignore"),
        ("*.traceback",),
    ),
    Difference(
        "arguments of a retry and of handlers in eager mode",
        "a list",
        "a tuple",
        "Whether a list or a tuple is no promise.",
        ("eager/*",),
        ("record.*.args",),
    ),
    Difference(
        "einfo of after_return in eager mode",
        "None",
        "the same ExceptionInfo as on_failure gets",
        "It is useful, and None in a worker is Celery's omission.",
        ("eager/handlers of a failure",),
        ("record.*.einfo",),
    ),
    Difference(
        "Retry of a direct call",
        "Retry(Retry(...), None, None)",
        "the text says that it can be retried",
        SAYS_MORE,
        ("eager/direct call that retries", "eager_propagates/retry gives up"),
        ("raised",),
    ),
    # ------------------------------------------------------------------------------- wrong messages
    Difference(
        "content that accept_content does not name",
        "logged; the message is thrown away and the caller waits for ever",
        "FAILURE ContentDisallowed, and the message is kept in the dead letters",
        "Nothing is lost, and nothing fails silently.",
        ("refused/pickle is refused",),
    ),
    Difference(
        "messages that cannot be run",
        "logged or not, and thrown away; the caller waits for ever",
        "FAILURE where there is an id, and the message is kept in the dead letters with the reason",
        "Nothing is lost, and nothing fails silently.",
        (
            "raw/body that is not JSON",
            "raw/body of bytes",
            "raw/body that is not compressed as it says",
            "raw/compression nobody knows",
            "raw/content type *",
            "raw/kwargs of a list",
            "raw/eta that is no time",
            "raw/expires that is no time",
            "raw/expires as a number",
        ),
    ),
    Difference(
        "a body that is JSON and no task's",
        "TypeError or ValueError ends the whole worker, and the message stays: the next one ends too",
        "FAILURE, and the message is kept in the dead letters",
        "A message cannot end a worker.",
        ("raw/body of a number", "raw/body of two", "raw/no content type"),
    ),
    Difference(
        "log of an unknown task",
        "several lines that show the message, without the task's id",
        "one line with the id, and the message is kept in the dead letters",
        SAYS_MORE,
        ("raw/unknown task",),
        ("log*",),
    ),
    Difference(
        "a callback that is no signature",
        "the task runs, and fails with AttributeError",
        "FAILURE that names it, before anything runs, and the message is kept in the dead letters",
        "A message that cannot be run to its end is refused while nothing has happened.",
        ("raw/callback that is no signature",),
    ),
)
