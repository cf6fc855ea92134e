"""An application and a worker for tests, at Celery's path and with its arguments."""
