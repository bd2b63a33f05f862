"""Explainers against derivations by hand, finite differences, axioms and zennit's attributors."""

import pytest
import torch
from torch import nn
from zennit.attribution import IntegratedGradients

from ecqx.evaluation.explainers import (
    EXPLAINERS,
    excitation_backprop,
    expected_gradients,
    explainer,
    grad_cam,
    grad_cam_mid,
    gradient_x_input,
    integrated_gradients,
    lrp_epsilon_alpha2_beta1_flat,
    lrp_epsilon_plus_flat,
    rap,
    smoothgrad,
)
from ecqx.tasks.models import mlp_gsc, residual_cnn, small_vgg

CASES = {
    "small_vgg": (small_vgg.build, (1, 32, 32)),
    "residual_cnn": (residual_cnn.build, (1, 8, 8)),
    "mlp_gsc": (mlp_gsc.build, (1, 15, 49)),
}
NEED_CONVOLUTIONS = ("grad_cam", "grad_cam_mid", "excitation_backprop")
APPLICABLE = [
    (name, case)
    for name in EXPLAINERS
    for case in CASES
    if case != "mlp_gsc" or name not in NEED_CONVOLUTIONS
]


def explain(name, model, x, target):
    """Maps of any explainer, against a background for those that need one."""
    background = torch.randn(5, *x.shape[1:], generator=torch.Generator().manual_seed(1))
    return EXPLAINERS[name].fn(model, x, target, background)


def network(case, seed=0):
    """Model with batch-norm statistics unlike those of a fresh one, inputs and targets."""
    build, shape = CASES[case]
    torch.manual_seed(seed)
    model = build(shape, 10)
    x, target = torch.randn(6, *shape), torch.arange(6)
    model.train()
    with torch.no_grad():
        model(2 * x + 1)
    return model.eval(), x, target


def convolutional(bias):
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1, bias=bias),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, padding=1, bias=bias),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, 12, bias=bias),
        nn.ReLU(),
        nn.Linear(12, 5, bias=bias),
    )


def dense(bias):
    torch.manual_seed(4)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(60, 20, bias=bias), nn.ReLU(), nn.Linear(20, 5, bias=bias)
    )


def test_lrp_of_a_dense_network_by_hand():
    """R_j = a_j v_tj (epsilon), R_i = sum_j w_ij^2 / sum_i w_ij^2 R_j (w^2); no flat map."""
    model = dense(bias=True).double()
    x, target = torch.randn(7, 1, 6, 10).double(), torch.arange(7) % 5
    hidden = model[2](model[1](model[0](x)))
    relevance = hidden * model[3].weight[target]
    logit = model[3](hidden).gather(1, target[:, None])
    relevance = relevance / (logit + 1e-6 * logit.sign()) * logit
    share = model[1].weight ** 2 / (model[1].weight ** 2).sum(dim=1, keepdim=True)
    expected = (relevance @ share).reshape(7, 6, 10).detach()
    for explain in (lrp_epsilon_plus_flat, lrp_epsilon_alpha2_beta1_flat):  # no convolutions
        torch.testing.assert_close(explain(model, x, target), expected, rtol=1e-4, atol=1e-5)
    assert bool((expected.flatten(1).std(dim=1) > 0).all())


def test_lrp_is_oriented_alike_for_positive_and_negative_logits():
    """A position that raises the logit is positive, whatever the logit's sign."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, bias=False), nn.ReLU(), nn.Linear(2, 2))
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[1.0, 1, 0, 0], [0, 0, 1, 1]]))
        model[3].weight.copy_(torch.tensor([[1.0, -1], [1, -1]]))
        model[3].bias.copy_(torch.tensor([10.0, -10.0]))
    x = torch.ones(1, 1, 2, 2)
    for target in (0, 1):
        maps = lrp_epsilon_plus_flat(model, x, torch.tensor([target]))
        assert maps.sign().tolist() == [[[1, 1], [-1, -1]]]


def test_lrp_names_a_layer_without_a_rule():
    model = nn.Sequential(nn.Flatten(), nn.Bilinear(4, 4, 2))
    with pytest.raises(ValueError, match=r"lrp_epsilon_plus_flat does not apply: .*Bilinear"):
        lrp_epsilon_plus_flat(model, torch.randn(1, 1, 2, 2), torch.tensor([0]))


def test_gradient_x_input_agrees_with_finite_differences():
    model = convolutional(bias=True).double().eval()
    x, target, step = torch.randn(2, 2, 8, 8).double(), torch.tensor([3, 1]), 1e-6
    own = gradient_x_input(model, x, target)
    expected = torch.zeros_like(own)
    with torch.no_grad():
        for channel in range(2):
            for row in range(8):
                for column in range(8):
                    shift = torch.zeros_like(x)
                    shift[:, channel, row, column] = step
                    change = model(x + shift) - model(x - shift)
                    slope = change.gather(1, target[:, None]).squeeze(1) / (2 * step)
                    expected[:, row, column] += slope * x[:, channel, row, column]
    torch.testing.assert_close(own, expected, rtol=1e-5, atol=1e-8)


class Cubic(nn.Module):
    """Logits sum_i w_ci x_i^3, whose gradients are known."""

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.seen = []

    def forward(self, x):
        self.seen.append(x.detach().clone())
        return x.flatten(1) ** 3 @ self.weight.T


def test_integrated_gradients_are_32_midpoints_from_zero():
    """The mean of ((k + 1/2) / K)^2 over k is 1/3 - 1/(12 K^2)."""
    model = Cubic(torch.randn(4, 2 * 3 * 5).double())
    x, target = torch.randn(4, 2, 3, 5).double(), torch.tensor([0, 3, 1, 1])
    exact = (model.weight[target].detach() * x.flatten(1) ** 3).reshape(x.shape)
    expected = (exact * (1 - 1 / (4 * 32**2))).sum(dim=1)
    torch.testing.assert_close(integrated_gradients(model, x, target), expected)
    assert len(model.seen) == 32


@pytest.mark.parametrize("case", CASES)
def test_integrated_gradients_are_complete(case):
    """Their sum is the logit minus the baseline's, up to the error of 32 steps."""
    model, x, target = network(case)
    maps = integrated_gradients(model, x, target).sum(dim=(1, 2))
    with torch.no_grad():
        gain = model(x) - model(torch.zeros_like(x[:1]))
    gain = gain.gather(1, target[:, None]).squeeze(1)
    torch.testing.assert_close(maps, gain, rtol=0.05, atol=0.05 * gain.abs().max().item())
    assert gain.abs().min() > 0


def test_integrated_gradients_agree_with_zennit_on_many_steps():
    model = convolutional(bias=True).double().eval()
    x, target = torch.randn(3, 2, 8, 8).double(), torch.tensor([3, 1, 0])
    reference = IntegratedGradients(model, n_iter=1000)(x.clone(), torch.eye(5).double()[target])
    expected = reference[1].sum(dim=1)
    own = integrated_gradients(model, x, target)
    assert (own - expected).norm() < 0.05 * expected.norm()


def test_integrated_gradients_of_a_homogeneous_network_are_gradient_x_input():
    """Without biases a network of rectifiers is linear on every ray from zero."""
    model = convolutional(bias=False).double().eval()
    x, target = torch.randn(3, 2, 8, 8).double(), torch.tensor([3, 1, 0])
    torch.testing.assert_close(
        integrated_gradients(model, x, target), gradient_x_input(model, x, target)
    )


def test_expected_gradients_by_hand():
    """Sample by sample and baseline by baseline, at the points that the network saw."""
    x, background = torch.randn(3, 2, 3, 5).double(), torch.randn(7, 2, 3, 5).double()
    target = torch.tensor([0, 3, 1])
    model = Cubic(torch.randn(4, 30).double())
    maps = expected_gradients(model, x, target, background)
    seen, weight = model.seen, model.weight.detach()
    assert len(seen) == len(background)
    alphas = []
    expected = torch.zeros_like(maps)
    for baseline, points in zip(background, seen, strict=True):
        shares = (points - baseline) / (x - baseline)
        alphas.append(shares.mean().item())
        torch.testing.assert_close(shares, torch.full_like(shares, alphas[-1]))
        for i in range(3):
            slope = 3 * weight[target[i]].reshape(2, 3, 5) * points[i] ** 2
            expected[i] += ((x[i] - baseline) * slope).sum(dim=0) / 7
    torch.testing.assert_close(maps, expected)
    # one draw in each seventh of the way, not in the order of the background
    assert sorted(int(7 * alpha) for alpha in alphas) == list(range(7))
    assert alphas != sorted(alphas)


def test_expected_gradients_of_one_baseline_are_integrated_gradients():
    """Those of zennit on many steps, shifted to start at that baseline."""
    model = convolutional(bias=True).double().eval()
    x, target = torch.randn(3, 2, 8, 8).double(), torch.tensor([3, 1, 0])
    baseline = torch.randn(2, 8, 8).double()
    attributor = IntegratedGradients(model, n_iter=1000, baseline_fn=lambda z: 0 * z + baseline)
    expected = attributor(x.clone(), torch.eye(5).double()[target])[1].sum(dim=1)
    own = expected_gradients(model, x, target, baseline.expand(500, 2, 8, 8))
    assert (own - expected).norm() < 0.01 * expected.norm()


@pytest.mark.parametrize("case", CASES)
def test_expected_gradients_are_complete_in_expectation(case):
    """Their sum nears the logit minus its mean over the background."""
    model, x, target = network(case)
    background = torch.randn(400, *x.shape[1:], generator=torch.Generator().manual_seed(2))
    maps = expected_gradients(model, x, target, background).sum(dim=(1, 2))
    with torch.no_grad():
        gain = (model(x) - model(background).mean(dim=0)).gather(1, target[:, None]).squeeze(1)
    assert (maps - gain).norm() < 0.2 * gain.norm()


def test_expected_gradients_have_the_same_draws_for_every_network_and_batch():
    x, target = torch.randn(4, 1, 6, 7), torch.tensor([0, 1, 2, 3])
    background = torch.randn(5, 1, 6, 7)
    one, other = Cubic(torch.randn(4, 42)), Cubic(torch.randn(4, 42))
    expected_gradients(one, x, target, background)
    torch.manual_seed(123)
    expected_gradients(other, x[2:], target[2:], background)
    assert torch.equal(torch.stack(one.seen)[:, 2:], torch.stack(other.seen))


@pytest.mark.parametrize(
    ("background", "got"),
    [
        (None, "None"),
        (torch.zeros(0, 1, 4, 4), r"\(0, 1, 4, 4\)"),
        (torch.zeros(3, 1, 4, 5), r"\(3, 1, 4, 5\)"),
    ],
    ids=["none", "empty", "shape"],
)
def test_expected_gradients_need_a_background(background, got):
    message = rf"expected_gradients: expected a background .* \(1, 4, 4\), got {got}"
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    with pytest.raises(ValueError, match=message):
        expected_gradients(model, torch.zeros(1, 1, 4, 4), torch.tensor([0]), background)


def test_smoothgrad_is_the_mean_gradient_at_what_the_model_saw():
    """And that is 16 copies with noise of 15 % of each input's own range, nothing else."""
    x = torch.randn(5, 3, 20, 30).double() + 4
    x *= torch.tensor([1.0, 5, 0.1, 1, 20]).reshape(5, 1, 1, 1)
    target = torch.tensor([0, 3, 1, 1, 2])
    model = Cubic(torch.randn(4, x[0].numel()).double())
    maps = smoothgrad(model, x, target)

    seen = torch.stack(model.seen)
    weight = model.weight[target].detach().reshape(x.shape)
    torch.testing.assert_close(maps, (3 * weight * seen**2).mean(dim=0).sum(dim=1))
    extent = (x.flatten(1).amax(dim=1) - x.flatten(1).amin(dim=1)).reshape(5, 1, 1, 1)
    noise = (seen - x) / extent
    assert noise.shape[0] == 16
    # 16 * 1800 draws: the standard errors are 0.0009 and 0.0006
    assert noise.mean(dim=(0, 2, 3, 4)).abs().max() < 0.005
    assert (noise.std(dim=(0, 2, 3, 4)) - 0.15).abs().max() < 0.003


def test_smoothgrad_gives_every_network_and_batch_the_same_noise():
    x, target = torch.randn(4, 1, 6, 7), torch.tensor([0, 1, 2, 3])
    one, other = Cubic(torch.randn(4, 42)), Cubic(torch.randn(4, 42))
    smoothgrad(one, x, target)
    torch.manual_seed(123)
    smoothgrad(other, x[2:], target[2:])
    assert torch.equal(torch.stack(one.seen)[:, 2:], torch.stack(other.seen))


def test_grad_cam_by_hand():
    """A 1x1 convolution, average pooling 4x4 -> 2x2 inside it, one dense layer."""
    kernel = torch.tensor([[2.0], [-1.0], [0.5]])
    model = nn.Sequential(
        nn.AvgPool2d(2), nn.Conv2d(1, 3, 1, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2)
    )
    with torch.no_grad():
        model[1].weight.copy_(kernel[:, :, None, None])
    x, target = torch.randn(5, 1, 4, 4), torch.tensor([0, 1, 0, 1, 1])

    pooled = x.reshape(5, 2, 2, 2, 2).mean(dim=(2, 4))
    activation = (pooled[:, None] * kernel[None, :, :, None]).clamp(min=0)
    alpha = model[4].weight[target].reshape(5, 3, 4).mean(dim=2)
    small = (alpha[:, :, None, None] * activation).sum(dim=1).clamp(min=0).detach()
    # Bilinear from 2 to 4 places, centers at 0.25 and 0.75 of the side, edges held.
    blend = torch.tensor([[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]])
    expected = blend @ small @ blend.T
    assert expected.max() > 0
    torch.testing.assert_close(grad_cam(model, x, target), expected)


def test_grad_cam_of_the_stage_before_is_that_of_the_network_cut_there():
    """Gradients in double precision, of what the rest of the network makes of the earlier map."""
    model, x, target = network("small_vgg")
    model, x = model.double(), x.double()
    layers = list(model)
    cut = 6  # behind the second convolution: 16 x 16, twice as fine as the last map
    with torch.no_grad():
        activation = nn.Sequential(*layers[:cut])(x)
    assert activation.shape[2:] == (16, 16)
    rest = nn.Sequential(*layers[cut:])
    gradient = torch.func.grad(lambda a: rest(a).gather(1, target[:, None]).sum())(activation)
    weights = gradient.mean(dim=(2, 3))
    small = torch.einsum("nc,nchw->nhw", weights, activation).clamp(min=0)
    expected = nn.functional.interpolate(small[:, None], x.shape[2:], mode="bilinear")[:, 0]
    torch.testing.assert_close(grad_cam_mid(model, x, target), expected)
    assert not torch.allclose(grad_cam(model, x, target), expected)


def test_a_single_convolution_has_no_stage_before():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))
    with pytest.raises(ValueError, match="grad_cam_mid does not apply: .* feature map before"):
        grad_cam_mid(model, torch.randn(1, 1, 4, 4), torch.tensor([0]))


@pytest.mark.parametrize("name", NEED_CONVOLUTIONS)
def test_without_a_feature_map_an_explainer_says_why_it_does_not_apply(name):
    model, x, target = network("mlp_gsc")
    reason = "the model has no convolutional feature map"
    assert EXPLAINERS[name].applies(model).startswith(reason)
    with pytest.raises(ValueError, match=f"{name} does not apply: {reason}"):
        EXPLAINERS[name].fn(model, x, target)


@pytest.mark.parametrize("explain", [excitation_backprop, rap])
def test_propagation_that_needs_rectifiers_says_so(explain):
    def model(activation):
        return nn.Sequential(nn.Conv2d(1, 2, 3), activation, nn.Flatten(), nn.Linear(8, 2))

    x, target = torch.randn(1, 1, 4, 4), torch.tensor([0])
    assert explain(model(nn.ReLU()), x, target).shape == (1, 4, 4)
    with pytest.raises(ValueError, match=r"activations other than ReLU: 1 \(Tanh\)"):
        explain(model(nn.Tanh()), x, target)
    with pytest.raises(ValueError, match=r"no LRP rule for: 1 \(InstanceNorm2d\)"):
        explain(model(nn.InstanceNorm2d(2)), x, target)


def test_excitation_backprop_needs_a_rectifier():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 2))
    with pytest.raises(ValueError, match="the model has no rectifier"):
        excitation_backprop(model, torch.randn(1, 1, 4, 4), torch.tensor([0]))


def snapshot(model):
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return {
        "state": {name: value.clone() for name, value in model.state_dict().items()},
        "identity": {name: id(value) for name, value in model.named_parameters()},
        "grad": {
            name: None if p.grad is None else p.grad.clone() for name, p in model.named_parameters()
        },
        "requires_grad": {name: p.requires_grad for name, p in model.named_parameters()},
        "training": {name: module.training for name, module in model.named_modules()},
        "hooks": {
            name: [len(getattr(module, kind)) for kind in hooks]
            for name, module in model.named_modules()
        },
    }


def assert_untouched(before, model):
    after = snapshot(model)
    for part in ("identity", "requires_grad", "training", "hooks"):
        assert before[part] == after[part], part
    for part in ("state", "grad"):
        assert before[part].keys() == after[part].keys()
        for name, value in before[part].items():
            same = after[part][name]
            assert (value is None and same is None) or torch.equal(value, same), (part, name)


def in_odd_state(model):
    """Training mode with one frozen part, gradients here and there, a hook of the user's own."""
    model.train()
    layers = [module for module in model.modules() if isinstance(module, (nn.Linear, nn.Conv2d))]
    layers[0].eval()
    layers[0].weight.requires_grad_(False)
    layers[-1].weight.grad = torch.ones_like(layers[-1].weight)
    layers[-1].register_forward_hook(lambda module, inputs, output: None)
    return model


@pytest.mark.parametrize(("name", "case"), APPLICABLE)
def test_model_and_inputs_come_back_untouched(name, case):
    model, x, target = network(case)
    before, inputs = snapshot(in_odd_state(model)), x.clone()
    random_state = torch.get_rng_state()
    maps = explain(name, model, x, target)
    assert_untouched(before, model)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert torch.equal(x, inputs)
    assert x.grad is None
    assert not x.requires_grad
    assert not maps.requires_grad
    assert maps.shape == (6, *x.shape[2:])
    assert bool(maps.isfinite().all())


@pytest.mark.parametrize(("name", "case"), APPLICABLE)
@pytest.mark.parametrize("moment", ["forward", "backward", "target"])
def test_model_comes_back_untouched_after_an_exception(name, case, moment):
    model, x, target = network(case)

    def fail(*args):
        raise RuntimeError("planted")

    if moment == "target":
        target = target + 10  # no such class
    else:
        last = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
        if moment == "forward":
            last.register_forward_hook(fail)
        else:
            # on the input: what a layer's own graph does, LRP does not run
            last.register_forward_pre_hook(
                lambda module, inputs: (
                    (inputs[0].register_hook(fail) if inputs[0].requires_grad else None) and None
                )
            )
    before = snapshot(in_odd_state(model))
    with pytest.raises(RuntimeError, match="index" if moment == "target" else "planted"):
        explain(name, model, x, target)
    assert_untouched(before, model)


@pytest.mark.parametrize(("name", "case"), APPLICABLE)
def test_maps_depend_on_the_evaluation_mode_and_the_own_sample_alone(name, case):
    model, x, target = network(case)
    maps = explain(name, model, x, target)
    scale = maps.abs().max().item()
    for other in (
        torch.cat([explain(name, model, x[i : i + 1], target[i : i + 1]) for i in range(6)]),
        explain(name, model.train(), x, target),
    ):
        torch.testing.assert_close(maps, other, rtol=0, atol=1e-4 * scale)


@pytest.mark.parametrize("name", EXPLAINERS)
@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_gradients_switched_off_by_the_caller(name, context):
    model, x, target = network("residual_cnn")
    expected = explain(name, model, x, target)
    with context():
        assert torch.equal(explain(name, model, x.clone(), target), expected)


@pytest.mark.parametrize(("name", "case"), APPLICABLE)
def test_target_class_matters(name, case):
    model, x, target = network(case)
    assert not torch.allclose(explain(name, model, x, target), explain(name, model, x, target + 1))


@pytest.mark.parametrize(("name", "case"), APPLICABLE)
def test_a_network_of_zeros_gives_zero_maps_and_one_of_nan_no_exception(name, case):
    model, x, target = network(case)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.zero_()
    assert explain(name, model, x, target).abs().max() == 0
    with torch.no_grad():
        next(model.parameters()).fill_(torch.nan)
    assert explain(name, model, x, target).shape == (6, *x.shape[2:])


def test_wrong_shapes_are_refused():
    model, x, target = network("mlp_gsc")
    with pytest.raises(ValueError, match=r"rap: expected x \(n, C, H, W\)"):
        rap(model, x[:, 0], target)
    with pytest.raises(ValueError, match=r"gradient_x_input: expected .* target \(n,\)"):
        gradient_x_input(model, x, target[:3])


def test_registry_guards_names_and_results():
    assert list(EXPLAINERS) == [
        "lrp_epsilon_plus_flat",
        "lrp_epsilon_alpha2_beta1_flat",
        "grad_cam",
        "grad_cam_mid",
        "gradient_x_input",
        "integrated_gradients",
        "expected_gradients",
        "smoothgrad",
        "excitation_backprop",
        "rap",
    ]
    assert all(entry.label and entry.source for entry in EXPLAINERS.values())

    def per_channel(model, x, target):
        return x

    try:
        guarded = explainer(label="", source="")(per_channel)
        model, x, target = network("mlp_gsc")
        with pytest.raises(ValueError, match=r"per_channel: returned shape \(6, 1, 15, 49\)"):
            guarded(model, x, target)
        with pytest.raises(ValueError, match="'per_channel' is registered already"):
            explainer(label="", source="")(per_channel)
    finally:
        del EXPLAINERS["per_channel"]
