"""Splits: which pictures train, choose and test, by seed, by class and in whole groups.

The method is iterative stratification (Sechidis, Tsoumakas and Vlahavas, "On the stratification of
multi-label data", ECML PKDD 2011): the class that is left in the fewest groups goes first, and each
group of it to the split that wants most of that class. It puts each group once and for all, which
is enough for single pictures, but not for a few large groups, or where many have their split
already. So groups, and pairs of groups, then change places as long as this brings all classes
nearer to the shares.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from cia import draws
from cia.errors import UserError

_NAMED = 5
"""Pictures that a message names."""

_ROUNDS = 100
"""Rounds of exchanges at most: the first ones bring nearly all, and each of them takes time."""

_CANDIDATES = 64
"""Groups of a split that a round tries to exchange: those that promise most."""

_LEAST_GAIN = 1e-9

_NO_OBJECT = ""


class Unsplit(NamedTuple):
    """A picture that may need a split.

    Attributes
    ----------
    name : str
        No two pictures have the same.
    classes : tuple of str
        The class of each of its objects, or its own one; () of a picture without objects.
    group : str
        Pictures of one group stay together, such as those of one scene, person or video. "" is
        for a picture that belongs to no other.
    """

    name: str
    classes: tuple[str, ...]
    group: str


def assign_splits(
    pictures: Sequence[Unsplit],
    shares: Mapping[str, float],
    seed: int,
    stratify: bool,
    known: Mapping[str, str],
) -> dict[str, str]:
    """Give each picture a split: by the shares, in whole groups, alike in their classes.

    The seed, the names and the groups decide, not the order of the pictures. Numbers of pictures
    are as near to the shares as whole groups allow: no move of one group to another split would
    bring them nearer (by least squares). Where no group holds two pictures and none is known, they
    are the shares' numbers, rounded up or down.

    Parameters
    ----------
    pictures : sequence of Unsplit
    shares : mapping
        Split to its share of the pictures, more than 0; taken relative to their sum.
    seed : int
    stratify : bool
        Whether each split gets its share of each class's objects, and of pictures without objects.
    known : mapping
        Name to split of the pictures that have one: it stays, and their group goes there. So with
        what an earlier call returned, new pictures move no old one. A split without a share keeps
        what is known to be in it, and gets nothing.

    Returns
    -------
    dict
        Name to split, in the order of the pictures.

    Raises
    ------
    UserError
        If members of one group are known in two splits, or if a share gets no picture.
    """
    if not pictures:
        return {}
    groups = defaultdict(list)
    for picture in pictures:
        key = ("group", picture.group) if picture.group else ("picture", picture.name)
        groups[key].append(picture)
    split_of = _known_splits(groups, known)
    free = [key for key in groups if key not in split_of]
    free = [free[place] for place in draws.order("cia-split", [(seed, *key) for key in free])]
    if free:
        fixed = _fixed(groups, split_of, shares)
        drawn = _draw([groups[key] for key in free], fixed, shares, stratify)
        split_of |= zip(free, drawn, strict=True)
    found = {picture.name: split_of[key] for key, of in groups.items() for picture in of}
    _refuse_empty(shares, found, len(groups))
    return {picture.name: found[picture.name] for picture in pictures}


def _known_splits(groups: Mapping, known: Mapping[str, str]) -> dict[tuple, str]:
    """Return the split of each group of which members have one."""
    found = {}
    for key, members in groups.items():
        splits = {picture.name: known[picture.name] for picture in members if picture.name in known}
        if len(set(splits.values())) > 1:
            raise UserError(
                f"Pictures of group {key[1]!r} belong together, but are in several splits "
                f"already: {_one_of_each(splits)}. The splits of the source and of earlier runs "
                "stay as they are. Give these pictures different groups, or move them into one "
                "split."
            )
        if splits:
            found[key] = next(iter(splits.values()))
    return found


def _one_of_each(splits: Mapping[str, str]) -> str:
    """Name pictures with their splits, of each split one before any has a second."""
    turns = defaultdict(list)
    for name, split in sorted(splits.items()):
        turns[split].append(name)
    ranked = sorted((n, split, name) for split in turns for n, name in enumerate(turns[split]))
    named = ", ".join(f"{name.lstrip('/')} in {split}" for _, split, name in ranked[:_NAMED])
    return named + (f", and {len(ranked) - _NAMED} more" if len(ranked) > _NAMED else "")


def _fixed(groups: Mapping, split_of: Mapping, shares: Mapping) -> list[list[Unsplit]]:
    """Return the pictures that each split with a share has already."""
    fixed = {split: [] for split in shares}
    for key, split in split_of.items():
        if split in fixed:
            fixed[split] += groups[key]
    return list(fixed.values())


def _draw(
    free: Sequence[Sequence[Unsplit]],
    fixed: Sequence[Sequence[Unsplit]],
    shares: Mapping[str, float],
    stratify: bool,
) -> list[str]:
    """Return the split of each free group; they come in random order."""
    counts = _count([*free, *fixed], stratify)
    free_counts, fixed_counts = counts[: len(free)], counts[len(free) :].toarray()
    sizes = np.array(list(shares.values()), dtype=np.float64)
    wanted = np.outer(sizes / sizes.sum(), counts.sum(axis=0))
    drawn = _stratified(free_counts, wanted - fixed_counts)
    balance = _Balance.of(free_counts, drawn, fixed_counts, wanted)
    balance.exchange()
    balance.settle()
    names = list(shares)
    return [names[split] for split in balance.splits]


def _count(groups: Sequence[Sequence[Unsplit]], stratify: bool) -> csr_array:
    """Count the objects of each class in each group, and in the last column its pictures.

    Pictures without objects are a class of their own.

    Returns
    -------
    csr_array
        float64, shape (groups, classes + 1).
    """
    found = [
        (row, name)
        for row, pictures in enumerate(groups if stratify else ())
        for picture in pictures
        for name in picture.classes or (_NO_OBJECT,)
    ]
    columns = {name: n for n, name in enumerate(sorted({name for _, name in found}))}
    rows = [*(row for row, _ in found), *range(len(groups))]
    places = [*(columns[name] for _, name in found), *[len(columns)] * len(groups)]
    numbers = [*[1.0] * len(found), *map(len, groups)]
    return csr_array((numbers, (rows, places)), shape=(len(groups), len(columns) + 1))


def _stratified(counts: csr_array, wanted: np.ndarray) -> np.ndarray:
    """Return the split of each group by iterative stratification, int64, shape (groups,).

    Parameters
    ----------
    counts : csr_array
        Shape (groups, classes + 1); groups of one class are put in their order.
    wanted : numpy.ndarray
        Shape (splits, classes + 1): how many of each a split still wants.
    """
    groups, last = counts.shape[0], counts.shape[1] - 1
    wants = wanted.T.tolist()  # lists: of single numbers, arrays are slow
    bounds, places, numbers = (
        part.tolist() for part in (counts.indptr, counts.indices, counts.data)
    )
    of_class = counts.tocsc()
    left = np.bincount(counts.indices, minlength=last + 1)
    left[last] = 0  # pictures are no class: they come last, for groups without one
    splits = np.full(groups, -1, dtype=np.int64)
    for _ in range(last + 1):
        waiting = np.flatnonzero(left)
        rarest = waiting[np.argmin(left[waiting])] if len(waiting) else last
        rows = of_class.indices[of_class.indptr[rarest] : of_class.indptr[rarest + 1]]
        rows = np.sort(rows[splits[rows] < 0])
        for row in rows.tolist():
            need = list(zip(wants[rarest], wants[last], strict=True))
            split = need.index(max(need))
            splits[row] = split
            for at in range(bounds[row], bounds[row + 1]):
                wants[places[at]][split] -= numbers[at]
        left -= np.bincount(counts[rows].indices, minlength=last + 1)
        left[[rarest, last]] = 0
    return splits


@dataclass
class _Balance:
    """How far splits are from what they should hold, and what moving a group does to that.

    The distance is Pearson's chi-square of each class, and of the pictures as often as all classes
    together: squares of surpluses, each divided by what is wanted.

    Attributes
    ----------
    counts, squares : csr_array
        Shape (groups, classes + 1): what each group holds, and the same squared.
    splits : numpy.ndarray
        int64, shape (groups,): where each group is.
    surplus, weights : numpy.ndarray
        float64, shape (splits, classes + 1): how much of each a split has too much, and what the
        square of it counts.
    """

    counts: csr_array
    squares: csr_array
    splits: np.ndarray
    surplus: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, counts, splits, fixed, wanted) -> "_Balance":
        held = np.stack([counts[splits == split].sum(axis=0) for split in range(len(wanted))])
        weights = 1 / wanted
        weights[:, -1] *= max(wanted.shape[1] - 1, 1)
        return cls(counts, counts**2, splits, held + fixed - wanted, weights)

    def exchange(self) -> None:
        """Move groups, or let pairs of them change places, while this brings the splits nearer."""
        for _ in range(_ROUNDS):
            pairs = combinations(range(len(self.surplus)), 2)
            if not any([self._exchange_between(here, other) for here, other in pairs]):
                return

    def settle(self) -> None:
        """Move groups while this brings the numbers of pictures nearer, at the least cost."""
        while any(self._settle_between(*pair) for pair in self._steepest()):
            pass

    def _exchange_between(self, here: int, other: int) -> bool:
        """Do what is best between two splits: move a group, or exchange two; say if any helped."""
        linear, square = self._costs(here, other, self.weights)
        going, coming = square + linear, square - linear
        leavers, comers = self._cheapest(going, here), self._cheapest(coming, other)
        both = self.weights[here] + self.weights[other]
        shared = (self.counts[leavers] * both[None, :]) @ self.counts[comers].T
        costs = np.zeros((len(leavers) + 1, len(comers) + 1))  # the first row and column: none
        costs[1:, 0], costs[0, 1:] = going[leavers], coming[comers]
        costs[1:, 1:] = going[leavers][:, None] + coming[comers] - 2 * shared.toarray()
        leaver, comer = np.unravel_index(np.argmin(costs), costs.shape)
        if costs[leaver, comer] > -_LEAST_GAIN:
            return False
        if leaver:
            self._move(leavers[leaver - 1], other)
        if comer:
            self._move(comers[comer - 1], here)
        return True

    def _settle_between(self, here: int, other: int) -> bool:
        """Move the group with the least harm to classes of those that bring two splits nearer."""
        sizes = self.counts[:, [-1]].toarray()[:, 0]
        excess = self.surplus[here, -1] - self.surplus[other, -1]
        fit = np.flatnonzero((self.splits == here) & (sizes < excess - _LEAST_GAIN))
        if not len(fit):
            return False
        weights = self.weights.copy()
        weights[:, -1] = 0
        cost = sum(self._costs(here, other, weights))
        self._move(fit[np.argmin(cost[fit])], other)
        return True

    def _steepest(self) -> list[tuple[int, int]]:
        """Return pairs of splits, those first of which one has most too many, one too few."""
        pictures = self.surplus[:, -1]
        pairs = permutations(range(len(pictures)), 2)
        return sorted(pairs, key=lambda pair: pictures[pair[1]] - pictures[pair[0]])

    def _costs(self, here: int, other: int, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return what moving each group costs: a part that changes its sign the other way, a rest.

        With surpluses s, weights w and a group's counts x, it is the sum over classes of
        w_other ((s_other + x)^2 - s_other^2) + w_here ((s_here - x)^2 - s_here^2).
        """
        slopes = 2 * (weights[other] * self.surplus[other] - weights[here] * self.surplus[here])
        return self.counts @ slopes, self.squares @ (weights[here] + weights[other])

    def _cheapest(self, costs: np.ndarray, split: int) -> np.ndarray:
        rows = np.flatnonzero(self.splits == split)
        if len(rows) > _CANDIDATES:
            rows = rows[np.argpartition(costs[rows], _CANDIDATES)[:_CANDIDATES]]
        return np.sort(rows)

    def _move(self, row: int, to: int) -> None:
        counts = self.counts[[row]].toarray()[0]
        self.surplus[self.splits[row]] -= counts
        self.surplus[to] += counts
        self.splits[row] = to


def _refuse_empty(shares: Mapping, found: Mapping[str, str], groups: int) -> None:
    empty = [split for split in shares if split not in set(found.values())]
    if empty:
        raise UserError(
            f"{' and '.join(empty)} would get no picture: there are {len(found)} in {groups} "
            "groups, and a group stays in one split. Pictures that have a split keep it. Add "
            "pictures, make smaller groups, or give other shares."
        )
