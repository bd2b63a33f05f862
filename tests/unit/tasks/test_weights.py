import dataclasses
import hashlib

import pytest
import torch
import torchvision
from torch import nn

from ecqx.seeding import generator
from ecqx.tasks import models
from ecqx.tasks.pretrain import pretrain
from ecqx.tasks.weights import Weights

CLASSES = 6


def write(folder, state):
    """Save a state as it would be published; its address."""
    path = folder / "net.pth"
    torch.save(state, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    path.rename(folder / f"net-{digest}.pth")
    return f"https://example.org/models/net-{digest}.pth"


@pytest.fixture(autouse=True)
def no_downloads(tmp_path, monkeypatch):
    """Torch's own folder of downloads is an empty one."""
    hub = tmp_path / "hub"
    (hub / "checkpoints").mkdir(parents=True)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(hub))
    return hub / "checkpoints"


@pytest.fixture(scope="module")
def published():
    """torchvision's ResNet18 of no small weights, its normalisation included."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = torchvision.models.resnet18().eval()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                for tensor in (module.weight, module.bias, module.running_mean):
                    nn.init.normal_(tensor, 0.5, 0.3)
                nn.init.uniform_(module.running_var, 0.5, 2.0)
    return model


def test_published_files_are_those_of_torchvision():
    for name, described in (
        ("resnet18_imagenet", torchvision.models.ResNet18_Weights),
        ("vgg16_imagenet", torchvision.models.VGG16_Weights),
    ):
        assert models.get(name).WEIGHTS.url == described.IMAGENET1K_V1.url


def test_resnet18_with_published_weights_computes_what_torchvision_does(
    published, tmp_path, monkeypatch
):
    module = models.get("resnet18_imagenet")
    # an older file: in another order, batches not counted
    state = {k: v for k, v in sorted(published.state_dict().items()) if "num_batches" not in k}
    url = write(tmp_path, state)
    monkeypatch.setattr(module, "WEIGHTS", dataclasses.replace(module.WEIGHTS, url=url))
    model = module.build((3, 64, 64), CLASSES).eval()
    head = model.fc.weight.detach().clone()
    assert module.pretrained(model, tmp_path) == url.rpartition("/")[2]
    assert torch.equal(model.fc.weight, head)
    with torch.no_grad():
        model.fc = published.fc
        x = torch.randn(2, 3, 64, 64)
        torch.testing.assert_close(model(x), published(x))


def test_vgg16_computes_what_torchvision_does(monkeypatch):
    """With narrow dense layers; the wide ones are two gigabytes of random numbers."""
    module = models.get("vgg16_original")
    monkeypatch.setattr(module, "_HIDDEN", (16, 16))
    model = module.build((3, 64, 64), CLASSES).eval()
    features = torchvision.models.vgg.make_layers(torchvision.models.vgg.cfgs["D"])
    with torch.device("meta"):
        published = torchvision.models.VGG(features, init_weights=False)
    published.features = features
    published.classifier = nn.Sequential(
        *(nn.Linear(512 * 7 * 7, 16), nn.ReLU(), nn.Dropout()),
        *(nn.Linear(16, 16), nn.ReLU(), nn.Dropout()),
        nn.Linear(16, CLASSES),
    )
    assert list(model.state_dict()) == list(published.state_dict())
    published.load_state_dict(model.state_dict())
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(model(x), published.eval()(x))


@pytest.mark.parametrize("name", ["resnet18", "vgg16"])
def test_published_states_fit(name):
    """Every tensor but the head's, by name and shape; on a device without memory."""
    module = models.get(f"{name}_imagenet")
    with torch.device("meta"):
        own = module.build((3, 224, 224), CLASSES).state_dict()
        published = getattr(torchvision.models, name)().state_dict()
    taken = {
        module.WEIGHTS.published_name(key): tensor.shape
        for key, tensor in own.items()
        if not key.startswith(module.WEIGHTS.head)
    }
    expected = {
        key: tensor.shape
        for key, tensor in published.items()
        if not key.startswith(module.WEIGHTS.head)
    }
    assert taken == expected
    assert f"{module.WEIGHTS.head}.weight" in own


def small():
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 4), nn.ReLU(), nn.Linear(4, 3))


def small_weights(url):
    return Weights(url, head="3", published_name=lambda name: f"net.{name}")


def small_state(rng):
    return {
        "net.1.weight": torch.randn(4, 36, generator=rng),
        "net.1.bias": torch.randn(4, generator=rng),
    }


def test_training_starts_from_them_and_says_so(bars, tmp_path, global_rng_untouched):
    state = small_state(generator(0))
    url = write(tmp_path, state)
    task = dataclasses.replace(bars, budget=dataclasses.replace(bars.budget, learning_rate=1e-9))
    trained = pretrain(
        lambda *_: small(),
        task,
        generator(0),
        pretrained=lambda model: small_weights(url).load_into(model, tmp_path),
    )
    assert trained.start == url.rpartition("/")[2]
    torch.testing.assert_close(trained.model[1].weight.detach(), state["net.1.weight"])
    assert pretrain(lambda *_: small(), task, generator(0)).start == "random initialisation"


def test_they_are_found_among_the_downloads_of_torch_too(no_downloads, tmp_path):
    state = small_state(generator(0))
    weights = small_weights(write(no_downloads, state))
    for root in (None, tmp_path):
        model = small()
        assert weights.missing(root) is None
        weights.load_into(model, root)
        assert torch.equal(model[1].bias, state["net.1.bias"])


def test_what_is_missing_is_said_in_one_line(tmp_path):
    module = models.get("resnet18_imagenet")
    line = module.missing(tmp_path)
    assert line == (
        "put resnet18-f37072fd.pth from https://download.pytorch.org/models/resnet18-f37072fd.pth "
        f"into {tmp_path}"
    )
    with pytest.raises(FileNotFoundError, match="put resnet18-f37072fd.pth"):
        module.pretrained(small(), tmp_path)


def test_a_damaged_file_is_named(tmp_path):
    weights = small_weights(write(tmp_path, small_state(generator(0))))
    path = tmp_path / weights.file_name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="is damaged, its SHA-256 checksum begins with") as caught:
        weights.load_into(small(), tmp_path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"net.1.weight": torch.zeros(4, 35)}, r"shape \(4, 35\) for 1.weight of the network"),
        ({"net.1.bias": None}, r"nothing for 1.bias of the network, expected \(4,\)"),
    ],
)
def test_weights_of_another_network_are_refused(tmp_path, change, message):
    state = small_state(generator(0)) | change
    weights = small_weights(write(tmp_path, {k: v for k, v in state.items() if v is not None}))
    with pytest.raises(ValueError, match=message) as caught:
        weights.load_into(small(), tmp_path)
    assert str(tmp_path / weights.file_name) in str(caught.value)
