"""``fastworker bench rivals``: the same tasks on other task queues, in turns with ours.

``run.py`` is the order of events; ``catalogue.py`` names the systems and their settings, ``adapters/`` has their
applications, ``environments.py`` installs them; ``stage.py`` is where one performs, ``marks`` of the adapters what
proves that it did; ``table.py`` and ``plot.py`` show the file that ``run.py`` makes. Decision 0026.
"""
