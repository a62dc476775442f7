"""How much memory this process and those it started have resident."""

import contextlib
import os
import resource
import signal
import sys
from pathlib import Path


def resident_bytes() -> int:
    """Return the bytes that this process and its process group's other members have resident.

    Where there is no ``/proc``, the most that this process alone ever had.
    """
    if not Path("/proc/self/statm").exists():
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
    return sum(map(_resident, [os.getpid(), *_children()]))


def end_children() -> None:
    """Kill every process that this one started, directly or not, and that stayed in its group."""
    for child in _children():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(child, signal.SIGKILL)


def _children() -> list[int]:
    """Return the other members of this process's group, of which it is the leader."""
    if os.getpgrp() != os.getpid():
        return []
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            group = int((folder / "stat").read_text().rpartition(")")[2].split()[2])
            if group == os.getpid() and int(folder.name) != os.getpid():
                found.append(int(folder.name))
    return found


def _resident(process: int) -> int:
    with contextlib.suppress(OSError, ValueError, IndexError):
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    return 0
