"""Celery's public path for what stands beside the application: ``fastworker.contrib.testing``, ``.pytest``."""
