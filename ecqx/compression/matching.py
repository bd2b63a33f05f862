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

from ecqx.compression.feature_maps import feature_layer


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
