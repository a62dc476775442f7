"""Trained networks of many kinds become tickets that say what they say; docs/networks.md has more.

The networks and the bound of the recurrent ones are those of docs/measurements.
"""

import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from milp_lth.evaluation import Evaluation, evaluate
from milp_lth.finding import find_ticket
from milp_lth.networks.walked import Walked
from milp_lth.targets.idx import load_mnist

MEASUREMENTS = Path(__file__).parents[3] / "docs" / "measurements"


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Train with one thread: several wait busily where tests share cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def trained() -> dict[str, Any]:
    return runpy.run_path(str(MEASUREMENTS / "trained_networks.py"))


@pytest.fixture(scope="module")
def readers(trained: dict[str, Any]) -> dict[str, Any]:
    return {"GRU": trained["gru"](epochs=6), "LSTM": trained["lstm"](epochs=6)}


def found(target: Any, **options: Any) -> Evaluation:
    """Evaluate a ticket, of the default width if not told, on all held-out inputs."""
    network, x, y = target
    return evaluate(find_ticket(network, input_range=(0, 1), **options), network, x, y)


def test_lenet5_on_mnist(trained: dict[str, Any], shared_data: Path) -> None:
    weights, folder = shared_data / "pensia2020" / "lenet5.pt", shared_data / "mnist"
    if not (weights.is_file() and folder.is_dir()):
        pytest.skip("needs the paper's LeNet-5 and MNIST")
    network = trained["LeNet5"]()
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    data = load_mnist(folder, training=False)
    x = network.normalised(data.x.reshape(-1, 1, 28, 28))
    ticket = find_ticket(network)
    result = evaluate(ticket, network, x, data.y)
    assert result.target_accuracy == pytest.approx(0.9843, abs=0.0003)
    assert abs(result.ticket_accuracy - result.target_accuracy) <= 0.002  # type: ignore[operator]
    assert result.agreement >= 0.999
    assert [layer.has_halves for layer in ticket.layers] == [True, False, False, False, False]
    assert sum(layer.num_weights for layer in ticket.settings.layers) == 61_470


def test_a_residual_network_with_batch_norm(trained: dict[str, Any]) -> None:
    target = trained["resnet"](epochs=3)
    result = found(target)
    assert result.agreement >= 0.995
    assert result.target_accuracy > 0.8  # type: ignore[operator]
    body: Any = find_ticket(target[0], width=2, input_range=(0, 1)).settings.body
    assert (body.dense, body.untraced) == ((), "")  # all norms are folded
    assert body.known_if_nonnegative == (True,) * len(body.places)


@pytest.mark.parametrize("kind", ["GRU", "LSTM"])
def test_recurrent_networks_agree(readers: dict[str, Any], kind: str) -> None:
    result = found(readers[kind])
    assert result.agreement >= 0.995
    assert result.max_logit_error <= 0.01 * result.max_logit


@pytest.mark.parametrize("width", [24, None])
@pytest.mark.parametrize("kind", ["GRU", "LSTM"])
def test_states_stay_within_what_the_errors_of_weights_explain(
    readers: dict[str, Any], kind: str, width: int | None
) -> None:
    bounds = runpy.run_path(str(MEASUREMENTS / "recurrent_bound.py"))
    network, x, _ = readers[kind]
    module = network.recurrent.double()
    ticket = find_ticket(module, width=width)
    for steps in (8, 64):
        sequences = x[:448].reshape(-1, steps, 8).double()
        states, bound = bounds["bound"](module, ticket.layers, sequences)
        with torch.no_grad():
            torch.testing.assert_close(states, module(sequences)[0], rtol=0, atol=1e-12)
        away = bounds["observed"](ticket, module, sequences)
        assert bool((away <= bound + 1e-12).all())
        assert float((away / bound)[:, 0].max()) > 0.5  # and the first step nearly reaches it
    network.float()


@pytest.mark.parametrize("products", [False, True])
def test_an_encoder_with_attention_by_maps_and_by_products(
    trained: dict[str, Any], products: bool
) -> None:
    result = found(trained["transformer"](epochs=5), products=products)
    assert result.agreement >= 0.995
    names = [layer.name for layer in result.layers]
    assert any("query_key" in name for name in names) == products


def test_modular_addition_is_right_everywhere(trained: dict[str, Any]) -> None:
    network, x, y = trained["modular"](prime=23, hidden=128, share=0.9)
    result = found((network, x, y), width=16)
    assert len(x) == 23 * 23
    assert result.target_accuracy == result.ticket_accuracy == result.agreement == 1


def test_an_unsupported_piece_is_named_and_left_dense(trained: dict[str, Any]) -> None:
    network, x, y = trained["pairs"](epochs=3)
    ticket = find_ticket(network, input_range=(0, 1))
    assert isinstance(ticket.settings.body, Walked)
    (left,) = ticket.settings.body.dense
    assert (left.name, left.kind, left.num_weights) == ("both", "Bilinear", 16 * 16 * 10 + 10)
    assert ticket.settings.body.described() == "Pairs; left dense: both (Bilinear)"
    assert evaluate(ticket, network, x, y).agreement >= 0.995
    assert isinstance(ticket.body.both, nn.Bilinear)
    with pytest.raises(ValueError, match=r"both \(Bilinear\)"):
        find_ticket(network, strict=True)
