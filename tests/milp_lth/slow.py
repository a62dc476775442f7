"""A solver that takes its time and leaves a trace, for workers that are killed in the middle."""

import os
import time
from dataclasses import dataclass
from typing import ClassVar

from instances.arrays import BoolArray
from instances.subset_sum import SubsetSum
from solvers.exact.meet_in_the_middle import MeetInTheMiddle
from solvers.solver import OnEvent, Proposal


@dataclass(frozen=True)
class Slow:
    """Meet-in-the-middle after `seconds`; writes the process that began into `log`."""

    log: str
    seconds: float
    tolerance: ClassVar[float] = 0.0

    def supports(self, instance: SubsetSum) -> bool:
        return True

    def propose(
        self,
        instance: SubsetSum,
        time_limit: float,
        *,
        start: BoolArray | None = None,
        on_event: OnEvent | None = None,
    ) -> Proposal:
        with open(self.log, "a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(self.seconds)
        return MeetInTheMiddle(threads=1).propose(instance, time_limit)
