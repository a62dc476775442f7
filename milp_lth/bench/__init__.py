"""Measurements of what things cost on this machine."""
