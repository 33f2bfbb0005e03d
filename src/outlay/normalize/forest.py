"""Forest: rows that name their parent, and what can be asked of all of them at once.

A row is a number, its parent is the number of another row or -1. Questions go up or down a tree of any depth in as many
steps as the depth has binary digits: step k looks 2^k ancestors further. Arrays have one place more than rows, whose
value is that of "no row" (index -1), so that following a pointer needs no test.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from outlay.normalize.columns import Ints, Mask


@dataclass(frozen=True, slots=True)
class Forest:
    """`parent` of every row, and for each k its 2^k-th ancestor (one place longer, ending in -1)."""

    parent: Ints
    ancestors: tuple[Ints, ...]

    def nearest(self, values: Ints) -> Ints:
        """For every row its own value, or where that is -1 the one of the nearest ancestor that has one."""
        found = np.append(values, -1)
        for jump in self.ancestors:
            found = np.where(found >= 0, found, found[jump])
        return found[:-1]

    def above(self, values: Ints) -> Ints:
        """The value that each row's parent has, -1 for a root."""
        return np.append(values, -1)[self.parent]

    def below(self, flags: Mask) -> Mask:
        """Rows that have a flagged row anywhere below them, their own flag left aside."""
        within = self.reaching(flags)
        found = np.zeros(len(flags) + 1, np.bool_)
        found[self.parent[within]] = True
        return found[:-1]

    def reaching(self, flags: Mask) -> Mask:
        """Rows that are flagged or have a flagged row below them."""
        found = np.append(flags, np.bool_(0))
        for jump in self.ancestors:
            wider = found.copy()
            wider[jump[found]] = True
            wider[-1] = False
            found = wider
        return found[:-1]


def forest_of(parent: Ints) -> Forest:
    """The forest of these links. A loop of parents has no top: each row on it becomes a root."""
    ancestors: list[Ints] = []
    jump = np.append(parent, -1)
    for _ in range(len(parent).bit_length() + 1):
        if not (jump >= 0).any():
            return Forest(parent, tuple(ancestors))
        ancestors.append(jump)
        jump = jump[jump]
    cut = parent.copy()
    cut[np.unique(jump[jump >= 0])] = -1  # whoever is still being reached after so many steps is on a loop
    return forest_of(cut)


def links(parent_key: pa.Array, fact_key: pa.Array) -> Ints:
    """The row each row names as its parent, -1 where it names none or one that is not here."""
    found = pc.index_in(parent_key, value_set=fact_key, skip_nulls=True)
    return np.asarray(found.fill_null(-1)).astype(np.int64)


def adopt_orphans(parent: Ints, named: Mask, tree: Ints, tops: Mask) -> Ints:
    """Links in which a row whose parent never arrived hangs below the one agent that tops its tree, if there is one.

    `named` marks rows that name a parent, `tops` the structure rows that name none. Steps between an agent and its
    calls are often not exported; the calls are below the agent all the same.
    """
    orphans = named & (parent < 0) & (tree >= 0)
    heads = np.flatnonzero(tops & (tree >= 0))
    if not len(heads) or not orphans.any():
        return parent
    trees = int(tree.max()) + 1
    head = np.full(trees, -1, np.int64)
    head[tree[heads]] = heads
    head[np.bincount(tree[heads], minlength=trees) != 1] = -1
    adopted = parent.copy()
    adopted[orphans] = head[tree[orphans]]
    return adopted


def earliest(groups: Ints, values: Ints, by_time: Ints) -> Ints:
    """For every row the earliest value that its group states, -1 where none does; group -1 is no group."""
    chosen = by_time[(values[by_time] >= 0) & (groups[by_time] >= 0)][::-1]
    first = np.full(int(groups.max(initial=-1)) + 2, -1, np.int64)
    first[groups[chosen]] = values[chosen]  # the last write wins, and that is the earliest
    return first[groups]
