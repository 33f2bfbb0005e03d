"""What the benches share: CPU and memory of a process tree, medians with ranges, one JSON or a short text."""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> list[int]:
    """A process and all its descendants that are alive."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields:
                parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found, queue = [], [pid]
    while queue:
        current = queue.pop()
        found.append(current)
        queue += parents.get(current, [])
    return found


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name (which may hold spaces); empty when the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def cpu_s(pid: int) -> float:
    """CPU seconds of the tree, ended children included: user, system, and both of the waited-for."""
    ticks = [int(value) for member in tree(pid) for value in _stat(member)[11:15]]
    return sum(ticks) / TICKS_PER_SECOND


def peak_bytes(pid: int) -> int:
    """The largest resident size so far, summed over the tree."""
    total = 0
    for member in tree(pid):
        try:
            text = Path(f"/proc/{member}/status").read_text(encoding="ascii", errors="replace")
        except OSError:
            continue
        total += sum(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("VmHWM:"))
    return total


def folder_bytes(folder: Path) -> int:
    """Bytes on disk below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile: a value that was really measured."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def spread(values: Sequence[float], digits: int = 1) -> dict[str, float]:
    """Median and range."""
    return {
        "median": round(statistics.median(values), digits),
        "least": round(min(values), digits),
        "most": round(max(values), digits),
        "rounds": len(values),
    }


def machine() -> dict[str, Any]:
    """Where the figures were made, without naming the machine."""
    where = {"python": platform.python_version(), "cores": os.cpu_count(), "system": platform.system()}
    return {**where, **yardstick()}


def yardstick() -> dict[str, float]:
    """CPU milliseconds of two fixed pieces of work, the least of nine: how fast the machine is at this hour.

    One machine was seen to take 1.3 to 1.8 times as long on another day: only by these do figures of two days compare.
    """
    source = os.urandom(1 << 20) * 16

    def loop() -> None:
        total = 0
        for number in range(200_000):
            total += number & 7

    def copy() -> None:
        bytearray(source)

    return {"yardstick_loop_ms": _least_ms(loop), "yardstick_copy_ms": _least_ms(copy)}


def _least_ms(work: Callable[[], None]) -> float:
    times: list[float] = []
    for _ in range(9):
        began = time.thread_time()
        work()
        times.append(time.thread_time() - began)
    return round(min(times) * 1e3, 2)


def arguments(text: str | None) -> argparse.ArgumentParser:
    """A parser with the options every bench has."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    return parser


def say(text: str) -> None:
    """Progress, for people only."""
    print(text, file=sys.stderr, flush=True)


def report(name: str, figures: dict[str, Any], *, as_json: bool) -> None:
    """Prints the figures of one bench."""
    if as_json:
        print(json.dumps({"bench": name, **machine(), **figures}))
        return
    loop, copy = yardstick().values()
    print(f"\n{name}   (yardstick: loop {loop} ms, copy {copy} ms)")
    _print_tree(figures, "  ")


def _print_tree(figures: dict[str, Any], indent: str) -> None:
    for key, value in figures.items():
        if isinstance(value, dict) and set(value) == {"median", "least", "most", "rounds"}:
            print(f"{indent}{key:<34} {value['median']:>12,} ({value['least']:,}–{value['most']:,})")
        elif isinstance(value, dict):
            print(f"{indent}{key}")
            _print_tree(value, indent + "  ")
        else:
            print(f"{indent}{key:<34} {value if isinstance(value, str) else format(value, ','):>12}")
