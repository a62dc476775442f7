"""What each theorem asks of every layer of a target, in hidden units and edges.

Each function takes what is asked and the constants by name. Blocks of two matrices have 2n units an
input: n for each sign of the input, of which about half have the sign that serves it.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from milp_lth.theory import formulas
from milp_lth.theory.assumptions import Matrix, Setting


class Asked(NamedTuple):
    """What every theorem is asked."""

    setting: Setting
    epsilon: float
    failure: float
    density: float

    @property
    def num_layers(self) -> int:
        """Layers of the target."""
        return len(self.setting.plain)

    def each(self, *, entries: bool = False) -> Iterator[tuple[Matrix, float, float]]:
        """Return each layer, the accuracy of its weights when rescaled, and their failure."""
        epsilon = self.setting.rescaled(self.epsilon, entries=entries)
        for m in self.setting.carried:
            sums = 2 * self.num_layers * m.inputs * m.outputs
            yield m, epsilon / sums, self.failure / sums


class Need(NamedTuple):
    """What one layer of the target needs.

    Attributes
    ----------
    layer
        Its name.
    inputs, outputs
        Its shape, with the input that biases belong to.
    units
        Hidden units of the random network that stand for it.
    edges
        Entries of all matrices that stand for it, before pruning.
    accuracy
        The finest number that the law was used at.
    """

    layer: str
    inputs: int
    outputs: int
    units: int
    edges: int
    accuracy: float

    @property
    def units_per_input(self) -> float:
        """The width, as this package counts it."""
        return self.units / self.inputs


def _block(m: Matrix, per_input: int, accuracy: float) -> Need:
    """Count what U, units × inputs, and V, outputs × units, have."""
    units = m.inputs * per_input
    return Need(m.name, m.inputs, m.outputs, units, units * (m.inputs + m.outputs), accuracy)


def _parameters(m: Matrix, parameters: float, accuracy: float) -> Need:
    """Count the hidden units of a two-layer network of so many weights."""
    edges = math.ceil(parameters)
    units = math.ceil(edges / (m.inputs + m.outputs))
    return Need(m.name, m.inputs, m.outputs, units, edges, accuracy)


def malach(asked: Asked, constants: Mapping[str, float]) -> list[Need]:
    """Return what picking one product a weight takes."""
    return [
        _block(m, 2 * formulas.malach_picks(accuracy, m.inputs**-0.5, failure), accuracy)
        for m, accuracy, failure in asked.each(entries=True)
    ]


def malach_quoted(asked: Asked, constants: Mapping[str, float]) -> list[Need]:
    """Return the factor that is quoted."""
    epsilon, depth = asked.setting.rescaled(asked.epsilon, entries=True), asked.num_layers
    return [
        _block(m, math.ceil(formulas.malach_factor(m.inputs, m.outputs, depth, epsilon)), accuracy)
        for m, accuracy, _ in asked.each(entries=True)
    ]


def orseau(asked: Asked, constants: Mapping[str, float]) -> list[Need]:
    """Return what digits of every weight take."""
    needs = []
    for m, accuracy, _ in asked.each():
        failure = asked.failure / asked.num_layers
        units = formulas.orseau_units(m.inputs, m.outputs, accuracy, failure)
        edges = units * (m.inputs + m.outputs)
        needs.append(Need(m.name, m.inputs, m.outputs, units, edges, accuracy))
    return needs


def pensia(asked: Asked, constants: Mapping[str, float]) -> list[Need]:
    """Return what every target at once takes."""
    epsilon, depth, c = asked.setting.rescaled(asked.epsilon), asked.num_layers, constants["pensia"]
    return [
        _block(
            m,
            2 * formulas.pensia_candidates(m.inputs, m.outputs, depth, epsilon, asked.failure, c),
            min(accuracy, failure),
        )
        for m, accuracy, failure in asked.each()
    ]


def pensia_lower(asked: Asked, constants: Mapping[str, float]) -> list[Need]:
    """Return the count of subnetworks."""
    epsilon = asked.setting.rescaled_inside(asked.epsilon)
    return [
        _parameters(m, formulas.pensia_parameters(m.inputs, m.outputs, epsilon), epsilon)
        for m in asked.setting.plain
    ]


def natale(asked: Asked, constants: Mapping[str, float]) -> list[Need]:
    """Return what a density takes."""
    epsilon, depth = asked.setting.rescaled(asked.epsilon), asked.num_layers
    share, c = _share(asked), constants["amplified"]
    return [
        _block(
            m,
            2 * formulas.natale_candidates(m.inputs, m.outputs, depth, epsilon, share, c),
            accuracy,
        )
        for m, accuracy, _ in asked.each()
    ]


def natale_half(asked: Asked, constants: Mapping[str, float]) -> list[Need]:
    """Return what half of the weights take at a density."""
    share, c = _share(asked), constants["fixed-size"]
    return [
        _block(m, 2 * formulas.natale_half(accuracy, share, c), accuracy)
        for m, accuracy, _ in asked.each()
    ]


def natale_lower(asked: Asked, constants: Mapping[str, float]) -> list[Need]:
    """Return the count of subnetworks of a density."""
    epsilon, share = asked.setting.rescaled_inside(asked.epsilon), asked.density
    return [
        _parameters(m, formulas.natale_parameters(m.inputs, m.outputs, epsilon, share), epsilon)
        for m in asked.setting.plain
    ]


def _share(asked: Asked) -> float:
    """Return γ′ = γ/ρ, the share of a block's candidates that a network of density γ keeps."""
    ratios = [m.inputs / m.outputs for m in asked.setting.carried]
    return asked.density / max(max(ratio, 1 / ratio) for ratio in ratios)


def burkholz(asked: Asked, constants: Mapping[str, float]) -> list[Need]:
    """Count from the last layer on: as many copies are made as the next layer takes.

    Every copy has sums of its own. Raw draws reach 1/2 and are drawn at twice the scale, since
    weights reach 1; the first block sums products, for both signs of its inputs.
    """
    made, needs = 1, []
    for k, (m, accuracy, failure) in reversed(list(enumerate(asked.each()))):
        failure /= made
        if k == 0:
            units = 2 * m.inputs * formulas.copies(accuracy, failure, constants["pensia"])
            edges = units * (m.inputs + m.outputs * made)
        else:
            accuracy /= 2
            units = m.inputs * formulas.copies(accuracy, failure, constants["copies"])
            edges = units * m.outputs * made
        made = units // m.inputs
        needs.append(Need(m.name, m.inputs, m.outputs, units, edges, min(accuracy, failure)))
    return needs[::-1]


def quantised(asked: Asked, constants: Mapping[str, float]) -> list[Need]:
    """Return what exact sums take."""
    needs = []
    for m, accuracy, failure in asked.each():
        step = formulas.quantised_step(accuracy)
        n = formulas.quantised_candidates(step, failure, constants["quantised"])
        needs.append(_block(m, 2 * n, min(step, failure)))
    return needs


def quantised_lower(asked: Asked, constants: Mapping[str, float]) -> list[Need]:
    """Return the count of targets on the grid."""
    needs = []
    for m, (_, accuracy, _) in zip(asked.setting.plain, asked.each(), strict=True):
        step = formulas.quantised_step(accuracy)
        needs.append(_parameters(m, formulas.quantised_parameters(m.inputs, m.outputs, step), step))
    return needs


def attention(asked: Asked, constants: Mapping[str, float]) -> list[Need]:
    """Count n_K and n_V of every head; norms above 1 enlarge what errors come to."""
    setting, c = asked.setting, constants["attention"]
    assert setting.heads is not None
    d1, d2, heads = setting.heads
    norms = [max(1.0, m.norm) for m in setting.plain] or [1.0]
    query_key, value_output = max(norms[: (len(norms) + 1) // 2]), max(norms[len(norms) // 2 :])
    alpha, smallest = max(setting.radius, math.sqrt(d1)), min(asked.epsilon, asked.failure)
    errors = heads * alpha * value_output / smallest
    arguments = {
        "query-key": (8 * errors * alpha**2 * query_key * d1**1.5, d1),
        "value-output": (2 * errors * d1 * math.sqrt(d2), d2),
    }
    needs = []
    for name, (argument, outputs) in arguments.items():
        units = heads * formulas.attention_units(argument, d1, c)
        needs.append(Need(name, d1, outputs, units, units * (d1 + outputs), 2 / argument))
    return needs


def _here(asked: Asked, candidates: Callable[[Matrix, float, float], int]) -> list[Need]:
    """Count what this package draws: matched units, V at a power of two, biases a constant 1.

    `candidates` is called with a layer, the error that its weights may have, in the target's
    units, and the share of sums that may fail.
    """
    needs = []
    for m, (carried, accuracy, failure) in zip(asked.setting.augmented, asked.each(), strict=True):
        allowed = accuracy * (carried.norm or 1.0)
        n = candidates(m, allowed, failure) * (1 if m.nonnegative else 2)
        needs.append(_block(m, n, min(allowed / m.scale, failure)))
    return needs


def here_median(asked: Asked, constants: Mapping[str, float]) -> list[Need]:
    """Return what half of the largest weights take."""
    return _here(
        asked,
        lambda m, allowed, failure: formulas.median_candidates(allowed, m.largest, m.scale),
    )


def here_target(asked: Asked, constants: Mapping[str, float]) -> list[Need]:
    """Return what the weights of this target take."""
    return _here(
        asked,
        lambda m, allowed, failure: formulas.copies(
            allowed / m.scale, failure, constants["one-target"]
        ),
    )
