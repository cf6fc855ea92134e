"""``fastworker bench``: what an installation can do, measured so that a sceptic can repeat it.

``run.py`` is the order of events; ``workload.py`` says what is called, ``arrivals.py`` when, ``fleet.py`` by whom it is
run; ``records.py`` reads what the workers have recorded, ``report.py`` makes the file of it. Decision 0022.
"""
