"""Solvers that crash, hang, eat memory, print garbage, lie: a comparison must bear them all."""

import os
import time
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from instances.subset_sum import SubsetSum
from solvers.solver import Proposal, Reported, nothing_known

_FATAL_ROW = 0.25  # rows whose target is below this are those it misbehaves on


@dataclass(frozen=True)
class Misbehaving:
    """Answers with the empty mask, except for rows with a target below 0.25: there it fails."""

    how: str
    seed: int = 0
    tolerance: ClassVar[float] = 0.0

    def supports(self, instance) -> bool:  # type: ignore[no-untyped-def]
        return isinstance(instance, SubsetSum)

    def propose(self, instance, time_limit, *, start=None, on_event=None) -> Proposal:  # type: ignore[no-untyped-def]
        whole = nothing_known(instance, start)
        if (instance.targets > _FATAL_ROW).any():
            return whole
        if self.how == "crash":
            os._exit(3)
        if self.how == "hang":
            while True:
                time.sleep(1)
        if self.how == "hog":
            hoard = []
            while True:
                hoard.append(np.ones(2**22))
                time.sleep(0.02)
        if self.how == "raise":
            raise RuntimeError("no licence")
        if self.how == "garbage":
            print("\x00\xff garbage" * 1000, flush=True)
            os.write(1, b"\x00" * 4096)
        if self.how == "lie":
            mask = np.ones(whole.mask.shape, bool)
            said = Reported(np.array(["Optimal"]), np.zeros(1), np.zeros(1))
            return Proposal(mask, np.zeros(1), said, {})
        return whole
