"""The application: tasks, settings, routing and publishing."""
