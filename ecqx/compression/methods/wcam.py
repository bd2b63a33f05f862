"""WCAM as hyper-parameters and behaviour that are laid over a method which trains on a grid.

Source: WCAM [park2020wcam], see :mod:`ecqx.compression.methods.matching`.
Deviation: the paper matches maps while distilling and pruning; matching them while quantizing is an
adaptation.
"""

from dataclasses import dataclass

from ecqx.compression.contract import Compressed, Penalty
from ecqx.compression.methods.matched import Resembling


@dataclass(frozen=True)
class WCAM(Resembling):
    """Adds a penalty on changed attribution maps to the training of another method.

    To be inherited from in front of that method, as in ``class Method(WCAM, ECQ)``. Its own fields
    and checks stay, and its ``compress`` has to take a ``penalty``, see
    :class:`ecqx.compression.contract.Method`. Where nothing is matched the other method is left as
    it is.
    """

    def skip(self, model, task) -> str | None:
        """What the other method says, or else that the model lacks the maps to be matched."""
        reason = super().skip(model, task) if hasattr(super(), "skip") else None
        return self.unmatchable(model, model, task) if reason is None else reason

    def compress(self, model, task, rng, penalty: Penalty | None = None) -> Compressed:
        """See :class:`ecqx.compression.contract.Method`."""
        with self.penalty(model, task, rng, penalty) as whole:
            return super().compress(model, task, rng, whole)
