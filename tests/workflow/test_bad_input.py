"""Every mistake in a configuration ends in one clear line before any job starts."""

import pytest
import yaml

CHATTER = ("Using workflow specific profile", "Config file ")

BASELINE_THAT_RAISES = '"""A baseline."""\n\nraise RuntimeError("no such library")\n'

DATASET_WITHOUT_FILES = '''"""A data set that is read from disk."""


def missing(root):
    return "put clips.zip into the folder data"


def prepare(seed, root=None):
    raise AssertionError("must not be reached")
'''

OWN_DATA = {"kind": "image_folder", "name": "photos", "path": "photos"}

# Cases that only the library can tell: the first job asks it.
OF_THE_LIBRARY = ("bits out of range", "unknown parameter")
# change of the configuration -> the key, the value and a part of the expectation in the message
CASES = {
    "unknown method": (
        {"methods": ["ecq", "ecqq"]},
        ["methods[1]", "'ecqq'", "uniform_ptq", "did you mean ecq?"],
    ),
    "unknown top-level key": ({"seed": [1]}, ["seed:", "unknown key", "did you mean seeds?"]),
    "unknown nested key": (
        {"task_settings": {"digits": {"budget": {"epoch": 3}}}},
        ["task_settings.digits.budget.epoch", "unknown key", "did you mean epochs?"],
    ),
    "bits out of range": (
        {"grids": {"ecq": [{"bits": 9, "lam": 0.1}]}},
        ["grids.ecq", "bits", "9", "expected 2 to"],
    ),
    "unknown parameter": (
        {"grids": {"ecq": [{"bits": 4, "lamb": 0.1}]}},
        ["grids.ecq", "lamb", "expected one of", "lam"],
    ),
    "lam as text": (
        {"grids": {"ecq": [{"bits": 4, "lam": [0.1, "1e-5"]}]}},
        ["grids.ecq[0].lam[1]", "'1e-5'", "expected a number", "write 1.0e-5"],
    ),
    "negative seed": ({"seeds": [0, -1]}, ["seeds[1]", "-1", "an integer from 0 to 999999"]),
    "duplicate seeds": ({"seeds": [1, 1]}, ["seeds", "[1, 1]", "distinct"]),
    "seed as text": ({"seeds": ["1"]}, ["seeds[0]", "'1'", "an integer from 0 to 999999"]),
    "duplicate points": (
        {"grids": {"ecq": [{"bits": 4, "lam": 0.1}, {"lam": [0.2, 0.1], "bits": 4}]}},
        ["grids.ecq[1]", "lam~0.1_bits~4", "distinct points"],
    ),
    "unknown data set": (
        {"task_settings": {"digits": {"dataset": "digit"}}},
        ["task_settings.digits.dataset", "'digit'", "did you mean digits?"],
    ),
    "unknown model": (
        {"task_settings": {"digits": {"model": "resnet"}}},
        ["task_settings.digits.model", "'resnet'", "residual_cnn"],
    ),
    "unknown kind of own data": (
        {"task_settings": {"digits": {"dataset": OWN_DATA | {"kind": "image_folders"}}}},
        ["task_settings.digits.dataset.kind", "'image_folders'", "did you mean image_folder?"],
    ),
    "unknown key of own data": (
        {"task_settings": {"digits": {"dataset": OWN_DATA | {"image_sise": 32}}}},
        ["task_settings.digits.dataset.image_sise", "unknown key", "did you mean image_size?"],
    ),
    "value of own data": (
        {"task_settings": {"digits": {"dataset": OWN_DATA | {"channels": 2}}}},
        ["task_settings.digits.dataset.channels", "got 2", "expected one of 1, 3"],
    ),
    "own data without a path": (
        {"task_settings": {"digits": {"dataset": {"kind": "arrays", "name": "mine"}}}},
        ["task_settings.digits.dataset.path", "missing"],
    ),
    "own data named like a file": (
        {"task_settings": {"digits": {"dataset": OWN_DATA | {"name": "spoken_keywords"}}}},
        ["task_settings.digits.dataset.name", "'spoken_keywords'", "another name"],
    ),
    "one name for two data": (
        {"task_settings": {"digits": {"dataset": OWN_DATA},
                           "spoken_keywords": {"dataset": OWN_DATA | {"channels": 1}}}},
        ["task_settings.spoken_keywords.dataset.name", "'photos'", "two different mappings"],
    ),
    "factory without a function": (
        {"task_settings": {"digits": {"model": {"name": "mine", "factory": "mine.net"}}}},
        ["task_settings.digits.model.factory", "'mine.net'", "package.module:function"],
    ),
    "unknown key of an own model": (
        {"task_settings": {"digits": {"model": {"name": "m", "factory": "m:m", "chekpoint": "a"}}}},
        ["task_settings.digits.model.chekpoint", "unknown key", "did you mean checkpoint?"],
    ),
    "data set of no form": (
        {"task_settings": {"digits": {"dataset": ["digits"]}}},
        ["task_settings.digits.dataset", '["digits"]', "the name of a data set, or a mapping"],
    ),
    "time limit": ({"time_limit_s": 0}, ["time_limit_s", "got 0", "a number above 0 (seconds)"]),
    "time limit of jobs": (
        {"job_time_limit_s": "long"},
        ["job_time_limit_s", "got 'long'", "a number above 0 (seconds)"],
    ),
    "jobs per GPU": ({"jobs_per_gpu": -1}, ["jobs_per_gpu", "-1", "an integer from 0 to 1000"]),
    "unknown explainer": (
        {"evaluation": {"explainers": ["lrpp"]}},
        ["evaluation.explainers[0]", "'lrpp'", "expected one of excitation_backprop"],
    ),
    "unknown metric": (
        {"evaluation": {"metrics": ["cosine", "auc"]}},
        ["evaluation.metrics[1]", "'auc'", "expected one of cosine"],
    ),
    "unknown task": ({"tasks": ["digit"]}, ["tasks[0]", "'digit'", "did you mean digits?"]),
    "learning rate of zero": (
        {"task_settings": {"digits": {"budget": {"learning_rate": 0}}}},
        ["task_settings.digits.budget.learning_rate", "got 0", "a number above 0"],
    ),
    "no points": ({"grids": {"ecq": []}}, ["grids.ecq", "got []", "not empty"]),
    "gallery larger than subset": (
        {"evaluation": {"samples": 4, "gallery_samples": 5}},
        ["evaluation.gallery_samples", "got 5", "samples = 4"],
    ),
    "too few groups": (
        {"evaluation": {"faithfulness": {"groups": 10}}},
        ["evaluation.faithfulness.groups", "got 10", "an integer from 25"],
    ),
    "a number that is none": ({"time_limit_s": float("nan")}, ["time_limit_s: got nan", "finite"]),
    "text that no path can hold": (
        {"grids": {"ecqx": [{"window": "be/low"}]}},
        ["grids.ecqx", "window", "'be/low'", "letters, digits"],
    ),
}  # fmt: skip


def refusal(checkout, overrides):
    """The lines that Snakemake prints on a configuration, its chatter left out."""
    checkout.write("bad.yaml", yaml.safe_dump(overrides, sort_keys=False))
    done = checkout.snakemake("--cores", "1", "--configfile", "bad.yaml")
    assert done.returncode == 1, done.stdout
    assert not (checkout.folder / "results").exists()
    return [
        line for line in done.stdout.splitlines() if line.strip() and not line.startswith(CHATTER)
    ]


def refusal_of_the_library(checkout, overrides):
    """What the first job prints on a configuration; no other one may start."""
    checkout.write("bad.yaml", yaml.safe_dump(overrides, sort_keys=False))
    done = checkout.snakemake("--cores", "1", "--configfile", "bad.yaml")
    assert done.returncode == 1, done.stdout
    (log,) = (checkout.folder / "results/logs").rglob("*.log")
    lines = log.read_text().splitlines()
    assert log.name == "check.log" and [line for line in lines if line not in done.stdout] == []
    assert "Traceback" not in done.stdout
    return lines


@pytest.mark.parametrize("case", CASES)
def test_one_clear_line(checkout, case):
    overrides, parts = CASES[case]
    find = refusal_of_the_library if case in OF_THE_LIBRARY else refusal
    lines = find(checkout, overrides)
    assert len(lines) == 1, lines
    assert [part for part in parts if part not in lines[0]] == [], lines[0]


def test_a_key_that_is_given_twice(checkout):
    checkout.write(
        "bad.yaml", "seeds: [0]\ngrids:\n  ecq:\n    - bits: 4\n      bits: 3\nseeds: [1]\n"
    )
    done = checkout.snakemake("--cores", "1", "--configfile", "bad.yaml")
    lines = [line for line in done.stdout.splitlines() if not line.startswith(CHATTER)]
    path = checkout.folder / "bad.yaml"
    assert done.returncode == 1 and [line for line in lines if line] == [
        f"{path}, line 5: grids.ecq[0].bits: given again (first in line 4), expected each key once",
        f"{path}, line 6: seeds: given again (first in line 1), expected each key once",
    ]


def test_baseline_that_raises_on_import(checkout):
    checkout.write("baselines/broken.py", BASELINE_THAT_RAISES)
    overrides = {"methods": ["ecq", "broken"], "grids": {"broken": [{}]}}
    lines = refusal_of_the_library(checkout, overrides)
    assert len(lines) == 1, lines
    assert "broken.py" in lines[0] and "no such library" in lines[0]


def test_dataset_without_its_files(checkout):
    checkout.write("ecqx/tasks/datasets/clips.py", DATASET_WITHOUT_FILES)
    overrides = {"task_settings": {"digits": {"dataset": "clips"}}}
    lines = refusal_of_the_library(checkout, overrides)
    expected = "task_settings.digits.dataset: got 'clips', expected its files: put clips.zip"
    assert len(lines) == 1 and lines[0].startswith(expected), lines


def test_method_without_grid(checkout):
    checkout.write("baselines/mine.py", '"""A baseline."""\n')
    lines = refusal(checkout, {"methods": ["mine"]})
    assert len(lines) == 1 and lines[0].startswith("grids.mine: missing, expected"), lines


def test_one_line_per_problem(checkout):
    lines = refusal(checkout, {"seeds": [-1, -2], "foo": 1})
    assert [line.partition(":")[0] for line in lines] == ["foo", "seeds[0]", "seeds[1]"]


def test_dry_run_refuses_too(checkout):
    checkout.write("bad.yaml", "seeds: [-1]\n")
    done = checkout.snakemake("--dry-run", "--configfile", "bad.yaml")
    assert done.returncode == 1 and "seeds[0]" in done.stdout
