"""Docstrings are written in one dialect, and say what the code has."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECTIONS = (
    "Parameters", "Attributes", "Returns", "Yields", "Raises", "Notes", "References", "See Also",
    "Examples",
)  # fmt: skip
NAME = r"\*{0,2}\w+"
ENTRY = re.compile(rf"({NAME}(?:, {NAME})*)(?: : (\S.*))")
# [key] or [key, place in it]
CITED = re.compile(r"\[([a-z]+[0-9]{4}[a-z0-9]+)(?:, [^\]]+)?\]")
Function = ast.FunctionDef | ast.AsyncFunctionDef


def python_files():
    return sorted(
        path
        for folder in ("ecqx", "baselines", "workflow")
        for path in (ROOT / folder).rglob("*.py")
    )


def parsed(paths):
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def project_classes(trees):
    """Name -> definitions: of bases the name is all that a tree tells."""
    classes = {}
    for tree in trees.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                classes.setdefault(node.name, []).append(node)
    return classes


def sections(docstring):
    """Section -> its lines; a title without an underline, or with a wrong one, is reported."""
    lines, found, problems, current = docstring.splitlines(), {}, [], None
    for number, line in enumerate(lines):
        following = lines[number + 1] if number + 1 < len(lines) else ""
        underlined = re.fullmatch("-+", following) is not None
        if line in SECTIONS and (underlined or not lines[number - 1]):
            current = found.setdefault(line, [])
            if following != "-" * len(line):
                problems.append(f"{line}: underlined by {following!r}")
        elif underlined and line:
            problems.append(f"{line}: no known section")
        elif current is not None and not re.fullmatch("-+", line):
            current.append(line)
    return found, problems


def signature(node, classes):
    """Names that a function or the construction of a class takes."""
    if isinstance(node, Function):
        arguments = node.args
        named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        extra = [arg for arg in (arguments.vararg, arguments.kwarg) if arg]
        return {arg.arg for arg in (*named, *extra)}
    names = set()
    if isinstance(node, ast.Module):
        return names
    for part in node.body:
        if isinstance(part, ast.AnnAssign):
            names.add(part.target.id)
        elif isinstance(part, Function) and part.name == "__init__":
            names |= signature(part, classes)
    for base in node.bases:
        for definition in classes.get(ast.unparse(base).split(".")[-1], []):
            names |= signature(definition, classes)
    return names


def is_exception(name, classes):
    last = name.split(".")[-1]
    return last.endswith(("Error", "Exception", "Warning")) or last in classes


def problems_of(node, classes):
    docstring = ast.get_docstring(node)
    found, problems = sections(docstring)
    for section in ("Parameters", "Attributes", "Raises"):
        for line in found.get(section, []):
            if not line or line.startswith(" "):  # a blank line, or what continues an entry
                continue
            entry = ENTRY.fullmatch(line)
            if not entry:
                problems.append(f"{section}: {line!r}, expected 'name : text'")
                continue
            for name in entry[1].split(", "):
                if section == "Raises" and not is_exception(name, classes):
                    problems.append(f"Raises: {name} is no exception")
                if section == "Parameters" and name.lstrip("*") not in signature(node, classes):
                    problems.append(f"Parameters: {name} is not taken")
    return problems


def all_problems(trees, classes):
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, kinds) and ast.get_docstring(node):
                name = getattr(node, "name", "module")
                yield from (f"{path}: {name}: {text}" for text in problems_of(node, classes))


def test_docstrings_are_written_alike_and_say_what_is_there():
    everything = parsed(python_files())
    trees = {path.relative_to(ROOT): tree for path, tree in everything.items()}
    assert trees
    assert list(all_problems(trees, project_classes(everything))) == []


def references():
    return re.findall(r"^@\w+\{(\w+),$", (ROOT / "REFERENCES.bib").read_text(), re.MULTILINE)


def test_sources_are_in_the_bibliography():
    cited = {
        (key, path.name)
        for path in python_files()
        for key in CITED.findall(path.read_text(encoding="utf-8"))
    }
    assert cited
    assert [entry for entry in sorted(cited) if entry[0] not in references()] == []


def test_each_source_is_in_the_bibliography_once():
    assert references() == sorted(set(references()))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Parameters\n----------\nx : int, at least 1\ny : int\n    of many", None),
        ("Parameters\n----------\nx, y : int", None),
        ("Parameters\n---------\nx : int", "Parameters: underlined by '---------'"),
        ("Parameters\nx : int", "Parameters: underlined by 'x : int'"),
        ("Params\n------\nx : int", "Params: no known section"),
        ("Parameters\n----------\nx: int", "Parameters: 'x: int', expected 'name : text'"),
        ("Parameters\n----------\nx", "Parameters: 'x', expected 'name : text'"),
        ("Parameters\n----------\nx, z : int", "Parameters: z is not taken"),
        ("Raises\n------\nValueError : x below 1.\nLocalLack : none.", None),
        ("Raises\n------\nValueError: x below 1.", "Raises: 'ValueError: x below 1.', expected"),
        ("Raises\n------\nnothing : ever", "Raises: nothing is no exception"),
        ("Attributes\n----------\nx", "Attributes: 'x', expected 'name : text'"),
    ],
)
def test_what_is_found(text, problem):
    body = "\n".join(f"    {line}" for line in text.splitlines())
    tree = ast.parse(
        f'class LocalLack(Exception): pass\n\ndef f(x, *, y=1):\n    """Do.\n\n{body}\n    """\n'
    )
    found = list(all_problems({"file": tree}, project_classes({"file": tree})))
    assert len(found) == (problem is not None)
    assert problem is None or problem in found[0]


def test_fields_of_bases_are_taken():
    text = '''
class Base:
    x: int

class Own(Base):
    """One.

    Parameters
    ----------
    x, y, z : int
    """

    y: int
'''
    tree = ast.parse(text)
    (found,) = all_problems({"file": tree}, project_classes({"file": tree}))
    assert "z is not taken" in found
