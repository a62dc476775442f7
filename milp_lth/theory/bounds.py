"""How wide the random network must be, by each theorem, for one target.

Every theorem is asked the same: the target's outputs within ε of the ticket's, for all inputs of
its domain, with probability 1 − δ. Where it assumes norms up to 1 it is asked about the rescaled
target, at ε′; see `milp_lth.theory.assumptions`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from instances.distributions import Distribution
from milp_lth.network import Network
from milp_lth.theory import needs
from milp_lth.theory.assumptions import (
    BETWEEN,
    BIASES,
    DRAWS,
    ENTRIES,
    GRID,
    INPUTS,
    REACH,
    SPECTRAL,
    Assumption,
    Setting,
    check_assumptions,
    read_setting,
)
from milp_lth.theory.constants import Constant, load_constants
from milp_lth.theory.needs import Asked, Need

UPPER, LOWER, ASYMPTOTIC, ESTIMATE = "upper", "lower", "asymptotic", "estimate"
AS_IT_IS, RESCALED, NOT = "as it is", "after rescaling", "no"


@dataclass(frozen=True)
class Bound:
    """A theorem, or what this package makes of one.

    Attributes
    ----------
    name, paper
        What it is called here, and where it is from.
    kind
        "upper": so wide is enough; "lower": narrower is not, for some target of that shape;
        "asymptotic": the form alone; "estimate": no promise.
    says
        What it asks for, with the papers' symbols.
    depth
        Matrices of the random network for a target of l layers.
    needs
        Called with what is asked and the constants by name.
    assumes
        Names of `milp_lth.theory.assumptions`.
    constants
        Their names in the file of constants; none: the theorem is explicit.
    distributions
        What its random network may be drawn from.
    entries, inside
        Whether entries are rescaled, too; whether ε′ is that of the ball inside the domain.
    explicit
        What is said of the constant where there is none on file.
    """

    name: str
    paper: str
    kind: str
    says: str
    depth: Callable[[int], int]
    needs: Callable[[Asked, Mapping[str, float]], list[Need]]
    assumes: tuple[str, ...] = ()
    constants: tuple[str, ...] = ()
    distributions: tuple[str, ...] = ("uniform",)
    entries: bool = False
    inside: bool = False
    explicit: str = "explicit"

    def rescaled(self, asked: Asked) -> float:
        """Return the ε that it is asked for after rescaling."""
        if asked.setting.heads is not None:
            return asked.epsilon  # softmax is not homogeneous: norms are in the formula
        if self.inside:
            return asked.setting.rescaled_inside(asked.epsilon)
        return asked.setting.rescaled(asked.epsilon, entries=self.entries)

    def takes(self, distribution: str) -> bool:
        """Whether its random network may be drawn from that."""
        kinds = (distribution, distribution.split("-")[0])
        return not self.distributions or any(kind in self.distributions for kind in kinds)


def _double(num_layers: int) -> int:
    return 2 * num_layers


def _one_more(num_layers: int) -> int:
    return num_layers + 1


_NORMED = (SPECTRAL, INPUTS, BIASES, BETWEEN)

BOUNDS: tuple[Bound, ...] = (
    Bound(
        "malach-quoted", "Malach et al. 2020, as quoted", ASYMPTOTIC,
        "a factor d⁴l²/ε² wider",
        _double, needs.malach_quoted, (*_NORMED, ENTRIES), entries=True, explicit="taken as 1",
    ),
    Bound(
        "malach", "Malach et al. 2020, theorem 2.1", UPPER,
        "(1 − p/2)ⁿ ≤ δ / 2l d_in d_out, p the probability of a product within ε / 2l d_in d_out",
        _double, needs.malach, (*_NORMED, ENTRIES), entries=True,
    ),
    Bound(
        "orseau", "Orseau et al. 2020", ASYMPTOTIC,
        "log(1/ε) draws a weight, any of which may serve any: counted with equally likely digits",
        _double, needs.orseau, (REACH, BIASES, BETWEEN), distributions=("hyperbolic",),
    ),
    Bound(
        "pensia", "Pensia et al. 2020, theorem 1", UPPER,
        "2d C ln(4 l d_in d_out / min{ε, δ}): every such target at once",
        _double, needs.pensia, _NORMED, ("pensia",),
    ),
    Bound(
        "pensia-lower", "Pensia et al. 2020, theorem 2", LOWER,
        "d_in d_out log₂(1/2ε) − 1 weights, in two layers, for linear maps of this shape and norm",
        _double, needs.pensia_lower, (SPECTRAL, INPUTS), distributions=(), inside=True,
    ),
    Bound(
        "natale", "Natale et al. 2024, theorem 3", UPPER,
        "2d n, n = c_amp log₂²(2 l d_in d_out γn / ε) / H₂(γ): density at most the one asked for",
        _double, needs.natale, _NORMED, ("amplified",),
    ),
    Bound(
        "natale-half", "Natale et al. 2024, theorem 2", ESTIMATE,
        "2d n, n = c_hyp log₂(γn / η) / H₂(γ): each weight with probability 1/2",
        _double, needs.natale_half, _NORMED, ("fixed-size",),
    ),
    Bound(
        "natale-lower", "Natale et al. 2024, theorem 5", LOWER,
        "(d_in d_out / 2) log₂(k/ε) / H₂(k/n) weights, for linear maps of this shape and norm",
        _double, needs.natale_lower, (SPECTRAL, INPUTS), distributions=(), inside=True,
    ),
    Bound(
        "burkholz", "Burkholz 2022", UPPER,
        "a first block as Pensia's, then C ln(2 / min{ε, δ}) copies of every neuron",
        _one_more, needs.burkholz, (REACH, INPUTS), ("pensia", "copies"),
    ),
    Bound(
        "kumar-natale", "Kumar & Natale 2025, theorem 1", UPPER,
        "2d C log₂(1/δ): a target rounded to multiples of δ², exactly",
        _double, needs.quantised, (*_NORMED, GRID), ("quantised",), ("quantised",),
    ),
    Bound(
        "kumar-lower", "Kumar & Natale 2025, theorem 3", LOWER,
        "d_in d_out log₂(2/δ² + 1) − 1 weights, for every target on that grid",
        _double, needs.quantised_lower, (GRID,), distributions=(),
    ),
    Bound(
        "attention", "Otsuka et al. 2025, theorem 3", UPPER,
        "n_K = d₁ C ln(8 H α³ d₁^{3/2} / ε), n_V = d₁ C ln(2 H α d₁ √d₂ / ε)",
        lambda num_layers: 4, needs.attention, (SPECTRAL,), ("attention",),
    ),
    Bound(
        "here-median", "this package, by the median error", ESTIMATE,
        "matched units, V at a power of two: half of the largest weights within ε / 2l d_in d_out",
        _double, needs.here_median, (),
    ),
    Bound(
        "here", "this package, one target", UPPER,
        "matched units, V at a power of two, C ln(2 / min{ε, δ}) of a weight: this target alone",
        _double, needs.here_target, (), ("one-target",),
    ),
)  # fmt: skip
"""All bounds, in the order of their papers."""


@dataclass(frozen=True)
class Width:
    """What one theorem asks for.

    Attributes
    ----------
    bound
        The theorem.
    epsilon
        The ε that it was asked for, after rescaling.
    needs
        Of each layer.
    interval
        Hidden units in all at the ends of the constants' intervals; None where it is explicit.
    constants
        Those that were used.
    fails
        Names of what it assumes and the target or the source lacks.
    holds
        "as it is"; "after rescaling": at this ε; "no".
    """

    bound: Bound
    epsilon: float
    needs: tuple[Need, ...]
    interval: tuple[int, int] | None
    constants: tuple[Constant, ...]
    fails: tuple[str, ...]
    holds: str

    @property
    def units(self) -> int:
        """Hidden units in all."""
        return sum(need.units for need in self.needs)

    @property
    def edges(self) -> int:
        """Edges drawn in all."""
        return sum(need.edges for need in self.needs)

    @property
    def extrapolated(self) -> bool:
        """Whether a constant was used at finer accuracies than it was calibrated at."""
        finest = min(need.accuracy for need in self.needs)
        return any(finest < constant.finest for constant in self.constants)

    def stated(self, num_layers: int) -> dict[str, Any]:
        """Return it as JSON takes it, for a target of so many layers."""
        return {
            "row": self.bound.name,
            "theorem": self.bound.paper,
            "kind": self.bound.kind,
            "says": self.bound.says,
            "depth": self.bound.depth(num_layers),
            "epsilon": self.epsilon if math.isfinite(self.epsilon) else None,
            "layers": [need._asdict() | {"units_per_input": need.units_per_input}
                       for need in self.needs],
            "units": self.units,
            "units_interval": None if self.interval is None else list(self.interval),
            "edges": self.edges,
            "constants": [
                {"name": c.name, "law": c.law, "value": c.value, "low": c.low, "high": c.high,
                 "finest": c.finest}
                for c in self.constants
            ],
            "extrapolated": self.extrapolated,
            "fails": list(self.fails),
            "holds": self.holds,
        }  # fmt: skip


@dataclass(frozen=True)
class Bounds:
    """What all theorems ask for, and what they assume.

    Attributes
    ----------
    asked
        The target, ε, δ and the density.
    widths
        One a theorem that is about such a target.
    assumptions
        Those that any of them makes, checked.
    """

    asked: Asked
    widths: tuple[Width, ...]
    assumptions: tuple[Assumption, ...]

    def __getitem__(self, name: str) -> Width:
        """Return what one theorem asks for, by its name."""
        return {width.bound.name: width for width in self.widths}[name]

    def stated(self) -> dict[str, Any]:
        """Return it as JSON takes it; the accuracy of a layer is ε′/2l d_in d_out in its units."""
        setting = self.asked.setting
        return {
            "rows": [width.stated(self.asked.num_layers) for width in self.widths],
            "assumptions": [one._asdict() for one in self.assumptions],
            "epsilon": self.asked.epsilon,
            "failure": self.asked.failure,
            "density": self.asked.density,
            "domain": setting.domain,
            "input_range": list(setting.input_range),
            "radius": setting.radius,
            "layers": [
                m._asdict() | {"accuracy": accuracy * (m.norm or 1.0)}
                for m, (_, accuracy, _) in zip(setting.plain, self.asked.each(), strict=True)
            ],
        }


def bounds(
    target: nn.Module | Network | Setting | Sequence[int],
    *,
    epsilon: float = 0.01,
    failure: float = 0.01,
    density: float = 0.1,
    domain: str | None = None,
    input_range: tuple[float, float] = (-1.0, 1.0),
    distribution: str = "uniform",
    constants: Mapping[str, Constant] | None = None,
) -> Bounds:
    """Ask each theorem how wide the random network must be for one target.

    Parameters
    ----------
    target
        A network of Linear and ReLU in a row, or of attention alone; or sizes, such as
        (64, 32, 10), whose norms are then taken to be 1.
    epsilon
        ε: how far outputs may be off, in the norm, in units of the target's outputs.
    failure
        δ: how probable it may be that no ticket is that close.
    density
        γ: the share of edges that a ticket may keep, for theorems that ask.
    domain
        "box": every input in `input_range`; "ball": inputs of norm up to 1; None: a box for a
        network, a ball for sizes.
    input_range
        Lowest and highest value of an input.
    distribution
        What the random network is to be drawn from.
    constants
        By name; None: those that come with the package.

    Returns
    -------
    Bounds
        A width a theorem, and the assumptions, checked.

    Raises
    ------
    ValueError
        When a number is out of range, or no theorem here is about such a target.

    Examples
    --------
    >>> found = bounds((64, 32, 10))
    >>> found["pensia-lower"].edges < found["pensia"].edges < found["malach"].edges
    True
    """
    if not (epsilon > 0 and math.isfinite(epsilon)):
        raise ValueError(f"epsilon {epsilon}: give a number above 0")
    if not 0 < failure <= 0.5:
        raise ValueError(f"failure {failure}: give a probability above 0 and up to 0.5")
    if not 0 < density <= 0.5:
        raise ValueError(f"density {density}: give a share above 0 and up to 0.5")
    Distribution(distribution)
    setting = target
    if not isinstance(setting, Setting):
        setting = read_setting(setting, domain=domain, input_range=input_range)
    known = load_constants() if constants is None else constants
    asked = Asked(setting, epsilon, failure, density)
    about = [
        bound for bound in BOUNDS if (bound.name == "attention") == (setting.heads is not None)
    ]
    checked = (*check_assumptions(setting), _about_draws(about, distribution))
    widths = tuple(_width(bound, asked, known, checked, distribution) for bound in about)
    made = {DRAWS}.union(*(bound.assumes for bound in about))
    return Bounds(asked, widths, tuple(one for one in checked if one.name in made))


def _about_draws(about: Sequence[Bound], distribution: str) -> Assumption:
    """Say which theorems draw from something else."""
    others = [bound for bound in about if not bound.takes(distribution)]
    wanted = "; ".join(f"{bound.name}: {' or '.join(bound.distributions)}" for bound in others)
    return Assumption(
        DRAWS, not others, f"{distribution}", f"--distribution, for {wanted}" if others else "",
        False,
    )  # fmt: skip


def _width(
    bound: Bound,
    asked: Asked,
    known: Mapping[str, Constant],
    assumptions: Sequence[Assumption],
    distribution: str,
) -> Width:
    constants = tuple(known[name] for name in bound.constants)
    found = bound.needs(asked, {c.name: c.value for c in constants})
    interval = None
    if constants:
        low, high = (
            sum(need.units for need in bound.needs(asked, ends))
            for ends in ({c.name: c.low for c in constants}, {c.name: c.high for c in constants})
        )
        interval = low, high
    failing = [
        one
        for one in assumptions
        if not one.holds
        and (one.name in bound.assumes or (one.name == DRAWS and not bound.takes(distribution)))
    ]
    holds = AS_IT_IS if not failing else RESCALED
    if not all(one.by_rescaling for one in failing):
        holds = NOT
    fails = tuple(one.name for one in failing)
    return Width(bound, bound.rescaled(asked), tuple(found), interval, constants, fails, holds)
