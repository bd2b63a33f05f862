"""WCAM as hyper-parameters and behaviour that are laid over a method which trains on a grid.

Source: WCAM [park2020wcam], see :mod:`ecqx.compression.methods.matching`.
Deviation: the paper matches maps while distilling and pruning; matching them while quantizing is an
adaptation. In a network without convolutions the last hidden activation vector takes the place of
the feature map, each unit a position of its own.
"""

from dataclasses import dataclass

import torch

from ecqx.compression.contract import (
    Compressed,
    Penalty,
    check_choice,
    check_range,
    parameter,
)
from ecqx.compression.methods.matching import VARIANTS, AttributionMatching


@dataclass(frozen=True)
class WCAM:
    """Adds a penalty on changed attribution maps to the training of another method.

    To be inherited from in front of that method, as in ``class Method(WCAM, ECQ)``. Its own fields
    and checks stay, and its ``compress`` has to take a ``penalty``, see
    :class:`ecqx.compression.contract.Method`.

    ``gamma`` weighs the penalty; with 0 the other method is left as it is. ``variant`` is how a
    feature map is collapsed: ``ewa``, ``swa`` or ``sswa``. ``layers`` names the layers that are
    matched, separated by commas; with none it is the last feature map. ``dropped`` is the share of
    the teacher's channels that ``sswa`` leaves out of each step, and means nothing to the others.
    """

    gamma: float = parameter(100.0, role="variant", label="γ: weight of the matching")
    variant: str = parameter("swa", words="{}")
    layers: str = ""
    dropped: float = parameter(0.3, role="variant", words="{} of the channels dropped")

    def __post_init__(self):
        super().__post_init__()
        check_range("gamma", self.gamma, 0.0, 1.0e6)
        check_choice("variant", self.variant, VARIANTS)
        layer_names(self.layers)
        check_range("dropped", self.dropped, 0.0, 1.0)

    def skip(self, model, task) -> str | None:
        """What the other method says, or else that the model lacks the maps to be matched."""
        reason = super().skip(model, task) if hasattr(super(), "skip") else None
        if reason is None and self.gamma > 0:
            try:
                self._matching(model, task, torch.Generator())
            except ValueError as error:
                reason = str(error)
        return reason

    def compress(self, model, task, rng, penalty: Penalty | None = None) -> Compressed:
        """See :class:`ecqx.compression.contract.Method`."""
        if self.gamma == 0:
            return super().compress(model, task, rng, penalty)
        with self._matching(model, task, rng) as matching:
            if penalty is None:
                return super().compress(model, task, rng, matching)

            def both(x, y, logits):
                return matching(x, y, logits) + penalty(x, y, logits)

            return super().compress(model, task, rng, both)

    def _matching(self, model, task, rng) -> AttributionMatching:
        return AttributionMatching(
            model,
            task.train.x[:1].to(task.device),
            gamma=self.gamma,
            variant=self.variant,
            layers=layer_names(self.layers),
            dropped=self.dropped,
            rng=rng,
        )


def layer_names(text: str) -> list[str]:
    """Names of layers from a comma-separated list; the empty string names none.

    Raises
    ------
    ValueError : a name is empty or given twice.
    """
    if not text.strip():
        return []
    names = [name.strip() for name in text.split(",")]
    if "" in names or len(set(names)) < len(names):
        raise ValueError(
            f"layers: {text!r} has an empty or a repeated name, expected different names of layers"
        )
    return names
