"""Tests of properties that all degradations share.

Authors
 * The miipher2 authors 2026
"""

import hashlib
import json
import multiprocessing
import pickle

import numpy as np
import pytest
import torch

from miipher2.degrade import Chain, Clipping, generator
from miipher2.errors import UserError

NAMES = [
    "reverb",
    "noise",
    "music",
    "babble",
    "coloured",
    "calls",
    "knocks",
    "microphone",
    "hum",
    "offset",
    "flutter",
    "clipping",
    "quantisation",
    "bandwidth",
    "codec",
    "network",
    "level",
]


def fingerprint(chain, wav):
    """Return a digest of 30 degraded versions of a clip and their metadata."""
    digest = hashlib.sha256()
    for index in range(30):
        noisy, metadata = chain(wav, generator(1, 2, f"clip{index}"))
        digest.update(noisy.numpy().tobytes())
        digest.update(json.dumps(metadata).encode())
    return digest.hexdigest()


def test_names_of_the_default_chain(chain):
    assert chain.names == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_shape_type_and_peak(chain, speech, name):
    before = speech.clone()
    for seed in range(5):
        noisy, metadata = chain.only(name)(speech, generator(seed))
        assert noisy.shape == speech.shape
        assert noisy.dtype == torch.float32
        assert torch.isfinite(noisy).all()
        assert noisy.abs().max() <= 1
        assert [step["name"] for step in metadata["steps"]] == [name]
        assert json.loads(json.dumps(metadata)) == metadata
    assert torch.equal(speech, before)


@pytest.mark.parametrize("name", NAMES)
def test_every_step_returns_float32_of_the_same_shape(chain, speech, name):
    step = chain.steps[name][1]
    for seed in range(12):
        degraded, _ = step.degrade(speech.numpy(), generator(seed))
        assert degraded.dtype == np.float32
        assert degraded.shape == speech.shape


def test_all_steps_can_be_combined(chain, speech):
    steps = {name: (1.0, step) for name, (_, step) in chain.steps.items()}
    everything = Chain(steps, max_steps=len(steps), clean_share=0.0)
    for seed in range(20):
        noisy, metadata = everything(speech, generator(seed))
        assert [step["name"] for step in metadata["steps"]] == NAMES
        assert torch.isfinite(noisy).all()
        assert noisy.abs().max() <= 1


@pytest.mark.parametrize("name", NAMES)
def test_every_degradation_changes_the_audio(chain, speech, name):
    batch = speech.repeat(6, 1)
    noisy, _ = chain.only(name)(batch, generator(3))
    changed = [not torch.allclose(row, speech, atol=1e-4) for row in noisy]
    # In such a short clip, the network may lose no packet.
    assert sum(changed) >= (3 if name == "network" else 6)


@pytest.mark.parametrize("name", NAMES)
def test_clips_of_a_batch_are_degraded_in_order(chain, speech, name):
    step = chain.only(name)
    noisy, metadata = step(speech.repeat(4, 1), generator(0))
    rng = generator(0)
    for row in range(4):
        single, drawn = step(speech, rng)
        assert torch.equal(noisy[row], single)
        assert metadata[row] == drawn
    assert any(not torch.equal(noisy[0], other) for other in noisy[1:])


@pytest.mark.parametrize("name", NAMES)
def test_very_short_clips_keep_their_length(chain, name):
    for samples in (1, 2, 50, 401):
        clip = torch.linspace(0.1, 0.5, samples)
        for seed in range(3):
            noisy, _ = chain.only(name)(clip, generator(seed))
            assert noisy.shape == clip.shape
            assert torch.isfinite(noisy).all()


@pytest.mark.parametrize("name", NAMES)
def test_silence_stays_nearly_silent(chain, name):
    for seed in range(5):
        noisy, metadata = chain.only(name)(torch.zeros(8000), generator(seed))
        offset = abs(metadata["steps"][0].get("offset", 0.0))
        assert noisy.abs().max() <= offset + 0.01


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_and_infinity_raise(chain, value):
    clip = torch.zeros(100)
    clip[3] = value
    with pytest.raises(UserError, match="NaN"):
        chain(clip, generator(0))


def test_empty_clip_raises(chain):
    with pytest.raises(UserError, match="clip is empty"):
        chain(torch.zeros(0), generator(0))


def test_output_does_not_share_memory_with_input(chain):
    clip = torch.full((100,), 0.5)
    for seed in range(40):
        noisy, _ = chain(clip, generator(seed))
        noisy.zero_()
    assert torch.equal(clip, torch.full((100,), 0.5))


def test_float64_input_gives_float32_output():
    noisy, _ = Clipping()(torch.rand(100, dtype=torch.float64), generator(0))
    assert noisy.dtype == torch.float32


def test_generator_depends_only_on_its_keys():
    # A fixed value: it must not depend on the platform or package versions.
    assert generator(1, 2, "a").integers(2**32) == 3363280922
    assert generator(1, 2, "a").random() == generator(1, 2, "a").random()
    assert generator(1, 2, "a").random() != generator(1, 3, "a").random()
    assert generator(12, "a").random() != generator(1, "2a").random()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_other_processes_draw_the_same_degradations(chain, speech, method):
    here = fingerprint(chain, speech)
    context = multiprocessing.get_context(method)
    with context.Pool(1) as pool:
        assert pool.apply(fingerprint, (chain, speech)) == here


def test_unpickled_chain_draws_the_same_degradations(chain, speech):
    expected = [chain(speech, generator(7, 1, f"id{i}"))[0] for i in range(6)]
    resumed = pickle.loads(pickle.dumps(chain))
    for index in range(3, 6):
        again, _ = resumed(speech, generator(7, 1, f"id{index}"))
        assert torch.equal(again, expected[index])
