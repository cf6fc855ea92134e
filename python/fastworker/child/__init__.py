"""What runs in the processes that run tasks. Started by the parent, never imported by it before the fork."""
