"""Tests of fastworker as a user sees it; `make test` runs them all."""
