"""The Rust half of fastworker: bytes, brokers and processes.

Everything here deals in bytes and small values; nothing knows about tasks' functions. Names that start without an
underscore are used by the Python half only; users import from ``fastworker``.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, final

__all__ = [
    "Batch",
    "Call",
    "ChildLink",
    "ControlClient",
    "Drain",
    "Histogram",
    "Join",
    "LamportClock",
    "Lost",
    "Member",
    "MessagePlan",
    "NodePulse",
    "Pacer",
    "Publisher",
    "ResultStore",
    "Worker",
    "__version__",
    "adopt_orphans",
    "advance_clock",
    "clear_memory",
    "clock_ahead_us",
    "dumps",
    "loads",
    "memory_messages",
    "new_id",
    "register_type",
    "reset_clock",
    "stream_ids",
    "write_envelope",
]

__version__: str

# --------------------------------------------------------------------------------------------------------- codec

def dumps(obj: Any) -> bytes:
    """Encode as kombu's JSON: ``__type__`` forms for datetime, UUID, Decimal and bytes; exact integers; NaN.

    Raises:
        TypeError: A value that JSON has no form for; the text names its type and its path.
        ValueError: A circular reference.
    """

def loads(data: bytes | str) -> Any:
    """Decode kombu's JSON.

    Raises:
        ValueError: Not JSON; the text says where.
    """

def register_type(
    cls: type, marker: str | None, encoder: Callable[[Any], Any], decoder: Callable[[Any], Any]
) -> None:
    """Teach the codec a type, as ``kombu.utils.json.register_type`` does. ``marker=None`` writes no envelope."""

def adopt_orphans() -> None:
    """Have orphans of what this process's children start become its own children, to be waited for.

    Raises:
        OSError: The kernel refuses.
    """

def new_id() -> str:
    """A random UUID (version 4) as 36 characters; safe after a fork."""

def stream_ids(seed: str, start: int, count: int) -> list[str]:
    """The ids of ``count`` calls of a stream, from place ``start`` on: ``uuid.uuid5(seed, str(place))`` each.

    Raises:
        ValueError: ``seed`` is not a UUID as 36 characters.
    """

# ------------------------------------------------------------------------------------------------------- clients

@final
class Publisher:
    """A blocking connection that publishes. Opened at first use; a fork forgets it and opens another.

    Args:
        url: Broker URL.
        options: Transport options as text, such as ``{"global_keyprefix": "x:"}``.

    Raises:
        fastworker.exceptions.ImproperlyConfigured: The URL or an option cannot be used.
    """

    def __new__(cls, url: str, options: Mapping[str, str]) -> Publisher: ...
    def publish(self, messages: Sequence[tuple[str, int, bytes]]) -> None:
        """Publish ``(queue, priority 0..9 where 0 is the most urgent, envelope)`` each; returns once all are confirmed.

        Raises:
            fastworker.exceptions.OperationalError: Not confirmed; some may have been published.
        """
    def bindings(self, exchange: str) -> list[tuple[str, str, str]]:
        """Routing key, pattern and name of each queue that an exchange leads to, as anybody has declared them."""
    def copies(self, exchange: str) -> list[str]:
        """The queues that get copies of what is published to a fanout exchange: those of workers that were heard of in
        the last minute."""
    def announce(self, exchange: str, routing_key: str, message: bytes) -> None:
        """Tell the programs of kombu that listen to a fanout exchange now; nothing happens where none can."""
    def depth(self, queue: str) -> int:
        """Messages waiting in ``queue``, those in its lanes (over their rate limit) included."""
    def holds(self, task_id: str, queues: Sequence[str]) -> bool:
        """Whether a message of this task is in the broker: waiting in one of ``queues``, or leased, parked or dead.
        Reads through what waits and what is leased; on SQLite and in memory in all queues."""
    def purge(self, queue: str) -> int:
        """Remove the waiting messages of ``queue``, those in its lanes included; returns how many there were."""
    def unlane(self, queue: str) -> int:
        """Put everything in the lanes of ``queue`` back to the front of the queue; returns how many messages."""
    def unpark(self) -> int:
        """Put all parked messages (far ETA), of every queue, back to the front of their queues; returns how many."""
    def parked_count(self) -> int:
        """How many messages are parked (far ETA), for all queues."""
    def parked_page(self, after: str | None, limit: int) -> tuple[list[dict[str, Any]], str | None]:
        """The next parked messages in the order in which they are due, and where the page after them begins.

        Each is a dict of ``handle`` (names it in other calls) and ``id task queue due_ms priority is_member
        ignores_result``: whether it belongs to a group; and what the message says of its result, None if it does not.
        Fewer than ``limit`` do not mean that these are the last.

        Args:
            after: What an earlier page returned, or a handle; None begins with the first.
            limit: At most 1000.
        """
    def parked_of(self, task_ids: Sequence[str]) -> list[dict[str, Any]]:
        """The parked messages with these task ids, as in ``parked_page``; at most 1000 ids."""
    def release_parked(self, handles: Sequence[str]) -> list[bool]:
        """Put parked messages to the front of their queues, without their eta. False: it is not parked any more."""
    def hasten_parked(self, handles: Sequence[str]) -> list[bool]:
        """Have parked messages be due within a second, with their eta: for a worker to end those that were revoked.
        False: it is not parked any more."""
    def cancel_parked(
        self,
        cancels: Sequence[tuple[str, bytes | None, tuple[str, bytes, int | None] | None]],
        result_url: str | None,
        result_options: Mapping[str, str],
    ) -> list[str]:
        """Take parked messages out; on one server in one step with storing a result.

        Args:
            cancels: A handle, the result document that was seen, and ``(task id, document, ttl in seconds)`` to store
                in its place; None for no document.
            result_url: Where results are.
            result_options: Its options, as text.

        Returns:
            ``"removed"``, ``"not parked"``, or ``"result changed"`` (another document is stored than the one seen;
            nothing was done) for each.
        """
    def dead_letters(self, limit: int) -> list[dict[str, Any]]:
        """The newest dead letters: ``id queue task reason detail died_ms priority message`` (bytes) each."""
    def dead_letter(self, id: str) -> dict[str, Any] | None:
        """One dead letter by its id or a unique prefix of it."""
    def retry_dead_letter(self, id: str) -> bool:
        """Publish it again and remove it from the dead letters, in one step. False: there is none of that id."""
    def purge_dead_letters(self, id: str | None = None) -> int:
        """Remove one dead letter, or all; returns how many."""
    def close(self) -> None:
        """Close the connection; the next call opens another."""

@final
class ControlClient:
    """A blocking connection for remote control. Opened at first use; a fork forgets it and opens another.

    Args:
        url: Broker URL.
        options: Transport options as text.

    Raises:
        fastworker.exceptions.ImproperlyConfigured: The URL or an option cannot be used.

    All methods raise ``fastworker.exceptions.OperationalError`` when the broker cannot be reached or refuses.
    """

    def __new__(cls, url: str, options: Mapping[str, str]) -> ControlClient: ...
    def broadcast(self, exchange: str, message: bytes) -> None:
        """Send an envelope to every worker that listens on ``exchange`` now."""
    def send_event(self, exchange: str, event: tuple[str, str, str, bytes, bytes]) -> None:
        """Send an event to whoever listens: routing key, content type and encoding, headers (JSON), body."""
    def listen_to_events(self, queue: Any) -> None:
        """Hear events from now on: ``fastworker.events.receiver.EventQueue`` says which, and how.

        Raises:
            fastworker.errors.OperationalError: The broker cannot be reached, or has no events.
        """
    def next_event(self, queue: Any, timeout_s: float) -> bytes | None:
        """The next message; None when ``timeout_s``, or half a second, is over. Handles Python signals.

        Raises:
            fastworker.errors.OperationalError: The connection was lost: nothing is heard until somebody listens again.
        """
    def open_mailbox(self, exchange: str, mailbox: str) -> None:
        """Make a place for replies to ``mailbox``, a unique name."""
    def take_reply(self, exchange: str, mailbox: str, timeout_s: float) -> bytes | None:
        """The next reply; None when ``timeout_s`` is over. Handles Python signals while it waits."""
    def close_mailbox(self, exchange: str, mailbox: str) -> None:
        """Remove the place, with what is in it."""
    def reply(self, exchange: str, mailbox: str, message: bytes) -> bool:
        """Put an envelope into a mailbox. False: it is closed, so nobody waits for it."""
    def mark_revoked(
        self,
        ids: Sequence[str],
        stamps: Sequence[tuple[str, str]],
        terminate: int | None,
        keep_s: float,
        most: int,
    ) -> None:
        """Have the broker remember revoked ids and stamps (name, JSON value) for workers that do not listen now.

        Args:
            terminate: The number of the signal that ends what runs of it, where the word was missed; None: it may
                finish. Once asked for, a later call with None does not take it back.
            keep_s: Seconds after which anything is forgotten.
            most: How many are remembered; beyond that the oldest are forgotten.
        """
    def pause_queue(self, queue: str) -> bool:
        """Have no worker of ours fetch from this queue until it is resumed. False: it was paused already."""
    def resume_queue(self, queue: str) -> bool:
        """End a pause, and wake the workers that consume the queue. False: it was not paused."""
    def bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        """Declare that an exchange leads to a queue; nothing happens on brokers that no other program uses.

        Args:
            pattern: The routing key of a topic as a regular expression; empty for other exchanges.
        """
    def paused_queues(self) -> list[str]:
        """The paused queues, in order of their names."""
    def close(self) -> None:
        """Close the connection; the next call opens another."""

@final
class Drain:
    """Takes messages out of a broker, under leases that a thread keeps alive, until it is closed.

    Args:
        url: Broker URL.
        options: Transport options as text.
        queues: As they are called at the broker.

    Raises:
        fastworker.exceptions.ImproperlyConfigured: The URL or an option cannot be used.
        fastworker.exceptions.OperationalError: The broker cannot be reached.

    When the process is killed, what it held goes back: on RabbitMQ at once, on Redis some 20 s after that if a worker
    or another drain is there. After ``close`` all methods but that raise ``RuntimeError``.
    """

    def __new__(cls, url: str, options: Mapping[str, str], queues: Sequence[str]) -> Drain: ...
    def fetch(self, max: int, wait_s: float) -> list[tuple[int, int, bytes]]:
        """Up to ``max`` messages, the most urgent first: a tag, the place of the queue in ``queues``, the envelope.
        None after ``wait_s``, or half a second, if there are none. Handles Python signals.

        Raises:
            fastworker.exceptions.OperationalError: The broker cannot be reached.
        """
    def acknowledge(self, tags: Sequence[int]) -> int:
        """Remove these; how many were not held any more, which somebody else may get too.

        Raises:
            fastworker.exceptions.OperationalError: The broker cannot be reached: they go back to their queues.
        """
    def close(self) -> None:
        """Give back what was not acknowledged, to the front of its queues and unmarked, and end the thread.

        Raises:
            fastworker.exceptions.OperationalError: The broker cannot be reached: it goes back as after a kill.
        """

@final
class MessagePlan:
    """What stays the same between two calls of one task: built once, then each call costs microseconds.

    Args:
        link: Where messages go: a ``Publisher``, or in a child process its ``ChildLink``.
        task: Registered name.
        queue: Queue name; also the routing key (exchange ``""``).
        priority: 0..9 as written to the message properties; None writes 0.
        origin: ``gen<pid>@<host>``.
        reply_to: The client's id for ``rpc://`` results.
        ignore_result: As the header has it.
        soft_time_limit: Seconds or None.
        time_limit: Seconds or None.
        saferepr: ``(object) -> str`` for values that are large or deep.
    """

    def __new__(
        cls,
        link: Publisher | ChildLink,
        *,
        task: str,
        queue: str,
        priority: int | None,
        origin: str,
        reply_to: str,
        ignore_result: bool | None,
        soft_time_limit: float | None,
        time_limit: float | None,
        saferepr: Callable[[Any], str],
    ) -> MessagePlan: ...
    def send(
        self,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        root_id: str | None,
        parent_id: str | None,
    ) -> str:
        """Publish one call and return its task id. ``root_id`` None: its own id.

        Raises:
            TypeError: An argument cannot be serialised; nothing was published.
            fastworker.exceptions.OperationalError: Not confirmed by the broker.
        """
    def member(
        self,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        task_id: str | None,
        root_id: str | None,
        parent_id: str | None,
        group_id: str | None,
        group_index: int | None,
        embed: bytes | None,
    ) -> tuple[str, tuple[str, int, bytes]]:
        """The id and the envelope of a call, such as a group's member, which is not published here.

        Args:
            args: Positional arguments.
            kwargs: Keyword arguments.
            task_id: Its id; None draws one.
            root_id: None: its own id.
            parent_id: Id of the task that publishes it.
            group_id: Id of its group, if it is in one.
            group_index: Its place there.
            embed: Third element of the body, as JSON; None: nothing is embedded.

        Raises:
            TypeError: An argument cannot be serialised.
        """
    def send_many(
        self,
        calls: Iterable[tuple[Any, ...]],
        root_id: str | None,
        parent_id: str | None,
        seed: str,
        start: int,
    ) -> int:
        """Publish one call per args tuple, in pipelined batches; returns how many there were. None counts as a child of
        the task that runs here.

        Args:
            calls: Read as they are published.
            root_id: None: of each its own id.
            parent_id: Id of the task that publishes them.
            seed: Their ids are ``stream_ids(seed, start, …)``.
            start: Place of the first.

        Raises: as ``send``; what was published before the bad item stays published.
        """

def write_envelope(
    *,
    headers: bytes,
    correlation_id: str,
    reply_to: str | None,
    priority: int,
    queue: str,
    expiration_ms: int | None,
    content_type: str,
    content_encoding: str,
    body: bytes,
    announced_on: str | None = None,
    is_transient: bool = False,
) -> bytes:
    """Build kombu's envelope from headers (JSON) and a serialised body.

    Args:
        announced_on: A fanout exchange that it is only announced on, for programs of kombu, and marked so; ``queue`` is
            the routing key then. None: it goes to ``queue``.
    """

@final
class ResultStore:
    """A blocking connection to a result store. Opened at first use; a fork forgets it and opens another."""

    def __new__(cls, url: str, options: Mapping[str, str]) -> ResultStore: ...
    def prepare(self) -> None:
        """Make sure that results have a queue to come to, where they are messages: before a task is published."""
    def get(self, task_id: str) -> bytes | None:
        """The stored document, or None."""
    def get_many(self, task_ids: Sequence[str]) -> list[bytes | None]:
        """The stored documents, in the order asked."""
    def wait(self, task_id: str, seen: bytes | None, timeout_s: float) -> bytes | None:
        """Wait until a document exists that differs from ``seen``; None when ``timeout_s`` is over."""
    def watch(self, task_ids: Sequence[str]) -> None:
        """Watch the results of these tasks too, for ``news``; does not touch the network."""
    def unwatch(self, task_ids: Sequence[str]) -> None:
        """Watch the results of these tasks no longer."""
    def news(self, timeout_s: float) -> list[tuple[str, bytes]]:
        """Wait until something is stored for a watched task, and return ``(task id, document)`` each.

        The first call after ``watch`` also returns what was stored before. A document may come twice, and an
        older one of a task once more before its youngest; none is left out.
        Waits at most ``timeout_s`` and at most half a second; then, and when nothing is watched, the list is empty.

        Raises:
            fastworker.exceptions.OperationalError: The store does not answer; the next call looks at everything again.
        """
    def store(self, task_id: str, doc: bytes, is_success: bool, ttl_s: int | None) -> None:
        """Store a document; a stored SUCCESS is never overwritten by something else."""
    def replace(
        self, task_id: str, seen: bytes | None, doc: bytes, is_success: bool, ttl_s: int | None
    ) -> bool:
        """Store a document if the stored one is still ``seen`` (None: there is none). False: it is not."""
    def forget(self, task_ids: Sequence[str]) -> None:
        """Remove documents."""
    def begin_chord(
        self, group_id: str, size: int | None, ttl_s: int | None, run: str | None
    ) -> None:
        """Begin the chord that is about to be published; an earlier run under the id is forgotten.

        Args:
            group_id: Of the header.
            size: Members, at least 1; None: ``set_chord_size`` says it later.
            ttl_s: Seconds that an unfinished chord is kept after the last news of it; None keeps it for ever.
            run: A name for this run. A chord that has begun under the same name goes on. None: no other has its name.
        """
    def set_chord_size(self, group_id: str, size: int, ttl_s: int | None) -> None:
        """Say how many members a chord has that has begun, before the last one is published; those that have ended stay
        counted. Arguments as for ``begin_chord``.
        """
    def add_to_chord(self, group_id: str, ttl_s: int | None, member: str | None) -> None:
        """Say that the chord has one member more, before that one is published.

        Args:
            group_id: Of the header.
            ttl_s: As for ``begin_chord``.
            member: Its id, by which it counts once, however often it is added; None: it counts each time.
        """
    def save_group(self, group_id: str, doc: bytes, ttl_s: int | None) -> None:
        """Store the document of a group."""
    def group(self, group_id: str) -> bytes | None:
        """The stored document of a group, or None."""
    def delete_group(self, group_id: str) -> None:
        """Remove the document of a group."""
    def keep(self, name: str, docs: Sequence[bytes], ttl_s: int | None) -> None:
        """Keep documents under a name of their own, for whoever gets a reference to them."""
    def kept(self, name: str, first: int, count: int, ttl_s: int | None) -> list[bytes]:
        """Up to ``count`` of what is kept under a name, from the place ``first`` on; fewer when there are no more.

        Args:
            name: As for ``keep``, or ``Join.kept_name``.
            first: From 0.
            count: At least 1.
            ttl_s: Seconds to keep it from now on; None leaves that as it is.
        """
    def close(self) -> None:
        """Close the connection; the next call opens another."""

def memory_messages(url: str) -> list[tuple[str, int, bytes]]:
    """What waits in the queues of a ``memory://`` URL, parked messages included, in the order in which a worker would
    fetch it: queue, priority, envelope.

    Raises:
        ImproperlyConfigured: Another kind of URL.
    """

def advance_clock(seconds: float) -> None:
    """Move the clock of this process's workers ahead, by which ETA, expiry and rate limits are measured.

    Raises:
        ValueError: Negative.
    """

def clock_ahead_us() -> int:
    """How far that clock is ahead, in microseconds."""

@final
class LamportClock:
    """Counts events; of two that know of each other the later one has the larger number. Safe to use by several
    threads. Source: kombu.clocks.LamportClock.
    """

    def __new__(cls, initial_value: int = 0) -> LamportClock: ...
    @property
    def value(self) -> int:
        """The last number."""
    def forward(self) -> int:
        """The next number."""
    def adjust(self, other: int) -> int:
        """Take note of another node's time, which came with its message; return our own after that."""

def reset_clock() -> None:
    """Back to real time; only while no worker lives in this process."""

def clear_memory(name: str) -> None:
    """Empty the room ``memory://<name>`` of this process: queues, parked messages, dead letters, results. What a worker
    holds of it is lost to it."""

# ---------------------------------------------------------------------------------------------------- child process

@final
class Call:
    """One task to run, as its child got it. The body stays bytes until ``decode``."""

    @property
    def number(self) -> int: ...
    @property
    def task(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def root_id(self) -> str: ...
    @property
    def parent_id(self) -> str | None: ...
    @property
    def group(self) -> str | None: ...
    @property
    def queue(self) -> str: ...
    @property
    def ignore_result(self) -> bool | None: ...
    @property
    def is_watched(self) -> bool:
        """Events tell of it: its end is reported with how to show what came of it."""
    @property
    def content_type(self) -> str: ...
    @property
    def content_encoding(self) -> str: ...
    @property
    def compression(self) -> str | None: ...
    @property
    def is_redelivered(self) -> bool:
        """The broker delivered it before, whether or not the message says so."""
    @property
    def is_early_acked(self) -> bool:
        """The message was acknowledged before this run."""
    @property
    def attempt(self) -> int:
        """Started attempts, this one included, as far as they were counted; 1 for a first delivery."""
    @property
    def runtime_s(self) -> float:
        """Seconds since this process took it."""
    def decode(self) -> tuple[Any, dict[str, Any], dict[str, Any] | None]:
        """``(args, kwargs, embed)`` of a JSON body; ``embed`` is None when everything in it is null.

        Raises:
            ValueError: The body is compressed, not JSON, or not ``[args, kwargs, embed]``.
        """
    @property
    def body(self) -> bytes:
        """The body as it travelled, base64 removed, still compressed and serialised."""
    @property
    def headers(self) -> bytes:
        """The message headers as JSON."""
    @property
    def properties(self) -> bytes:
        """The message properties as JSON."""

@final
class Batch:
    """Calls of a batch task, for one function call."""

    @property
    def number(self) -> int: ...
    @property
    def task(self) -> str: ...
    @property
    def id(self) -> str:
        """The id of its first call."""
    @property
    def calls(self) -> list[Call]:
        """In order; at least one. Each is reported by itself, and then the batch by ``ChildLink.end_batch``."""
    @property
    def runtime_s(self) -> float:
        """Seconds since this process took it."""

@final
class ChildLink:
    """The child's end of the link to its worker.

    Args:
        socket: File descriptor of the socket to the worker.
        page: File descriptor of the shared page; it says how many tasks may run at once.
        current: Holds the call for which code runs, in a child that runs several at once; those methods that name no
            call are about it, and where it is not set no task runs. None: a child that runs one task after the other,
            whatever code runs.
        member: Holds the call of a batch for which code runs; where it is not set, it runs for all of a batch.
        is_process: The process does nothing else: all that it computes belongs to the task that runs. Else what this
            thread computes does.

    Raises:
        OSError: The page is of another version.
        ValueError: Several tasks at once, and ``current`` is None.
    """

    def __new__(
        cls,
        socket: int,
        page: int,
        current: ContextVar[Call | Batch | None] | None = None,
        member: ContextVar[Call | None] | None = None,
        *,
        is_process: bool = False,
    ) -> ChildLink: ...
    def next(self) -> Call | Batch | None:
        """Wait for the next task, or batch, and claim it; None when the worker says to finish or is gone."""
    def poll(self, *, blocks: bool) -> list[Call | Batch | tuple[int, str]] | None:
        """What has come, in order: tasks, which are claimed and have started; and ``(number, why)`` of running tasks
        that are to be interrupted, where ``why`` is ``soft``, ``hard`` or ``terminate``, or about which the log is to
        say where they are: ``locate``.

        Args:
            blocks: Wait until there is something; else the list may be empty.

        Returns:
            None when the worker says to finish or is gone.
        """
    def turned(self) -> bool:
        """Say that the loop which all tasks need turns at this moment, while any task runs. False: none does, and the
        worker does not expect the next word before one runs again."""
    def fileno(self) -> int:
        """The descriptor that becomes readable when ``poll`` has something."""
    def flush(self) -> None:
        """Have the worker look at what was reported; otherwise it may take until the next report after a millisecond,
        or the next ``next`` or ``poll``."""
    @property
    def slots(self) -> int:
        """How many tasks may run at once."""
    def succeed(
        self,
        call: Call,
        value: Any,
        store: bool,
        member: tuple[str, int | None, bytes] | None = None,
        show: Callable[[Any], str] | None = None,
    ) -> None:
        """Report success. With ``store`` the JSON result document is written from ``value``.

        Args:
            member: Of a member of a chord's header: its group, its place, and the record for the join.
            show: How events show the result of a watched call; called for what is not None, a bool or an integer of 64
                bits. What it raises is raised, and nothing was reported.

        Raises:
            TypeError: ``value`` has no JSON form; nothing was reported.
        """
    def report(
        self,
        call: Call,
        kind: str,
        *,
        status: str | None = None,
        doc: bytes | None = None,
        reason: str = "",
        parts: Sequence[tuple[str, str, int | None, bytes, bytes, int | None]] | None = None,
        shown: str = "",
        traceback: str = "",
    ) -> None:
        """Report how a call ended.

        Args:
            kind: ``success failure retry ignore reject requeue poison``; or ``time_limit`` and ``terminated``, when it
                was ended because ``poll`` said so: the worker writes the result then.
            status: Celery's state, when there is a document to store.
            doc: The result document.
            reason: For ``reject`` and ``poison``: one line for the dead letter.
            parts: What it means for chords: task id, group, place in the header, encoded part, record for the join and
                failures borne (None: the chord waits for all its members) of each member that ends by it.
            shown: Of a watched call: its result, or its error, as events show it.
            traceback: Of a watched call that raised.
        """
    def end_batch(self, batch: Batch) -> None:
        """Report that the function of a batch has returned; the ends of its calls were reported before."""
    def is_open(self, call: Call) -> bool:
        """Whether a call has been taken, and its end not been reported."""
    def start_over(self, call: Call) -> None:
        """Forget what was kept of a call to leave with its outcome: reporting its end was interrupted, and begins
        anew."""
    def collect_successors(self, collects: bool) -> None:
        """Keep what is published from now on, and send it with the outcome: it is published in the same step as the
        acknowledgement. False: forget what was kept, and publish at once again."""
    def send_event(
        self,
        routing_key: str,
        content_type: str,
        content_encoding: str,
        headers: bytes,
        body: bytes,
    ) -> None:
        """Have the worker send an event, which may be lost: ``headers`` is a JSON object, ``body`` serialised."""
    def store(self, call: Call, status: str, doc: bytes) -> None:
        """Store an intermediate state (STARTED, custom states) of the running task."""
    def publish(self, messages: Sequence[tuple[str, int, bytes]]) -> None:
        """Publish from inside the running task: pipelined; the task's acknowledgement waits for the confirmation."""
    def publish_with_outcome(self, messages: Sequence[tuple[str, int, bytes]]) -> None:
        """Keep messages of the running task, whatever its outcome will be: they are published in the same step as its
        acknowledgement and its state. For a retry, which must not end before this run's state is stored.

        Raises:
            RuntimeError: No task is running, or this is a process that a task forked.
        """
    def add_child(self, tuple_json: str) -> None:
        """Note what the running task published, as the JSON of its result tuple; ``MessagePlan`` does it by itself."""
    def children(self) -> list[str]:
        """What the running task published, in order, as the JSON of result tuples."""
    def is_soft_target(self) -> bool:
        """True when the soft time limit signal that has just arrived is meant for the task that runs now."""
    def is_terminate_target(self) -> bool:
        """True when the signal that has just arrived is meant to end this process with the task that runs now."""
    @property
    def is_running(self) -> bool:
        """A task was taken and its end has not been reported yet."""
    @property
    def is_own(self) -> bool:
        """True while a task of this very process is running: not in a process that the task forked."""
    @property
    def is_usable(self) -> bool:
        """True in the process that owns the link while a late-acknowledged task runs whose end has not been reported,
        nor, of a batch, the ends of all its calls; else publish on a connection."""

# ---------------------------------------------------------------------------------------------------------- worker

@final
class Member:
    """The end of a member of a group that no child has reported: with the events ``ended`` and ``member_ended``."""

    def count(self, parts: Sequence[tuple[str, str, int | None, bytes, bytes, int | None]]) -> None:
        """Count it, before it is settled: of each member of a chord that ends by it what ``ChildLink.report`` takes."""

@final
class Lost:
    """A task whose process died: with the event ``ended``."""

    def run_again(self, doc: bytes | None, messages: Sequence[tuple[str, int, bytes]]) -> None:
        """Retry it instead of letting it fail; in the step that ends its message.

        Args:
            doc: The document of the state RETRY; None stores none.
            messages: The next attempt: queue, priority and envelope each.
        """

@final
class Join:
    """A chord whose members have all ended: with the event ``join``."""

    @property
    def kept_name(self) -> str:
        """The name under which its parts are found that ``finish`` is told to keep.

        Raises:
            RuntimeError: It was finished.
        """

    def finish(
        self,
        messages: Sequence[tuple[str, int, bytes]],
        results: Sequence[tuple[str, bytes, bool, int | None]],
        parts: Sequence[tuple[str, str, int | None, bytes, bytes, int | None]],
        remembered_s: int | None = None,
        kept_s: int | None = None,
    ) -> None:
        """Have it ended, in one step if results live with the messages; once.

        Args:
            messages: To be published: queue, priority, envelope.
            results: To be stored: task id, document, whether it is a SUCCESS, seconds to keep it (None for ever).
            parts: Members of other chords that end by it, as for ``Member``. They are counted before.
            remembered_s: Seconds that the chord's end is remembered, at least an hour: as long as members may still
                end.
            kept_s: Seconds that the header's parts are kept for whoever got a reference to them; None: they go.

        Raises:
            RuntimeError: It was called before.
        """

@final
class NodePulse:
    """What the lanes of a worker node share: the logical clock of its events, and what its heartbeats say."""

    def __new__(cls, clock: LamportClock) -> NodePulse: ...

@final
class Worker:
    """The worker's runtime: broker I/O, decisions, children. Runs on a thread of its own.

    Args:
        settings: ``fastworker.worker.settings.WorkerSettings``, validated.
        zygote: File descriptor of the socket to the zygote; the worker owns it from now on. None: tasks run in threads
            of this process, which whoever reads ``wait`` starts.
        zygote_pid: Its process id; None with ``zygote``.
        pulse: What it shares with the other lanes of its node.
        drains: End, as by a warm shutdown, when nothing is left in the queues that could run now.
    """

    def __new__(
        cls,
        settings: Any,
        zygote: int | None = None,
        zygote_pid: int | None = None,
        *,
        pulse: NodePulse,
        drains: bool = False,
    ) -> Worker: ...
    def start(self) -> None:
        """Start the runtime thread."""
    def wait(self, timeout_s: float, alarm: int | None = None) -> list[tuple[str, dict[str, Any]]]:
        """Wait for events for the main thread (log records, hooks); empty when the time is over, or when the descriptor
        ``alarm`` is readable.

        Handles Python signals while it waits. Whoever calls it again has dealt with the events of the last call:
        failures among them are settled then. ``("start_thread", {"child": int, "socket": int, "page": int})`` wants a
        thread that runs tasks from ``ChildLink(socket, page)``, and then ``thread_ended(child)``. ``("limited",
        {"task": str})`` says once of a task, if ``reports_limited``, that it came and is limited by this worker alone.
        The last event is ``("finished", {"error": str | None})``.
        """
    @staticmethod
    def wait_any(
        workers: Sequence[Worker], timeout_s: float, alarm: int | None = None
    ) -> list[tuple[int, str, dict[str, Any]]]:
        """``wait`` for several: which of them, by its place in ``workers``, is before each event."""
    def join(self) -> None:
        """Wait until the runtime thread has ended; call it after ``finished``. At once when it was not started."""
    def clock_moved(self) -> None:
        """``advance_clock`` was called: find anew what is due."""
    def thread_ended(self, child: int) -> None:
        """A thread that ``wait`` wanted has ended, or could not be started."""
    def adopt_zygote(self, zygote: int, zygote_pid: int) -> None:
        """Hand over a re-spawned zygote, after ``wait`` reported ``zygote_gone``."""
    def restart(self, zygote: int, zygote_pid: int) -> None:
        """Hand over a zygote that is to take the place of the one that serves, once it serves itself; the children of
        that leave then, each when what it runs has ended. Needs the setting ``restarts``.

        ``wait`` reports ``("restarted", {})``, and of each zygote that has ended and does not serve, the old one or
        this, ``("zygote_ended", {"pid": int})``.
        """
    def revoke(
        self, ids: Sequence[str], stamps: Sequence[tuple[str, str]], terminate: int | None
    ) -> list[dict[str, Any]]:
        """Revoke tasks by id and by stamp (name, JSON value): nothing of it starts in this worker once this returns.

        Args:
            terminate: Number of the signal that ends what runs; None lets it finish.

        Returns:
            What was held of it: dicts ``call`` (``Call``), ``stage`` (``scheduled reserved active``), ``eta_ms``,
            ``started_us`` (Unix time), ``pid``, ``is_acked``.

        Raises:
            fastworker.errors.OperationalError: The worker does not answer; ``WorkerEnded``: it has ended.
        """
    def set_limits(
        self, task: str, soft_time_limit: float | None, time_limit: float | None
    ) -> bool:
        """Give a task new time limits, in seconds, for what starts from now on. False: no such task.

        Raises: as ``revoke``.
        """
    def resize(self, grow: int = 0, max: int | None = None, min: int | None = None) -> None:
        """Have so many more children (or fewer, below 0); 0: change the bounds of autoscaling, None leaves one as it
        is."""
    def set_rate(self, task: str, per_second: float | None) -> bool:
        """Give a task another rate limit, in starts per second; None lifts it. False: no such task.

        Raises: as ``revoke``.
        """
    def consume(
        self, queue: str, limit: int | None, weight: int, fanout: tuple[str, str, str] | None = None
    ) -> None:
        """Consume one more queue, or one that was cancelled: at most ``limit`` of its tasks at once (None: no limit),
        and by its weight.

        Args:
            fanout: It gets copies of what is published to a fanout exchange: that, the routing key of its binding, and
                the queue at the broker in which the copies of this worker come.

        Raises: as ``revoke``.
        """
    def give_back(self, queue: str, *, is_cancelled: bool) -> bool:
        """Have what is held of a queue, and has not started, go back to it; ``is_cancelled``: and consume it no longer.
        False: it never was consumed here.

        Raises: as ``revoke``.
        """
    def tell_of_tasks(self, tells: bool) -> bool:
        """Send events about tasks from now on, or none. False: it was so before.

        Raises: as ``revoke``.
        """
    def beat(self) -> None:
        """Send a heartbeat event now."""
    def record(self, order: str) -> dict[str, Any] | None:
        """Record when tasks come past the stations, for a bench.

        Args:
            order: ``start`` (anew), ``count`` (what ended, without times), ``read`` (all) or ``stop`` (all, and end).

        Returns:
            None: nothing is recorded, or ``start``. Else ``tasks``: by name, ``outcomes`` (counts by how it ended) and
            ``stages`` (``Histogram.encode`` of each, see ``docs/reference/bench-file.md``); ``firsts`` and ``repeats``:
            messages with a number that ended for the first time, and again; ``numbers``: which, a bit each, zlib;
            ``early``: tasks that started before their intended moment; ``last_us``: when the last one was settled, Unix
            time in microseconds, 0 for none.

        Raises:
            ValueError: Another word.
            fastworker.errors.OperationalError: as ``revoke``.
        """
    def sketch(self) -> dict[str, Any]:
        """What is always kept of tasks, since the worker began.

        Returns:
            ``began`` and ``now`` (Unix time) and ``tasks``, by name: ``arrivals``; ``seconds`` and ``hours``: the
            number (Unix time, or that / 3600) of the first that had any, and how many came in each from there to now;
            ``wait`` and ``run`` (``Histogram.encode``: microseconds that calls stood here for want of a slot, and
            that they ran); ``cpu_us`` and ``cpu_run_us``: what those computed whose processor time was measured, and
            how long they ran.

        Raises: as ``revoke``.
        """
    def snapshot(self) -> dict[str, Any]:
        """What is held: ``tasks`` (as ``revoke`` returns them), ``revoked`` (ids, oldest first), ``total`` (started
        tasks by name), ``pids`` (children), ``writes`` (tasks that each of those was given), ``busy`` (how many of them
        have one).

        Raises: as ``revoke``.
        """
    def shutdown(self, how: str) -> None:
        """Begin a shutdown; ``wait`` reports ``finished`` when done. A stronger one may follow.

        Args:
            how: ``warm`` (running tasks may end, within ``warm_shutdown_s``), ``soft`` (within
                ``soft_shutdown_s``) or ``cold`` (they are killed, and delivered again).

        Raises:
            ValueError: Another word.
        """

# ---------------------------------------------------------------------------------------------------------- bench

@final
class Histogram:
    """Times in whole microseconds, as HdrHistogram keeps them: three significant digits. Safe to use from threads."""

    def __new__(cls) -> Histogram: ...
    @staticmethod
    def decode(text: str) -> Histogram:
        """One from its base64 text: HdrHistogram's V2 encoding, deflated or not.

        Raises:
            ValueError: It is no such text.
        """
    def encode(self) -> str:
        """The text that ``decode`` reads, deflated."""
    def record(self, value_us: int, count: int = 1) -> None:
        """Count a value."""
    def add(self, other: Histogram) -> None:
        """Count all that another one has counted.

        Raises:
            ValueError: They do not fit.
        """
    def subtract(self, earlier: Histogram) -> None:
        """Forget all that another one has counted: this one goes on from it.

        Raises:
            ValueError: It has values that this one does not have.
        """
    @property
    def count(self) -> int:
        """Values."""
    @property
    def min_us(self) -> int:
        """The smallest; 0 without values, as the others."""
    @property
    def max_us(self) -> int:
        """The largest."""
    @property
    def mean_us(self) -> float:
        """Their mean."""
    @property
    def stdev_us(self) -> float:
        """Their standard deviation."""
    def quantile_us(self, share: float) -> int:
        """The smallest value that at least this share (0 to 1) does not exceed."""
    def buckets(self) -> list[tuple[int, int]]:
        """The middle of each bucket that has values, rising, and how many."""

@final
class Pacer:
    """The generator of a bench: publishes messages at given moments, through a connection of its own, without
    holding the interpreter. One thread at a time may run it.

    Args:
        url: The broker.
        options: Of the connection.
        templates: ``(queue, priority, envelope, delay_us)`` each. In the envelope the id is
            ``00000000-0000-4000-8000-000000000000`` wherever it stands, and the headers have ``fw-number``
            (``"0000000000"``) and ``fw-intended`` (``1000000000000000``); with a delay also an ``eta`` of
            ``2001-09-09T01:46:40.000001+00:00``, which becomes the intended moment, so much after publication.
        seed: UUID; a message's id is the one of ``stream_ids`` at its number.

    Raises:
        ValueError: A template has not what is to be filled in.
    """

    def __new__(
        cls,
        url: str,
        options: Mapping[str, str],
        templates: Sequence[tuple[str, int, bytes, int]],
        seed: str,
    ) -> Pacer: ...
    @property
    def sent(self) -> int:
        """Messages that the broker has confirmed."""
    def stop(self) -> None:
        """End what runs within 50 ms; from another thread."""
    def depth(self, queue: str) -> int:
        """Messages that wait in a queue."""
    def run(
        self, offsets_us: bytes, picks: bytes, began_us: int, first: int, stride: int
    ) -> tuple[Histogram, Histogram]:
        """Publish each message at its moment, or as soon after that as can be.

        Args:
            offsets_us: ``array("Q")``: moments in microseconds after ``began_us``, rising.
            picks: ``array("I")``: the template of each.
            began_us: Unix time in microseconds.
            first: Number of the first message.
            stride: From one number to the next.

        Returns:
            How long after its moment each was handed to the connection; and was confirmed by the broker.

        Raises:
            fastworker.errors.OperationalError: The broker does not take them.
        """
    def fill(self, picks: bytes, first: int) -> Histogram:
        """Publish all as fast as the broker takes them, numbered from ``first`` on; the intended moment of each is when
        it is handed over. Returns how long that took until it was confirmed.

        Raises: as ``run``.
        """
    def close(self) -> None:
        """Close the connection."""
