"""RNN, GRU and LSTM, computed from plain linear layers."""

from itertools import product
from typing import Any, overload

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence

from milp_lth.networks.forms import frozen_linear

Hidden = torch.Tensor | tuple[torch.Tensor, torch.Tensor]
"""The state that a network starts from and ends in; an LSTM's is a pair."""

_State = tuple[torch.Tensor, ...]
_DIRECTIONS = ("", "reverse_")


class Recurrent(nn.Module):
    """Computes what a torch RNN, GRU or LSTM does; all of its weights are in Linear children.

    The children of layer k are ``layers.k.input`` (all gates in one matrix, applied to the whole
    sequence at once), ``layers.k.hidden`` (applied step by step) and, of an LSTM that projects,
    ``layers.k.projection``; those of the other direction are ``layers.k.reverse_input`` and so on.
    Each may be replaced by any module that maps the same numbers. Everything is frozen.
    """

    layers: nn.ModuleList

    def __init__(self, module: nn.RNNBase) -> None:
        super().__init__()
        self.mode = module.mode
        self.input_size = module.input_size
        self.hidden_size = module.hidden_size
        self.num_layers = module.num_layers
        self.bias = module.bias
        self.batch_first = module.batch_first
        self.dropout = module.dropout
        self.bidirectional = module.bidirectional
        self.proj_size = module.proj_size
        self.layers = nn.ModuleList(_Layer(module, k) for k in range(module.num_layers))
        self.train(module.training)

    @classmethod
    def of(cls, module: nn.RNN | nn.GRU | nn.LSTM) -> "Recurrent":
        """Return the plain equivalent of a torch module, its weights copied.

        Raises
        ------
        ValueError
            When it is none of these, or a subclass that computes something else.
        """
        if getattr(type(module), "forward", None) not in (
            nn.RNN.forward,
            nn.GRU.forward,
            nn.LSTM.forward,
        ):
            raise ValueError(
                f"{type(module).__name__} is not computed as torch's RNN, GRU or LSTM is: use one "
                "of these, or write its cell with Linear layers"
            )
        return cls(module)

    @property
    def nonnegative_output(self) -> bool:
        """Whether the outputs are ≥ 0, whatever the inputs: those of a ReLU are."""
        return self.mode == "RNN_RELU"

    def nonnegative_children(self, nonnegative_input: bool) -> dict[str, bool]:
        """Return for each child Linear whether its inputs are known to be ≥ 0.

        A hidden layer's never are: its first inputs are the caller's `hx`.
        """
        return {
            f"layers.{k}.{name}": name.endswith("input")
            and (self.nonnegative_output if k else nonnegative_input)
            for k, layer in enumerate(self.layers)
            for name, _ in layer.named_children()
        }

    def flatten_parameters(self) -> None:
        """Do nothing: torch's modules have it, and networks call it."""

    @overload
    def forward(
        self, input: PackedSequence, hx: Hidden | None = None
    ) -> tuple[PackedSequence, Hidden]: ...

    @overload
    def forward(
        self, input: torch.Tensor, hx: Hidden | None = None
    ) -> tuple[torch.Tensor, Hidden]: ...

    def forward(
        self, input: torch.Tensor | PackedSequence, hx: Hidden | None = None
    ) -> tuple[torch.Tensor | PackedSequence, Hidden]:
        """Map sequences to outputs and final states, as the torch module does.

        Parameters
        ----------
        input
            Shape (steps, batch, features), (batch, steps, features) if `batch_first`,
            (steps, features), or packed.
        hx
            The states to start from, shape (layers · directions, batch, size); zeros if None.

        Raises
        ------
        ValueError
            When a shape does not fit.
        """
        if isinstance(input, PackedSequence):
            sizes: list[int] = input.batch_sizes.tolist()
            states = self._start(hx, input.data, (sizes[0],), input.sorted_indices)
            x, states = self._run(input.data, sizes, states)
            packed = PackedSequence(
                x, input.batch_sizes, input.sorted_indices, input.unsorted_indices
            )
            return packed, self._returned(_permuted(states, input.unsorted_indices))
        if input.dim() not in (2, 3):
            raise ValueError(
                f"the input has {input.dim()} dimensions: give (steps, features), or three with a "
                "batch"
            )
        if input.dim() == 2:
            states = self._start(hx, input, (), None)
            x, states = self._run(input.unsqueeze(1), None, tuple(s.unsqueeze(1) for s in states))
            return x.squeeze(1), self._returned(tuple(s.squeeze(1) for s in states))
        x = input.transpose(0, 1) if self.batch_first else input
        x, states = self._run(x, None, self._start(hx, input, (x.shape[1],), None))
        return x.transpose(0, 1) if self.batch_first else x, self._returned(states)

    def _start(
        self,
        hx: Hidden | None,
        x: torch.Tensor,
        batch: tuple[int, ...],
        order: torch.Tensor | None,
    ) -> _State:
        """Return the states to start from, in the order of the sequences in `x`."""
        if x.shape[-1] != self.input_size:
            raise ValueError(
                f"the input has {x.shape[-1]} features: this network takes {self.input_size}"
            )
        num_states = self.num_layers * (1 + self.bidirectional)
        shapes = [(num_states, *batch, self.proj_size or self.hidden_size)]
        if self.mode == "LSTM":
            shapes.append((num_states, *batch, self.hidden_size))
        if hx is None:
            return tuple(x.new_zeros(shape) for shape in shapes)
        states = (hx,) if isinstance(hx, torch.Tensor) else tuple(hx)
        if [tuple(state.shape) for state in states] != shapes:
            raise ValueError(
                f"hx has the shape {', '.join(str(tuple(state.shape)) for state in states)}: give "
                f"{', '.join(map(str, shapes))}, or None for zeros"
            )
        return _permuted(states, order)

    def _run(
        self, x: torch.Tensor, sizes: list[int] | None, states: _State
    ) -> tuple[torch.Tensor, _State]:
        """Map a sequence, time first, or packed with `sizes` of batches, through all layers."""
        directions = _DIRECTIONS[: 1 + self.bidirectional]
        finals: list[_State] = []
        for k, layer in enumerate(self.layers):
            if k and self.dropout:
                x = functional.dropout(x, self.dropout, self.training)
            outputs = []
            for d, direction in enumerate(directions):
                first = tuple(state[k * len(directions) + d] for state in states)
                output, final = layer(x, sizes, first, direction)
                outputs.append(output)
                finals.append(final)
            x = torch.cat(outputs, dim=-1) if self.bidirectional else outputs[0]
        return x, tuple(torch.stack(part) for part in zip(*finals, strict=True))

    def _returned(self, states: _State) -> Hidden:
        return (states[0], states[1]) if self.mode == "LSTM" else states[0]


class _Layer(nn.Module):
    """One layer, in one direction or both."""

    def __init__(self, module: nn.RNNBase, index: int) -> None:
        super().__init__()
        self.mode = module.mode
        names = [("input", "ih"), ("hidden", "hh")] + [("projection", "hr")] * bool(
            module.proj_size
        )
        for direction, (name, short) in product(_DIRECTIONS[: 1 + module.bidirectional], names):
            end = f"{short}_l{index}{'_reverse' if direction else ''}"
            bias = getattr(module, f"bias_{end}", None) if module.bias else None
            linear = frozen_linear(
                getattr(module, f"weight_{end}").detach().clone(),
                None if bias is None else bias.detach().clone(),
            )
            self.add_module(direction + name, linear)

    def forward(
        self, x: torch.Tensor, sizes: list[int] | None, state: _State, direction: str
    ) -> tuple[torch.Tensor, _State]:
        """Map a whole sequence in one direction; return its outputs and the final state."""
        projected = self._child(direction, "input")(x)
        parts = list(projected.unbind(0) if sizes is None else projected.split(sizes))
        if direction:
            parts.reverse()
        outputs = []
        for part in parts:
            if sizes is None:
                state = self._step(part, state, direction)
                outputs.append(state[0])
            else:  # the sequences that are at this step stand in front; the others wait
                count = len(part)
                moved = self._step(part, tuple(s[:count] for s in state), direction)
                outputs.append(moved[0])
                state = tuple(torch.cat([m, s[count:]]) for m, s in zip(moved, state, strict=True))
        if direction:
            outputs.reverse()
        return torch.stack(outputs) if sizes is None else torch.cat(outputs), state

    def _step(self, from_input: torch.Tensor, state: _State, direction: str) -> _State:
        from_hidden = self._child(direction, "hidden")(state[0])
        if self.mode == "LSTM":
            gates = (from_input + from_hidden).chunk(4, dim=-1)
            keep, write, show = gates[1].sigmoid(), gates[0].sigmoid(), gates[3].sigmoid()
            cell = keep * state[1] + write * gates[2].tanh()
            hidden = show * cell.tanh()
            projection = self._child(direction, "projection")
            return hidden if projection is None else projection(hidden), cell
        if self.mode == "GRU":
            given, recalled = from_input.chunk(3, dim=-1), from_hidden.chunk(3, dim=-1)
            reset, update = (given[0] + recalled[0]).sigmoid(), (given[1] + recalled[1]).sigmoid()
            new = (given[2] + reset * recalled[2]).tanh()
            return (new + update * (state[0] - new),)
        total = from_input + from_hidden
        return (torch.relu(total) if self.mode == "RNN_RELU" else total.tanh(),)

    def _child(self, direction: str, name: str) -> Any:
        return self._modules.get(direction + name)


def _permuted(states: _State, order: torch.Tensor | None) -> _State:
    return states if order is None else tuple(state.index_select(1, order) for state in states)
