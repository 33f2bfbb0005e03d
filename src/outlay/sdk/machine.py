"""The machine: processor time used so far and memory held now, of the container if this is one, else of the process.

A container is told by its control group: version 2 shows `memory.current` at the mount's root only inside one, version
1 states a limit there. Elsewhere a control group holds strangers too, and the process speaks for itself: with version
2's and version 1's absence, on a laptop, on other systems.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Protocol

CONTROL_GROUPS = Path("/sys/fs/cgroup")
_NO_LIMIT = 1 << 60
"""Version 1 writes a number near 2^63 where there is no limit."""

_US = 1_000


class Machine(Protocol):
    """Where figures are read; both may raise OSError or ValueError when the place is gone."""

    def cpu_ns(self) -> int:
        """Processor time used since some fixed moment."""
        ...

    def memory_bytes(self) -> int:
        """Memory held now."""
        ...


class Process:
    """This process, and of its children the processor time of those that have ended."""

    def __init__(self) -> None:
        self._page_bytes = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4_096

    def cpu_ns(self) -> int:
        """See Machine."""
        own = time.process_time_ns()
        with suppress(ImportError):
            import resource

            children = resource.getrusage(resource.RUSAGE_CHILDREN)
            own += int((children.ru_utime + children.ru_stime) * 1e9)
        return own

    def memory_bytes(self) -> int:
        """See Machine. Where the present size cannot be read, the largest so far."""
        with suppress(OSError):
            return int(Path("/proc/self/statm").read_bytes().split()[1]) * self._page_bytes
        with suppress(ImportError):
            import resource

            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            return peak if sys.platform == "darwin" else peak * 1_024
        return 0


class GroupV2:
    """A container under control groups of version 2."""

    def __init__(self, folder: Path) -> None:
        self._memory, self._cpu = folder / "memory.current", folder / "cpu.stat"

    def cpu_ns(self) -> int:
        """See Machine."""
        words = self._cpu.read_text(encoding="ascii").split()
        return int(words[words.index("usage_usec") + 1]) * _US

    def memory_bytes(self) -> int:
        """See Machine."""
        return int(self._memory.read_bytes())


class GroupV1:
    """A container under control groups of version 1."""

    def __init__(self, folder: Path) -> None:
        self._memory, self._cpu = folder / "memory" / "memory.usage_in_bytes", folder / "cpuacct" / "cpuacct.usage"

    def cpu_ns(self) -> int:
        """See Machine."""
        return int(self._cpu.read_bytes())

    def memory_bytes(self) -> int:
        """See Machine."""
        return int(self._memory.read_bytes())


def find(folder: Path = CONTROL_GROUPS) -> Machine:
    """The container's control group if this is one whose figures can be read, else the process."""
    for group in _groups(folder):
        with suppress(OSError, ValueError):
            group.cpu_ns()
            group.memory_bytes()
            return group
    return Process()


def _groups(folder: Path) -> list[Machine]:
    if (folder / "memory.current").exists():
        return [GroupV2(folder)]
    with suppress(OSError, ValueError):
        if int((folder / "memory" / "memory.limit_in_bytes").read_bytes()) < _NO_LIMIT:
            return [GroupV1(folder)]
    return []
