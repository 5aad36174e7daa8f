"""Tests of packet loss.

Authors
 * The miipher2 authors 2026
"""

import numpy as np
import pytest
import torch

from miipher2.degrade import PacketLoss, generator
from miipher2.degrade.packet_loss import gilbert_elliott
from miipher2.errors import UserError


@pytest.mark.parametrize(
    ("loss", "burst", "density"),
    [(0.05, 1.0, 1.0), (0.2, 4.0, 1.0), (0.1, 6.0, 0.5)],
)
def test_loss_statistics(loss, burst, density):
    lost = gilbert_elliott(200_000, loss, burst, density, generator(0))
    assert lost.mean() == pytest.approx(loss, rel=0.05)
    # The probability that the packet after a lost packet is lost, too.
    after = lost[1:][lost[:-1]].mean()
    bad = loss / density
    stay = 1 - 1 / burst
    enter = (1 / burst) * bad / (1 - bad)
    assert after == pytest.approx(density * stay, abs=0.02)
    assert lost[1:][~lost[:-1]].mean() == pytest.approx(
        ((1 - bad) * enter + bad * (1 - density) * stay) * density / (1 - loss),
        rel=0.1,
    )


def test_mean_burst_length():
    lost = gilbert_elliott(200_000, 0.1, 4.0, 1.0, generator(1))
    starts = np.flatnonzero(np.diff(lost.astype(int)) == 1)
    assert lost.sum() / len(starts) == pytest.approx(4.0, rel=0.05)


@pytest.mark.parametrize("concealment", ["silence", "repeat", "fade"])
def test_concealment(concealment):
    """Gaps are silent or repeat the last received packet, optionally fading."""
    # Each packet of 10 ms has its own constant value.
    size, count = 160, 400
    number = torch.arange(1, count + 1).repeat_interleave(size) / count
    network = PacketLoss(
        loss=(0.3, 0.3),
        burst=(10.0, 10.0),
        density=(1.0, 1.0),
        packet_ms=(10.0,),
        concealment=(concealment,),
    )
    output, drawn = network(number, generator(0))
    before, after = (x.reshape(count, size) for x in (number, output))
    lost = ~torch.all(before == after, dim=1)
    assert float(lost.float().mean()) == pytest.approx(drawn["lost"])
    age = 0
    for index in range(count):
        age = age + 1 if lost[index] else 0
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


def test_loss_above_the_density_raises():
    with pytest.raises(UserError, match="density"):
        PacketLoss(loss=(0.1, 0.6), density=(0.5, 1.0))
