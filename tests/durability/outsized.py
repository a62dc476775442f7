"""A solver that starts another process, which takes more and more memory or never ends."""

import subprocess
import sys
import time
from dataclasses import dataclass
from typing import ClassVar

from instances.arrays import BoolArray
from instances.instance import Instance
from instances.subset_sum import SubsetSum
from solvers.solver import OnEvent, Proposal, nothing_known

_HOG = """
import time
hoard = []
while True:
    hoard.append(b"x" * 2**24)
    time.sleep(0.02)
"""
_SLEEPER = "import time; time.sleep(1000)"


@dataclass(frozen=True)
class Outsized:
    """Leaves the work to a child, which takes memory (`hogs`) or time."""

    hogs: bool
    tolerance: ClassVar[float] = 0.0

    def supports(self, instance: Instance) -> bool:
        return isinstance(instance, SubsetSum)

    def propose(
        self,
        instance: Instance,
        time_limit: float,
        *,
        start: BoolArray | None = None,
        on_event: OnEvent | None = None,
    ) -> Proposal:
        whole = nothing_known(instance, start)
        if len(instance) > 2:  # what a worker is tried on is smaller
            subprocess.Popen([sys.executable, "-c", _HOG if self.hogs else _SLEEPER])
            time.sleep(1000)
        return whole
