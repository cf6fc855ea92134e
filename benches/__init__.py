"""Benchmarks: one question per file under ``scenarios``, one JSON per run under ``results``."""
