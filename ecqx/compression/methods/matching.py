"""Attribution matching: keep a network's attribution maps while it is compressed (WCAM, e2KD).

Source: WCAM [park2020wcam], eq. 1 to 4; e2KD [parchami2024e2kd], eq. 3 to 5, for ``e2kd``.
Deviation: the teacher is always in evaluation mode, which the authors' code of WCAM leaves out
where it prunes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from types import TracebackType

import torch
from torch import Tensor
from torch.nn import functional

from ecqx.attribution.feature_maps import feature_layer, map_shapes
from ecqx.compression.contract import check_choice, check_range
from ecqx.compression.distillation import Teacher
from ecqx.seeding import generator
from ecqx.tasks.task import out_of_place

MATCHINGS = ("ewa", "swa", "sswa", "e2kd")
FORCES = ("paper", "equal")
_PAPER_POSITIONS = 49  # of the maps that the paper's gamma belongs to, 7x7


class AttributionMatching:
    """Penalty gamma * sum over layers of mean((Q_S / |Q_S| - Q_T / |Q_T|)^2).

    The teacher T is a trained network, the student S another one in training. Q is the attribution
    map of a sample, collapsed from the feature map A of the layer:

    - ``ewa``, equally weighted: Q = mean over channels of A^2.
    - ``swa``, sensitivity-weighted: Q = ReLU(sum_c alpha_c A_c), with alpha_c the sum over
      positions of d y_t / d A_c. The student's alpha is differentiated too.
    - ``sswa``, stochastic: as ``swa``, with a share of the teacher's channels, drawn anew at each
      call, left out of its sum. (Maps without sensitivities have no stochastic variant.)
    - ``e2kd``: as ``swa``, enlarged to the size of the input (bilinear) and compared by the cosine:
      gamma * 2 / P * mean over maps of (1 - cos(Q_S, Q_T)) for maps of P positions, which is what
      the formula above comes to where nothing is enlarged. The source's lambda is 2 gamma / P; its
      loss on the logits is not part of this class.

    The target t is the teacher's top-1 class for both networks; where a sample has several labels,
    each of them in turn gives a map of its own, and a sample without labels gives none (``ewa``
    knows no target: one map per labelled sample). The mean is over all maps and positions. In a
    layer without positions A is its activation vector and each unit is channel and position of its
    own: Q_u = A_u^2, or ReLU(alpha_u A_u); nothing is enlarged.

    As a mean over P positions of maps of length 1, the penalty is the weaker the more positions
    there are. The paper's maps have 49; with ``force: equal`` gamma is multiplied by P / 49.

    Batch normalisation uses running statistics in the teacher, and in the student whatever its
    training uses; where those are statistics of the batch, and behind the layer, the sensitivities
    are of the batch's summed outputs.

    Used as a context manager around training; called as the training loop's ``penalty``.

    Parameters
    ----------
    student : the network in training; hooks are on it inside the context only.
    sample : Tensor, shape (1, ...): any input, to see the layers run.
    teacher : whose maps are kept; by default the student as it is now
    gamma : float > 0
    matching : one of ``MATCHINGS``
    force : "paper": gamma as it is; "equal": as strong as on maps of 49 positions
    interval : the penalty is that of every so many calls, from the first on, and zero between
    layers : names of the layers whose maps are matched; none: the last feature map, see
        :func:`ecqx.attribution.feature_maps.feature_layer`. Of a layer that runs several times,
        the last output counts.
    dropped : share in (0, 1) of the teacher's channels that ``sswa`` leaves out, rounded to a
        number of channels
    rng : its seed, not its state, decides on these channels

    Raises
    ------
    ValueError : an unknown matching or force, a layer that yields no map, maps of student and
        teacher that differ in their positions, or a layer of so few channels that ``sswa`` would
        leave out none of them or all.
    """

    def __init__(
        self,
        student: torch.nn.Module,
        sample: Tensor,
        *,
        gamma: float,
        matching: str = "swa",
        force: str = "paper",
        interval: int = 1,
        layers: Sequence[str] = (),
        dropped: float = 0.3,
        rng: torch.Generator,
        teacher: Teacher | None = None,
    ) -> None:
        check_choice("matching", matching, MATCHINGS)
        check_choice("force", force, FORCES)
        check_range("interval", interval, 1, 1_000_000)
        self.student, self.gamma = student, gamma
        self.matching, self.interval = matching, interval
        self.teacher = teacher or Teacher(student)
        network = self.teacher.network
        shapes = map_shapes(network, sample, layers or [feature_layer(network, sample)])
        self.layers, self._shapes = tuple(shapes), shapes
        self._positions = {layer: _positions(shape) for layer, shape in shapes.items()}
        for layer, shape in map_shapes(student, sample, self.layers).items():
            if _positions(shape) != self._positions[layer]:
                raise ValueError(
                    f"layers: the maps of {layer!r} have {_positions(shape)} positions, those of "
                    f"the teacher {self._positions[layer]}, expected as many"
                )
        self._weights = {
            layer: n / _PAPER_POSITIONS if force == "equal" else 1.0
            for layer, n in self._positions.items()
        }
        self._dropout: dict[str, _ChannelDropout] = {}
        if matching == "sswa":
            masks = generator("matching", rng.initial_seed())
            self._dropout = {
                layer: _ChannelDropout(layer, shape, dropped, masks)
                for layer, shape in shapes.items()
            }
        self._calls = 0
        self._handles: list[torch.utils.hooks.RemovableHandle] = []
        self._unchanged = ExitStack()
        self._student_maps: dict[str, Tensor] = {}
        self._teacher_maps: dict[str, Tensor] = {}

    def __enter__(self) -> AttributionMatching:
        for network in (self.student, self.teacher.network):
            self._unchanged.enter_context(out_of_place(network))
        for layer in self.layers:
            for network, keep in (
                (self.student, self._keep_student),
                (self.teacher.network, self._keep_teacher),
            ):
                hook = partial(keep, layer)
                self._handles.append(network.get_submodule(layer).register_forward_hook(hook))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._unchanged.close()
        self._forget()

    def _keep_student(
        self, layer: str, module: torch.nn.Module, args: tuple, output: Tensor
    ) -> None:
        self._student_maps[layer] = output

    def _keep_teacher(
        self, layer: str, module: torch.nn.Module, args: tuple, output: Tensor
    ) -> Tensor:
        # The teacher is frozen: its graph begins at the first of the maps.
        if torch.is_grad_enabled() and not output.requires_grad:
            output = output.detach().requires_grad_()
        self._teacher_maps[layer] = output
        return output

    def _forget(self) -> None:
        """Let go of the feature maps, and with them of the graphs that they hold."""
        self._student_maps.clear()
        self._teacher_maps.clear()

    def __call__(self, x: Tensor, y: Tensor, logits: Tensor) -> Tensor:
        """Penalty for a minibatch, right after the student's forward pass on it.

        Parameters
        ----------
        x : Tensor, shape (n, ...)
        y : int64 Tensor, shape (n,), classes; or bool Tensor, shape (n, classes), several labels
        logits : Tensor, shape (n, classes), of the student

        Returns
        -------
        Tensor, scalar; zero where no sample has a label, and in calls that the interval leaves out.

        Raises
        ------
        ValueError : y has another form.
        """
        self._calls += 1
        if (self._calls - 1) % self.interval:
            self._forget()
            return logits.new_zeros(())
        self._teacher_maps.clear()
        with torch.set_grad_enabled(self.matching != "ewa"):
            teacher_logits = self.teacher(x)
        rounds = _rounds(y, teacher_logits)
        penalty = logits.new_zeros(())
        if rounds:
            student = self._collapsed(
                self._student_maps, logits, rounds, dropout={}, create_graph=True
            )
            teacher = self._collapsed(
                self._teacher_maps,
                teacher_logits,
                rounds,
                dropout=self._dropout,
                create_graph=False,
            )
            for layer in self.layers:
                own, aim = student[layer], teacher[layer].detach()
                if self.matching == "e2kd":
                    own, aim = (self._enlarged(layer, maps, x) for maps in (own, aim))
                difference = _unit(own) - _unit(aim)
                enlargement = difference.shape[1] / self._positions[layer]
                weight = self._weights[layer] * enlargement
                penalty = penalty + weight * difference.square().mean()
        self._forget()
        return self.gamma * penalty

    def _enlarged(self, layer: str, maps: Tensor, x: Tensor) -> Tensor:
        """Maps of shape (n, positions) in the resolution of the inputs, if they have one."""
        shape = self._shapes[layer]
        if len(shape) == 1:
            return maps
        maps = maps.view(-1, 1, *shape[1:])
        return functional.interpolate(maps, x.shape[2:], mode="bilinear").flatten(1)

    def _collapsed(
        self,
        maps: Mapping[str, Tensor],
        logits: Tensor,
        rounds: list[tuple[Tensor, Tensor]],
        *,
        dropout: Mapping[str, _ChannelDropout],
        create_graph: bool,
    ) -> dict[str, Tensor]:
        """A network's collapsed maps by layer, shape (samples of all rounds, positions)."""
        if self.matching == "ewa":
            # The first round has every labelled sample.
            samples, _ = rounds[0]
            return {layer: equally_weighted(maps[layer][samples]) for layer in self.layers}
        summed = {
            layer: dropout[layer](maps[layer]) if dropout else maps[layer] for layer in self.layers
        }
        collapsed: dict[str, list[Tensor]] = {layer: [] for layer in self.layers}
        for samples, classes in rounds:
            sensitivities = torch.autograd.grad(
                logits[samples, classes].sum(),
                [maps[layer] for layer in self.layers],
                create_graph=create_graph,
                retain_graph=True,
                allow_unused=True,
            )
            for layer, sensitivity in zip(self.layers, sensitivities, strict=True):
                if sensitivity is None:
                    raise ValueError(f"layers: {layer!r} has no part in the output")
                rows = sensitivity_weighted(summed[layer][samples], sensitivity[samples])
                collapsed[layer].append(rows)
        return {layer: torch.cat(rows) for layer, rows in collapsed.items()}


class _ChannelDropout:
    """Sets a share of a feature map's channels to zero, others at each call."""

    def __init__(
        self, layer: str, shape: tuple[int, ...], share: float, rng: torch.Generator
    ) -> None:
        self.channels, self.rng = shape[0], rng
        self.number = round(share * self.channels)
        if not 0 < self.number < self.channels:
            raise ValueError(
                f"dropped: {share} of the {self.channels} channels of layer {layer!r} "
                f"is {self.number} of them, expected at least one and not all"
            )

    def __call__(self, feature_map: Tensor) -> Tensor:
        order = torch.randperm(self.channels, generator=self.rng)
        return feature_map.index_fill(1, order[: self.number].to(feature_map.device), 0)


def equally_weighted(feature_map: Tensor) -> Tensor:
    """Collapsed map of a layer in which all channels count alike (EWA).

    Parameters
    ----------
    feature_map : Tensor, shape (n, channels, height, width), or (n, units)

    Returns
    -------
    Tensor >= 0, shape (n, positions): height * width positions, or one per unit.
    """
    energy = feature_map.square()
    return energy if energy.ndim == 2 else energy.mean(1).flatten(1)


def sensitivity_weighted(feature_map: Tensor, sensitivity: Tensor) -> Tensor:
    """Collapsed map of a layer, its channels weighted by what they do to the output (SWA).

    Parameters
    ----------
    feature_map : Tensor, shape (n, channels, height, width), or (n, units)
    sensitivity : Tensor of the same shape, the explained output's gradient

    Returns
    -------
    Tensor >= 0, shape (n, positions): height * width positions, or one per unit.
    """
    if feature_map.ndim == 2:
        return (sensitivity * feature_map).relu()
    alpha = sensitivity.sum((2, 3), keepdim=True)
    return (alpha * feature_map).sum(1).relu().flatten(1)


def _positions(shape: tuple[int, ...]) -> int:
    """Of a map: (channels, height, width), or (units,)."""
    return shape[0] if len(shape) == 1 else math.prod(shape[1:])


def _rounds(y: Tensor, teacher_logits: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Which samples are explained for which classes: rounds that have each sample at most once.

    A gradient of summed outputs holds each sample's own, so that a round is one backward pass.
    """
    n, classes = teacher_logits.shape
    if y.ndim == 1:
        return [(torch.arange(n, device=y.device), teacher_logits.argmax(1))]
    if y.dtype != torch.bool or tuple(y.shape) != (n, classes):
        raise ValueError(
            f"y is {y.dtype} of shape {tuple(y.shape)}, expected int64 ({n},) "
            f"or bool ({n}, {classes})"
        )
    # 1 at the first label of a sample, 2 at its second, ...
    position = y.cumsum(1) * y
    return [(position == k).nonzero(as_tuple=True) for k in range(1, int(position.max()) + 1)]


def _unit(maps: Tensor) -> Tensor:
    """Each row divided by its length; a row of zeros stays zero, with a zero gradient."""
    return functional.normalize(maps, dim=1, eps=1e-12)
