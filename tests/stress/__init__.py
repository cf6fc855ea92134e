"""kill -9, cut connections and restarts while numbered tasks run."""
