"""Renders ``results/README.md`` from the JSON files; no figure is ever typed."""
