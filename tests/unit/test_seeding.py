import pytest
import torch

from ecqx.seeding import derive_seed, generator, global_seed


def test_seeds_depend_on_every_part_and_their_borders():
    seeds = {
        derive_seed(*parts)
        for parts in [
            ("a", "bc"),
            ("ab", "c"),
            ("abc",),
            ("a", "bc", 0),
            ("a", "bc", 1),
            (1,),
            ("1",),
        ]
    }
    assert len(seeds) == 7
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_seeds_are_the_same_on_every_machine_and_day():
    assert derive_seed("compress", "digits", 0) == 4100503184097332182  # sha256sum of the JSON text


@pytest.mark.parametrize("part", [0.5, None, True, ("a",)])
def test_other_parts_are_refused(part):
    with pytest.raises(TypeError, match="expected str or int"):
        derive_seed("a", part)


def test_generators_repeat():
    assert torch.equal(
        torch.rand(3, generator=generator("x", 1)), torch.rand(3, generator=generator("x", 1))
    )


def test_global_generators_come_back_also_after_an_error():
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    with pytest.raises(RuntimeError), global_seed(generator("y")):
        torch.rand(10)
        raise RuntimeError
    assert torch.equal(torch.rand(2), expected)


@pytest.fixture
def cuda(monkeypatch):
    """A function that pretends two GPUs, and the generator states that were set on them."""
    states = {}

    def pretend(started):
        def state(device):
            assert started, "asking for a generator starts CUDA"
            return f"state of {device}"

        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "is_initialized", lambda: started)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
        monkeypatch.setattr(torch.cuda, "get_rng_state", state)
        monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: None)
        monkeypatch.setattr(
            torch.cuda, "set_rng_state", lambda state, device: states.update({device: state})
        )
        return states

    return pretend


def test_generators_of_gpus_come_back_too(cuda):
    states = cuda(started=True)
    with global_seed(generator("y")):
        assert not states
    assert states == {0: "state of 0", 1: "state of 1"}


def test_cuda_is_not_started_to_compute_on_the_cpu(cuda):
    states = cuda(started=False)
    with global_seed(generator("y")):
        torch.rand(1)
    assert not states


def test_inside_the_block_randomness_follows_the_rng():
    draws = []
    for _ in range(2):
        with global_seed(generator("z")):
            draws.append(torch.rand(4))
    assert torch.equal(*draws)
