"""Sanity check of explainers: do their maps change when what the network has learned is lost?

Adebayo et al. [adebayo2018sanity], cascading randomisation: the layers
are initialised anew one after the other, from the output down to the input, and after each the maps
are compared with those of the trained network. Maps of an explainer that explains the network, and
not the input alone, become unlike them.

Efficient test of Hedström et al. [hedstrom2024emprt]: a map of an untrained network has no reason
to be simple, so the entropy of its values rises. No two maps are compared, which is what made the
first test depend on the comparison.
"""

import copy
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ecqx.evaluation.complexity import histogram_entropy
from ecqx.evaluation.consistency import METRICS
from ecqx.evaluation.evaluate import explain_all
from ecqx.evaluation.maps import informative
from ecqx.evaluation.measures import moments
from ecqx.tasks.task import device_of, evaluating

ENTROPY_RISE = "entropy_rise"


def randomisation_rows(
    model: nn.Module,
    x: Tensor,
    target: Tensor,
    explainers: Iterable[str],
    metrics: Iterable[str],
    rng: torch.Generator,
    background: Tensor | None = None,
) -> list[dict]:
    """Consistency of maps with the trained network's while its layers are randomised one by one.

    Parameters
    ----------
    model : nn.Module, the trained network; comes back as it was.
    x : Tensor, shape (n, C, H, W)
    target : Tensor, int64, shape (n,); classes to be explained, the same throughout.
    explainers : iterable of str, names in ``EXPLAINERS``; those that do not apply to the model have
        no rows.
    metrics : iterable of str, names in ``METRICS``.
    rng : torch.Generator, on the CPU. The new weights depend on its state alone, not on the model's
        device.
    background : Tensor, optional; see `ecqx.evaluation.evaluate.explain_all`.

    Returns
    -------
    list[dict]
        Keys: layers_randomised (1, 2, ... up to all layers), layer (name of the last one
        randomised), explainer, metric, signed (bool; False: computed on the maps' magnitudes),
        mean, std (sample standard deviation over samples), n (samples that count: those whose map
        of the trained network is not degenerate). `mean` is NaN if n is 0, `std` if n is below 2.
        Besides the metrics there is "entropy_rise": how far `histogram_entropy` of a map rises
        above that of the trained network's, relative to it. With all layers randomised it is the
        score of the efficient test.

    Raises
    ------
    ValueError : an explainer or a metric is unknown, shapes do not fit, the model has no layers
        with parameters, or one of them cannot be initialised anew.
    """
    metrics = known_metrics(metrics)
    explainers = list(explainers)
    # The layout in which a CPU is fastest; these copies spare the caller's network the change.
    trained = copy.deepcopy(model).to(memory_format=torch.channels_last)
    randomised = copy.deepcopy(trained)
    layers = randomisable_layers(randomised, x[:1])
    trained_maps = explain_all(trained, x, target, explainers, background=background)

    trained_entropies = _entropies(trained_maps)

    rows = []
    for count, (layer, modules) in enumerate(layers.items(), start=1):
        for module in modules:
            _initialise(module, rng)
        maps = explain_all(randomised, x, target, explainers, background=background)
        rows += [
            {"layers_randomised": count, "layer": layer, **row}
            for row in [
                *comparisons(maps, trained_maps, metrics),
                *_entropy_rises(maps, trained_maps, trained_entropies),
            ]
        ]
    return rows


def randomisable_layers(model: nn.Module, sample: Tensor) -> dict[str, list[nn.Module]]:
    """Layers with parameters in the order of randomisation: the last one that runs comes first.

    What computes with parameters of its own around other layers (a class token, a position
    embedding) counts where it begins. A normalisation belongs to the layer before it. With all
    layers initialised anew the network is then an untrained one; a new layer before statistics of
    the old one would be neither.

    Parameters
    ----------
    model : nn.Module
    sample : Tensor, shape (1, ...)

    Returns
    -------
    dict[str, list[nn.Module]]
        Name of the layer -> the layer and its normalisations.

    Raises
    ------
    ValueError : the model has no layers with parameters, or one of them cannot be initialised anew.
    """
    ran: dict[str, nn.Module] = {}

    def record(name: str, module: nn.Module) -> None:
        ran.pop(name, None)  # a layer that runs repeatedly counts where it runs last
        ran[name] = module

    handles = []
    for name, module in model.named_modules():
        if any(True for _ in module.parameters(recurse=False)):
            around = any(True for _ in module.children())
            register = module.register_forward_pre_hook if around else module.register_forward_hook
            handles.append(register(lambda m, *given, name=name: record(name, m)))
    try:
        with evaluating(model), torch.no_grad():
            model(sample.to(device_of(model, sample.device)))
    finally:
        for handle in handles:
            handle.remove()
    if not ran:
        raise ValueError("the model has no layers with parameters")

    groups: list[tuple[str, list[nn.Module]]] = []
    for name, module in ran.items():
        known = hasattr(module, "reset_parameters") or isinstance(module, nn.MultiheadAttention)
        if not known and all(own.numel() == 1 for own in module.parameters(recurse=False)):
            raise ValueError(
                f"{name or 'the model'} ({type(module).__name__}) cannot be initialised anew: it "
                "has no reset_parameters(), and nothing to shuffle"
            )
        if isinstance(module, _BatchNorm) and groups:
            groups[-1][1].append(module)
        else:
            groups.append((name, [module]))
    return dict(reversed(groups))


def _initialise(module: nn.Module, rng: torch.Generator) -> None:
    """Give a layer the parameters and statistics of an untrained one.

    Where no initialisation is known, its own parameters are shuffled.
    """
    seed = int(torch.randint(2**63 - 1, (), generator=rng))
    # Layers draw from torch's own generator and no other. Seeding that of the CPU alone, not
    # through torch.manual_seed, leaves the devices' as they are.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        if hasattr(module, "reset_parameters"):
            fresh = copy.deepcopy(module).cpu()
            fresh.reset_parameters()
            module.load_state_dict(fresh.state_dict())
        elif isinstance(module, nn.MultiheadAttention):
            fresh = copy.deepcopy(module).cpu()
            fresh.out_proj.reset_parameters()
            fresh._reset_parameters()
            module.load_state_dict(fresh.state_dict())
        else:
            for own in module.parameters(recurse=False):
                order = torch.randperm(own.numel()).to(own.device)
                own.data = own.data.flatten()[order].view_as(own)


def known_metrics(metrics: Iterable[str]) -> list[str]:
    """The names as a list; ValueError if one is not in ``METRICS``."""
    metrics = list(metrics)
    if unknown := [name for name in metrics if name not in METRICS]:
        raise ValueError(f"metrics: unknown {', '.join(unknown)}; known: {', '.join(METRICS)}")
    return metrics


def comparisons(
    maps: Mapping[str, Tensor], references: Mapping[str, Tensor], metrics: Sequence[str]
) -> list[dict]:
    """Rows of every explainer and metric, signed and not; see `randomisation_rows`.

    Parameters
    ----------
    maps, references : mapping of str to Tensor, explainer -> maps, shape (n, H, W). Samples whose
        reference is degenerate do not count.
    metrics : sequence of str, names in ``METRICS``.
    """
    rows = []
    for explainer, own in maps.items():
        for signed in (True, False):
            a, b = own, references[explainer]
            if not signed:
                a, b = a.abs(), b.abs()
            comparable = informative(b)
            rows += [
                {"explainer": explainer, "metric": metric, "signed": signed}
                | moments(METRICS[metric].fn(a, b)[comparable])
                for metric in metrics
            ]
    return rows


def _entropies(maps: Mapping[str, Tensor]) -> dict[tuple[str, bool], Tensor]:
    """Entropy of values by explainer and whether maps are signed."""
    return {
        (name, signed): histogram_entropy(own if signed else own.abs())
        for name, own in maps.items()
        for signed in (True, False)
    }


def _entropy_rises(
    maps: Mapping[str, Tensor],
    trained_maps: Mapping[str, Tensor],
    trained_entropies: Mapping[tuple[str, bool], Tensor],
) -> list[dict]:
    rows = []
    for (name, signed), after in _entropies(maps).items():
        before, trained = trained_entropies[name, signed], trained_maps[name]
        comparable = informative(trained if signed else trained.abs())
        rise = ((after - before) / before)[comparable]
        rows.append({"explainer": name, "metric": ENTROPY_RISE, "signed": signed} | moments(rise))
    return rows
