"""The checks themselves: each deliberately wrong method is caught, and by the right check."""

import re
from dataclasses import dataclass, field

import pytest
import torch

from ecqx import checks
from ecqx.compression.assignment.assigners import Nearest
from ecqx.compression.contract import Compressed, Quantized, check_range, parameter, quantizable
from ecqx.compression.training import quantize_once, train_quantized


def quantized(model, bits=4):
    return quantize_once(model, Nearest(quantizable(model), levels=2**bits))


@dataclass(frozen=True)
class Correct:
    bits: int = 4

    def __post_init__(self):
        check_range("bits", self.bits, 2, 8)

    def compress(self, model, task, rng):
        return quantized(model, self.bits)


@dataclass
class NotFrozen:
    bits: int = 4


@dataclass(frozen=True)
class ListField(Correct):
    layers: tuple = ()


@dataclass(frozen=True)
class WrongDefault(Correct):
    lam: float = 1


@dataclass(frozen=True)
class UnknownRole(Correct):
    lam: float = field(default=1.0, metadata={"role": "axis"})


@dataclass(frozen=True)
class TextAlongTheFront(Correct):
    window: str = parameter("below", role="front")


@dataclass(frozen=True)
class LabelOfTwoLines(Correct):
    lam: float = parameter(1.0, label="weight of\nthe rate")


@dataclass(frozen=True)
class NoValidation(Correct):
    bits: int = 4

    def __post_init__(self):
        pass


@dataclass(frozen=True)
class VagueValidation(Correct):
    def __post_init__(self):
        if self.bits < 2:
            raise ValueError("bad value")


@dataclass(frozen=True)
class SkipsEverything(Correct):
    def skip(self, model, task):
        return "not today"


@dataclass(frozen=True)
class SkipsWithoutAReason(Correct):
    def skip(self, model, task):
        return ""


@dataclass(frozen=True)
class SkipsByABoolean(Correct):
    def skip(self, model, task):
        return False


@dataclass(frozen=True)
class AltersTheModelInSkip(Correct):
    def skip(self, model, task):
        torch.nn.init.zeros_(model[0].weight)


@dataclass(frozen=True)
class LeavesAHookInSkip(Correct):
    def skip(self, model, task):
        model[0].register_forward_hook(lambda *_: None)


@dataclass(frozen=True)
class ReturnsTheModel(Correct):
    def compress(self, model, task, rng):
        return model


@dataclass(frozen=True)
class LeavesATensorOut(Correct):
    def compress(self, model, task, rng):
        result = quantized(model)
        del result.tensors["7.bias"]
        return result


@dataclass(frozen=True)
class LeavesAWeightAsItIs(Correct):
    def compress(self, model, task, rng):
        result = quantized(model)
        result.tensors["0.weight"] = model.state_dict()["0.weight"].clone()
        return result


@dataclass(frozen=True)
class FloatCodes(Correct):
    def compress(self, model, task, rng):
        result = quantized(model)
        entry = result.tensors["0.weight"]
        result.tensors["0.weight"] = Quantized(entry.codes.float(), entry.step)
        return result


@dataclass(frozen=True)
class NegativeStep(Correct):
    def compress(self, model, task, rng):
        result = quantized(model)
        entry = result.tensors["0.weight"]
        result.tensors["0.weight"] = Quantized(-entry.codes, -entry.step)
        return result


@dataclass(frozen=True)
class NotANumber(Correct):
    def compress(self, model, task, rng):
        result = quantized(model)
        result.tensors["7.bias"][0] = float("nan")
        return result


@dataclass(frozen=True)
class StepOutOfReach(Correct):
    def compress(self, model, task, rng):
        result = quantized(model)
        result.tensors["0.weight"] = Quantized(result.tensors["0.weight"].codes, 1e-15)
        return result


@dataclass(frozen=True)
class AltersTheData(Correct):
    def compress(self, model, task, rng):
        task.train.x.add_(1)
        return quantized(model)


@dataclass(frozen=True)
class LeavesAHook(Correct):
    def compress(self, model, task, rng):
        model[0].register_forward_hook(lambda *_: None)
        return quantized(model)


@dataclass(frozen=True)
class SharesMemory(Correct):
    def compress(self, model, task, rng):
        result = quantized(model)
        result.tensors["7.bias"] = model.state_dict()["7.bias"]
        return result


@dataclass(frozen=True)
class OwnRandomness(Correct):
    def compress(self, model, task, rng):
        with torch.no_grad():
            model[0].weight.add_(torch.randn_like(model[0].weight))
        return quantized(model)


@dataclass(frozen=True)
class OverBudget(Correct):
    def compress(self, model, task, rng):
        first = train_quantized(model, task, Nearest(quantizable(model), levels=16))
        second = train_quantized(model, task, Nearest(quantizable(model), levels=16))
        return Compressed(second.tensors, second.history, first.epoch)


@dataclass(frozen=True)
class NoHistory(Correct):
    def compress(self, model, task, rng):
        result = train_quantized(model, task, Nearest(quantizable(model), levels=16))
        return Compressed(result.tensors, [], result.epoch)


WRONG = [
    (NotFrozen, "declaration", "Method is not frozen"),
    (ListField, "declaration", "field layers is"),
    (WrongDefault, "declaration", "the default of lam is 1, expected float"),
    (UnknownRole, "declaration", "the role of lam is 'axis', expected front or variant"),
    (TextAlongTheFront, "declaration", "the role of window is 'front', expected variant"),
    (LabelOfTwoLines, "declaration", "the label of lam is .*, expected one line of text"),
    (NoValidation, "validation", "bits = -1000000000 is accepted"),
    (VagueValidation, "validation", "does not name both: bad value"),
    (SkipsEverything, "applies", "not today"),
    (SkipsWithoutAReason, "applies", "skip returned '', expected None or the reason as text"),
    (SkipsByABoolean, "applies", "skip returned False, expected None or the reason as text"),
    (AltersTheModelInSkip, "model_unaltered", "skip altered the model"),
    (LeavesAHookInSkip, "model_unaltered", "skip left hooks"),
    (ReturnsTheModel, "result", "returned Sequential, not Compressed"),
    (LeavesATensorOut, "result", "differ in: 7.bias"),
    (LeavesAWeightAsItIs, "result", "0.weight is Tensor"),
    (FloatCodes, "result", "codes of 0.weight are not integers"),
    (NegativeStep, "result", "expected a float above 0"),
    (NotANumber, "result", "7.bias is not finite"),
    (StepOutOfReach, "decodes", "does not fit into a bitstream: 0.weight: step 1e-15"),
    (AltersTheData, "model_unaltered", "the task's data were altered"),
    (LeavesAHook, "model_unaltered", "hooks were left"),
    (SharesMemory, "model_unaltered", "7.bias shares memory"),
    (OwnRandomness, "reproducible", "different bitstreams"),
    (OverBudget, "budget", "passes over the training data, the budget is 2"),
    (NoHistory, "budget", "the history has 0 rows for 2 passes"),
]


def test_the_correct_method_passes():
    checks.check_method(Correct(), *checks.example())


@pytest.mark.parametrize(
    ("method", "check", "message"), WRONG, ids=lambda v: getattr(v, "__name__", None)
)
def test_wrong_methods_are_caught(method, check, message):
    with pytest.raises(checks.ContractError, match=message):
        checks.CHECKS[check](method(), *checks.example())


def test_every_check_has_a_method_that_it_catches():
    assert {check for _, check, _ in WRONG} == set(checks.CHECKS)


def test_the_command_reports_each_check(tmp_path, capsys):
    path = tmp_path / "mine.py"
    path.write_text(
        '"""Does nothing."""\n'
        "from dataclasses import dataclass\n"
        "@dataclass(frozen=True)\n"
        "class Method:\n"
        "    def compress(self, model, task, rng):\n"
        "        return None\n"
    )
    assert checks.check_files([path]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(checks.CHECKS)
    assert any(line.startswith("FAILED") and "returned NoneType" in line for line in lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import nothing_of_this_name", r"raises on import: ModuleNotFoundError.*\(line 1\)"),
        ("x = 1\nraise SystemExit(3)", r"raises on import: SystemExit: 3 \(line 2\)"),
        ("class Other: pass", "has no class Method"),
        (None, "no such baseline file"),
    ],
)
def test_files_that_do_not_load(tmp_path, text, message):
    if text is not None:
        (tmp_path / "mine.py").write_text(text)
    problems = checks.grid_problems(tmp_path, {"mine": [{}]})
    assert len(problems) == 1
    assert "\n" not in problems[0]
    assert re.search(message, problems[0])
