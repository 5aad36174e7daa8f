"""Tests of the degradation chain and its YAML file.

Authors
 * The miipher2 authors 2026
"""

import logging
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hyperpyyaml import load_hyperpyyaml
from tiny_audio import decaying, write_manifest_of

from miipher2.degrade import (
    Chain,
    Clipping,
    ColouredNoise,
    Degradation,
    Level,
    Noise,
    Offset,
    Reverb,
    generator,
)
from miipher2.degrade.command import DEFAULT_CHAIN
from miipher2.errors import UserError

HPARAMS = Path(__file__).parents[2] / "hparams"


class NoOp(Degradation):
    """A degradation that returns a copy of its input."""

    def degrade(self, samples, rng):
        return samples.copy(), {}


def draws(chain, number):
    clip = torch.ones(4)
    for seed in range(number):
        yield [s["name"] for s in chain(clip, generator(seed))[1]["steps"]]


def test_probabilities_of_steps_and_of_clean_clips():
    shares = {"a": 0.5, "b": 0.25, "c": 0.1}
    steps = {name: (share, NoOp()) for name, share in shares.items()}
    chain = Chain(steps, max_steps=3, clean_share=0.2)
    seen = Counter()
    for names in draws(chain, 4000):
        assert names == sorted(names)
        seen.update(names or ["clean"])
    assert seen["clean"] / 4000 == pytest.approx(0.2, abs=0.02)
    # If no step is drawn, one is chosen in proportion to the probabilities.
    none = np.prod([1 - share for share in shares.values()])
    for name, share in shares.items():
        expected = 0.8 * (share + none * share / sum(shares.values()))
        assert seen[name] / 4000 == pytest.approx(expected, abs=0.03)


def test_max_steps_is_respected():
    steps = {name: (0.9, NoOp()) for name in "abcdefgh"}
    chain = Chain(steps, max_steps=3, clean_share=0.0)
    lengths = Counter(len(names) for names in draws(chain, 500))
    assert max(lengths) == 3
    assert {name for names in draws(chain, 200) for name in names} == set(steps)


def test_clean_share_of_zero_leaves_no_clip_clean():
    chain = Chain({"a": (0.01, NoOp())}, clean_share=0.0)
    assert all(names == ["a"] for names in draws(chain, 200))


def test_clip_above_full_scale_is_scaled_down(speech):
    noise = ColouredNoise(snr_db=(-20.0, -20.0))
    chain = Chain({"noise": (1.0, noise)}, clean_share=0.0)
    noisy, metadata = chain(speech, generator(0))
    # The chain draws two numbers before the noise does; skip them.
    rng = generator(0)
    rng.random(2)
    loud, _ = noise(speech, rng)
    assert loud.abs().max() > 1
    assert noisy.abs().max() == pytest.approx(1.0)
    assert metadata["gain"] == pytest.approx(1 / float(loud.abs().max()))
    assert torch.allclose(noisy, loud * metadata["gain"], atol=1e-6)


def test_gains_of_several_steps_multiply(speech):
    steps = {
        "up": (1.0, Level((0.0, 0.0))),
        "offset": (1.0, Offset((0.5, 0.5))),
    }
    noisy, metadata = Chain(steps, clean_share=0.0)(speech, generator(0))
    assert noisy.abs().max() <= 1
    rng, samples, gains = generator(0), speech, []
    rng.random(3)  # the chain draws three numbers before its steps do
    for _, step in steps.values():
        samples, _ = step(samples, rng)
        gains.append(1 / float(samples.abs().max()))
        samples = samples * gains[-1]
    assert max(gains) < 1
    assert metadata["gain"] == pytest.approx(gains[0] * gains[1])


def test_chain_returns_early_target(tmp_path, speech):
    manifest = write_manifest_of(tmp_path, {"room": decaying(0.5)})
    reverb = Reverb(manifest, tmp_path, target="early")
    steps = {"reverb": (1.0, reverb), "clipping": (1.0, Clipping())}
    chain = Chain(steps, clean_share=0.0)
    target, noisy, _ = chain.pair(speech, generator(0))
    rng = generator(0)
    rng.random(3)
    expected, _, _ = reverb.pair(speech, rng)
    assert torch.equal(target, expected)
    again, metadata = chain(speech, generator(0))
    assert torch.equal(noisy, again)
    assert metadata["steps"][0]["target"] == "early"


def test_chain_returns_the_targets_of_a_batch(chain, speech):
    batch = speech[: 2 * 16000].reshape(4, -1)
    target, noisy, metadata = chain.pair(batch, generator(0))
    assert torch.equal(target, batch)
    assert noisy.shape == batch.shape
    assert len(metadata) == 4


def test_step_without_manifest_is_left_out_and_logged(caplog):
    with caplog.at_level(logging.INFO):
        chain = Chain(
            {"noise": (0.5, Noise(None)), "clipping": (0.5, Clipping())}
        )
    assert chain.names == ["clipping"]
    assert "noise is left out: no manifest" in caplog.text
    with pytest.raises(UserError, match="no manifest"):
        chain.only("noise")


def test_invalid_chain_raises():
    with pytest.raises(UserError, match="chain is empty"):
        Chain({"noise": (0.5, Noise(None))})
    with pytest.raises(UserError, match="1.5"):
        Chain({"clipping": (1.5, Clipping())})
    with pytest.raises(UserError, match="'fog'.*clipping"):
        Chain({"clipping": (0.5, Clipping())}).only("fog")


def test_default_chain_without_corpora_has_no_noise_step():
    with open(DEFAULT_CHAIN) as file:
        chain = load_hyperpyyaml(file)["chain"]
    assert "noise" not in chain.names
    assert chain.names[-1] == "level"


def test_included_yaml_can_be_configured(corpora, tmp_path):
    """A recipe that includes degrade.yaml can override its keys."""
    overrides = "".join(
        f"    {key}: {value}\n" for key, value in corpora.items()
    )
    recipe = tmp_path / "recipe.yaml"
    (tmp_path / "models").symlink_to(HPARAMS / "models")
    recipe.write_text(
        "rate: 24000\n"
        "degrade: !include:models/degrade.yaml\n"
        "    sample_rate: !ref <rate>\n"
        f"{overrides}"
        "    clean_share: 0.5\n"
        "copy: !ref <degrade[chain]>\n"
    )
    with open(recipe) as file:
        chain = load_hyperpyyaml(file)["copy"]
    assert chain.names[0] == "reverb"
    assert chain.sample_rate == 24000
    assert chain.clean_share == 0.5
    for seed in range(10):
        noisy, _ = chain(0.1 * torch.ones(24000), generator(seed))
        assert noisy.shape == (24000,)


def test_all_steps_have_the_sample_rate_of_the_chain():
    with open(DEFAULT_CHAIN) as file:
        loaded = load_hyperpyyaml(file, {"sample_rate": 24000})
    for step in loaded.values():
        if hasattr(step, "sample_rate"):
            assert step.sample_rate == 24000
