"""The degradations without files: filters, clipping, packets and the rest.

Authors
 * The miipher2 authors 2026
"""

import numpy as np
import pytest
import torch
from scipy import signal
from tiny_audio import RATE

from miipher2.dataio.audio import active_samples
from miipher2.degrade import (
    Bandwidth,
    Clipping,
    Flutter,
    Level,
    Microphone,
    Offset,
    PacketLoss,
    Quantisation,
    generator,
)
from miipher2.degrade.bandwidth import FILTERS, RESAMPLERS
from miipher2.degrade.packet_loss import gilbert_elliott
from miipher2.errors import UserError


def white(seconds=4.0, seed=0):
    rng = np.random.default_rng(seed)
    samples = 0.1 * rng.standard_normal(int(seconds * RATE))
    return torch.from_numpy(samples.astype(np.float32))


def transfer_db(heard, sent):
    """Power gain by frequency, in dB."""
    hz, sent_power = signal.welch(sent.numpy(), RATE, nperseg=1024)
    _, heard_power = signal.welch(heard.numpy(), RATE, nperseg=1024)
    return hz, 10 * np.log10(heard_power / sent_power + 1e-20)


# Bandwidth


@pytest.mark.parametrize("cutoff_hz", [1500.0, 3000.0, 5000.0])
@pytest.mark.parametrize("kind", [*FILTERS, *RESAMPLERS])
def test_energy_above_the_cutoff_is_gone(kind, cutoff_hz):
    bandwidth = Bandwidth((cutoff_hz, cutoff_hz), kinds=(kind,), order=(8, 8))
    sent = white()
    heard, drawn = bandwidth(sent, generator(0))
    assert (drawn["kind"], drawn["cutoff_hz"]) == (kind, cutoff_hz)
    hz, gain_db = transfer_db(heard, sent)
    above, below = hz > 1.5 * cutoff_hz, (hz > 100) & (hz < 0.4 * cutoff_hz)
    if kind in ("linear", "hold"):
        # No filter: mirror images remain, weaker than the band itself.
        assert np.mean(gain_db[above]) < -3
        assert np.max(gain_db[above]) > -40
    else:
        limit = {"bessel": -12, "soxr_quick": -15}.get(kind, -25)
        assert np.max(gain_db[above]) < limit
    if kind in FILTERS or kind == "soxr":
        assert np.abs(gain_db[below]).max() < 3
    match = signal.correlate(heard.numpy(), sent.numpy(), method="fft")
    late = (match.argmax() - (len(sent) - 1)) / RATE
    assert 0 <= late <= 0.0012


@pytest.mark.parametrize("kind", ["soxr_quick", "linear", "hold"])
def test_poor_resamplers_alias(kind):
    """A tone of 5 kHz through a rate of 6 kHz comes back at 1 kHz."""
    tone = 0.5 * torch.sin(2 * np.pi * 5000 / RATE * torch.arange(RATE))
    levels = []
    for name in (kind, "soxr"):
        heard, _ = Bandwidth((3000.0, 3000.0), kinds=(name,))(
            tone, generator(0)
        )
        levels.append(np.abs(np.fft.rfft(heard.numpy()))[1000])
    assert levels[0] > 100 * levels[1]


def test_filters_are_as_exact_in_single_precision(speech):
    """The sections run in float32: no more than 80 dB of noise from it."""
    for kind in FILTERS:
        sos = signal.iirfilter(
            12,
            1500,
            rp=1,
            rs=60,
            btype="low",
            ftype=kind,
            output="sos",
            fs=RATE,
        )
        exact = signal.sosfilt(sos, speech.numpy().astype(np.float64))
        bandwidth = Bandwidth((1500.0, 1500.0), kinds=(kind,), order=(12, 12))
        heard, _ = bandwidth(speech, generator(0))
        error = np.mean((heard.numpy() - exact) ** 2) / np.mean(exact**2)
        assert 10 * np.log10(error) < -80


def test_cutoffs_stay_below_half_the_rate():
    bandwidth = Bandwidth((8000.0, 8000.0))
    for seed in range(30):
        heard, drawn = bandwidth(white(0.2), generator(seed))
        assert drawn["cutoff_hz"] == 7600
        assert torch.isfinite(heard).all()


def test_unknown_filters_are_named():
    with pytest.raises(UserError, match="gauss"):
        Bandwidth(kinds=("gauss",))


# Clipping


@pytest.mark.parametrize("share", [0.001, 0.02, 0.3])
@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_share_of_clipped_samples(speech, share, kind):
    clip, drawn = Clipping((share, share), kinds=(kind,))(speech, generator(0))
    if kind == "hard":
        hit = clip.abs() >= clip.abs().max() - 1e-7
    else:
        hit = clip.abs() >= drawn["threshold"] - 1e-7
        changed = (clip - speech).abs() > 1e-7
        assert torch.all(speech.abs()[changed] >= drawn["threshold"])
    assert float(hit.float().mean()) == pytest.approx(share, rel=0.02)
    untouched = speech.abs() < drawn["threshold"]
    assert torch.equal(clip[untouched], speech[untouched])


def test_soft_clipping_is_smooth_and_rising():
    ramp = torch.linspace(0, 1, 10001)
    bent, _ = Clipping((0.5, 0.5), kinds=("soft",))(ramp, generator(0))
    slope = torch.diff(bent) / torch.diff(ramp)
    assert torch.all(slope > 0)
    assert torch.diff(slope).abs().max() < 0.02
    assert 0.5 < bent.max() < 0.76


# Packet loss


@pytest.mark.parametrize(
    ("loss", "burst", "density"),
    [(0.05, 1.0, 1.0), (0.2, 4.0, 1.0), (0.1, 6.0, 0.5)],
)
def test_loss_pattern_statistics(loss, burst, density):
    lost = gilbert_elliott(200_000, loss, burst, density, generator(0))
    assert lost.mean() == pytest.approx(loss, rel=0.05)
    # The chance that the packet after a lost one is lost too.
    after = lost[1:][lost[:-1]].mean()
    bad = loss / density
    stay = 1 - 1 / burst
    enter = (1 / burst) * bad / (1 - bad)
    assert after == pytest.approx(density * stay, abs=0.02)
    assert lost[1:][~lost[:-1]].mean() == pytest.approx(
        ((1 - bad) * enter + bad * (1 - density) * stay) * density / (1 - loss),
        rel=0.1,
    )


def test_mean_length_of_bursts():
    lost = gilbert_elliott(200_000, 0.1, 4.0, 1.0, generator(1))
    starts = np.flatnonzero(np.diff(lost.astype(int)) == 1)
    assert lost.sum() / len(starts) == pytest.approx(4.0, rel=0.05)


@pytest.mark.parametrize("concealment", ["silence", "repeat", "fade"])
def test_concealment(concealment):
    """Packets of 10 ms that each hold their own number."""
    size, count = 160, 400
    number = torch.arange(1, count + 1).repeat_interleave(size) / count
    network = PacketLoss(
        loss=(0.3, 0.3),
        burst=(10.0, 10.0),
        density=(1.0, 1.0),
        packet_ms=(10.0,),
        concealment=(concealment,),
    )
    heard, drawn = network(number, generator(0))
    before, after = (x.reshape(count, size) for x in (number, heard))
    gone = ~torch.all(before == after, dim=1)
    assert float(gone.float().mean()) == pytest.approx(drawn["lost"])
    age = 0
    for index in range(count):
        age = age + 1 if gone[index] else 0
        last = index - age
        if not age:
            continue
        if concealment == "silence" or last < 0:
            assert not after[index].any()
        elif concealment == "repeat":
            assert torch.equal(after[index], before[last])
        else:
            gain = after[index] / before[last]
            assert gain[0] == pytest.approx(max(0, 1 - (age - 1) / 6), abs=1e-5)
            assert gain[-1] <= gain[0]
            assert age <= 6 or not after[index].any()


def test_more_loss_than_the_bad_state_has():
    with pytest.raises(UserError, match="density"):
        PacketLoss(loss=(0.1, 0.6), density=(0.5, 1.0))


# Microphone, offset, flutter, quantisation, level


def test_microphone_has_the_drawn_response():
    sent = white(20.0)
    heard, drawn = Microphone((6.0, 6.0))(sent, generator(0))
    hz, gain_db = transfer_db(heard, sent)
    points = 62.5 * 2.0 ** np.arange(len(drawn["gains_db"]))
    for point, asked in zip(points[1:-1], drawn["gains_db"][1:-1], strict=True):
        assert gain_db[np.abs(hz - point).argmin()] == pytest.approx(
            asked, abs=1
        )
    match = signal.correlate(heard.numpy(), sent.numpy(), method="fft")
    assert match.argmax() == len(sent) - 1


def test_offset_moves_the_mean(speech):
    signs = set()
    for seed in range(10):
        moved, drawn = Offset((0.05, 0.05))(speech, generator(seed))
        mean = float((moved - speech).mean())
        assert mean == pytest.approx(drawn["offset"], abs=1e-6)
        assert abs(mean) == pytest.approx(0.05, abs=1e-6)
        signs.add(mean > 0)
    assert signs == {True, False}


def test_flutter_sways_the_pitch_as_asked_and_stays_in_time():
    flutter = Flutter(
        wow=(0.005, 0.005),
        wow_hz=(1.0, 1.0),
        flutter=(1e-6, 1e-6),
        flutter_hz=(5.0, 5.0),
    )
    tone = 0.5 * torch.sin(2 * np.pi * 1000 / RATE * torch.arange(4 * RATE))
    heard, _ = flutter(tone, generator(0))
    # Beaten down by the undisturbed tone, its phase is what moved.
    beat = heard.numpy() * np.exp(-2j * np.pi / 16 * np.arange(4 * RATE))
    low = signal.butter(4, 200, fs=RATE, output="sos")
    phase = np.unwrap(np.angle(signal.sosfiltfilt(low, beat))) + np.pi / 2
    phase = phase[RATE // 2 : -RATE // 2]
    hz = np.gradient(phase) * RATE / (2 * np.pi)
    assert np.abs(hz).max() == pytest.approx(5.0, abs=0.1)
    seconds = np.abs(phase) / (2 * np.pi * 1000)
    assert seconds.max() == pytest.approx(0.005 / (2 * np.pi), rel=0.05)


def test_flutter_keeps_the_top_of_the_band():
    heard, _ = Flutter()(white(), generator(0))
    hz, gain_db = transfer_db(heard, white())
    assert np.abs(gain_db[(hz > 100) & (hz < 4000)]).max() < 1


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_quantisation_has_few_levels(speech, bits):
    coarse, drawn = Quantisation((bits, bits))(speech, generator(0))
    step = float(speech.abs().max()) / 2 ** (bits - 1)
    levels = coarse.double() / step
    assert drawn == {"bits": bits}
    assert torch.allclose(levels, levels.round(), atol=1e-4)
    assert len(levels.round().unique()) <= 2**bits + 1
    assert (coarse - speech).abs().max() <= 0.501 * step


@pytest.mark.parametrize("level_db", [-40.0, -26.0])
def test_level_of_the_active_speech(speech, level_db):
    moved, _ = Level((level_db, level_db))(speech, generator(0))
    active = active_samples(speech.numpy(), RATE)
    power = float(moved[torch.from_numpy(active)].double().square().mean())
    assert 10 * np.log10(power) == pytest.approx(level_db, abs=0.05)
