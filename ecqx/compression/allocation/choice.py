"""The cheapest choice of one candidate for each layer whose sizes together keep a budget.

The multiple-choice knapsack problem, solved exactly by dynamic programming over bytes.
"""

from __future__ import annotations

import numpy as np

_MOST_STATES = 1 << 20


def choose(
    costs: np.ndarray, sizes: np.ndarray, budget: int, most_states: int = _MOST_STATES
) -> np.ndarray | None:
    """One candidate for each layer, of least summed cost and at most ``budget`` bytes together.

    Parameters
    ----------
    costs : float64 array, shape (layers, candidates); may be negative, infinite where a candidate
        is out of the question
    sizes : int array, shape (layers, candidates), bytes, at least 0
    budget : bytes
    most_states : how many budgets are told apart. Where more bytes than that are to be given away,
        beyond the smallest candidates, sizes are rounded up to multiples of so many bytes that it
        is enough: the budget is kept all the same, and the choice is at least as good as any that
        takes one such multiple less per layer, and one more. Below, it is exact.

    Returns
    -------
    int64 array, shape (layers,): the candidates, of equal cost the smaller in sum; None if no
    choice keeps the budget
    """
    least = sizes.min(axis=1)
    spare, most = int(budget - least.sum()), int((sizes.max(axis=1) - least).sum())
    if spare < 0:
        return None
    unit = -(-(min(spare, most) + 1) // most_states)
    beyond = -(-(sizes - least[:, None]) // unit)  # rounded up
    states = min(spare // unit, int(beyond.max(axis=1, initial=0).sum())) + 1
    best = np.zeros(states)  # the least cost of the layers so far, by what they may take
    taken = np.zeros((len(costs), states), dtype=np.min_scalar_type(costs.shape[1]))
    for layer, (own, more) in enumerate(zip(costs, beyond, strict=True)):
        found = np.full(states, np.inf)
        for candidate in np.lexsort((own, more)):
            first = more[candidate]
            if first >= states:
                break
            total = best[: states - first] + own[candidate]
            better = total < found[first:]
            found[first:][better] = total[better]
            taken[layer, first:][better] = candidate
        best = found
    if not np.isfinite(best[-1]):
        return None
    state = int(np.argmax(best == best[-1]))
    choice = np.zeros(len(costs), dtype=np.int64)
    for layer in reversed(range(len(costs))):
        choice[layer] = taken[layer, state]
        state -= int(beyond[layer, choice[layer]])
    return choice
