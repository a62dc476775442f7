"""How instances are solved: one file per backend, one entry function, one rule for a status.

The middle floor: it sees `instances` and no network.
"""
