import numpy as np
import pytest
import torch
from scipy.fft import dct
from scipy.signal import welch

from ecqx.seeding import generator
from ecqx.tasks import audio


def clips(n, seed=0):
    return 0.1 * torch.randn(n, audio.CLIP_SAMPLES, generator=torch.Generator().manual_seed(seed))


def test_mfcc_has_every_window_that_fits():
    window, hop = int(0.040 * 16_000), int(0.020 * 16_000)
    starts = [s for s in range(0, 16_000, hop) if s + window <= 16_000]
    assert audio.mfcc(clips(3)).shape == (3, 1, 15, len(starts)) == (3, 1, 15, 49)


def test_mfcc_agrees_with_its_definition():
    """Periodic Hann window, HTK mel filters from 20 Hz to 8 kHz, logarithm, orthonormal DCT."""
    clip = clips(1)[0].numpy().astype(np.float64)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(640) / 640)
    frames = np.stack([clip[320 * k : 320 * k + 640] * hann for k in range(49)])
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    mel = np.linspace(2595 * np.log10(1 + 20 / 700), 2595 * np.log10(1 + 8000 / 700), 42)
    edges = 700 * (10 ** (mel / 2595) - 1)
    frequency = np.linspace(0, 8000, 321)
    rising = (frequency[:, None] - edges[None, :-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[None, 2:] - frequency[:, None]) / (edges[2:] - edges[1:-1])
    filters = np.maximum(0, np.minimum(rising, falling))
    expected = dct(np.log(power @ filters + 1e-6), axis=1, norm="ortho")[:, :15].T
    found = audio.mfcc(torch.from_numpy(clip).float()[None])[0, 0].numpy()
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_mfcc_of_a_clip_does_not_depend_on_the_others():
    quiet = clips(2)
    loud = torch.cat([quiet[:1], 100 * quiet[1:]])
    assert torch.equal(audio.mfcc(quiet)[0], audio.mfcc(loud)[0])


def test_mfcc_frames_see_their_own_window_only():
    clip = clips(1)
    changed = clip.clone()
    changed[0, 8000] += 0.5
    differs = (audio.mfcc(clip) != audio.mfcc(changed)).any(dim=2).flatten()
    covering = [k for k in range(49) if 320 * k <= 8000 < 320 * k + 640]
    assert set(differs.nonzero().flatten().tolist()) <= set(covering) and bool(differs.any())


def test_feature_statistics_are_per_coefficient():
    features = torch.randn(20, 1, 15, 49) * torch.arange(1.0, 16.0)[:, None] + 3.0
    mean, deviation = audio.feature_statistics(features)
    assert mean.shape == deviation.shape == (1, 1, 15, 1)
    values = features[:, 0, 6, :]
    assert mean[0, 0, 6, 0].item() == pytest.approx(values.mean().item(), rel=1e-4)
    assert deviation[0, 0, 6, 0].item() == pytest.approx(values.std().item(), rel=1e-4)


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0])
def test_colored_noise_has_its_slope_and_level(exponent, global_rng_untouched):
    noise = audio.colored_noise(torch.full((8,), exponent), generator(0))
    assert noise.shape == (8, 16_000)
    torch.testing.assert_close(audio.rms(noise), torch.ones(8, 1))
    frequency, density = welch(noise.numpy(), fs=16_000, nperseg=2048)
    band = (frequency > 60) & (frequency < 6000)
    slope = np.polyfit(np.log(frequency[band]), np.log(density.mean(axis=0)[band]), 1)[0]
    assert slope == pytest.approx(-exponent, abs=0.15)


def test_shift_frames_moves_whole_samples_and_repeats_the_edge(global_rng_untouched):
    x = torch.arange(30.0).expand(200, 1, 4, 30).clone()
    before = x.clone()
    moved = audio.shift_frames(x, 3, generator(0))
    assert torch.equal(x, before)
    allowed = {
        tuple(min(max(frame - shift, 0), 29) for frame in range(30)) for shift in range(-3, 4)
    }
    rows = {tuple(int(v) for v in row) for row in moved[:, 0, 0]}
    assert rows == allowed
    assert bool((moved == moved[:, :, :1]).all()), "coefficients of a sample move together"


def test_shift_and_blur_adds_noise_of_its_strength_to_shifted_features():
    x = torch.arange(30.0).expand(400, 1, 4, 30)
    varied = audio.shift_and_blur(x, 3, 0.1, generator(0))
    allowed = torch.stack(
        [(torch.arange(30) - shift).clamp(0, 29).float() for shift in range(-3, 4)]
    )
    residual = varied[:, 0, :, None, :] - allowed  # sample, coefficient, shift, frame
    nearest = residual.square().mean(dim=(1, 3)).argmin(dim=1)
    assert set(nearest.tolist()) == set(range(7))
    noise = residual[torch.arange(400), :, nearest]
    assert noise.std().item() == pytest.approx(0.1, rel=0.02)


def test_change_channel_adds_one_number_per_sample_and_coefficient(global_rng_untouched):
    x = torch.randn(500, 1, 15, 49, generator=torch.Generator().manual_seed(0))
    added = audio.change_channel(x, 0.3, generator(0)) - x
    torch.testing.assert_close(added, added[..., :1].expand_as(added))
    assert added[..., 0].std().item() == pytest.approx(0.3, rel=0.05)


@pytest.mark.parametrize(("dim", "size"), [(2, 15), (3, 49)])
def test_mask_band_blanks_one_band_anywhere(dim, size, global_rng_untouched):
    x = torch.ones(2000, 1, 15, 49)
    masked = audio.mask_band(x, dim, 4, generator(0))
    assert bool((x == 1).all())
    blank = (masked == 0).transpose(dim, 3)
    assert bool((blank == blank[:, :, :1]).all()), "a band goes through the whole other axis"
    row = blank[:, 0, 0].int()
    width = row.sum(dim=1)
    assert set(width.tolist()) == {0, 1, 2, 3, 4}
    starts = (row.diff(dim=1, prepend=torch.zeros(len(row), 1, dtype=torch.int32)) == 1).sum(dim=1)
    assert bool((starts == (width > 0)).all()), "it is in one piece"
    assert bool(row.any(dim=0).all()) and row.shape[1] == size
