"""What is to be solved: immutable batches that judge any answer, exactly.

The lowest of the three floors. It needs numpy and numba and knows no solver and no network.
"""
