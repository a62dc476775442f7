"""All methods by name: what ``--methods`` offers. One is imported when it is used."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

    from milp_lth.rivals.found import Found
    from milp_lth.rivals.random_network import Shape
    from milp_lth.rivals.task import Task
    from milp_lth.rivals.training import OnEpoch, Schedule

DENSITIES = (0.05, 0.2, 0.5)
"""What methods are run at that take a density."""

DENSE = "dense"
"""The method that trains what others are measured by."""

_DENSITY, _EDGES = "density", "edges_per_weight"
_EDGES_PER_WEIGHT = (0.25, 0.5, 1.0)


class Method(NamedTuple):
    """Where a method is, what it is called with, and how its network is told to a file."""

    place: str
    """"module:function" in `milp_lth.rivals`."""
    paper: str
    schedule: str
    """"module:NAME" of what it trains by, in the same folder."""
    published: str
    """Where that schedule is from."""
    trained: str
    """What is trained."""
    varies: str = ""
    """The argument of which several values are tried: "density" or "edges_per_weight"."""
    settings: Mapping[str, Any] = MappingProxyType({})
    """Its other arguments."""
    searched: str = ""
    """The distribution of the random network that it searches in; empty: it makes its own."""
    from_target: bool = False
    """Whether it begins with a trained dense network."""
    weights: str = "trained"
    """What its network is made of: "trained", "drawn", "binary" (the drawn ones' signs), or
    "ticket"."""
    gain: str = ""
    """What layers are multiplied by: "edges/kept", "mean" (of the |weight| of what is kept)."""

    def function(self) -> Any:
        """Import and return the function."""
        return _imported(self.place)

    def imported_schedule(self) -> "Schedule":
        """Import and return what it trains by."""
        schedule: Schedule = _imported(self.schedule)
        return schedule


class Entry(NamedTuple):
    """A method with its arguments: a row of the table."""

    method: str
    value: float | None
    """Of what the method varies."""

    @property
    def name(self) -> str:
        """What the row is called."""
        return self.method if self.value is None else f"{self.method} {self.value:g}"

    @property
    def arguments(self) -> dict[str, Any]:
        """What the method's function is called with, beside a task, a seed and a scale."""
        method = METHODS[self.method]
        varied = {} if self.value is None else {method.varies: self.value}
        return dict(method.settings) | varied


_ZHOU = "Zhou et al., NeurIPS 2019, arXiv 1905.01067"
_RAMANUJAN = "Ramanujan et al., CVPR 2020, arXiv 1911.13299"
_DIFFENDERFER = "Diffenderfer and Kailkhura, ICLR 2021, arXiv 2103.09377"
_HAN = "Han et al., NeurIPS 2015, arXiv 1506.02626"
_PATIL = "Patil and Dovrolis, ICML 2021, arXiv 2010.11354"
_FRANKLE = "Frankle et al., ICML 2020, arXiv 1912.05671"
_YE = "Ye et al., NeurIPS 2020, arXiv 2010.15969"
_OURS = "after Pensia et al., NeurIPS 2020, arXiv 2006.07990"
_AS_EDGE_POPUP = "none; that of edge-popup, so that all are shown as many examples"


def _ticket(objective: str, varies: str = "") -> Method:
    return Method(
        "tickets:subset_sum_ticket",
        _OURS,
        "floor:DENSE_SCHEDULE",
        _AS_EDGE_POPUP,
        "the weights of the target",
        varies=varies,
        settings={"objective": objective},
        from_target=True,
        weights="ticket",
    )


METHODS: Mapping[str, Method] = MappingProxyType({
    DENSE: Method(
        "floor:dense", "–", "floor:DENSE_SCHEDULE", _AS_EDGE_POPUP, "all weights"
    ),
    "edge-popup": Method(
        "edge_popup:edge_popup", _RAMANUJAN, "edge_popup:EDGE_POPUP_SCHEDULE",
        "the paper's for Conv4 on CIFAR-10", "scores of edges", varies=_DENSITY,
        searched="signed-constant", weights="drawn",
    ),
    "supermask": Method(
        "supermask:supermask", _ZHOU, "supermask:SUPERMASK_SCHEDULE",
        "the paper's for MNIST is 2000 epochs at the same rate without momentum; momentum stands "
        "for part of them", "probabilities of edges", searched="signed-constant", weights="drawn",
        gain="edges/kept",
    ),
    "biprop": Method(
        "biprop:biprop", _DIFFENDERFER, "biprop:BIPROP_SCHEDULE",
        "the paper's for Conv4 on CIFAR-10", "scores of edges", varies=_DENSITY,
        searched="normal", weights="binary", gain="mean",
    ),
    "biprop-activations": Method(
        "biprop:biprop", _DIFFENDERFER, "biprop:BIPROP_SCHEDULE",
        "the paper's for Conv4 on CIFAR-10", "scores of edges", varies=_DENSITY,
        settings={"binary_activations": True}, searched="normal", weights="binary", gain="mean",
    ),
    "magnitude": Method(
        "floor:magnitude", _HAN, "floor:DENSE_SCHEDULE", _AS_EDGE_POPUP,
        "all weights; not again after pruning", varies=_DENSITY, from_target=True,
    ),
    "magnitude-retrained": Method(
        "floor:magnitude", _HAN, "floor:RETRAINING_SCHEDULE",
        "none; that of edge-popup, and again after pruning, at a tenth of the rate as in the paper",
        "all weights, and what is kept of them again", varies=_DENSITY,
        settings={"retrain": True}, from_target=True,
    ),
    "greedy": Method(
        "greedy:greedy_selection", _YE, "floor:DENSE_SCHEDULE", _AS_EDGE_POPUP,
        "all weights; not again after pruning", varies=_DENSITY, from_target=True,
    ),
    "greedy-finetuned": Method(
        "greedy:greedy_selection", _YE, "floor:RETRAINING_SCHEDULE",
        "none; that of edge-popup, and again after pruning, at a tenth of the rate",
        "all weights, and what is kept of them again", varies=_DENSITY,
        settings={"finetune": True}, from_target=True,
    ),
    "imp": Method(
        "rewinding:imp", _FRANKLE, "floor:DENSE_SCHEDULE", _AS_EDGE_POPUP,
        "what is left, from the first weights at every level", varies=_DENSITY,
    ),
    "phew": Method(
        "phew:phew", _PATIL, "floor:DENSE_SCHEDULE", _AS_EDGE_POPUP,
        "the weights that are kept", varies=_DENSITY,
    ),
    "random": Method(
        "floor:random_pruning", "–", "floor:DENSE_SCHEDULE", _AS_EDGE_POPUP,
        "the weights that are kept", varies=_DENSITY,
    ),
    "ticket-closest": _ticket("closest"),
    "ticket-sparsest": _ticket("sparsest"),
    "ticket-budget": _ticket("budget", _EDGES),
    "ticket-data-aware": _ticket("data-aware"),
})  # fmt: skip
"""In the order of the table."""


def entries(names: Sequence[str], densities: Sequence[float] = DENSITIES) -> list[Entry]:
    """Return the rows that methods have, the dense one first: it is needed whatever is asked.

    Parameters
    ----------
    names
        Keys of `METHODS`; empty: all.
    densities
        For methods that take one.

    Raises
    ------
    ValueError
        When a name is unknown, or something is asked for twice.
    """
    for name in names:
        if name not in METHODS:
            raise ValueError(f"unknown method {name!r}: choose among {', '.join(METHODS)}")
    asked = [DENSE, *(name for name in names or METHODS if name != DENSE)]
    found = []
    for name in asked:
        values: Sequence[float | None] = {
            "": (None,), _DENSITY: tuple(densities), _EDGES: _EDGES_PER_WEIGHT,
        }[METHODS[name].varies]  # fmt: skip
        found += [Entry(name, value) for value in values]
    twice = [entry.name for k, entry in enumerate(found) if entry in found[:k]]
    if twice:
        raise ValueError(f"{twice[0]} is asked for twice: once is enough")
    return found


@dataclass(frozen=True)
class Conditions:
    """What is the same for all methods: the task, the architecture, how long, and where."""

    task: "Task"
    shape: "Shape"
    scale: float
    device: str


def carry_out(
    entry: Entry,
    conditions: Conditions,
    *,
    seed: int,
    target: "Found | None" = None,
    on_epoch: "OnEpoch | None" = None,
    checkpoints: "Path | None" = None,
) -> "Found":
    """Run a method.

    Parameters
    ----------
    entry
        Which, and with what.
    conditions
        On what.
    seed
        Of all that is random.
    target
        The dense network of that seed, for methods that begin with one; None: they train it.
    on_epoch
        For progress.
    checkpoints
        A folder for the states of its trainings: what was interrupted goes on from them.

    Raises
    ------
    ValueError
        When an argument is out of range.
    """
    from milp_lth.rivals.random_network import random_network

    method = METHODS[entry.method]
    options = entry.arguments | {
        "seed": seed, "scale": conditions.scale, "device": conditions.device, "on_epoch": on_epoch,
        "checkpoints": checkpoints,
    }  # fmt: skip
    if method.from_target:
        options["target"] = target
    function, task, shape = method.function(), conditions.task, conditions.shape
    found: Found
    if method.searched:
        network = random_network(shape, seed, distribution=method.searched)
        found = function(network, task, **options)
    else:
        found = function(task, shape, **options)
    return found


def _imported(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(f"milp_lth.rivals.{module}"), name)
