"""Subset choice: data-aware neurons as a multiple-choice program over the best subsets per weight.

Once a good answer is known, whatever is no worse has every weight's sum in some interval: in norm 2
the inputs' Gram matrix says which; in norm 1 and inf one weight after the other is pressed against
an end of its range, and the relaxation of interval-tree says what that costs. Subsets outside are
never needed. Where at most `per_weight` are left, the program over them is exact, and its bound
that of the neuron; where more are, those nearest to the answer at hand are listed: a heuristic, and
the bound is that of the relaxation.

The subsets of a weight stand in the order of their sums, and the binary of each but the first says
whether the choice is that one or a later one (the incremental model: Markowitz and Manne,
Econometrica 1957). Branching on it splits the range, and its coefficients are steps from sum to
sum; with one binary for every subset SCIP and HiGHS mostly took two to eight times as long. Neurons
of a hundred candidates are proved in seconds that the standard form leaves open after a minute. To
prefer under a tight budget, which is a row of the program, and as a second opinion on sphere and
interval-tree.
"""

import time
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, NamedTuple, Self

import numpy as np

from instances.arrays import BoolArray, IntArray, largest
from instances.instance import Instance, Verdict
from instances.milp import MILP
from instances.neurons import Neurons
from solvers.exact import mathopt
from solvers.exact.box_search import NO_BUDGET, BoxSearch, shave
from solvers.exact.scip import Scip
from solvers.heuristic.lns import Lns
from solvers.row_by_row import row_by_row
from solvers.solver import OnEvent, Proposal, nothing_known
from solvers.subset_sums import SubsetTables

_CONDITION = 1e6  # of inputs whose Gram matrix is believed
_MARGIN = 1e-6  # what intervals are longer, relatively: the answer at hand stays in them


@dataclass(frozen=True)
class SubsetChoice:
    """One choice among listed subsets for every weight, one neuron after the other.

    Parameters
    ----------
    per_weight
        The most subsets that are listed for a weight.
    kicks
        Of the large-neighbourhood search that gives the first answer.
    intervals
        Whether subsets are left out that are proved to be of no use.
    seed
        That of SCIP.
    """

    per_weight: int = 256
    kicks: int = 200
    intervals: bool = True
    seed: int = 0
    tolerance: ClassVar[float] = 1e-9

    def supports(self, instance: Instance) -> bool:
        """Whether they are neurons whose subset sums per weight fit in tables."""
        if not isinstance(instance, Neurons) or not SubsetTables.fit(instance):
            return False
        return instance.norm == 2 or BoxSearch.fits(instance)

    def propose(
        self,
        instance: Neurons,
        time_limit: float,
        *,
        start: BoolArray | None = None,
        on_event: OnEvent | None = None,
    ) -> Proposal:
        """Solve neuron by neuron, each with its share of the time that is left."""

        def propose_neuron(b: int, seconds: float) -> Proposal:
            deadline = time.monotonic() + seconds
            neuron = instance.part(b, b + 1)
            given = None if start is None else start[b : b + 1]
            found = Lns(kicks=self.kicks, threads=1).propose(neuron, seconds, start=given).mask
            if neuron.evaluate(found)[1][0] > 0:
                found = np.zeros_like(found)
            return self._propose(neuron, found[0], deadline)

        return row_by_row(instance, time_limit, propose_neuron, start=start, on_event=on_event)

    def _propose(self, neuron: Neurons, start: BoolArray, deadline: float) -> Proposal:
        listed, bound = _Listed.of(neuron, start), 0.0
        if self.intervals:
            listed, bound = _needed(neuron, start, listed)
        complete = bool((listed.last - listed.first < self.per_weight).all())
        program = _Choice.of(neuron, listed.within(self.per_weight))
        proposal, left = nothing_known(neuron, start[None]), deadline - time.monotonic()
        if program.num_candidates == 0:
            mask, bounds = program.kept(np.zeros(0, np.bool_))[None], np.full(1, np.inf)
            proposal = proposal._replace(mask=mask, bound=bounds)
        elif left > 0:
            hint = program.binaries(listed.chosen)[None]
            found = mathopt.propose(Scip(seed=self.seed), program, left, start=hint)  # type: ignore[arg-type]
            proposal = found._replace(mask=program.kept(found.mask[0])[None])
        if complete:
            bound = max(bound, float(proposal.bound[0]))
        objective, _ = neuron.evaluate(proposal.mask)
        stats = proposal.stats | {"subsets": float(len(listed.first) + program.num_candidates)}
        bounds = np.minimum(objective, bound) - neuron.slack / 2
        return proposal._replace(bound=bounds, stats=stats)


class _Listed(NamedTuple):
    """Ranges of the subsets of each weight, in the order of their sums."""

    tables: SubsetTables
    first: IntArray
    last: IntArray
    chosen: IntArray
    """One of each range: the best known."""

    @classmethod
    def of(cls, neuron: Neurons, mask: BoolArray) -> Self:
        """List all subsets of a batch's first neuron."""
        tables = SubsetTables.of(neuron, 0)
        chosen = tables.chosen(mask.reshape(neuron.coefficients.shape[1:]), neuron.coefficients[0])
        return cls(tables, np.zeros_like(chosen), tables.num - 1, chosen)

    def holding(self, first: IntArray, last: IntArray) -> Self:
        """Return other ranges, the best known in them in any case."""
        low, high = np.minimum(first, self.chosen), np.maximum(last, self.chosen)
        return self._replace(first=low, last=high)

    def within(self, most: int) -> Self:
        """Return as many subsets of each weight as may be, around the best known."""
        latest = np.maximum(self.first, self.last - most + 1)
        first = np.clip(self.chosen - most // 2, self.first, latest)
        return self._replace(first=first, last=np.minimum(first + most - 1, self.last))


def _needed(neuron: Neurons, mask: BoolArray, listed: _Listed) -> tuple[_Listed, float]:
    """Return the subsets that masks no worse than `mask` may have, and a bound of them all."""
    weights, rows = np.array(neuron.targets[0]), neuron.measured()
    value = float(neuron.evaluate(mask[None])[0][0]) * (1 + _MARGIN) + float(neuron.slack[0])
    first, last = listed.first.copy(), listed.last.copy()
    if neuron.linear:
        columns = np.ascontiguousarray(rows.T)
        budget = NO_BUDGET if neuron.budget is None else neuron.budget
        bound = shave(columns, neuron.norm, weights, listed.tables, budget, value, first, last)
        return listed.holding(first, last), bound
    if len(rows) < len(weights) or np.linalg.cond(rows) > _CONDITION:
        return listed, 0.0
    unit = 2.0 ** np.frexp(largest(rows))[1]  # the squares of all are then not 0
    inverse = np.linalg.inv((rows / unit).T @ (rows / unit))
    reach = value / unit * np.sqrt(np.diag(inverse)) * (1 + _MARGIN)
    for i, (sums, num) in enumerate(zip(listed.tables.sums, listed.tables.num, strict=True)):
        first[i] = np.searchsorted(sums[:num], weights[i] - reach[i])
        last[i] = np.searchsorted(sums[:num], weights[i] + reach[i], "right") - 1
    return listed.holding(first, last), 0.0


@dataclass(frozen=True, eq=False)
class _Choice(Neurons):
    """A neuron whose candidates are binaries: each asks for a later subset of a weight."""

    listed: _Listed | None = None

    @classmethod
    def of(cls, neuron: Neurons, listed: _Listed) -> Self:
        """Let a batch's first neuron choose among the subsets listed."""
        return cls(
            neuron.inputs, neuron.coefficients[:1], neuron.targets[:1], neuron.norm, neuron.ridge,
            neuron.budget, neuron.available, listed,
        )  # fmt: skip

    @cached_property
    def ranges(self) -> _Listed:
        """The subsets listed."""
        assert self.listed is not None
        return self.listed

    @cached_property
    def weight(self) -> IntArray:
        """Whose binary each is."""
        return np.repeat(np.arange(len(self.ranges.first)), self.ranges.last - self.ranges.first)

    @cached_property
    def subset(self) -> IntArray:
        """The subset before the one that each binary asks for."""
        step = np.arange(len(self.weight)) - np.searchsorted(self.weight, self.weight)
        return np.asarray(self.ranges.first[self.weight] + step)

    @property
    def num_candidates(self) -> int:
        """Binaries."""
        return len(self.weight)

    def part(self, start: int, stop: int) -> Self:
        """Return the one neuron."""
        return self

    def binaries(self, chosen: IntArray) -> BoolArray:
        """Return what states a choice of subsets."""
        return np.asarray(self.subset < chosen[self.weight])

    def kept(self, binaries: BoolArray) -> BoolArray:
        """Return the mask of the candidates themselves."""
        d, n = self.coefficients.shape[1:]
        later = np.bincount(self.weight[binaries], minlength=d)
        return self.ranges.tables.mask(self.ranges.first + later, n)

    def verdict(self, mask: BoolArray) -> Verdict:
        """Judge what binaries state."""
        return Neurons.part(self, 0, 1).verdict(self.kept(mask[0])[None])

    def milp(self, b: int) -> MILP:
        """State the neuron: its standard form with masks put together from steps."""
        d, n = self.coefficients.shape[1:]
        form, num = Neurons.part(self, 0, 1).milp(b), self.num_candidates
        entries = np.zeros((len(form.row_lower), len(form.c)))
        entries[form.rows, form.columns] = form.values
        masks = (self.ranges.tables.codes[:, :, None] >> np.arange(n)) & 1
        steps = np.zeros((d, n, num))
        later = masks[self.weight, self.subset + 1] - masks[self.weight, self.subset]
        steps[self.weight, :, np.arange(num)] = later
        base = entries[:, : d * n] @ masks[np.arange(d), self.ranges.first].reshape(-1)
        pairs = np.flatnonzero(self.weight[1:] == self.weight[:-1])  # no later one without this
        order = np.zeros((len(pairs), num + len(form.c) - d * n))
        order[np.arange(len(pairs)), pairs] = 1.0
        order[np.arange(len(pairs)), pairs + 1] = -1.0
        sums = entries[:, : d * n] @ steps.reshape(d * n, num)
        whole = np.concatenate([np.concatenate([sums, entries[:, d * n :]], axis=1), order])
        rows, columns = np.nonzero(whole)
        return replace(
            form,
            c=np.concatenate([np.zeros(num), form.c[d * n :]]),
            rows=rows,
            columns=columns,
            values=whole[rows, columns],
            row_lower=np.concatenate([form.row_lower - base, np.zeros(len(pairs))]),
            row_upper=np.concatenate([form.row_upper - base, np.ones(len(pairs))]),
            lower=np.concatenate([np.zeros(num), form.lower[d * n :]]),
            upper=np.concatenate([np.ones(num), form.upper[d * n :]]),
            integer=np.arange(whole.shape[1]) < num,
            counts=np.concatenate([form.counts, np.ones(len(pairs), np.bool_)]),
            mask_columns=np.arange(num),
        )
