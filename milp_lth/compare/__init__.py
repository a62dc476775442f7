"""Exact solvers against heuristics, on equal terms."""
