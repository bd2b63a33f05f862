import json

import pytest
import torch
from torch import nn
from zennit.layer import Sum

from ecqx.attribution.lrp import check_rules, composite
from ecqx.attribution.weight_relevance import weight_relevance


class OracleNet(nn.Module):
    """The networks that the oracles were computed on, in the order of their parameters."""

    def __init__(self, kind):
        super().__init__()
        if kind == "mlp":
            self.net = nn.Sequential(
                nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 5)
            )
        elif kind == "cnn":
            self.features = nn.Sequential(
                nn.Conv2d(3, 8, 3, padding=1),
                nn.ReLU(),
                nn.Conv2d(8, 8, 3, padding=1),
                nn.ReLU(),
                nn.MaxPool2d(2),
                nn.Conv2d(8, 12, 3, padding=1),
                nn.ReLU(),
                nn.AdaptiveAvgPool2d(1),
            )
            self.classifier = nn.Linear(12, 4)
        else:
            self.features = nn.Sequential(
                nn.Conv2d(3, 8, 3, padding=1, bias=False),
                nn.BatchNorm2d(8),
                nn.ReLU(),
                nn.Conv2d(8, 12, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(12),
                nn.ReLU(),
                nn.AdaptiveAvgPool2d(1),
            )
            self.classifier = nn.Linear(12, 4)

    def forward(self, x):
        return self.net(x) if hasattr(self, "net") else self.classifier(self.features(x).flatten(1))


def test_oracles(lrp_oracle):
    """Weight relevances computed by the authors' reference code, in single precision.

    Where an output is close to zero, relevance / output multiplies rounding: single precision
    differs between processors there, so the comparison is with double precision, and the bounds
    are the rounding of the reference. Starting from the logit there is no such division at the
    output, and single precision is compared too.
    """
    cases = json.loads(str(lrp_oracle["index"]))
    assert len(cases) == 18
    for case in cases:
        prefix = case["case"]
        model = OracleNet(case["model"])
        parameters = {
            key.split("/param/")[1]: torch.tensor(value)
            for key, value in lrp_oracle.items()
            if key.startswith(f"{prefix}/param/")
        }
        model.load_state_dict(parameters, strict=case["model"] != "cnn_bn")
        name = case["composite"].removesuffix("_bn_pass").removeprefix("epsilon_")
        normalised = case["model"] == "cnn_bn"
        single = case["output_relevance"] == "output" and not normalised
        for precision in [torch.float64] + [torch.float32] * single:
            relevance = weight_relevance(
                model.to(precision),
                torch.tensor(lrp_oracle[f"{prefix}/input"]).to(precision),
                torch.tensor(lrp_oracle[f"{prefix}/target"]),
                composite=f"epsilon_{name}",
                batch_norm="pass",
                start=case["output_relevance"],
            )
            assert list(relevance) == [n for n in parameters if parameters[n].ndim > 1]
            for layer, value in relevance.items():
                expected = torch.tensor(lrp_oracle[f"{prefix}/relevance/{layer}"])
                bound = 1e-3 if normalised else 2e-5
                error = (value - expected).norm() / expected.norm()
                assert error <= bound, (case, layer, precision)


def dense_epsilon_by_hand(weights, x, target):
    """Weight relevance of a bias-free ReLU MLP under the epsilon rule, unit by unit."""
    activations, outputs = [x], []
    for i, weight in enumerate(weights):
        outputs.append(activations[-1] @ weight.T)
        activations.append(outputs[-1].clamp(min=0) if i < len(weights) - 1 else outputs[-1])
    relevance = torch.zeros_like(outputs[-1])
    rows = torch.arange(len(x))
    relevance[rows, target] = outputs[-1][rows, target] / len(x)
    result = []
    for weight, a, z in zip(weights[::-1], activations[-2::-1], outputs[::-1], strict=True):
        share = a[:, None, :] * weight[None] / (z + 1e-6 * z.sign())[:, :, None]
        share = share.nan_to_num() * relevance[:, :, None]
        result.append(share.sum(0))
        relevance = share.sum(1)
    return result[::-1]


def test_dense_layers_against_the_definition():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(9, 7, bias=False), nn.ReLU(), nn.Linear(7, 4, bias=False)
    ).double()
    x, target = torch.randn(5, 9).double(), torch.tensor([0, 1, 2, 3, 0])
    expected = dense_epsilon_by_hand([model[0].weight.data, model[2].weight.data], x, target)
    found = weight_relevance(model, x, target)
    for value, reference in zip(found.values(), expected, strict=True):
        assert torch.allclose(value, reference, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize(
    "options",
    [
        {"stride": 2, "padding": 1},
        {"padding": "same", "dilation": 2},
        {"groups": 2},
        {"groups": 4},
        {"padding": 1, "padding_mode": "circular"},
    ],
    ids=str,
)
def test_convolutions_of_every_kind_conserve_relevance(options):
    """Relevance of a bias-free layer's weights sums to the relevance that arrives at it."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(4, 4, 3, bias=False, **options),
        nn.ReLU(),
        nn.Flatten(),
        nn.LazyLinear(3, bias=False),
    ).double()
    x, target = torch.randn(6, 4, 9, 9).double(), torch.arange(6) % 3
    logits = model(x)
    relevance = weight_relevance(model, x, target)
    total = logits.detach().gather(1, target[:, None]).sum() / 6
    for value in relevance.values():
        assert value.sum() == pytest.approx(float(total), rel=1e-3)


def test_linear_layers_take_inputs_of_any_rank():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Flatten(), nn.Linear(18, 2))
    relevance = weight_relevance(model, torch.randn(4, 3, 5), torch.tensor([0, 1, 1, 0]))
    assert relevance["0.weight"].shape == (6, 5)


def test_starts_differ_by_their_factor():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)).double()
    x, target = torch.randn(1, 6).double(), torch.tensor([2])
    logits = model(x)
    by_start = {
        s: weight_relevance(model, x, target, start=s) for s in ("output", "ones", "probability")
    }
    factors = {"output": logits[0, 2], "ones": 1.0, "probability": logits.softmax(1)[0, 2]}
    for start, factor in factors.items():
        assert torch.allclose(by_start[start]["0.weight"], factor * by_start["ones"]["0.weight"])


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU()
        )
        self.branch = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4))
        self.sum, self.relu = Sum(), nn.ReLU()
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(4 * 36, 3))

    def forward(self, x):
        x = self.stem(x)
        return self.head(self.relu(self.sum(torch.stack([x, self.branch(x)], -1))))


def snapshot(model):
    return {
        "state": {k: v.clone() for k, v in model.state_dict().items()},
        "parameters": [id(p) for p in model.parameters()],
        "gradients": [None if p.grad is None else p.grad.clone() for p in model.parameters()],
        "requires_grad": [p.requires_grad for p in model.parameters()],
        "training": [m.training for m in model.modules()],
        "hooks": [
            (len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks))
            for m in model.modules()
        ],
    }


def same(a, b):
    return (
        all(torch.equal(a["state"][k], b["state"][k]) for k in a["state"])
        and all(
            (x is None and y is None) or torch.equal(x, y)
            for x, y in zip(a["gradients"], b["gradients"], strict=True)
        )
        and all(a[k] == b[k] for k in ("parameters", "requires_grad", "training", "hooks"))
    )


@pytest.mark.parametrize("parts", [2, 3, 7])
def test_parts_of_a_batch_add_up(parts):
    torch.manual_seed(0)
    model = Residual().double().train()
    x, target = torch.randn(7, 1, 6, 6).double(), torch.tensor([0, 1, 2, 0, 1, 2, 0])
    whole = weight_relevance(model, x, target)
    pieces = weight_relevance(model, x, target, parts=parts)
    assert all(torch.allclose(whole[name], pieces[name]) for name in whole)


@pytest.mark.parametrize("start", ["output", "ones", "probability"])
def test_several_classes_of_a_sample_add_up(start):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)).double()
    x, target = torch.randn(2, 6).double(), torch.tensor([[1, 0, 1], [0, 0, 0]]).bool()
    found = weight_relevance(model, x, target, start=start)
    logits = model(x)[0].sigmoid() if start == "probability" else torch.ones(3)
    single = "ones" if start == "probability" else start
    expected = [
        weight_relevance(model, x[:1], torch.tensor([c]), start=single)["0.weight"] * logits[c]
        for c in (0, 2)
    ]
    assert torch.allclose(found["0.weight"], sum(expected) / 2)  # divided by the batch size


@pytest.mark.parametrize("batch_norm", ["merge", "pass"])
@pytest.mark.parametrize("fails", [False, True])
def test_the_model_comes_back_untouched(batch_norm, fails):
    torch.manual_seed(0)
    model = Residual()
    x, target = torch.randn(8, 1, 6, 6), torch.arange(8) % 3
    model(x).sum().backward()
    model.train()
    model.branch[1].eval()
    model.head[2].weight.requires_grad_(False)
    before = snapshot(model)
    if fails:
        with pytest.raises(RuntimeError):
            weight_relevance(model, torch.randn(8, 1, 5, 6), target, batch_norm=batch_norm)
    else:
        relevance = weight_relevance(model, x, target, batch_norm=batch_norm)
        assert all(bool(r.isfinite().all()) and r.abs().sum() > 0 for r in relevance.values())
    assert same(before, snapshot(model))


def test_relevance_does_not_depend_on_frozen_weights_or_no_grad():
    torch.manual_seed(0)
    model = Residual()
    x, target = torch.randn(8, 1, 6, 6), torch.arange(8) % 3
    expected = weight_relevance(model, x, target)
    model.requires_grad_(False)
    with torch.no_grad():
        found = weight_relevance(model, x, target)
    assert all(torch.equal(found[k], expected[k]) for k in expected)


def test_merging_equals_relevance_of_the_merged_network():
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4)
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    norm.weight.data.uniform_(0.5, 2)
    head = [nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)]
    model = nn.Sequential(conv, norm, *head).double().eval()
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    merged_conv = nn.Conv2d(1, 4, 3).double()
    merged_conv.weight.data = conv.weight.data * scale.data[:, None, None, None]
    merged_conv.bias.data = (norm.bias - norm.running_mean * scale).data
    merged = nn.Sequential(merged_conv, *head).double()
    x, target = torch.randn(5, 1, 6, 6).double(), torch.arange(5) % 3
    found = weight_relevance(model, x, target)["0.weight"]
    expected = weight_relevance(merged, x, target)["0.weight"]
    # zennit's merged batch norm still divides by sqrt(1 + eps)
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_a_layer_without_a_rule_is_named():
    model = nn.Sequential(nn.Linear(4, 4), nn.Sigmoid(), nn.Bilinear(2, 2, 2))
    with pytest.raises(ValueError, match=r"no LRP rule for: .*2 \(Bilinear\)"):
        check_rules(model)
    with pytest.raises(ValueError, match="no LRP rule for"):
        weight_relevance(nn.Sequential(nn.GroupNorm(2, 4)), torch.randn(2, 4), torch.tensor([0, 1]))


def test_unknown_options_are_named():
    model = nn.Sequential(nn.Linear(4, 2))
    x, target = torch.randn(2, 4), torch.tensor([0, 1])
    with pytest.raises(ValueError, match="start: 'logit' is unknown"):
        weight_relevance(model, x, target, start="logit")
    with pytest.raises(ValueError, match="composite: 'gamma' is unknown"):
        composite("gamma")
    with pytest.raises(ValueError, match="batch_norm: 'fold' is unknown"):
        composite("epsilon_plus_flat", batch_norm="fold")


def test_layers_that_overwrite_their_input():
    """torchvision's networks are built of rectifiers that work in place."""
    torch.manual_seed(0)
    layers = [nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 3)]
    model = nn.Sequential(*layers).double()
    x, target = torch.randn(4, 6).double(), torch.tensor([0, 1, 2, 0])
    expected = weight_relevance(model, x, target)
    for layer in layers[1::2]:
        layer.inplace = True
    found = weight_relevance(model, x, target)
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert all(layer.inplace for layer in layers[1::2])


class Auxiliary(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head, self.aux, self.idle = (nn.Linear(4, 4) for _ in range(4))

    def forward(self, x):
        x = self.body(x)
        self.aux(x)
        return self.head(x)


def test_layers_that_take_no_part_have_no_relevance():
    torch.manual_seed(0)
    found = weight_relevance(Auxiliary(), torch.randn(3, 4), torch.tensor([0, 1, 2]))
    assert set(found) == {"body.weight", "head.weight"}


def test_containers_that_compute_need_a_rule():
    with pytest.raises(ValueError, match="MultiheadAttention"):
        check_rules(nn.Sequential(nn.Linear(4, 4), nn.MultiheadAttention(4, 2)))
