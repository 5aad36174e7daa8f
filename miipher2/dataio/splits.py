"""Which files are for training, which for validation and test.

Where a corpus does not say so itself, a hash of the name decides, never the
place in a list: files that are added do not move others across.

Authors
 * The miipher2 authors 2026
"""

import logging
from typing import NamedTuple

from miipher2.dataio.audio_files import AudioFile
from miipher2.dataio.digest import digest
from miipher2.errors import UserError

logger = logging.getLogger(__name__)

# What folders are called in the wild.
SPLIT_FOLDERS = {
    "train": "train",
    "valid": "valid",
    "val": "valid",
    "dev": "valid",
    "test": "test",
}


class Utterance(NamedTuple):
    """What a corpus says about a file.

    Arguments
    ---------
    audio : AudioFile
        The file.
    spk_id : str
        Who speaks.
    group : str
        Files of one group go to the same split; None: each file by itself.
    split : str
        ``train``, ``valid`` or ``test``; None: the group's hash decides.
    noisy : AudioFile
        The degraded partner, for pairs.
    """

    audio: AudioFile
    spk_id: str
    group: str | None = None
    split: str | None = None
    noisy: AudioFile | None = None


def assign_splits(utterances, shares, repeat_few=False):
    """Shares utterances out among training and the held-out splits.

    Arguments
    ---------
    utterances : list of Utterance
        At least one.
    shares : dict
        Of each held-out split, the share to hold out, e.g.
        ``{"valid": 0.05, "test": 0.05}``.
    repeat_few : bool
        Whether too few files all go to every split; else it is an error.

    Returns
    -------
    dict
        Utterances by split, each split with at least one.

    Raises
    ------
    UserError
        If the shares do not fit, or there is too little to share out.

    Example
    -------
    >>> files = [
    ...     Utterance(AudioFile(f"{name}/1.wav", 0, 0), name, group=name)
    ...     for name in "abcdef"
    ... ]
    >>> splits = assign_splits(files, {"valid": 0.05, "test": 0.05})
    >>> {split: len(members) for split, members in splits.items()}
    {'train': 4, 'valid': 1, 'test': 1}
    """
    if min(shares.values()) <= 0 or sum(shares.values()) >= 1:
        given = ", ".join(f"{name}_share={s:g}" for name, s in shares.items())
        raise UserError(
            f"{given}: expected shares above 0 that come to less than 1"
        )
    if all(utterance.split == "train" for utterance in utterances):
        logger.info("All files are for training: a share of them is held out.")
        utterances = [u._replace(split=None) for u in utterances]
    splits = {name: [] for name in ("train", *shares)}
    undecided = []
    for u in utterances:
        (undecided if u.split is None else splits[u.split]).append(u)
    if undecided:
        least = _least(splits)
        groups = {u.group or u.audio.path for u in undecided}
        if len(groups) < sum(least.values()):
            # With the few files that remain, unseen speakers cannot be had.
            logger.info(
                "Too few speakers to hold some out (%d): files are held out.",
                len(groups),
            )
            undecided = [u._replace(group=None) for u in undecided]
            groups = {u.audio.path for u in undecided}
        if len(groups) < sum(least.values()):
            if not repeat_few:
                raise UserError(
                    f"expected at least {sum(least.values())} audio files, to "
                    f"have one in each of {', '.join(splits)}; found "
                    f"{len(groups)}: {', '.join(sorted(groups))}"
                )
            return {name: list(utterances) for name in splits}
        split_of = split_by_hash(groups, shares, least)
        for u in undecided:
            splits[split_of[u.group or u.audio.path]].append(u)
    if not splits["train"]:
        raise UserError(
            "expected audio for training, found only "
            + " and ".join(f"{len(m)} {n}" for n, m in splits.items() if m)
            + " files"
        )
    held_out = next(name for name in shares if splits[name])
    for name in shares:
        if not splits[name]:
            logger.info("No %s files: those of %s are taken.", name, held_out)
            splits[name] = splits[held_out]
    return splits


def _least(splits):
    """How many groups each split needs beyond what the corpus gave it."""
    held_out = any(members for n, members in splits.items() if n != "train")
    return {
        name: int(not members and (name == "train" or not held_out))
        for name, members in splits.items()
    }


def split_by_hash(groups, shares, least):
    """Decides for each group by a hash of its name.

    Arguments
    ---------
    groups : set of str
        Names.
    shares : dict
        Share of each held-out split.
    least : dict
        Fewest groups for each split, ``train`` among them.

    Returns
    -------
    dict
        Split by group.

    Example
    -------
    >>> split = split_by_hash({"a", "b"}, {"valid": 0.1}, {"valid": 1})
    >>> sorted(split.values())
    ['train', 'valid']
    """
    place = {name: _place(name) for name in groups}
    order = sorted(groups, key=lambda name: (place[name], name))
    spare = len(order) - sum(least.values())
    split, end = dict.fromkeys(groups, "train"), 0.0
    for name, share in shares.items():
        start, end = end, end + share
        wanted = sum(start <= place[group] < end for group in order)
        extra = max(0, min(wanted - least[name], spare))
        spare -= extra
        taken, order = (
            order[: least[name] + extra],
            order[least[name] + extra :],
        )
        split.update(dict.fromkeys(taken, name))
    return split


def _place(name):
    """A number in [0, 1) that the name alone decides."""
    return int(digest(name)[:12], 16) / 16**12
