"""Packets that a network loses in bursts, and how receivers conceal it.

Authors
 * The miipher2 authors 2026
"""

import numpy as np

from miipher2.degrade.base import Degradation, log_uniform, pick, uniform
from miipher2.errors import UserError

# A receiver that fades falls silent after so many seconds without a packet.
FADE_SECONDS = 0.06


def gilbert_elliott(packets, loss, burst, density, rng):
    """Which packets are lost, by the model of Gilbert and Elliott.

    A Markov chain goes between a good state, in which all packets arrive, and
    a bad one, in which the share ``density`` is lost. It leaves the bad state
    with the probability 1 / ``burst`` and enters it so often that ``loss`` of
    all packets are lost (E. O. Elliott, "Estimates of error rates for codes on
    burst-noise channels", 1963).

    Arguments
    ---------
    packets : int
        How many are sent.
    loss : float
        Share of the packets that are lost, above 0 and below ``density``.
    burst : float
        Mean stay in the bad state, in packets, 1 or more.
    density : float
        Share of the packets that are lost in the bad state, in (0, 1].
    rng : numpy.random.Generator
        Where every draw comes from.

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
    """Speech sent in packets, some of which do not arrive.

    A receiver conceals the gap with silence, with the last packet again and
    again (repeat), or with the last packet while it fades to silence within
    60 ms (fade). Lost packets before the first that arrived are silent.

    Arguments
    ---------
    loss : tuple of float
        Lowest and highest share of the packets that are lost, drawn evenly
        on a logarithmic scale.
    burst : tuple of float
        Shortest and longest mean stay in the bad state, in packets.
    density : tuple of float
        Lowest and highest share of the packets that are lost in the bad
        state; above the highest ``loss``.
    packet_ms : tuple of float
        Packet lengths to choose from, in milliseconds.
    concealment : tuple of str
        Of silence, repeat, fade.
    sample_rate : int
        In Hz.

    Raises
    ------
    UserError
        If more may be lost than the bad state loses.

    Example
    -------
    >>> import torch
    >>> from miipher2.degrade.base import generator
    >>> network = PacketLoss(loss=(0.2, 0.2), concealment=("silence",))
    >>> heard, drawn = network(torch.ones(160000), generator(0))
    >>> round(1 - float(heard.mean()), 3) == round(drawn["lost"], 3)
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
                f"packet loss of up to {loss[1]} with a density from "
                f"{density[0]}: the density must be above the loss"
            )
        self.loss = loss
        self.burst = burst
        self.density = density
        self.packet_ms = packet_ms
        self.concealment = concealment
        self.sample_rate = sample_rate

    def degrade(self, samples, rng):
        """Loses packets and conceals it; see ``Degradation.degrade``."""
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
            heard = packets * ~lost[:, None]
        else:
            # For each packet, the last one that arrived up to it (-1: none).
            arrived = np.where(lost, -1, np.arange(count))
            last = np.maximum.accumulate(arrived)
            heard = packets[last] * (last >= 0)[:, None]
            if concealment == "fade":
                missing = (np.arange(count) - last)[:, None] - 1
                gone = missing * size + np.arange(size)
                fade = 1 - gone / (FADE_SECONDS * self.sample_rate)
                heard *= np.where(lost[:, None], np.maximum(fade, 0), 1)
        drawn = {
            "packet_ms": packet_ms,
            "concealment": concealment,
            **model,
            "lost": float(lost.mean()),
        }
        return heard.reshape(-1)[: len(samples)], drawn
