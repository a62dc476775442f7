"""Evaluation and edge counts, held against counts on the ticket as a graph."""

import networkx as nx
import numpy as np
import pytest
import torch
from torch import nn

from milp_lth.evaluation import evaluate
from milp_lth.finding import find_ticket
from milp_lth.ticket import Ticket

GENERATOR = torch.Generator().manual_seed(1)


def target() -> nn.Sequential:
    torch.manual_seed(4)
    return nn.Sequential(
        nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 4, bias=False), nn.ReLU(), nn.Linear(4, 3)
    ).eval()


def graph_of(ticket: Ticket) -> "nx.DiGraph[tuple[str, int, int]]":
    """The kept edges of a ticket; constant inputs are inputs too."""
    graph: nx.DiGraph[tuple[str, int, int]] = nx.DiGraph()
    for k, (layer, drawn) in enumerate(zip(ticket.layers, ticket.settings.layers, strict=True)):
        constant = drawn.num_inputs - 1 if drawn.has_bias else None
        for h in np.flatnonzero(layer.u_mask.numpy()):
            i = int(drawn.input_of[h])
            tail = ("one", k, 0) if i == constant else ("y", k - 1, i)
            graph.add_edge(tail, ("h", k, int(h)))
        for j, h in np.argwhere(layer.v_mask.numpy()):
            graph.add_edge(("h", k, int(h)), ("y", k, int(j)))
    return graph


def alive_edges(ticket: Ticket) -> int:
    graph = graph_of(ticket)
    last = len(ticket.layers) - 1
    inputs = [n for n in graph if n[0] == "one" or (n[0] == "y" and n[1] == -1)]
    outputs = [n for n in graph if n[0] == "y" and n[1] == last]
    reached = set(inputs).union(*(nx.descendants(graph, n) for n in inputs))
    needed = set(outputs).union(*(nx.ancestors(graph, n) for n in outputs))
    return sum(a in reached and b in needed for a, b in graph.edges)


@pytest.mark.parametrize("input_range", [(0.0, 1.0), (-1.0, 1.0)])
def test_edges_are_those_of_the_graph(input_range: tuple[float, float]) -> None:
    ticket = find_ticket(target(), width=6, input_range=input_range)
    # starve some neurons, so that kept edges die
    ticket.layers[0].v_mask[2] = False
    ticket.layers[1].v_mask[1] = False
    ticket.layers[2].v_mask[:, 5:9] = False
    edges = ticket.edges()
    graph = graph_of(ticket)
    assert edges["kept_u"] + edges["kept_v"] == graph.number_of_edges()
    assert edges["alive"] == alive_edges(ticket)
    assert edges["alive"] < graph.number_of_edges()
    units = [6 * 6, 6 * 6, 6 * 5]
    assert edges["source_dense"] == units[0] * (6 + 6) + units[1] * (6 + 4) + units[2] * (5 + 3)
    assert edges["source_block"] == units[0] * (1 + 6) + units[1] * (1 + 4) + units[2] * (1 + 3)
    assert edges["per_weight"] == graph.number_of_edges() / (36 + 24 + 15)


def test_everything_is_measured_as_said() -> None:
    net = target()
    ticket = find_ticket(net, width=20, seed=2)
    x, y = torch.randn(200, 5, generator=GENERATOR), torch.randint(3, (200,), generator=GENERATOR)
    with torch.no_grad():
        wanted, got = net(x), ticket(x)
    result = evaluate(ticket, net, x, y)
    assert result.target_accuracy == (wanted.argmax(1) == y).double().mean()
    assert result.ticket_accuracy == (got.argmax(1) == y).double().mean()
    assert result.agreement == (wanted.argmax(1) == got.argmax(1)).double().mean()
    away = (wanted.double() - got.double()).abs()
    assert result.max_logit_error == pytest.approx(float(away.max()), rel=1e-3, abs=1e-6)
    assert result.mean_logit_error == pytest.approx(float(away.mean()), rel=1e-2, abs=1e-6)
    for layer, error in zip(ticket.layers, result.layers, strict=True):
        assert error.max_half_difference == 0 or layer.has_halves
        assert error.max_error >= error.median_error > 0
    assert evaluate(ticket, net, x).ticket_accuracy is None


def test_an_unrelated_ticket_is_seen_to_be_one() -> None:
    other = nn.Sequential(
        nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 4, bias=False), nn.ReLU(), nn.Linear(4, 3)
    )
    result = evaluate(
        find_ticket(other, width=20), target(), torch.randn(100, 5, generator=GENERATOR)
    )
    assert result.agreement < 0.9
    assert max(layer.max_error for layer in result.layers) > 0.1


def test_a_single_logit_agrees_by_its_sign() -> None:
    net = nn.Sequential(nn.Linear(2, 1))
    result = evaluate(find_ticket(net, width=30), net, torch.randn(50, 2, generator=GENERATOR))
    assert result.agreement > 0.95


def test_inputs_that_do_not_fit_are_refused() -> None:
    net = target()
    ticket = find_ticket(net, width=4, input_range=(0, 1))
    with pytest.raises(ValueError, match="negative"):
        evaluate(ticket, net, -torch.rand(3, 5))
    with pytest.raises(ValueError, match="do not fit"):
        evaluate(ticket, net, torch.rand(3, 7))
    with pytest.raises(ValueError, match="at least one"):
        evaluate(ticket, net, torch.rand(0, 5))


def test_folding_says_how_far_the_halves_are_apart() -> None:
    net = target()
    ticket = find_ticket(net, width=16)
    x = torch.randn(100, 5, generator=GENERATOR)
    folded = ticket.fold(to="target")
    assert [type(m) for m in folded] == [type(m) for m in net]
    layer = ticket.layers[0]
    expected = (layer.half_weights(1) - layer.half_weights(-1))[:, :5].abs().max()
    assert folded.max_half_difference >= float(expected) > 0
    assert float((folded(x) - ticket(x)).abs().max()) < 0.1
    assert ticket.fold().max_half_difference == folded.max_half_difference
    with pytest.raises(ValueError, match="None or 'target'"):
        ticket.fold(to="source")
