"""Events of workers and tasks: sending, hearing, and what a cluster looks like by them; Celery's names."""

from fastworker.events.dispatcher import EventDispatcher
from fastworker.events.event import Event, group_from
from fastworker.events.receiver import EventReceiver
from fastworker.events.state import State

__all__ = ["Event", "EventDispatcher", "EventReceiver", "State", "group_from"]
