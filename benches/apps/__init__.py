"""The same tasks and the same client commands, once on Celery and once on fastworker."""
