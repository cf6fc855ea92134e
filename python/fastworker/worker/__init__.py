"""The parent process: starts the Rust worker and its zygote, and runs the user's main-process hooks."""
