"""What a cluster looks like by its events: its workers, and the tasks that they were last heard to have.

Source: celery/events/state.py. Fed with every event (``Receiver(handlers={"*": state.event})``), it says what is known
at the time of the last one, in bounded memory. ``docs/compatibility_items.py`` says what is not quite as in Celery.
"""

from __future__ import annotations

import bisect
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, TypeAlias
from weakref import WeakSet, ref

from fastworker.events.cluster import Task, Worker
from fastworker.events.recent import RecentlyUsed
from fastworker.states import READY_STATES

#: Celery's names are found here.
__all__ = ["State", "Task", "TasksBy", "Worker"]

EventFields = Mapping[str, Any]
#: What a handler makes of an event: for ``worker`` and ``task``, ``(Worker or Task, whether it is new)``.
Handled = tuple[Any, str] | None
#: Within ``State`` these names are its attributes.
_Task: TypeAlias = Task
_Worker: TypeAlias = Worker


class _Moment:
    """When an event happened, among others: by the logical clock, or by time where there is none."""

    __slots__ = ("clock", "origin", "task", "timestamp")

    def __init__(
        self, clock: int | None, timestamp: float | None, origin: str | None, task: Task
    ) -> None:
        self.clock = clock or 0
        self.timestamp = timestamp or 0.0
        self.origin = origin or ""
        self.task = ref(task)

    def __lt__(self, other: _Moment) -> bool:
        if self.clock and other.clock:
            return (self.clock, self.origin) < (other.clock, other.origin)
        return self.timestamp < other.timestamp


class TasksBy(defaultdict[str, "WeakSet[Task]"]):
    """Tasks by a name; called, it gives those of one name in the order of time, as a method would.

    Args:
        in_order: ``(name, limit=None, reverse=True)`` gives pairs of id and task.
    """

    def __init__(self, in_order: Callable[..., Iterator[tuple[str, Task]]]) -> None:
        super().__init__(WeakSet)
        self._in_order = in_order

    def __call__(
        self, name: str, limit: int | None = None, reverse: bool = True
    ) -> Iterator[tuple[str, Task]]:
        """Pairs of id and task, the newest first."""
        return self._in_order(name, limit, reverse)


class State:
    """A cluster's state.

    Args:
        callback: Called with the state and each event, before anything is made of it. It must not call ``event``.
        workers, tasks: What was known before, by node and by id; None: nothing.
        taskheap: As in Celery; not used: the order is made anew.
        max_workers_in_memory: Beyond that the one that was heard of first is forgotten.
        max_tasks_in_memory: Likewise.
        on_node_join: Called with each worker that is new, or says that it is online.
        on_node_leave: Called with each worker that says that it ends; it is forgotten then.
        tasks_by_type, tasks_by_worker: Ids of ``tasks`` by name and by node.

    Attributes:
        event_count: Events heard.
        task_count: Tasks that workers have received.
        handlers: By group of events (``worker``, ``task``, one's own): called with the rest of the type, and the
            event, in the place of what happens otherwise.
        tasks_by_type: ``{name: set of tasks}``; also ``tasks_by_type(name)``, in order.
        tasks_by_worker: ``{node: set of tasks}``; likewise.

    One thread may feed it while others look: ``freeze_while`` keeps it as it is meanwhile.
    """

    Worker = Worker
    Task = Task
    event_count = 0
    task_count = 0
    #: Events whose order is remembered, for each task in memory.
    heap_multiplier = 4
    #: The class that a pickle names, where this one is made for an application.
    _pickled_as: type[State] | None = None

    def __init__(
        self,
        callback: Callable[[State, dict[str, Any]], object] | None = None,
        workers: RecentlyUsed[str, _Worker] | None = None,
        tasks: RecentlyUsed[str, _Task] | None = None,
        taskheap: Any = None,
        max_workers_in_memory: int = 5000,
        max_tasks_in_memory: int = 10000,
        on_node_join: Callable[[_Worker], object] | None = None,
        on_node_leave: Callable[[_Worker], object] | None = None,
        tasks_by_type: Mapping[str, Iterable[str]] | None = None,
        tasks_by_worker: Mapping[str, Iterable[str]] | None = None,
    ) -> None:
        self.event_callback = callback
        self.workers = RecentlyUsed(max_workers_in_memory) if workers is None else workers
        self.tasks = RecentlyUsed(max_tasks_in_memory) if tasks is None else tasks
        self.max_workers_in_memory = max_workers_in_memory
        self.max_tasks_in_memory = max_tasks_in_memory
        self.on_node_join = on_node_join
        self.on_node_leave = on_node_leave
        self.handlers: dict[str, Callable[[str, dict[str, Any]], Any]] = {}
        self._mutex = threading.Lock()
        self._taskheap: list[_Moment] = []
        self._seen_types: set[str] = set()
        #: Children of tasks that were not heard of yet, by the parent's id.
        self._orphans: RecentlyUsed[str, WeakSet[_Task]] = RecentlyUsed(max_tasks_in_memory)
        for task in self.tasks.values():
            task.cluster_state = self
            if task.parent is not None:
                task.parent.children.add(task)
        self.rebuild_taskheap()
        self.tasks_by_type = TasksBy(self._tasks_by_type)
        self._seen_types.update(self._restore(self.tasks_by_type, tasks_by_type))
        self.tasks_by_worker = TasksBy(self._tasks_by_worker)
        self._restore(self.tasks_by_worker, tasks_by_worker)

    def _restore(self, index: TasksBy, ids_by: Mapping[str, Iterable[str]] | None) -> Iterable[str]:
        known = self.tasks.data
        for name, ids in (ids_by or {}).items():
            index[name] = WeakSet(known[task_id] for task_id in ids if task_id in known)
        return index

    # -------------------------------------------------------------------------------------- hearing

    def event(self, event: dict[str, Any]) -> Handled:
        """Take an event in: what it is about, and the rest of its type; None if it is about nothing known.

        It has to be as a receiver gives it: with ``local_received``.
        """
        with self._mutex:
            return self._event(event)

    def _event(self, event: dict[str, Any]) -> Handled:
        self.event_count += 1
        if self.event_callback:
            self.event_callback(self, event)
        group, _, subject = event["type"].partition("-")
        handler = self.handlers.get(group)
        if handler is not None:
            return handler(subject, event), subject
        if group == "worker":
            return self._of_worker(subject, event)
        if group == "task":
            return self._of_task(subject, event), subject
        return None

    def _of_worker(self, subject: str, event: EventFields) -> Handled:
        try:
            hostname, timestamp = event["hostname"], event["timestamp"]
            received = event["local_received"]
        except KeyError:
            return None
        is_offline = subject == "offline"
        worker, is_new = self.workers.data.get(hostname), False
        if worker is None:
            worker, is_new = self.Worker(hostname), not is_offline
            if is_new:
                self.workers[hostname] = worker
        worker.event(subject, timestamp, received, event)
        if self.on_node_join and (is_new or subject == "online"):
            self.on_node_join(worker)
        if self.on_node_leave and is_offline:
            self.on_node_leave(worker)
            self.workers.pop(hostname, None)
        return (worker, is_new), subject

    def _of_task(self, subject: str, event: EventFields) -> tuple[_Task, bool]:
        uuid, hostname, timestamp = event["uuid"], event["hostname"], event["timestamp"]
        received, clock = event["local_received"], event["clock"]
        task, is_new = self.tasks.data.get(uuid), False
        if task is None:
            task, is_new = self.Task(uuid, cluster_state=self), True
            self.tasks[uuid] = task
        if subject == "sent":  # By a client.
            origin = task.client = hostname
        else:
            worker = self._worker_of(task, hostname)
            worker.event(None, timestamp, received)
            origin = worker.id
        self._note_moment(_Moment(clock, timestamp, origin, task))
        if subject == "received":
            self.task_count += 1
        task.event(subject, timestamp, received, event)
        if task.name is not None:
            self._seen_types.add(task.name)
            self.tasks_by_type[task.name].add(task)
        if task.parent_id:
            self._join_parent(task, task.parent_id)
        if (children := self._orphans.data.pop(uuid, None)) is not None:
            task.children.update(children)
        return task, is_new

    def _worker_of(self, task: _Task, hostname: str) -> _Worker:
        """The worker that tells of a task, which has it from now on."""
        worker = self.workers.data.get(hostname)
        if worker is None:
            worker = self.workers[hostname] = self.Worker(hostname)
        if task.worker is not worker:
            if task.worker is not None and task.worker.hostname is not None:
                self.tasks_by_worker[task.worker.hostname].discard(task)
            self.tasks_by_worker[hostname].add(task)
            task.worker = worker
        return worker

    def _note_moment(self, moment: _Moment) -> None:
        heap = self._taskheap
        if len(heap) >= self.max_tasks_in_memory * self.heap_multiplier:
            heap.pop(0)
        if heap and heap[-1] < moment:
            heap.append(moment)
        else:
            bisect.insort(heap, moment)

    def _join_parent(self, task: _Task, parent_id: str) -> None:
        # What is heard of a child keeps its parent in memory, too.
        parent = self.tasks.get(parent_id)
        if parent is not None:
            parent.children.add(task)
            return
        waiting = self._orphans.get(parent_id)
        if waiting is None:
            waiting = self._orphans[parent_id] = WeakSet()
        waiting.add(task)

    def task_event(self, type_: str, fields: EventFields) -> Any:
        """Deprecated in Celery: ``event`` does it."""
        handled = self.event({**fields, "type": f"task-{type_}"})
        return handled and handled[0]

    def worker_event(self, type_: str, fields: EventFields) -> Any:
        """Deprecated in Celery: ``event`` does it."""
        handled = self.event({**fields, "type": f"worker-{type_}"})
        return handled and handled[0]

    # -------------------------------------------------------------------------------------- looking

    def freeze_while(self, fun: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function while no event is taken in; what it returns.

        Args:
            fun: Called with the rest of the arguments. It must not call ``event``, ``clear`` and ``freeze_while``.
            clear_after: Forget everything then but tasks that have not ended, also when it raises.
        """
        clear_after = kwargs.pop("clear_after", False)
        with self._mutex:
            try:
                return fun(*args, **kwargs)
            finally:
                if clear_after:
                    self._clear()

    def itertasks(self, limit: int | None = None) -> Iterator[tuple[str, _Task]]:
        """Pairs of id and task, in the order in which they were heard of; 0 and None: all."""
        return islice(self.tasks.items(), limit or None)

    def tasks_by_time(
        self, limit: int | None = None, reverse: bool = True
    ) -> Iterator[tuple[str, _Task]]:
        """Pairs of id and task in the order of their last events.

        Args:
            limit: Most tasks; None: all.
            reverse: The newest first. False: in the order of their first events that are remembered.
        """
        return islice(self._in_order(reverse), limit)

    tasks_by_timestamp = tasks_by_time

    def _in_order(self, reverse: bool) -> Iterator[tuple[str, _Task]]:
        seen = set()
        # A copy: looking must not end in an error when something is heard meanwhile.
        heap = self._taskheap[::-1] if reverse else self._taskheap[:]
        for moment in heap:
            task = moment.task()
            if task is not None and task.uuid is not None and task.uuid not in seen:
                seen.add(task.uuid)
                yield task.uuid, task

    def _tasks_by_type(
        self, name: str, limit: int | None = None, reverse: bool = True
    ) -> Iterator[tuple[str, _Task]]:
        found = (pair for pair in self._in_order(reverse) if pair[1].name == name)
        return islice(found, limit)

    def _tasks_by_worker(
        self, hostname: str, limit: int | None = None, reverse: bool = True
    ) -> Iterator[tuple[str, _Task]]:
        found = (
            (uuid, task)
            for uuid, task in self._in_order(reverse)
            if task.worker is not None and task.worker.hostname == hostname
        )
        return islice(found, limit)

    def task_types(self) -> list[str]:
        """The names of all tasks that were heard of, sorted."""
        return sorted(self._seen_types)

    def alive_workers(self) -> Iterator[_Worker]:
        """The workers that seem to live."""
        return (worker for worker in self.workers.values() if worker.alive)

    def get_or_create_worker(self, hostname: str, **kwargs: Any) -> tuple[_Worker, bool]:
        """A worker with these attributes, and whether it is new."""
        worker = self.workers.get(hostname)
        if worker is not None:
            worker.update(kwargs)
            return worker, False
        worker = self.workers[hostname] = self.Worker(hostname, **kwargs)
        return worker, True

    def get_or_create_task(self, uuid: str) -> tuple[_Task, bool]:
        """A task, and whether it is new."""
        task = self.tasks.get(uuid)
        if task is not None:
            return task, False
        task = self.tasks[uuid] = self.Task(uuid, cluster_state=self)
        return task, True

    # ------------------------------------------------------------------------------------ forgetting

    def clear_tasks(self, ready: bool = True) -> None:
        """Forget tasks: those that have ended; with ``ready=False`` all."""
        with self._mutex:
            self._clear_tasks(ready)

    def clear(self, ready: bool = True) -> None:
        """Forget the workers, the counts, and tasks as ``clear_tasks``."""
        with self._mutex:
            self._clear(ready)

    def _clear(self, ready: bool = True) -> None:
        self.workers.clear()
        self._clear_tasks(ready)
        self.event_count = 0
        self.task_count = 0

    def _clear_tasks(self, ready: bool = True) -> None:
        kept = {
            uuid: task
            for uuid, task in self.tasks.items()
            if ready and task.state not in READY_STATES
        }
        self.tasks.clear()
        self.tasks.update(kept)
        self.rebuild_taskheap()

    def rebuild_taskheap(self) -> None:
        """Order tasks by what is known of each: its last event."""
        self._taskheap[:] = sorted(
            _Moment(task.clock, task.timestamp, task.origin, task) for task in self.tasks.values()
        )

    def __repr__(self) -> str:
        return f"<State: events={self.event_count} tasks={self.task_count}>"

    def __reduce__(self) -> tuple[Any, ...]:
        ids = [
            {name: [task.id for task in tasks] for name, tasks in index.items()}
            for index in (self.tasks_by_type, self.tasks_by_worker)
        ]
        cls = vars(type(self)).get("_pickled_as") or type(self)
        return cls, (
            *(self.event_callback, self.workers, self.tasks, None),
            *(self.max_workers_in_memory, self.max_tasks_in_memory),
            *(self.on_node_join, self.on_node_leave, *ids),
        )
