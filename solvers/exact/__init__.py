"""Solvers that prove a bound."""
