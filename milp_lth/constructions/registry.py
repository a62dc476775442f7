"""All constructions by name: what ``--construction`` offers. One is imported when it is used."""

from collections.abc import Callable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from instances.objectives import Closest, FixedSize, Objective
from milp_lth.constructions.theorem import Theorem

if TYPE_CHECKING:
    from milp_lth.constructions.layout import DrawnLayer, Layout

CANDIDATES_PER_HALF = 24
"""What a weight gets for each sign of its input where no width is asked for."""


class Construction(NamedTuple):
    """Where a construction is, and what it asks for where nothing else is asked."""

    module: str
    """Its file in `milp_lth.constructions`: a function of the same name, and `THEOREM`."""
    drawn: str
    """What a layer is drawn from, "module:Class" in the same folder."""
    drawn_later: str = ""
    """The same of all layers but the first, where they differ."""
    has_units: bool = True
    """Whether hidden units keep one input each: there is an assignment, and two halves."""
    candidates: int = CANDIDATES_PER_HALF
    """For each weight and sign of its input."""
    distributions: tuple[str, ...] = (
        "uniform", "normal", "hyperbolic", "signed-constant", "binary", "quantised",
    )  # fmt: skip
    """What its random numbers may be drawn from; the first is taken where none is named."""
    distribution: str = "uniform"
    objective: Objective = Closest()
    solver: str | None = None
    """Who decides where nobody is named; None: whoever `milp_lth.select` chooses."""
    numbers: Mapping[str, float] = MappingProxyType({})
    """The fields of `Source` that belong to it, and their values where none is given."""
    target_bits: int | None = None
    """What targets are rounded to where that is not asked for: sums are to equal them."""
    couples: bool = False
    """Whether its weights may be coupled: budgets of edges, data-aware masks."""
    in_shards: bool = True
    """Whether a ticket may be larger than memory."""
    redraws: bool = False
    """Whether candidates of weights that are missed may be drawn again."""
    plain_sums: bool = True
    """Whether a weight is the sum of what is chosen for it, and nothing else."""

    def solver_for(self, objective: str) -> str | None:
        """Return who decides about an objective, by name; None: nobody of its own."""
        return self.solver if objective == self.objective.name else None


CONSTRUCTIONS: Mapping[str, Construction] = MappingProxyType({
    "two-layer": Construction(
        "two_layer", "two_matrices:TwoMatrices", couples=True, redraws=True
    ),
    "direct": Construction(
        "direct", "direct:ParallelEdges", has_units=False, distributions=("uniform",), couples=True
    ),
    "direct-shared": Construction(
        "direct_shared", "direct:ParallelEdges", has_units=False, distributions=("uniform",),
        couples=True,
    ),
    "nearest-product": Construction(
        "nearest_product", "two_matrices:TwoMatrices", candidates=1024, objective=FixedSize(1)
    ),
    "golden-ratio": Construction(
        "golden_ratio", "two_matrices:TwoMatrices", candidates=192, distribution="hyperbolic",
        solver="golden-ratio",
    ),
    "k-subset": Construction(
        "k_subset", "two_matrices:TwoMatrices", objective=FixedSize(4), redraws=True
    ),
    "quantised": Construction(
        "quantised", "two_matrices:TwoMatrices", distribution="quantised-4",
        objective=Closest(tolerance=0.0), target_bits=6, redraws=True,
    ),
    "pre-masked": Construction(
        "pre_masked", "pre_masked:PreMaskedMatrices", candidates=2 * CANDIDATES_PER_HALF,
        numbers={"density": 0.5},
    ),
    "frozen": Construction(
        "frozen", "frozen:FrozenMatrices", candidates=30,
        numbers={"density": 0.95}, plain_sums=False,
    ),
    "perturbed": Construction(
        "perturbed", "perturbed:PerturbedMatrices", candidates=16,
        numbers={"perturbation": 1 / 64}, in_shards=False, plain_sums=False,
    ),
    "l-plus-one": Construction(
        "l_plus_one", "two_matrices:TwoMatrices", "l_plus_one:RawMatrix", in_shards=False
    ),
    "binary": Construction(
        "binary", "binary_ladder:BinaryLadder", distributions=("binary",),
        distribution="binary", numbers={"bits": 8}, in_shards=False,
    ),
})  # fmt: skip


def lay_out(name: str) -> "Callable[..., Layout]":
    """Return what lays one layer out.

    It is called with the source, the layer's index and the network, and by name with width,
    nonnegative and, where there are hidden units to assign, assignment.
    """
    module = CONSTRUCTIONS[name].module
    found: Callable[..., Layout] = getattr(_imported(module), module)
    return found


def drawn_class(name: str, index: int) -> "type[DrawnLayer]":
    """Return what the layer at `index` is drawn from."""
    construction = CONSTRUCTIONS[name]
    place = construction.drawn_later if index and construction.drawn_later else construction.drawn
    module, _, class_name = place.partition(":")
    found: type[DrawnLayer] = getattr(_imported(module), class_name)
    return found


def list_constructions() -> dict[str, Theorem]:
    """Say what ``--construction`` offers, and what is proved about each.

    Returns
    -------
    dict
        By name, the `Theorem`.

    Examples
    --------
    >>> list_constructions()["nearest-product"].paper
    'Malach et al. 2020'
    """
    return {name: theorem(name) for name in CONSTRUCTIONS}


def theorem(name: str) -> Theorem:
    """Return what is proved about a construction."""
    found: Theorem = _imported(CONSTRUCTIONS[name].module).THEOREM
    return found


def _imported(module: str) -> Any:
    return import_module(f"milp_lth.constructions.{module}")
