"""``fastworker plan``: how many slots, nodes and brokers a load needs, and which limit binds first.

A walk through it: ``plan_file`` (or ``live``) gives ``inputs``; ``sizing`` asks ``wait_formula`` and ``replicas`` (the
simulation) how long tasks would wait; ``planner`` puts the plan together, and the ``report_…`` files show it.
``docs/decisions/0023-how-a-plan-is-made.md`` says why it is so, and what is assumed.
"""
