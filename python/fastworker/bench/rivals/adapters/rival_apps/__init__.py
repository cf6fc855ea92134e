"""The same tasks on every system, each as its own documents advise.

``<name>_app`` has what that project's command line starts, and how its client publishes:

- ``send(task, call)`` publishes one call, and returns when the broker has it;
- ``send_many(task, calls)`` is the quickest way that its documents name, if there is one; where it is missing and
  ``send`` is a coroutine, ``AT_ONCE`` calls of ``send`` are awaited together;
- ``client()`` is an asynchronous context in which ``send`` may be awaited, of those that need one.

``task`` is a name of ``loads``, a call is a list of positional arguments that begins with the call's number. What was
set beyond the defaults, and why, is in each module's docstring; what its command line adds is in
``fastworker/bench/rivals/catalogue.py``. Nothing here imports fastworker, but the adapter of fastworker.
"""
