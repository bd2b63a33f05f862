"""Rules of what forward computes outside of modules, against their definitions and AttnLRP's code.

By definition, contributions are written out with Jacobians, one output at a time.
"""

import math

import pytest
import torch
from torch import nn
from torch.autograd.functional import jacobian
from zennit.layer import Sum

from ecqx.attribution import operations
from ecqx.attribution.lrp import composite
from ecqx.attribution.lrp_rules import Norm

EPSILON = 1e-6


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def stable(z):
    return z + EPSILON * torch.where(z < 0, -1.0, 1.0)


def shared(function, x, relevance):
    """R_i = sum_j (dz_j / dx_i) x_i R_j / z_j."""
    z = function(x)
    return torch.tensordot(relevance / stable(z), jacobian(function, x), dims=z.ndim) * x


def found(module, relevance, *inputs):
    """Relevance of the inputs, with the output compared."""
    inputs = [each.clone().requires_grad_() for each in inputs]
    return torch.autograd.grad(module(*inputs), inputs, relevance)


def test_softmax_is_expanded_at_its_input():
    x, relevance = torch.randn(3, 5).double(), torch.randn(3, 5).double()
    (of_x,) = found(operations.Softmax(-1), relevance, x)
    assert torch.allclose(of_x, shared(lambda x: x.softmax(-1), x, relevance), rtol=1e-4)
    (of_x,) = found(operations.Softmax(0), relevance.T, x.T)
    assert torch.allclose(of_x.T, shared(lambda x: x.softmax(-1), x, relevance), rtol=1e-4)
    masked = x.clone().masked_fill(torch.eye(3, 5).bool(), -torch.inf)
    assert found(operations.Softmax(-1), relevance, masked)[0].isfinite().all()


@pytest.mark.parametrize("affine", [True, False])
def test_layer_normalisation_with_its_deviation_held_constant(affine):
    x, relevance = torch.randn(2, 3, 4).double(), torch.randn(2, 3, 4).double()
    weight, bias = (torch.randn(3, 4).double() for _ in range(2)) if affine else (None, None)
    deviation = (x.var((1, 2), correction=0, keepdim=True) + 1e-5).sqrt()

    def normalised(x):
        y = (x - x.mean((1, 2), keepdim=True)) / deviation
        return y * weight + bias if affine else y

    layer = operations.LayerNorm((3, 4), 1e-5)
    free = x.clone().requires_grad_()
    output = layer(free, weight, bias)
    assert torch.allclose(output, nn.functional.layer_norm(x, (3, 4), weight, bias))
    (of_x,) = torch.autograd.grad(output, free, relevance)
    assert torch.allclose(of_x, shared(normalised, x, relevance), rtol=1e-6)
    if not affine:
        assert torch.allclose(of_x.sum((1, 2)), relevance.sum((1, 2)), rtol=1e-3)


def test_matrix_products_share_by_contribution_half_to_each_side():
    a, b = torch.randn(2, 3, 4).double(), torch.randn(2, 4, 5).double()
    relevance = torch.randn(2, 3, 5).double()
    of_a, of_b = found(operations.MatrixProduct(0.3), relevance, a, b)
    # z_nip = sum_j c_nijp
    contributions = 0.3 * a[:, :, :, None] * b[:, None, :, :]
    z = contributions.sum(2, keepdim=True)
    half = contributions * relevance[:, :, None, :] / stable(2 * z)
    assert torch.allclose(of_a, half.sum(3)) and torch.allclose(of_b, half.sum(1))
    one, shared_side = found(operations.MatrixProduct(), relevance, a, b[0])
    assert one.shape == a.shape and shared_side.shape == b[0].shape


def test_dense_layers_and_their_weights():
    x, weight, bias = torch.randn(3, 2, 4), torch.randn(5, 4), torch.randn(5)
    x, weight, bias = (each.double().requires_grad_() for each in (x, weight, bias))
    relevance = torch.randn(3, 2, 5).double()
    output = operations.Dense()(x, weight, bias)
    assert torch.equal(output, nn.functional.linear(x, weight, bias))
    of_x, of_weight, of_bias = torch.autograd.grad(
        output, (x, weight, bias), relevance, allow_unused=True
    )
    contributions = x[..., None, :] * weight
    each = contributions * (relevance / stable(output))[..., None]
    assert torch.allclose(of_x, each.sum(-2)) and torch.allclose(of_weight, each.sum((0, 1)))
    assert of_bias is None


def test_products_and_gates():
    a, b = torch.randn(2, 3, 4, 4), torch.rand(2, 3, 1, 1)
    relevance = torch.randn(2, 3, 4, 4)
    of_a, of_b = found(operations.Product(), relevance, a, b)
    assert torch.equal(of_a, relevance / 2)
    assert torch.allclose(of_b, relevance.sum((2, 3), keepdim=True) / 2)
    signal, gate = a.requires_grad_(), b.requires_grad_()
    output = operations.Gated()(signal, gate)
    assert torch.equal(output, a * b)
    of_a, of_b = torch.autograd.grad(output, (signal, gate), relevance, allow_unused=True)
    assert torch.equal(of_a, relevance) and of_b is None


@pytest.mark.parametrize("minus", [False, True])
def test_sums_share_in_proportion_and_constants_keep_theirs(minus):
    a, b = torch.randn(3, 4).double(), torch.randn(4).double()
    relevance = torch.randn(3, 4).double()
    total = Sum(dim=1)
    Norm().register(total)
    of_a, of_b = found(lambda a, b: total(operations.Stack(minus)(a, b)), relevance, a, b)
    term = -b if minus else b
    share = relevance / stable(a + term)
    assert torch.allclose(of_a, a * share) and torch.allclose(of_b, (term * share).sum(0))
    (of_a,) = found(lambda a: total(operations.Stack(minus)(a, 2.0)), relevance, a)
    assert torch.allclose(of_a, a * relevance / stable(a - 2 if minus else a + 2))


class Block(nn.Module):
    """The network of the oracle; its first layer hands on what it gets."""

    def __init__(self):
        super().__init__()
        self.first = nn.Identity()
        self.pos = nn.Parameter(torch.zeros(1, 5, 8))
        self.ln_1, self.ln_2 = nn.LayerNorm(8), nn.LayerNorm(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))
        self.head = nn.Linear(8, 4)

    def attend(self, x):
        return self.attention(x, x, x, need_weights=False)[0]

    def forward(self, x):
        x = self.first(x) + self.pos
        x = x + self.attend(self.ln_1(x))
        x = x + self.mlp(self.ln_2(x))
        return self.head(x[:, 0])


@pytest.fixture
def oracle(attention_oracle):
    arrays = {name: torch.tensor(value) for name, value in attention_oracle.items()}
    parameters = {
        name.removeprefix("param/"): value
        for name, value in arrays.items()
        if name.startswith("param/")
    }
    return parameters, arrays


def test_a_transformer_block_against_the_library_of_attnlrp(oracle):
    parameters, arrays = oracle
    model = Block().double().eval()
    model.load_state_dict(parameters)
    x = arrays["input"].requires_grad_()
    # without special rules for the first layer, which none of the oracle's is
    rules = composite("epsilon_plus_flat")
    rules.first_map = []
    with rules.context(model) as explained:
        logits = explained(x)
        seed = nn.functional.one_hot(arrays["target"], 4) * logits.detach()
        (relevance,) = torch.autograd.grad(logits, x, seed)
    assert torch.allclose(logits, arrays["logits"], rtol=1e-10)
    # the library stabilises without regard to the sign
    assert torch.allclose(relevance, arrays["relevance"], rtol=1e-3, atol=1e-4)
    assert math.isclose(
        float((relevance - arrays["relevance"]).norm() / relevance.norm()), 0, abs_tol=1e-4
    )
