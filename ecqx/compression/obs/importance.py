"""How much each output's errors count: relevance in the metric of rounding, and its controls.

With r for each sample and position, the metric of a layer becomes H = sum r x x^T / sum r: errors
of outputs that the decision rests on count more. It is the question of ECQx, asked of how errors
are measured rather than of which weights may be zero.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ecqx.compression.obs.hessians import Importance
from ecqx.tasks.task import Task, evaluating

SOURCES = ("lrp", "gradient", "shuffled", "constant")


def importance(name: str, task: Task, rng: torch.Generator) -> Importance | None:
    """A source by name.

    Parameters
    ----------
    name : ``lrp``, magnitude of the LRP relevance that arrives; ``gradient``, squared gradient of
        the loss; ``shuffled``, LRP under a permutation of samples and positions within each layer,
        so that its spread stays and only its place is lost; ``constant``, none at all
    rng : what the permutations are drawn from
    """
    if name == "constant":
        return None

    def lrp(model: nn.Module, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        # Brings in zennit, a second of start-up that the other sources need not pay.
        from ecqx.attribution.weight_relevance import output_relevance

        return output_relevance(model, x, y)

    def shuffled(model: nn.Module, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        found = {}
        for layer, own in lrp(model, x, y).items():
            order = torch.randperm(own.numel(), generator=rng).to(own.device)
            found[layer] = own.flatten()[order].view_as(own)
        return found

    def gradient(model: nn.Module, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        return squared_gradients(model, x, y, task)

    return {"lrp": lrp, "shuffled": shuffled, "gradient": gradient}[name]


def squared_gradients(model: nn.Module, x: Tensor, y: Tensor, task: Task) -> dict[str, Tensor]:
    """Squared gradient of the loss at the outputs of each linear and convolutional layer.

    Returns
    -------
    dict : name of the layer's weight -> Tensor, shape (batch, positions), summed over channels.
        A layer that takes no part in the loss is absent; so is one that runs several times.
    """
    outputs: dict[str, list[Tensor]] = {}
    layers = {
        f"{name}.weight" if name else "weight": module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d)
    }
    handles = [
        module.register_forward_hook(
            lambda m, args, out, name=name: outputs.setdefault(name, []).append(out)
        )
        for name, module in layers.items()
    ]
    try:
        with evaluating(model), torch.enable_grad():
            loss = task.loss(model(x.requires_grad_()), y)
    finally:
        for handle in handles:
            handle.remove()
    single = {name: own[0] for name, own in outputs.items() if len(own) == 1}
    gradients = torch.autograd.grad(loss, list(single.values()), allow_unused=True)
    found = {}
    for (name, output), own in zip(single.items(), gradients, strict=True):
        if own is not None:
            channels = -1 if isinstance(layers[name], nn.Linear) else 1
            found[name] = own.square().sum(dim=channels).reshape(len(output), -1)
    return found
