"""The same scenarios played with the real Celery and with fastworker, and compared field by field."""
