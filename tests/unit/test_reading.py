"""Nothing that is read from a file can run code."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAFE = {("np", "load"): ("allow_pickle", False), ("torch", "load"): ("weights_only", True)}
FOLDERS = ("ecqx", "workflow", "baselines", "benchmarks")


def calls(tree):
    """Calls of a function of a module: (module, function) and the call."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=module), attr=function)):
                yield (module, function), node


@pytest.mark.parametrize("folder", FOLDERS)
def test_arrays_and_weights_are_read_without_pickle(folder):
    for path in sorted((ROOT / folder).rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for called, node in calls(tree):
            assert called[0] != "pickle" and called != ("joblib", "load"), path
            if called in SAFE:
                given = {word.arg: getattr(word.value, "value", None) for word in node.keywords}
                name, value = SAFE[called]
                assert given.get(name) is value, f"{path}, line {node.lineno}: {name}={value}"
