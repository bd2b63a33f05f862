"""Explanations of a network and how much of them survives its compression.

``explainers`` computes attribution maps, ``consistency`` compares them with those of the
full-precision network, ``localisation`` compares them with ground-truth masks, ``evaluate`` applies
all three to one network, on the pairs that ``subset`` draws. ``agreement`` compares predictions,
``layers`` tells the relevance of weights. ``randomisation`` asks of the explainers whether they
explain the network at all. Explainers and metrics register themselves through a decorator.
"""

import ast
from pathlib import Path

_DECORATORS = {
    "explainer": "explainers.py",
    "metric": "consistency.py",
    "localisation": "localisation.py",
}


def declared(kind: str) -> dict[str, dict]:
    """Names and metadata of everything registered as one kind, read without importing torch.

    A configuration is validated, and a figure labeled, in processes that should not pay seconds
    for an import they do not need; the decorators are therefore read from the source text.

    Parameters
    ----------
    kind : {"explainer", "metric", "localisation"}
        The decorator's name.

    Returns
    -------
    dict[str, dict]
        Name of the function -> the decorator's literal arguments, in the order of definition:
        ``source``, and for metrics also ``unit`` and ``higher_is_better``.

    Raises
    ------
    ValueError
        If `kind` is none of the three.
    """
    if kind not in _DECORATORS:
        raise ValueError(f"kind: expected one of {sorted(_DECORATORS)}, got {kind!r}")
    tree = ast.parse(Path(__file__).with_name(_DECORATORS[kind]).read_text(encoding="utf-8"))
    found = {}
    for node in tree.body:
        for call in getattr(node, "decorator_list", []):
            if isinstance(call, ast.Call) and getattr(call.func, "id", None) == kind:
                found[node.name] = {
                    keyword.arg: ast.literal_eval(keyword.value)
                    for keyword in call.keywords
                    if isinstance(keyword.value, ast.Constant)
                }
    return found
