"""Networks whose weights are parameters, whatever they were computed from while training.

Weight and spectral normalisation, pruning masks and parametrisations keep a weight as something
else, from which each forward pass makes it. Compression, relevance and size speak of the weight
that acts, so it takes the place of what it is made of.
"""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn.utils import parametrize, prune
from torch.nn.utils.spectral_norm import (
    SpectralNorm,
    SpectralNormLoadStateDictPreHook,
    remove_spectral_norm,
)
from torch.nn.utils.weight_norm import WeightNorm, remove_weight_norm


def plain(model: nn.Module) -> nn.Module:
    """A copy in evaluation mode whose weights are parameters of their own; the model stays as is.

    All of its parameters are to be trained, also those that the model's owner froze: what is
    quantized is trained to make up for it.

    Covered: ``torch.nn.utils.weight_norm``, ``spectral_norm``, ``prune`` and
    ``torch.nn.utils.parametrize``, which ``torch.nn.utils.parametrizations`` are made with. What
    only runs a network (``torch.compile``, ``DataParallel``) is left out: the network in it is
    taken.

    Raises
    ------
    ValueError : as :func:`check_modules`.
    """
    check_modules(model)
    while (inner := _network_in(model)) is not None:
        model = inner
    with torch.no_grad():
        for module in model.modules():
            # made with gradients by the last forward pass, it could not be copied
            for hook in _hooks(module, WeightNorm):
                setattr(module, hook.name, hook.compute_weight(module))
            for hook in _hooks(module, SpectralNorm):
                weight = hook.compute_weight(module, do_power_iteration=False)
                setattr(module, hook.name, weight)
            for hook in _hooks(module, prune.BasePruningMethod):
                setattr(module, hook._tensor_name, hook.apply_mask(module))
    result = copy.deepcopy(model).eval()
    for module in result.modules():
        for hook in _hooks(module, WeightNorm):
            remove_weight_norm(module, hook.name)
        for hook in _hooks(module, SpectralNorm):
            remove_spectral_norm(module, hook.name)
            # which torch leaves behind: it looks for the old keys in what is loaded
            for key, entry in list(module._load_state_dict_pre_hooks.items()):
                if isinstance(getattr(entry, "hook", entry), SpectralNormLoadStateDictPreHook):
                    del module._load_state_dict_pre_hooks[key]
        for hook in _hooks(module, prune.BasePruningMethod):
            prune.remove(module, hook._tensor_name)
        if parametrize.is_parametrized(module):
            _replace_parametrizations(module)
    for parameter in result.parameters():
        parameter.requires_grad_(parameter.is_floating_point())
    return result


def check_modules(model: nn.Module) -> None:
    """ValueError if the network, or a part of it, is a script module.

    Its forward pass is fixed code: it cannot be traced, hooked, or given other layers.
    """
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise ValueError(
                f"{name or 'the network'} is a script module (torch.jit), expected the nn.Module "
                "that it was made from"
            )


def _network_in(model: nn.Module) -> nn.Module | None:
    if isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
        return model.module
    # of torch.compile, whose own class would bring in all of the compiler
    return getattr(model, "_orig_mod", None)


def _replace_parametrizations(module: nn.Module) -> None:
    """As ``parametrize.remove_parametrizations``, which would alter the class of the original."""
    with torch.no_grad():
        weights = {name: getattr(module, name).clone() for name in module.parametrizations}
    del module.parametrizations
    module.__class__ = type(module).__bases__[0]
    for name, weight in weights.items():
        module.register_parameter(name, nn.Parameter(weight))


def _hooks(module: nn.Module, kind: type) -> list:
    return [hook for hook in module._forward_pre_hooks.values() if isinstance(hook, kind)]
