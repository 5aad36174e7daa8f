"""Splits of a corpus for training, validation and test.

If a corpus has no splits of its own, speakers or files are assigned to splits
by a hash of the name. If files are added later, the existing files stay in
their splits, except in corpora of only a few speakers or files.
``assign_splits`` logs the rule that it applies.

Authors
 * The miipher2 authors 2026
"""

import logging
from typing import NamedTuple

from miipher2.dataio.audio_files import AudioFile
from miipher2.dataio.digest import digest
from miipher2.dataio.wording import count
from miipher2.errors import UserError

logger = logging.getLogger(__name__)

# Common folder names and their splits
SPLIT_FOLDERS = {
    "train": "train",
    "valid": "valid",
    "val": "valid",
    "dev": "valid",
    "test": "test",
}


class Utterance(NamedTuple):
    """A file of a corpus with its labels.

    Arguments
    ---------
    audio : AudioFile
        The file.
    spk_id : str
        The speaker.
    group : str
        Files of one group are in the same split, unless there are too few
        groups. None if the file is a group of its own.
    split : str
        ``train``, ``valid`` or ``test``. None if the split is chosen by a hash
        of the group.
    noisy : AudioFile
        The degraded file of a pair. None if the corpus has no pairs.
    """

    audio: AudioFile
    spk_id: str
    group: str | None = None
    split: str | None = None
    noisy: AudioFile | None = None

    @property
    def group_name(self):
        """Name to hash: the group, or the path of a file without a group."""
        return self.group or self.audio.path


def assign_splits(utterances, shares, repeat_few=False):
    """Divide utterances into training and held-out splits.

    Arguments
    ---------
    utterances : list of Utterance
        Files of the corpus, at least one.
    shares : dict
        Fraction of each held-out split, e.g. ``{"valid": 0.05, "test": 0.05}``.
    repeat_few : bool
        Whether every split gets all files if there are too few to divide.

    Returns
    -------
    dict
        Utterances by split, at least one in each.

    Raises
    ------
    UserError
        If a fraction is invalid, there are too few files, or none of them is in
        the training split.

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
    _check_shares(shares)
    if all(utterance.split == "train" for utterance in utterances):
        logger.info("All files are in the training split; holding out some")
        utterances = [u._replace(split=None) for u in utterances]
    splits = {name: [] for name in ("train", *shares)}
    undecided = []
    for u in utterances:
        (undecided if u.split is None else splits[u.split]).append(u)
    if undecided:
        minimum = _minimum(splits)
        undecided = _split_groups(undecided, sum(minimum.values()))
        groups = {u.group_name for u in undecided}
        if len(groups) < sum(minimum.values()):
            if repeat_few:
                logger.info(
                    "Too few files (%d) to hold some out; using all for %s",
                    len(groups),
                    " and ".join(splits),
                )
                return {name: list(utterances) for name in splits}
            names = [name for name, number in minimum.items() if number]
            raise UserError(
                f"expected at least {len(names)} audio files to assign, one "
                f"each for {', '.join(names)}; found {len(groups)}: "
                f"{', '.join(sorted(groups))}"
            )
        split_of = split_by_hash(groups, shares, minimum)
        for u in undecided:
            splits[split_of[u.group_name]].append(u)
        _log_rule(undecided, groups, shares, minimum)
    else:
        logger.info("Using the splits of the corpus")
    return _fill_empty_splits(splits, shares)


def _check_shares(shares):
    if min(shares.values()) <= 0 or sum(shares.values()) >= 1:
        given = ", ".join(f"{name}_share={s:g}" for name, s in shares.items())
        raise UserError(
            f"{given}: expected fractions above 0 with a sum below 1"
        )


def _minimum(splits):
    """Return the minimum number of groups to assign to each split."""
    held_out = any(members for n, members in splits.items() if n != "train")
    return {
        name: int(not members and (name == "train" or not held_out))
        for name, members in splits.items()
    }


def _split_groups(utterances, minimum):
    """Treat each file as a group if there are fewer groups than ``minimum``."""
    groups = {u.group_name for u in utterances}
    if len(groups) >= minimum or all(u.group is None for u in utterances):
        return utterances
    logger.info(
        "Too few %ss (%d) to hold some out; holding out files",
        _unit(utterances),
        len(groups),
    )
    return [u._replace(group=None) for u in utterances]


def _unit(utterances):
    """Return the noun for the groups of the utterances."""
    if all(u.group is None for u in utterances):
        return "file"
    if all(u.group == u.spk_id for u in utterances):
        return "speaker"
    return "group"


def _log_rule(utterances, groups, shares, minimum):
    """Log the rule by which groups are assigned to splits."""
    held_out = [f"{share:.3g} to {name}" for name, share in shares.items()]
    logger.info(
        "Assigning %s to splits by a hash of the name: a fraction of %s%s and "
        "all others to train",
        count(len(groups), _unit(utterances)),
        " and ".join(held_out),
        ", at least one each," if all(minimum[n] for n in shares) else "",
    )


def _fill_empty_splits(splits, shares):
    """If one held-out split is empty, use the files of the other one."""
    if not splits["train"]:
        found = [f"{len(m)} for {name}" for name, m in splits.items() if m]
        raise UserError(
            "expected audio files for training, found only "
            f"{' and '.join(found)}"
        )
    held_out = next(name for name in shares if splits[name])
    for name in shares:
        if not splits[name]:
            logger.info("No files for %s; using those for %s", name, held_out)
            splits[name] = splits[held_out]
    return splits


def split_by_hash(groups, shares, minimum):
    """Choose the split of each group by a hash of its name.

    Arguments
    ---------
    groups : set of str
        Names of the groups.
    shares : dict
        Fraction of each held-out split.
    minimum : dict
        Minimum number of groups in each split, including ``train``.

    Returns
    -------
    dict
        Split by group.

    Example
    -------
    >>> minimum = {"train": 1, "valid": 1}
    >>> split = split_by_hash({"a", "b"}, {"valid": 0.1}, minimum)
    >>> sorted(split.values())
    ['train', 'valid']
    """
    hashes = {name: _hash(name) for name in groups}
    order = sorted(groups, key=lambda name: (hashes[name], name))
    # Number of groups that remain after each split gets its minimum
    available = len(order) - sum(minimum.values())
    split, end = dict.fromkeys(groups, "train"), 0.0
    for name, share in shares.items():
        start, end = end, end + share
        in_range = sum(start <= hashes[group] < end for group in order)
        extra = max(0, min(in_range - minimum[name], available))
        available -= extra
        count = minimum[name] + extra
        split.update(dict.fromkeys(order[:count], name))
        order = order[count:]
    return split


def _hash(name):
    """Map a name to a number in [0, 1)."""
    return int(digest(name)[:12], 16) / 16**12
