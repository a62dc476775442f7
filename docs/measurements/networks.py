"""Print how close tickets of networks of many kinds come to them: the tables of docs/networks.md.

python docs/measurements/networks.py [--weights lenet5.pt --data FOLDER] [NAME …]

NAME is one of resnet, gru, lstm, transformer, products, modular, pairs and, where the state dict
of the paper's LeNet-5 and the folder of MNIST's IDX files are given, lenet5. Without: all of them.
"""

import argparse
import time
from typing import TYPE_CHECKING, Any

import recurrent_bound
import torch
import trained_networks as trained
from torch import nn

from milp_lth import Ticket, evaluate, find_ticket
from milp_lth.source import CANDIDATES_PER_HALF
from milp_lth.targets.idx import load_mnist

if TYPE_CHECKING:
    from collections.abc import Callable

HEADINGS = ("network", "weights", "width", "target", "ticket", "agreement", "max Δ / max output",
            "kept per weight", "left dense", "seconds")  # fmt: skip
STEPS = (8, 64)


def lenet5(weights: str, folder: str) -> trained.Trained:
    """Return the paper's LeNet-5 and MNIST's test images."""
    network = trained.LeNet5()
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    data = load_mnist(folder, training=False)
    assert data.y is not None
    return network.eval(), network.normalised(data.x.reshape(-1, 1, 28, 28)), data.y


def measured(
    name: str, target: trained.Trained, width: int | None, **options: Any
) -> tuple[Ticket, str]:
    """Return a ticket, and the row of the table that says how close it is."""
    network, x, y = target
    began = time.perf_counter()
    ticket = find_ticket(network, seed=0, width=width, **options)
    seconds = time.perf_counter() - began
    result = evaluate(ticket, network, x, y)
    weights = sum(layer.num_weights for layer in ticket.settings.layers)
    dense = getattr(ticket.settings.body, "dense", ())
    left = ", ".join(f"{one.name} ({one.kind})" for one in dense if not one.elementwise)
    cells = [
        name,
        f"{weights:,}",
        f"{CANDIDATES_PER_HALF} a half" if width is None else str(width),
        f"{100 * result.target_accuracy:.2f} %",
        f"{100 * result.ticket_accuracy:.2f} %",
        f"{100 * result.agreement:.2f} %",
        f"{result.max_logit_error / result.max_logit:.1e}",
        f"{result.edges['per_weight']:.2f}",
        left or "–",
        f"{seconds:.1f}",
    ]
    return ticket, f"| {' | '.join(cells)} |"


def states(name: str, network: nn.Module, x: torch.Tensor) -> list[str]:
    """Return a row for each length: how far states are apart, beside the bound."""
    module = network.recurrent.double()
    ticket: Any = find_ticket(module, seed=0)
    rows = []
    for steps in STEPS:
        sequences = x.reshape(-1, 8)[: len(x) * 8 // steps * steps].reshape(-1, steps, 8).double()
        _, bound = recurrent_bound.bound(module, ticket.layers, sequences)
        away = recurrent_bound.observed(ticket, module, sequences)
        within = bool((away <= bound + 1e-12).all())
        ends = [f"{float(t[:, k].max()):.1e}" for k in (0, -1) for t in (away, bound)]
        rows.append(f"| {name} | {steps} | {' | '.join(ends)} | {'yes' if within else 'NO'} |")
    return rows


def main() -> None:
    """Print a row for each network asked for, then the table of states."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--weights")
    parser.add_argument("--data")
    asked = parser.parse_args()
    made: dict[str, Callable[[], trained.Trained]] = {
        "lenet5": lambda: lenet5(asked.weights, asked.data),
        "resnet": trained.resnet,
        "gru": trained.gru,
        "lstm": trained.lstm,
        "transformer": trained.transformer,
        "products": trained.transformer,
        "modular": trained.modular,
        "pairs": trained.pairs,
    }
    settings: dict[str, tuple[str, int | None, dict[str, Any]]] = {
        "lenet5": ("LeNet-5, MNIST", None, {}),
        "resnet": ("ResNet with BatchNorm, digits", None, {"input_range": (0, 1)}),
        "gru": ("GRU, digits row by row", None, {"input_range": (0, 1)}),
        "lstm": ("LSTM, digits row by row", None, {"input_range": (0, 1)}),
        "transformer": ("encoder of two layers, digits", None, {"input_range": (0, 1)}),
        "products": ("the same, by products", None, {"input_range": (0, 1), "products": True}),
        "modular": ("addition mod 97, all 9,409 pairs", None, {"input_range": (0, 1)}),
        "pairs": ("with a Bilinear, digits", None, {"input_range": (0, 1)}),
    }
    names = asked.names or [name for name in made if asked.weights or name != "lenet5"]
    print(f"| {' | '.join(HEADINGS)} |\n|{'---|' * len(HEADINGS)}", flush=True)
    recurrent = {}
    for name in names:
        target = made[name]()
        title, width, options = settings[name]
        print(measured(title, target, width, **options)[1], flush=True)
        if name in ("gru", "lstm"):
            recurrent[name.upper()] = target
    if recurrent:
        print(
            "\n| states | steps | first: observed | bound | last: observed | bound | all within |"
        )
        print(f"|{'---|' * 7}")
    for name, (network, x, _) in recurrent.items():
        print("\n".join(states(name, network, x)), flush=True)


if __name__ == "__main__":
    main()
