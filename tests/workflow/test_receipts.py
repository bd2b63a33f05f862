"""What is done is known by content: of the code, of the settings, of the files."""

import json
import os

import pytest
import yaml
from pipeline import receipts
from pipeline.planning.plan import Plan

from tests.workflow.conftest import ROOT


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "data/data.pt"
    path.parent.mkdir()
    path.write_bytes(bytes(range(256)) * 64)
    return path


@pytest.fixture
def receipt(file, tmp_path):
    return receipts.made("abc", {"of": "1"}, [file], tmp_path)


def later(path):
    """As if the file had been written a second later."""
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))


def test_what_is_unchanged_is_whole_at_any_time(receipt, file, tmp_path):
    assert receipt.damaged(tmp_path) == []
    later(file)
    assert receipt.damaged(tmp_path) == []


def test_what_is_changed_is_damaged_whatever_its_time_says(receipt, file, tmp_path):
    content, status = file.read_bytes(), file.stat()
    flipped = content[:100] + bytes([content[100] ^ 1]) + content[101:]
    for damaged in (content[:-1], b"", flipped, content + b"x"):
        file.write_bytes(damaged)
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
        assert receipt.damaged(tmp_path) == ["data/data.pt"]
    file.unlink()
    assert receipt.damaged(tmp_path) == ["data/data.pt"]


def test_a_receipt_comes_back_as_written(receipt, tmp_path):
    path = tmp_path / "receipts/a.json"
    receipts.write(path, receipt)
    assert receipts.read(path) == receipt
    assert [other.name for other in path.parent.iterdir()] == ["a.json"]


@pytest.mark.parametrize("text", [None, "", "garbage", "[]", '{"recipe": "abc"}', "\0"])
def test_what_is_no_receipt_says_nothing(tmp_path, text):
    path = tmp_path / "a.json"
    if text is not None:
        path.write_text(text)
    assert receipts.read(path) is None


def test_files_that_were_not_written_have_no_receipt(tmp_path):
    with pytest.raises(FileNotFoundError, match="gone.pt"):
        receipts.made("abc", {}, [tmp_path / "gone.pt"], tmp_path)


def test_content_is_that_of_the_named_files(tmp_path):
    def made(**files):
        for name, text in files.items():
            (tmp_path / name).write_text(text)
        return receipts.made("abc", {}, [tmp_path / name for name in files], tmp_path)

    first, second = made(a="1", b="2"), made(a="1", b="3")
    assert first.content(["a"]) == second.content(["a"])
    assert first.content() != second.content() and first.content(["b"]) != second.content(["b"])


class World:
    """A configuration, a folder of results, and jobs that are done by writing their receipts."""

    FILES = {
        "check": ["tables/methods.csv"],
        "prepare_data": ["data/digits/data.pt"],
        "collect": ["tables/runs.csv", "tables/attributions.csv"],
        "make_tables": ["tables/summary.csv"],
        "draw_figures": ["figures/captions.md"],
        "make_page": ["page.html"],
    }
    OF_NETWORK = {
        "pretrain": ["model.pt", "run.json"],
        "reference": ["reference.npz", "gallery.npz", "anchors.csv"],
        "randomisation": ["randomisation.csv"],
    }
    OF_RUN = {"compress": ["model.nnc", "run.json"], "evaluate": ["metrics.json", "maps.npz"]}

    def __init__(self, folder):
        self.results = folder / "results"
        default, smoke = (
            yaml.safe_load((ROOT / f"config/{name}.yaml").read_text())
            for name in ("default", "smoke")
        )
        for key in ("task_settings", "grids", "evaluation"):
            default[key] = default[key] | smoke.pop(key, {})
        digits = yaml.safe_load((ROOT / "config/default.yaml").read_text())["task_settings"]
        default["task_settings"]["digits"] = digits["digits"] | {"points_per_job": 4}
        self.config = default | smoke | {"results_dir": str(self.results)}

    def plan(self):
        return Plan(self.config, ROOT)

    def files_of(self, job):
        if job.stage in self.FILES:
            return [self.results / name for name in self.FILES[job.stage]]
        folder = self.results / "pretrained/digits/residual_cnn" / job.parts[-1]
        if job.stage in self.OF_NETWORK:
            return [folder / name for name in self.OF_NETWORK[job.stage]]
        runs, seed = self.results / "runs/digits/residual_cnn", job.parts[2]
        return [
            runs / point["method"] / point["name"] / seed / name
            for point in job.settings["points"]
            for name in self.OF_RUN[job.stage]
        ]

    def do(self, jobs, text="content"):
        for job in jobs:
            for path in self.files_of(job):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"{text} of {path.name}")
            inputs = {
                need.job.key: receipts.read(need.job.receipt).content(need.files)
                for need in job.needs
            }
            made = receipts.made(job.recipe, inputs, self.files_of(job), self.results)
            receipts.write(job.receipt, made)

    def left(self):
        """Stages of the jobs that are not done."""
        return sorted({job.stage for job in self.plan().jobs if not job.done})


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


@pytest.fixture
def done(world):
    world.do(world.plan().jobs)
    assert world.left() == []
    return world


END = ["collect", "draw_figures", "make_page", "make_tables"]


def test_nothing_is_done_at_first_and_nothing_is_written(world):
    assert all(not job.done for job in world.plan().jobs)
    assert not world.results.exists()


def test_a_moved_folder_is_as_good(done, tmp_path):
    done.results.rename(tmp_path / "elsewhere")
    assert done.left() != []
    done.config["results_dir"] = str(tmp_path / "elsewhere")
    assert done.left() == []


def test_damage_is_made_again_and_nothing_of_what_was_made_of_it(done):
    path = done.results / "data/digits/data.pt"
    path.write_text("damaged")
    plan = done.plan()
    assert [job.stage for job in plan.jobs if not job.done] == ["prepare_data"]
    assert plan.damaged == ["data/digits/data.pt"]
    # the receipt of the first time stays as it is, and is not what is asked for
    (job,) = [job for job in plan.jobs if not job.done]
    assert not job.receipt.exists() and plan.attempts == {"prepare_data/digits": 1}
    done.do([job])
    assert done.left() == [] and done.plan().damaged == []


def test_what_becomes_another_is_followed_by_what_was_made_of_it(done):
    (done.results / "data/digits/data.pt").write_text("damaged")
    jobs = [job for job in done.plan().jobs if not job.done]
    (done.results / f"receipts/prepare_data/digits/{jobs[0].recipe}.json").unlink()
    done.do(jobs, text="other content")
    assert set(done.left()) >= {"pretrain", "reference", "compress", "evaluate", *END}
    assert "check" not in done.left()


@pytest.mark.parametrize("name", ["model.nnc", "run.json"])
def test_a_damaged_run_plans_its_job_and_what_collects_it(done, name):
    folder = done.results / "runs/digits/residual_cnn/ecq/bits~2_lam~0.2/seed~1"
    (folder / name).write_text("damaged")
    jobs = [job for job in done.plan().jobs if not job.done]
    assert sorted(job.stage for job in jobs) == sorted(["compress", *END])
    assert jobs[0].parts == ("digits", "residual_cnn", "seed~1", "1")
    assert ("ecq", "bits~2_lam~0.2") in [
        (point["method"], point["name"]) for point in jobs[0].settings["points"]
    ]


def test_a_lost_or_broken_receipt_plans_its_job(done):
    (path,) = (done.results / "receipts/evaluate/digits/residual_cnn/seed~0/0").iterdir()
    text = path.read_text()
    path.unlink()
    assert done.left() == sorted(["evaluate", *END])
    broken = json.loads(text)
    first = next(iter(broken["outputs"]))
    broken["outputs"][first] = "0" * 64
    for content in (text[: len(text) // 2], json.dumps(broken)):
        path.write_text(content)
        assert "evaluate" in done.left()
    path.write_text(text)
    assert done.left() == []


def test_randomisation_is_a_job_of_its_own(done):
    done.config["evaluation"] = done.config["evaluation"] | {"randomisation": True}
    assert done.left() == sorted(["randomisation", *END])


@pytest.mark.parametrize(
    ("key", "value", "first"),
    [
        ("metrics", ["cosine"], "reference"),
        ("samples", 10, "reference"),
        ("gallery_samples", 2, "reference"),
        ("faithfulness", {"samples": 4, "groups": 30, "absolute": True}, "reference"),
    ],
)
def test_settings_of_the_evaluation_plan_no_training(done, key, value, first):
    done.config["evaluation"] = done.config["evaluation"] | {key: value}
    left = done.left()
    assert first in left and not {"pretrain", "compress"} & set(left)


def test_a_new_point_leaves_the_recipes_of_the_others(world):
    def recipes(stage):
        return {
            (point["method"], job.settings["seed"], point["name"]): point["recipe"]
            for job in world.plan().jobs
            if job.stage == stage
            for point in job.settings["points"]
        }

    before = {stage: recipes(stage) for stage in ("compress", "evaluate")}
    world.config["grids"] = world.config["grids"] | {"uniform": [{"bits": [2, 3, 4]}]}
    for stage, known in before.items():
        after = recipes(stage)
        assert set(after) - set(known) == {("uniform", seed, "bits~3") for seed in (0, 1)}
        assert {point: after[point] for point in known} == known


def test_other_shares_of_points_leave_their_recipes(world):
    def recipes():
        return {
            (job.parts[2], point["method"], point["name"]): point["recipe"]
            for job in world.plan().jobs
            if job.stage == "compress"
            for point in job.settings["points"]
        }

    before = recipes()
    world.config["task_settings"]["digits"]["points_per_job"] = 1
    assert recipes() == before


def test_a_job_elsewhere_chooses_the_same_receipts(done):
    (done.results / "data/digits/data.pt").write_text("damaged")
    plan = done.plan()
    told = Plan(done.config, ROOT, json.loads(json.dumps(plan.attempts)))
    assert [job.receipt for job in told.jobs] == [job.receipt for job in plan.jobs]
