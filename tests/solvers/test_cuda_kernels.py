"""The kernels for CUDA: in numba's simulator, and on a device where there is one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from instances.generate import uniform_family
from instances.objectives import Closest, FixedSize, Objective, Sparsest
from instances.philox import Stream
from instances.subset_sum import SubsetSum
from solvers.exact import cuda_launch, meet_in_the_middle
from solvers.exact.meet_in_the_middle import MeetInTheMiddle
from solvers.registry import get_solver
from solvers.solve import solve

SIMULATION = Path(__file__).with_name("simulate_cuda.py")
no_device = pytest.mark.skipif(not cuda_launch.why_not(), reason="there is a CUDA device")
a_device = pytest.mark.skipif(bool(cuda_launch.why_not()), reason="there is no CUDA device")


def test_simulated() -> None:
    """In a process of its own: the simulator must be asked for before numba is imported."""
    run = subprocess.run(
        [sys.executable, str(SIMULATION)],
        env=os.environ | {"NUMBA_ENABLE_CUDASIM": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    outcome: dict[str, str] = json.loads(run.stdout.splitlines()[-1])
    assert len(outcome) >= 12
    assert not any(outcome.values()), "\n".join(outcome.values())


@no_device
def test_without_a_device_cuda_is_refused_in_one_line() -> None:
    with pytest.raises(ValueError, match="no CUDA device.*take device 'auto' or 'cpu'") as refusal:
        solve(uniform_family(2, 8), MeetInTheMiddle(device="cuda"))
    assert "\n" not in str(refusal.value)


@no_device
def test_without_a_device_auto_takes_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meet_in_the_middle, "_PAYS", 0)
    solution = solve(uniform_family(5, 9), MeetInTheMiddle())
    assert solution.counts()["OPTIMAL"] == 5
    assert "device_rows" not in solution.stats


def test_devices_are_named_as_in_torch() -> None:
    assert get_solver("mitm", device="mps") == MeetInTheMiddle(device="mps")
    assert MeetInTheMiddle(device="cuda:1").device == "cuda:1"
    for device in ("gpu", "cuda:one", ""):
        with pytest.raises(ValueError, match="choose auto, cpu"):
            MeetInTheMiddle(device=device)


def test_shared_memory_is_what_every_device_has() -> None:
    for n in range(1, cuda_launch.MAX_ON_DEVICE + 1):
        for kernels in (cuda_launch.cuda_closest, cuda_launch.cuda_by_size):
            assert kernels.shared_bytes(n, cuda_launch.MOST_THREADS) <= 48 * 2**10


@a_device
@pytest.mark.parametrize("n", [21, 24])
@pytest.mark.parametrize("objective", [Closest(), Sparsest(1e-4), FixedSize(5)], ids=str)
def test_a_device_gives_the_same_masks(n: int, objective: Objective) -> None:
    base = uniform_family(100_000, n, seed=n, objective=objective)
    ragged = SubsetSum(base.coefficients, base.targets, objective, base.coefficients < 0.9)
    for instance in (base, ragged.part(0, 5000)):
        found = MeetInTheMiddle(device="cuda").propose(instance, np.inf)
        expected = MeetInTheMiddle(device="cpu").propose(instance, np.inf)
        assert found.stats["device_rows"] == len(instance)
        assert (found.mask == expected.mask).all()
        assert (found.bound == expected.bound).all()
    if objective == Closest():
        drawn = cuda_launch.solve_uniform(Stream(n), 0, n, base.targets)
        assert (drawn.mask == MeetInTheMiddle(device="cpu").propose(base, np.inf).mask).all()
