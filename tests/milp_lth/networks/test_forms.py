"""Forms: a module's weights as a matrix, and the matrix on inputs as the module would be."""

import itertools
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from milp_lth.networks.forms import DENSE, Convolution, Factors, Form, Lookup, read_form
from milp_lth.networks.layer import form_of
from milp_lth.networks.product import Product

CHANNELS = 4


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def convolution(dimensions: int, **options: Any) -> Any:
    torch.manual_seed(3)
    kind = (nn.Conv1d, nn.Conv2d)[dimensions - 1]
    return kind(CHANNELS, 6, **{"kernel_size": 3, **options}, dtype=torch.float64)


MODULES: dict[str, Any] = {
    "linear": lambda: nn.Linear(4, 3, dtype=torch.float64),
    "linear without bias": lambda: nn.Linear(4, 3, bias=False, dtype=torch.float64),
    "product": lambda: Product.of(drawn(3, 4)),
    "embedding": lambda: nn.Embedding(5, 3, dtype=torch.float64),
    "embedding with padding": lambda: nn.Embedding(5, 3, padding_idx=2, dtype=torch.float64),
} | {
    f"convolution {dimensions}d {options}": lambda d=dimensions, o=options: convolution(d, **o)
    for dimensions, options in [
        *itertools.product(
            (1, 2),
            [
                {},
                {"bias": False},
                {"kernel_size": 1},
                {"kernel_size": 4, "padding": "same", "dilation": 2},
                {"padding": "same", "dilation": 2},
                {"padding": "valid"},
                {"stride": 2, "padding": 1},
                {"groups": 2, "padding": 2, "dilation": 2},
                {"groups": 2, "bias": False},
                {"padding": 2, "padding_mode": "reflect"},
                {"padding": 2, "padding_mode": "replicate", "groups": 2},
                {"padding": "same", "padding_mode": "circular", "kernel_size": 2},
            ],
        ),
        (2, {"kernel_size": (2, 3), "stride": (1, 2), "padding": (0, 2), "dilation": (2, 1)}),
        (2, {"kernel_size": (2, 3), "padding": (2, 1), "padding_mode": "circular"}),
    ]
}  # fmt: skip


def inputs(form: Form) -> torch.Tensor:
    if isinstance(form, Lookup):
        return torch.tensor([[0, 2, 4], [1, 1, 3]])
    if isinstance(form, Convolution):
        return drawn(2, CHANNELS, *(9, 7)[: len(form.kernel)])
    return drawn(2, 3, 4)


def read(module: Any) -> tuple[Form, torch.Tensor, Any]:
    form = form_of(module.requires_grad_(False))
    assert form is not None
    return form, *form.matrix(module.weight, getattr(module, "bias", None))


def assert_same(one: torch.Tensor, two: torch.Tensor) -> None:
    torch.testing.assert_close(one, two, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", MODULES)
def test_the_module_of_a_matrix_is_the_module(name: str) -> None:
    module = MODULES[name]()
    form, matrix, column = read(module)
    again = form.module(matrix, column)
    assert type(again) is type(module)
    assert not any(p.requires_grad for p in again.parameters())
    assert form_of(again) == form
    for key, value in module.state_dict().items():
        assert torch.equal(again.state_dict()[key], value)
        assert again.state_dict()[key].is_contiguous()
    x = inputs(form)
    assert_same(again(x), module(x))
    if isinstance(form, Convolution):  # and without a batch
        assert_same(again(x[0]), module(x[0]))
    num_outputs = module.weight.shape[isinstance(form, Lookup)]
    assert len(matrix) == num_outputs * form.taps


@pytest.mark.parametrize("name", MODULES)
def test_a_matrix_on_prepared_inputs_is_the_module(name: str) -> None:
    module = MODULES[name]()
    form, matrix, column = read(module)
    x = inputs(form)
    if isinstance(form, Lookup):
        assert_same(form.apply(x, matrix), module(x))
        return
    weight = matrix if column is None else torch.cat([matrix, column[:, None]], dim=1)
    out = form.apply(form.prepare(x, column is not None), weight)
    assert_same(out, module(x))
    assert out.is_contiguous()  # a forward may `view` what its layer returns
    if isinstance(form, Convolution):
        assert_same(form.apply(form.prepare(x[0], column is not None), weight), module(x[0]))


@pytest.mark.parametrize("name", MODULES)
def test_gathered_units_are_a_layer_of_ones_in_front(name: str) -> None:
    module = MODULES[name]()
    form, matrix, column = read(module)
    if isinstance(form, Lookup):
        return
    x = inputs(form)
    weight = matrix if column is None else torch.cat([matrix, column[:, None]], dim=1)
    num_units = 3 * weight.shape[1]
    input_of = torch.randint(weight.shape[1], (num_units,))
    u, v = drawn(num_units), drawn(len(matrix), num_units)
    hidden = form.gather(form.prepare(x, column is not None), input_of) * form.along(u)
    folded = torch.zeros_like(weight).index_add_(1, input_of, u * v)
    assert_same(form.apply(hidden, v), form.apply(form.prepare(x, column is not None), folded))


@pytest.mark.parametrize("name", MODULES)
def test_what_is_stated_is_read_back(name: str) -> None:
    form, _, _ = read(MODULES[name]())
    assert read_form(form.stated()) == form
    assert type(read_form(form.stated())) is type(form)


def test_nothing_stated_is_a_linear() -> None:
    assert read_form(None) is DENSE


@given(
    dimensions=st.integers(1, 2),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    padding=st.integers(0, 3),
    dilation=st.integers(1, 2),
    groups=st.sampled_from([1, 2, 4]),
    mode=st.sampled_from(["zeros", "reflect", "replicate", "circular"]),
    bias=st.booleans(),
)
def test_any_convolution(
    dimensions: int, kernel: int, stride: int, padding: int, dilation: int, groups: int, mode: str,
    bias: bool,
) -> None:  # fmt: skip
    kind = (nn.Conv1d, nn.Conv2d)[dimensions - 1]
    module: Any = kind(
        4, 8, kernel, stride, padding, dilation, groups, bias, mode, dtype=torch.float64
    )
    form, matrix, column = read(module)
    x = drawn(2, 4, *(9, 8)[:dimensions])
    weight = matrix if column is None else torch.cat([matrix, column[:, None]], dim=1)
    assert_same(form.apply(form.prepare(x, bias), weight), module(x))
    assert_same(form.module(matrix, column)(x), module(x))
    assert read_form(form.stated()) == form


def test_a_bias_stands_at_the_first_place_of_the_kernel() -> None:
    module = convolution(2)
    form, matrix, column = read(module)
    assert matrix.shape == (6 * 9, CHANNELS)
    assert torch.equal(column.view(6, 9)[:, 0], module.bias)
    assert not column.view(6, 9)[:, 1:].any()
    assert form.taps == 9


GOOD = Convolution((3, 3), (1, 1), (1, 1), (1, 1), 1, "zeros").stated()


@pytest.mark.parametrize(
    "stated",
    [
        {},
        {"kind": "transposed"},
        {"kind": "lookup"},
        {"kind": "lookup", "padding_idx": "two"},
        {"kind": "convolution"},
        GOOD | {"kernel": [3, 3, 3]},
        GOOD | {"kernel": [0, 3]},
        GOOD | {"kernel": 3},
        GOOD | {"kernel": "33"},
        GOOD | {"stride": [1]},
        GOOD | {"stride": [0, 1]},
        GOOD | {"dilation": [1, -1]},
        GOOD | {"padding": [1]},
        GOOD | {"padding": [-1, 1]},
        GOOD | {"padding": "half"},
        GOOD | {"padding": None},
        GOOD | {"padding_mode": "mirror"},
        GOOD | {"groups": 0},
        GOOD | {"groups": None},
        GOOD | {"bias": True},
    ],
)
def test_what_describes_no_form_is_refused(stated: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        read_form(stated)


@pytest.mark.parametrize(
    "module",
    [
        nn.Bilinear(2, 2, 2), nn.ConvTranspose2d(2, 2, 3), nn.Conv3d(2, 2, 3), nn.ReLU(),
        nn.Embedding(4, 2, max_norm=1.0), nn.EmbeddingBag(4, 2), nn.LSTMCell(2, 2),
        type("Scaled", (nn.Linear,), {})(2, 2),
    ],
)  # fmt: skip
def test_other_modules_have_no_form(module: nn.Module) -> None:
    assert form_of(module) is None


def test_what_runs_before_or_after_a_layer_takes_its_form() -> None:
    for register in ("register_forward_hook", "register_forward_pre_hook"):
        module = nn.Linear(2, 2)
        handle = getattr(module, register)(lambda *given: None)
        assert form_of(module) is None
        handle.remove()
        assert form_of(module) == DENSE


def test_a_product_has_no_relu_between_its_factors() -> None:
    assert not Factors.activated
    assert form_of(Product.of(drawn(2, 3))) == Factors()
