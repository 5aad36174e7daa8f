"""Packet loss in bursts, and its concealment.

Authors
 * The miipher2 authors 2026
"""

import numpy as np

from miipher2.degrade.base import Degradation, log_uniform, pick, uniform
from miipher2.errors import UserError

# Seconds after which fading repetitions reach silence.
FADE_SECONDS = 0.06


def gilbert_elliott(packets, loss, burst, density, rng):
    """Draw lost packets from the Gilbert-Elliott model.

    A Markov chain alternates between a good state, in which all packets
    arrive, and a bad state, in which a packet is lost with probability
    ``density``. It leaves the bad state with probability 1 / ``burst``; the
    probability of entering it follows from ``loss``, but is at most 1 (E. O.
    Elliott, "Estimates of error rates for codes on burst-noise channels",
    1963).

    Arguments
    ---------
    packets : int
        Number of packets sent.
    loss : float
        Expected fraction of lost packets, above 0 and below ``density``. It is
        reached only up to ``density * burst / (burst + 1)``.
    burst : float
        Mean length of the bad state in packets, 1 or more.
    density : float
        Probability of loss in the bad state, in (0, 1].
    rng : numpy.random.Generator
        Random number generator.

    Returns
    -------
    lost : numpy.ndarray
        bool of shape (packets,).

    Example
    -------
    >>> rng = np.random.default_rng(0)
    >>> lost = gilbert_elliott(100000, 0.1, burst=3.0, density=1.0, rng=rng)
    >>> round(float(lost.mean()), 2)
    0.1
    """
    bad_share = loss / density
    bad = rng.random() < bad_share
    leave = 1 / burst
    enter = min(1.0, leave * bad_share / (1 - bad_share))
    states = np.empty(packets, dtype=bool)
    done = 0
    while done < packets:
        stay = int(rng.geometric(leave if bad else enter))
        states[done : done + stay] = bad
        done += stay
        bad = not bad
    return states & (rng.random(packets) < density)


class PacketLoss(Degradation):
    """Drop packets and conceal the gaps.

    A gap is filled with silence (``silence``), with repetitions of the last
    received packet (``repeat``), or with repetitions that fade out within 60 ms
    (``fade``). Gaps before the first received packet are silent.

    Arguments
    ---------
    loss : tuple of float
        Lowest and highest expected fraction of lost packets, drawn
        log-uniformly.
    burst : tuple of float
        Shortest and longest mean length of the bad state, in packets.
    density : tuple of float
        Lowest and highest probability of loss in the bad state. Both must be
        above the highest ``loss``.
    packet_ms : tuple of float
        Packet lengths to choose from, in milliseconds.
    concealment : tuple of str
        Any of ``silence``, ``repeat``, ``fade``.
    sample_rate : int
        Sample rate in Hz.

    Raises
    ------
    UserError
        If the highest ``loss`` is not below the lowest ``density``.

    Example
    -------
    >>> import torch
    >>> from miipher2.degrade.base import generator
    >>> network = PacketLoss(loss=(0.2, 0.2), concealment=("silence",))
    >>> received, drawn = network(torch.ones(160000), generator(0))
    >>> round(1 - float(received.mean()), 3) == round(drawn["lost"], 3)
    True
    """

    def __init__(
        self,
        loss=(0.02, 0.2),
        burst=(1.0, 5.0),
        density=(0.5, 1.0),
        packet_ms=(10.0, 20.0, 40.0),
        concealment=("silence", "repeat", "fade"),
        sample_rate=16000,
    ):
        if loss[1] >= density[0]:
            raise UserError(
                f"packet loss: the highest loss {loss[1]} must be below the "
                f"lowest density {density[0]}"
            )
        self.loss = loss
        self.burst = burst
        self.density = density
        self.packet_ms = packet_ms
        self.concealment = concealment
        self.sample_rate = sample_rate

    def degrade(self, samples, rng):
        """Drop packets and conceal the gaps; see ``Degradation.degrade``."""
        packet_ms = pick(rng, self.packet_ms)
        concealment = pick(rng, self.concealment)
        size = max(1, round(packet_ms / 1000 * self.sample_rate))
        count = -(-len(samples) // size)
        model = {
            "loss": log_uniform(rng, self.loss),
            "burst": uniform(rng, self.burst),
            "density": uniform(rng, self.density),
        }
        lost = gilbert_elliott(count, **model, rng=rng)
        packets = np.pad(samples, (0, count * size - len(samples)))
        packets = packets.reshape(count, size)
        if concealment == "silence":
            received = packets * ~lost[:, None]
        else:
            # For each packet, the index of the last received packet, or -1 if
            # none was received.
            arrived = np.where(lost, -1, np.arange(count))
            last = np.maximum.accumulate(arrived)
            received = packets[last] * (last >= 0)[:, None]
            if concealment == "fade":
                missing = (np.arange(count) - last)[:, None] - 1
                elapsed = missing * size + np.arange(size)
                fade = 1 - elapsed / (FADE_SECONDS * self.sample_rate)
                received *= np.where(lost[:, None], np.maximum(fade, 0), 1)
        drawn = {
            "packet_ms": packet_ms,
            "concealment": concealment,
            **model,
            "lost": float(lost.mean()),
        }
        return received.reshape(-1)[: len(samples)], drawn
