"""Solvers that prove nothing and are fast."""
