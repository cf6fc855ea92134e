"""A folder for the import path of the rivals' processes, which have no fastworker installed."""
