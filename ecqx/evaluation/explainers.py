"""Attribution maps: which parts of an input speak for a class, by several methods.

Every explainer is called as ``fn(model, x, target)`` with inputs (n, C, H, W) and class indices
(n,), and returns one signed map (n, H, W) per input; what an explainer attributes to channels is
summed over them. Target classes are given by the caller, so that two networks are asked the same
question. So is the background, training inputs that some explainers compare an input with:
``fn(model, x, target, background)``; the others do not look at it.

To add an explainer, write one function here under ``@explainer``. It finds the model in evaluation
mode with all parameters frozen and `x` requiring a gradient, and need not restore any of that.
As in `consistency`, nothing here imports torch before it computes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ecqx.seeding import derive_seed

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Explainer:
    """A registered explainer.

    Attributes
    ----------
    fn : callable, ``fn(model, x, target, background=None) -> (n, H, W)``; see the module's
        description. Raises ValueError on shapes that do not fit, if the explainer does not apply to
        the model, or if it needs a background and has none.
    label : str, readable name.
    source : str, where the method comes from.
    applies : callable, ``applies(model)`` is None if the explainer applies to the model, else the
        reason why not.
    needs_background : bool, whether the explainer compares inputs with a background.
    """

    fn: Callable[..., Tensor]
    label: str
    source: str
    applies: Callable[[nn.Module], str | None]
    needs_background: bool


EXPLAINERS: dict[str, Explainer] = {}

_INTEGRATION_STEPS = 32
_NOISY_SAMPLES = 16
_NOISE = 0.15  # standard deviation relative to a sample's range of values
_NOISE_SEED = 0
_PATH_SEED = derive_seed("expected_gradients")


def _always(model: nn.Module) -> None:
    """Applies to every model."""


def _needs_convolution(model: nn.Module) -> str | None:
    from torch import nn

    if any(isinstance(module, nn.Conv2d) for module in model.modules()):
        return None
    return "the model has no convolutional feature map"


def _needs_earlier_map(model: nn.Module) -> str | None:
    from torch import nn

    if sum(isinstance(module, nn.Conv2d) for module in model.modules()) > 1:
        return None
    return "the model has no convolutional feature map before its last"


# zennit costs over a second of start-up; only explainers that propagate relevance import it.


def _needs_rules(model: nn.Module) -> str | None:
    from ecqx.attribution.lrp import check_rules

    try:
        check_rules(model)
    except ValueError as error:
        return str(error)
    return None


def _needs_rules_and_rectifiers(model: nn.Module) -> str | None:
    from torch import nn
    from zennit.types import Activation

    others = [
        f"{name} ({type(module).__name__})"
        for name, module in model.named_modules()
        if isinstance(module, Activation) and not isinstance(module, nn.ReLU)
    ]
    if others:
        return f"activations other than ReLU: {', '.join(others)}"
    return _needs_rules(model) or _needs_sums_alone(model)


def _needs_sums_alone(model: nn.Module) -> str | None:
    from ecqx.attribution.dataflow import dataflow
    from ecqx.attribution.operations import WithOwnRule

    others = {
        type(operation).__name__
        for operation in dataflow(model).operations.values()
        if isinstance(operation, WithOwnRule)
    }
    if others:
        return f"operations that LRP alone has a rule for: {', '.join(sorted(others))}"
    return None


def _needs_rectified_map(model: nn.Module) -> str | None:
    from torch import nn

    from ecqx.attribution.dataflow import dataflow

    reason = _needs_convolution(model) or _needs_rules_and_rectifiers(model)
    if reason is not None:
        return reason
    modules = [*model.modules(), *dataflow(model).operations.values()]
    if not any(isinstance(module, nn.ReLU) for module in modules):
        return "the model has no rectifier"
    return None


def explainer(
    *,
    label: str,
    source: str,
    applies: Callable[[nn.Module], str | None] = _always,
    needs_background: bool = False,
) -> Callable[[Callable], Callable]:
    """Register a function of model, inputs and targets under its own name.

    One that needs a background is given it as fourth argument, at least one input on the device of
    the inputs.

    See `Explainer` for the parameters.

    Raises
    ------
    ValueError : the name is taken.
    """

    def register(fn: Callable) -> Callable:
        name = fn.__name__
        if name in EXPLAINERS:
            raise ValueError(f"explainer {name!r} is registered already")

        @functools.wraps(fn)
        def guarded(
            model: nn.Module, x: Tensor, target: Tensor, background: Tensor | None = None
        ) -> Tensor:
            import torch

            if x.ndim != 4 or target.shape != x.shape[:1]:
                raise ValueError(
                    f"{name}: expected x (n, C, H, W) and target (n,), got {tuple(x.shape)} "
                    f"and {tuple(target.shape)}"
                )
            if (reason := applies(model)) is not None:
                raise ValueError(f"{name} does not apply: {reason}")
            more = [_background_for(name, x, background)] if needs_background else []
            with _frozen(model), torch.inference_mode(False), torch.enable_grad():
                inputs = x.detach().clone().requires_grad_()
                maps = fn(model, inputs, target.clone(), *(part.clone() for part in more)).detach()
            expected = (len(x), *x.shape[2:])
            if tuple(maps.shape) != expected:
                raise ValueError(f"{name}: returned shape {tuple(maps.shape)}, expected {expected}")
            return maps

        EXPLAINERS[name] = Explainer(guarded, label, source, applies, needs_background)
        return guarded

    return register


@explainer(
    label="LRP ε-plus-flat",
    source="Bach et al. [bach2015lrp]; composite: Montavon et al. [montavon2019overview], "
    "zennit's epsilon_plus_flat",
    applies=_needs_rules,
)
def lrp_epsilon_plus_flat(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """Layer-wise relevance propagation: epsilon for dense, z-plus for convolutions, flat first.

    The relevance starts as the target's logit, so positive relevance always speaks for the class,
    and in a sequential network without biases the map sums to the logit. Otherwise biases keep what
    they contribute (batch norm is merged into the preceding layer and leaves a bias there), and in
    a branch that lowers a residual sum, units that nothing raises keep their share.

    The flat rule spreads a unit's relevance evenly over all its inputs. For a first convolution
    that is its receptive field; for a first dense layer it is the whole input, and every map would
    be constant. A first dense layer therefore gets the w^2 rule [montavon2017taylor], which spreads
    in proportion to the squared weights and equals flat where these are all alike.
    """
    return _lrp("epsilon_plus_flat", model, x, target)


@explainer(
    label="LRP ε-α2β1-flat",
    source="Bach et al. [bach2015lrp]; composite: zennit's epsilon_alpha2_beta1_flat",
    applies=_needs_rules,
)
def lrp_epsilon_alpha2_beta1_flat(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """Layer-wise relevance propagation: epsilon, alpha-beta (2, 1) for convolutions, flat first.

    As `lrp_epsilon_plus_flat`, but in convolutions what raises a unit receives twice its relevance
    and what lowers it the negative of it. A unit that nothing lowers so hands down twice what it
    has: unlike z-plus, the rule keeps the sum only where contributions of both signs meet.
    """
    return _lrp("epsilon_alpha2_beta1_flat", model, x, target)


@explainer(
    label="Grad-CAM",
    source="Selvaraju et al. [selvaraju2017gradcam], equations 1 and 2",
    applies=_needs_convolution,
)
def grad_cam(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """ReLU of the last convolutional feature map's channels weighted by their mean gradient.

    Upsampled to the input's size bilinearly (corners not aligned). Which feature map is the last,
    `ecqx.attribution.feature_maps.feature_layer` says. Never negative.
    """
    from ecqx.attribution.feature_maps import feature_layer

    return _grad_cam(feature_layer(model, x[:1].detach()), model, x, target)


@explainer(
    label="Grad-CAM, stage before",
    source="Selvaraju et al. [selvaraju2017gradcam], equations 1 and 2, of an earlier layer",
    applies=_needs_earlier_map,
)
def grad_cam_mid(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """Grad-CAM of the last feature map of the stage before the last: at least four times as fine.

    The last feature map has few positions, and its Grad-CAM says little that a network could lose.
    Which one comes before it, `ecqx.attribution.feature_maps.mid_feature_layer` says. Otherwise as
    `grad_cam`.
    """
    from ecqx.attribution.feature_maps import mid_feature_layer

    return _grad_cam(mid_feature_layer(model, x[:1].detach()), model, x, target)


@explainer(
    label="Gradient × input",
    source="Shrikumar et al. [shrikumar2016gradient]",
)
def gradient_x_input(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """Gradient of the target's logit with respect to the input, times the input."""
    return (_gradient(model, x, target) * x).sum(dim=1)


@explainer(
    label="Integrated gradients",
    source="Sundararajan et al. [sundararajan2017axiomatic], equation 1",
)
def integrated_gradients(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """Mean gradient on the straight line from the baseline zero to the input, times the input.

    32 steps of the midpoint rule: gradients at (k + 1/2) / 32 of the way, k = 0 ... 31. Up to the
    error of that rule, a map sums to the target's logit for the input minus that for the baseline.
    On standardised data the baseline is the mean of the training data.
    """
    import torch

    # zennit.attribution sums the right ends of its steps: more error at the same cost.
    x = x.detach()
    total = torch.zeros_like(x)
    for step in range(_INTEGRATION_STEPS):
        point = x * ((step + 0.5) / _INTEGRATION_STEPS)
        total += _gradient(model, point.requires_grad_(), target)
    return (total / _INTEGRATION_STEPS * x).sum(dim=1)


@explainer(
    label="Expected gradients",
    source="Erion et al. [erion2021expected]",
    needs_background=True,
)
def expected_gradients(model: nn.Module, x: Tensor, target: Tensor, background: Tensor) -> Tensor:
    """Integrated gradients in expectation over baselines drawn from training data.

    One gradient per input b of the background, at b + alpha (x - b), times x - b; their mean. Alpha
    is uniform in [0, 1], one draw from each of as many equal parts of it as there are baselines, in
    random order (the paper draws them independently, which has the same expectation and more
    spread). In expectation a map sums to the target's logit minus its mean over the training data.
    The draws come from a seed of their own and are the same for every input, network and device.
    """
    import torch

    x = x.detach()
    steps = len(background)
    generator = torch.Generator().manual_seed(_PATH_SEED)
    order = torch.randperm(steps, generator=generator)
    alphas = (order + torch.rand(steps, generator=generator)) / steps
    total = torch.zeros_like(x)
    for baseline, alpha in zip(background, alphas.tolist(), strict=True):
        way = x - baseline
        total += way * _gradient(model, (baseline + alpha * way).requires_grad_(), target)
    return (total / steps).sum(dim=1)


@explainer(
    label="SmoothGrad",
    source="Smilkov et al. [smilkov2017smoothgrad]",
)
def smoothgrad(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """Mean gradient over 16 noisy copies of the input; signed, not multiplied by the input.

    Gaussian noise, its standard deviation 15 % of the range of each input's values (the paper
    advises 10 to 20 %). The 16 patterns come from a fixed seed and are the same for every input of
    a shape, and so for every network, batch and device.
    """
    import torch

    # zennit.attribution draws from torch's global generator, anew for every batch and device.
    x = x.detach()
    sides = tuple(range(1, x.ndim))
    deviation = _NOISE * (x.amax(dim=sides, keepdim=True) - x.amin(dim=sides, keepdim=True))
    generator = torch.Generator().manual_seed(_NOISE_SEED)
    total = torch.zeros_like(x)
    for _ in range(_NOISY_SAMPLES):
        pattern = torch.randn(x.shape[1:], generator=generator).to(x)
        total += _gradient(model, (x + deviation * pattern).requires_grad_(), target)
    return (total / _NOISY_SAMPLES).sum(dim=1)


@explainer(
    label="Excitation backprop",
    source="Zhang et al. [zhang2018excitation]",
    applies=_needs_rectified_map,
)
def excitation_backprop(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """Probability that a position of the first rectified feature map wins, given the class.

    Probability 1 starts at the target and goes down along excitatory connections, shared in
    proportion to activation times weight; biases take no part. The method takes for granted that
    activations are not negative. That holds behind every rectifier, not for standardised inputs,
    so the map is read at the output of the first rectifier that runs (the paper, too, reads it at a
    layer on the way, a deeper one), summed over channels and enlarged bilinearly. Never negative;
    before it is enlarged it sums to 1 unless, somewhere on the way, nothing excites a unit.
    """
    import torch
    from torch import nn

    from ecqx.attribution import propagation_rules

    with propagation_rules.excitation_backprop().context(model) as explained:
        rectifiers = [module for module in explained.modules() if isinstance(module, nn.ReLU)]
        with _recorded(rectifiers) as outputs:
            logit = _target_logits(explained, x, target)
        (probability,) = torch.autograd.grad(logit, outputs[0], grad_outputs=torch.ones_like(logit))
    return _enlarged(probability.sum(dim=1), x)


@explainer(
    label="RAP",
    source="Nam et al. [nam2020rap]",
    applies=_needs_rules_and_rectifiers,
)
def rap(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """Relative attributing propagation: influential positions positive, the others negative.

    `ecqx.attribution.propagation_rules` states the rules. The authors explain the predicted class,
    whose logit is positive; from a negative one every relevance would come out with the opposite
    sign. Relevance therefore starts as the magnitude of the target's logit, and every map sums to
    it, with or without biases.
    """
    import torch

    from ecqx.attribution import propagation_rules

    with propagation_rules.relative_attributing_propagation(model).context(model) as explained:
        logit = _target_logits(explained, x, target)
        (relevance,) = torch.autograd.grad(logit, x, grad_outputs=logit.detach().abs())
    return relevance.sum(dim=1)


def _lrp(composite: str, model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """Relevance of the inputs under one of the composites of `ecqx.attribution.lrp`."""
    import torch
    from torch import nn
    from zennit.rules import WSquare

    from ecqx.attribution import lrp

    rules = lrp.composite(composite)
    # Prepended: the first entry that matches the first layer wins. zennit's rule would also square
    # the bias and let relevance leak into it.
    rules.first_map = [(nn.Linear, WSquare(zero_params=["bias"])), *rules.first_map]
    with rules.context(model) as explained:
        logit = _target_logits(explained, x, target)
        (relevance,) = torch.autograd.grad(logit, x, grad_outputs=logit.detach())
    return relevance.sum(dim=1)


def _grad_cam(layer: str, model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """Grad-CAM of a module's output, enlarged to the size of the inputs."""
    import torch

    with _recorded([model.get_submodule(layer)]) as outputs:
        logit = _target_logits(model, x, target)
    activation = outputs[-1]
    (gradient,) = torch.autograd.grad(logit.sum(), activation)
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    return _enlarged((weights * activation).sum(dim=1).relu(), x)


def _background_for(name: str, x: Tensor, background: Tensor | None) -> Tensor:
    """The background on the device of the inputs; ValueError if it is none."""
    shape = None if background is None else tuple(background.shape)
    if shape is None or len(background) == 0 or shape[1:] != tuple(x.shape[1:]):
        raise ValueError(
            f"{name}: expected a background of at least one input {tuple(x.shape[1:])}, got {shape}"
        )
    return background.detach().to(x)


def _gradient(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """Gradient of the target's logit with respect to the input, of its shape."""
    import torch

    return torch.autograd.grad(_target_logits(model, x, target).sum(), x)[0]


def _enlarged(maps: Tensor, x: Tensor) -> Tensor:
    """Maps (n, h, w) of a feature map's size brought to the inputs', bilinearly."""
    from torch import nn

    # Relative to its least value, so that a constant map stays one: interpolation rounds.
    least = maps.amin(dim=(1, 2), keepdim=True)
    enlarged = nn.functional.interpolate(
        (maps - least)[:, None], size=x.shape[2:], mode="bilinear", align_corners=False
    )
    return enlarged.squeeze(1) + least


def _target_logits(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """Logit of each input's target class, shape (n,)."""
    return model(x).gather(1, target[:, None]).squeeze(1)


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    """Evaluation mode and no gradients for parameters; both restored at the end, whatever happens.

    Freezing spares the gradients of all weights, and no explainer can leave one behind in ``grad``.
    """
    from ecqx.tasks.task import evaluating, out_of_place

    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        for parameter in trainable:
            parameter.requires_grad_(False)
        with evaluating(model), out_of_place(model):
            yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)


@contextmanager
def _recorded(modules: Iterable[nn.Module]) -> Iterator[list[Tensor]]:
    """The modules' outputs, in the order in which they run."""
    outputs: list[Tensor] = []
    handles = [
        module.register_forward_hook(lambda module, inputs, output: outputs.append(output))
        for module in modules
    ]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()
