"""Attribution maps: which parts of an input speak for a class, by several methods.

Every explainer is called as ``fn(model, x, target)`` with inputs (n, C, H, W) and class indices
(n,), and returns one signed map (n, H, W) per input; what an explainer attributes to channels is
summed over them. Target classes are given by the caller, so that two networks are asked the same
question.

To add an explainer, write one function here under ``@explainer``. It finds the model in evaluation
mode with all parameters frozen and `x` requiring a gradient, and need not restore any of that.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ecqx.compression.feature_maps import feature_layer
from ecqx.tasks.task import evaluating


@dataclass(frozen=True)
class Explainer:
    """A registered explainer.

    Attributes
    ----------
    fn : callable
        ``fn(model, x, target) -> (n, H, W)``; see the module's description. Raises ValueError on
        shapes that do not fit, or if the explainer does not apply to the model.
    source : str
        Where the method comes from.
    applies : callable
        ``applies(model)`` is None if the explainer applies to the model, else the reason why not.
    """

    fn: Callable[[nn.Module, Tensor, Tensor], Tensor]
    source: str
    applies: Callable[[nn.Module], str | None]


EXPLAINERS: dict[str, Explainer] = {}


def _always(model: nn.Module) -> None:
    """Applies to every model."""


def _needs_convolution(model: nn.Module) -> str | None:
    if any(isinstance(module, nn.Conv2d) for module in model.modules()):
        return None
    return "the model has no convolutional feature map"


def _needs_rules(model: nn.Module) -> str | None:
    from ecqx.compression.lrp import check_rules

    try:
        check_rules(model)
    except ValueError as error:
        return str(error)
    return None


def explainer(
    *, source: str, applies: Callable[[nn.Module], str | None] = _always
) -> Callable[[Callable], Callable]:
    """Register a function of model, inputs and targets under its own name.

    See `Explainer` for the parameters.

    Raises
    ------
    ValueError
        If the name is taken.
    """

    def register(fn: Callable) -> Callable:
        name = fn.__name__
        if name in EXPLAINERS:
            raise ValueError(f"explainer {name!r} is registered already")

        @functools.wraps(fn)
        def guarded(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
            if x.ndim != 4 or target.shape != x.shape[:1]:
                raise ValueError(
                    f"{name}: expected x (n, C, H, W) and target (n,), got {tuple(x.shape)} "
                    f"and {tuple(target.shape)}"
                )
            if (reason := applies(model)) is not None:
                raise ValueError(f"{name} does not apply: {reason}")
            with _frozen(model), torch.inference_mode(False), torch.enable_grad():
                maps = fn(model, x.detach().clone().requires_grad_(), target).detach()
            expected = (len(x), *x.shape[2:])
            if tuple(maps.shape) != expected:
                raise ValueError(f"{name}: returned shape {tuple(maps.shape)}, expected {expected}")
            return maps

        EXPLAINERS[name] = Explainer(guarded, source, applies)
        return guarded

    return register


@explainer(
    source="Bach et al., On pixel-wise explanations by layer-wise relevance propagation, PLoS ONE "
    "10 (7), 2015; composite: Montavon et al. 2019, zennit's epsilon_plus_flat",
    applies=_needs_rules,
)
def lrp(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """Layer-wise relevance propagation: epsilon for dense, z-plus for convolutions, flat first.

    The relevance starts as the target's logit, so positive relevance always speaks for the class,
    and in a network without biases the map sums to the logit. Batch norm is merged into the
    preceding layer.

    The flat rule spreads a unit's relevance evenly over all its inputs. For a first convolution
    that is its receptive field; for a first dense layer it is the whole input, and every map would
    be constant. A first dense layer therefore gets the w^2 rule (Montavon et al., Explaining
    nonlinear classification decisions with deep Taylor decomposition, 2017), which spreads in
    proportion to the squared weights and equals flat where these are all alike.
    """
    # zennit costs over a second of start-up and is needed by this explainer alone.
    from zennit.rules import WSquare

    from ecqx.compression.lrp import composite

    rules = composite("epsilon_plus_flat")
    # Prepended: the first entry that matches the first layer wins. zennit's rule would also square
    # the bias and let relevance leak into it.
    rules.first_map = [(nn.Linear, WSquare(zero_params=["bias"])), *rules.first_map]
    with rules.context(model) as explained:
        logit = _target_logits(explained, x, target)
        (relevance,) = torch.autograd.grad(logit, x, grad_outputs=logit.detach())
    return relevance.sum(dim=1)


@explainer(
    source="Selvaraju et al., Grad-CAM: visual explanations from deep networks via gradient-based "
    "localization, ICCV 2017, equations 1 and 2",
    applies=_needs_convolution,
)
def grad_cam(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """ReLU of the last convolutional feature map's channels weighted by their mean gradient.

    Upsampled to the input's size bilinearly (corners not aligned). Which feature map is the last,
    `ecqx.compression.feature_maps.feature_layer` says. Never negative.
    """
    layer = model.get_submodule(feature_layer(model, x[:1].detach()))
    found: list[Tensor] = []
    handle = layer.register_forward_hook(lambda module, inputs, output: found.append(output))
    try:
        logit = _target_logits(model, x, target)
    finally:
        handle.remove()
    activation = found[-1]
    (gradient,) = torch.autograd.grad(logit.sum(), activation)
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    maps = (weights * activation).sum(dim=1, keepdim=True).relu()
    return nn.functional.interpolate(
        maps, size=x.shape[2:], mode="bilinear", align_corners=False
    ).squeeze(1)


@explainer(
    source="Shrikumar et al., Not just a black box: learning important features through "
    "propagating activation differences, arXiv 1605.01713, 2016",
)
def gradient_x_input(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """Gradient of the target's logit with respect to the input, times the input."""
    (gradient,) = torch.autograd.grad(_target_logits(model, x, target).sum(), x)
    return (gradient * x).sum(dim=1)


def _target_logits(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """Logit of each input's target class, shape (n,)."""
    return model(x).gather(1, target[:, None]).squeeze(1)


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    """Evaluation mode and no gradients for parameters; both restored at the end, whatever happens.

    Freezing spares the gradients of all weights, and no explainer can leave one behind in ``grad``.
    """
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        for parameter in trainable:
            parameter.requires_grad_(False)
        with evaluating(model):
            yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
