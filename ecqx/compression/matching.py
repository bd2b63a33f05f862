"""Attribution matching: keep a network's attribution maps while it is compressed (WCAM).

Source: Park, Yang, Hwang, Yang, "Attribution Preservation in Network Compression for Reliable
Network Interpretation", NeurIPS 2020 (arXiv 2010.15054), eq. 1 to 4. There it accompanies
distillation and pruning; as a regulariser of quantization-aware training it is an adaptation.
"""

from __future__ import annotations

import copy
from types import TracebackType

import torch
from torch import Tensor


class AttributionMatching:
    """Penalty gamma * mean((Q_S / |Q_S| - Q_T / |Q_T|)^2) on sensitivity-weighted maps (SWA).

    Q = ReLU(sum_c alpha_c A_c), with A the last convolutional feature map, alpha_c the sum of
    d y_t / d A_c over positions, and y_t the teacher's top-1 logit, for both networks. The
    student's alpha is differentiated too. In a network without convolutions A is the last hidden
    activation vector and each unit is a position of its own: Q_u = ReLU(alpha_u A_u).

    Used as a context manager around training; called as the training loop's ``penalty``.

    Parameters
    ----------
    student : the network in training; hooks are on it inside the context only.
    gamma : float >= 0
    sample : Tensor, shape (1, ...): any input, to find the layer that yields the map.
    """

    def __init__(self, student: torch.nn.Module, gamma: float, sample: Tensor) -> None:
        self.student, self.gamma = student, gamma
        self.teacher = copy.deepcopy(student).eval().requires_grad_(False)
        self.layer = feature_layer(self.teacher, sample)
        self._handles: list[torch.utils.hooks.RemovableHandle] = []
        self._student_map: Tensor | None = None
        self._teacher_map: Tensor | None = None

    def __enter__(self) -> AttributionMatching:
        self._handles = [
            self.student.get_submodule(self.layer).register_forward_hook(self._keep_student),
            self.teacher.get_submodule(self.layer).register_forward_hook(self._keep_teacher),
        ]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for handle in self._handles:
            handle.remove()
        self._student_map = self._teacher_map = None

    def _keep_student(self, module: torch.nn.Module, args: tuple, output: Tensor) -> None:
        self._student_map = output

    def _keep_teacher(self, module: torch.nn.Module, args: tuple, output: Tensor) -> Tensor:
        # The teacher is frozen: its graph begins at the map.
        self._teacher_map = output.detach().requires_grad_()
        return self._teacher_map

    def __call__(self, x: Tensor, logits: Tensor) -> Tensor:
        """Scalar penalty for the batch x, shape (n, ...), whose student logits are given."""
        teacher_logits = self.teacher(x)
        top = teacher_logits.argmax(1, keepdim=True)
        teacher = collapse(self._teacher_map, teacher_logits.gather(1, top), create_graph=False)
        student = collapse(self._student_map, logits.gather(1, top), create_graph=True)
        difference = _unit(student) - _unit(teacher.detach())
        return self.gamma * difference.square().mean()


def collapse(feature_map: Tensor, output: Tensor, *, create_graph: bool) -> Tensor:
    """Sensitivity-weighted map of a layer.

    Parameters
    ----------
    feature_map : Tensor, shape (n, channels, height, width), or (n, units)
    output : Tensor, shape (n, 1), the explained logits, computed from the feature map

    Returns
    -------
    Tensor >= 0, shape (n, positions): height * width positions, or one per unit.
    """
    (gradient,) = torch.autograd.grad(output.sum(), feature_map, create_graph=create_graph)
    if feature_map.ndim == 2:
        return (gradient * feature_map).relu()
    alpha = gradient.sum((2, 3), keepdim=True)
    return (alpha * feature_map).sum(1).relu().flatten(1)


def _unit(maps: Tensor) -> Tensor:
    """Each row divided by its length; a row of zeros stays zero, with a zero gradient."""
    return torch.nn.functional.normalize(maps, dim=1, eps=1e-12)


def feature_layer(model: torch.nn.Module, sample: Tensor) -> str:
    """Name of the module whose output is the last feature map of the network.

    The convolution that runs last, or rather the last module behind it that keeps its output's
    shape (normalisation, residual sum, rectifier). Without convolutions, the module whose output
    the last dense layer takes.

    Parameters
    ----------
    sample : Tensor, shape (1, ...)

    Raises
    ------
    ValueError: the model has neither a convolution nor two dense layers.
    """
    ran: list[tuple[str, torch.nn.Module, tuple[int, ...]]] = []
    handles = [
        module.register_forward_hook(
            lambda m, args, out, name=name: ran.append((name, m, tuple(out.shape)))
        )
        for name, module in model.named_modules()
        if not any(True for _ in module.children())
    ]
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        with torch.no_grad():
            model(sample)
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in modes:
            module.training = mode
    convolutions = [
        i for i, (_, module, _) in enumerate(ran) if isinstance(module, torch.nn.Conv2d)
    ]
    if convolutions:
        last = convolutions[-1]
        while last + 1 < len(ran) and ran[last + 1][2] == ran[last][2]:
            last += 1
        return ran[last][0]
    dense = [i for i, (_, m, _) in enumerate(ran) if isinstance(m, torch.nn.Linear)]
    if len(dense) < 2:
        raise ValueError("the model has no feature map: neither a convolution nor a hidden layer")
    return ran[dense[-1] - 1][0]
