"""Print what a run and its check take where the target is large, 1,000,000 weights if not told.

python docs/measurements/large.py 1e6 1e7 1e8
"""

import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import safetensors.numpy

ASKED = ["--construction", "direct", "--width", "21", "--objective", "sparsest",
         "--tolerance", "0.01", "--input-range", "0", "1"]  # fmt: skip

# a process of its own, so that its largest child is the command that is measured
MEASURED = """
import json, resource, subprocess, sys, time
began = time.perf_counter()
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([code, time.perf_counter() - began, used.ru_maxrss / 2**10]))
"""


def write_target(path: Path, side: int) -> None:
    """Write a layer of side × side weights like those a layer begins with."""
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((side, side), np.float32) / np.float32(math.sqrt(side))
    safetensors.numpy.save_file({"0.weight": weight}, path)


def measured(*command: str) -> tuple[int, float, float]:
    """Return exit code, seconds and the most megabytes that a command held."""
    milp_lth = str(Path(sys.executable).with_name("milp-lth"))
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, milp_lth, *command], stdout=subprocess.PIPE, check=True
    )
    code, seconds, megabytes = json.loads(done.stdout)
    return code, seconds, megabytes


print("| weights | | seconds | weights per second | at most, MB | ledger, MB | ticket, MB |")
print("|---|---|---|---|---|---|---|")
for weights in sys.argv[1:] or ["1e6"]:
    with tempfile.TemporaryDirectory() as temporary:
        target, folder = Path(temporary) / "target.safetensors", Path(temporary) / "run"
        side = round(math.sqrt(float(weights)))
        write_target(target, side)
        for name, command in {
            "run": ["run", "--target", str(target), *ASKED, "--out", str(folder)],
            "check": ["check", str(folder)],
        }.items():
            code, seconds, most = measured(*command)
            if code not in (0, 3):  # 3: some weights are out of tolerance
                raise SystemExit(f"{name} failed")
            ledger = sum(path.stat().st_size for path in folder.glob("results.sqlite*"))
            ticket = sum(path.stat().st_size for path in folder.glob("ticket*"))
            print(
                f"| {side**2:,} | {name} | {seconds:,.0f} | {side**2 / seconds:,.0f} | {most:,.0f} "
                f"| {ledger / 1e6:,.0f} | {ticket / 1e6:,.0f} |",
                flush=True,
            )
