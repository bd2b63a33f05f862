import subprocess
import sys

import pytest

from ecqx.tasks import datasets, models, registry


def test_the_default_tasks_are_found():
    assert set(datasets.names()) >= {"cluttered_digits", "digits", "spoken_keywords"}
    assert set(models.names()) >= {"mlp_gsc", "residual_cnn", "small_vgg"}


@pytest.mark.parametrize("package", [datasets, models])
def test_every_entry_has_its_function_and_says_what_it_is(package):
    for name in package.names():
        module = package.get(name)
        assert callable(module.prepare if package is datasets else module.build)
        assert module.__doc__


def test_names_are_cheap():
    code = (
        "import sys; from ecqx.tasks import datasets, models; datasets.names(); models.names();"
        "print([m for m in ('torch', 'numpy', 'sklearn', 'zennit') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("package", "kind"), [(datasets, "dataset"), (models, "model")])
@pytest.mark.parametrize("name", ["nosuch", "../task", "", "__init__"])
def test_get_lists_the_known_names(package, kind, name):
    with pytest.raises(ValueError, match=f"unknown {kind} ") as caught:
        package.get(name)
    assert all(known in str(caught.value) for known in package.names())


def test_a_new_file_is_a_new_entry(tmp_path, monkeypatch):
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "mine.py").write_text("answer = 42\n")
    (folder / "_private.py").write_text("raise AssertionError\n")
    (folder / "notes.txt").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    plugins = registry.Registry("plugins", folder)
    assert plugins.names() == ["mine"]
    assert plugins.get("mine").answer == 42


def test_what_is_registered_is_found_beside_the_files(tmp_path):
    (tmp_path / "file.py").write_text("")
    plugins = registry.Registry("plugins", tmp_path)
    entry = object()
    plugins.register("mine", entry)
    assert plugins.get("mine") is entry
    assert plugins.names() == ["file"], "names are those of files"
    with pytest.raises(ValueError, match="unknown plugin 'min', expected one of: file, mine"):
        plugins.get("min")
    with pytest.raises(ValueError, match="plugin 'file' is a file of plugins already"):
        plugins.register("file", entry)


@pytest.mark.parametrize("package", [datasets, models])
def test_no_entry_takes_the_place_of_a_file(package):
    with pytest.raises(ValueError, match="is a file of"):
        package.register(package.names()[0], object())
