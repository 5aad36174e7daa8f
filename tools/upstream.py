#!/usr/bin/env python3
"""Apply this project's contribution to a checkout of SpeechBrain.

To change the files of the checkout:
> python tools/upstream.py SPEECHBRAIN_CHECKOUT

To write one patch per topic instead, without changing the checkout:
> python tools/upstream.py SPEECHBRAIN_CHECKOUT --patch DIR

The script needs ruff and, with --patch, git. See docs/upstream.md.

Authors
 * The miipher2 authors 2026
"""

import argparse
import sys
import tempfile
from pathlib import Path

from contribution.core import (
    add_parallel_adapter,
    keep_importance_keys,
    write_meta_file_last,
)
from contribution.recipe import add_recipe
from contribution.topic import ContributionError, Topic, run

TOPICS = (
    Topic(
        "parallel-adapter",
        "Add a parallel adapter to nnet.adapters",
        "ParallelAdapter adds the output of a bottleneck to the output of a\n"
        "frozen module, such as the feed-forward block of a transformer.\n"
        "It works with AdaptedModel. Unit tests and a doctest are included.",
        add_parallel_adapter,
    ),
    Topic(
        "importance-keys",
        "Do not change importance_keys in save_and_keep_only",
        "All calls shared the default list, and each call with\n"
        "keep_recent=True appended ckpt_recency to it. Later calls with\n"
        "keep_recent=False therefore also kept the most recent checkpoint.\n"
        "A list passed by the caller was changed in the same way.",
        keep_importance_keys,
    ),
    Topic(
        "meta-file-last",
        "Write the meta file of a checkpoint last",
        "Checkpointer regards a folder with a meta file as a checkpoint.\n"
        "The meta file was written first, so a run that was killed while\n"
        "saving was resumed from an incomplete checkpoint. The meta file is\n"
        "now written after all other files, under a temporary name, and\n"
        "renamed when it is complete.",
        write_meta_file_last,
    ),
    Topic(
        "libritts-restoration",
        "Add a speech restoration recipe for LibriTTS (Miipher-2)",
        "Parallel adapters on a frozen self-supervised model map features\n"
        "of degraded speech to features of clean speech; a vocoder\n"
        "synthesises the waveform. Optionally, the self-supervised model is\n"
        "pretrained.",
        add_recipe,
    ),
)


def apply_topics(checkout, topics=TOPICS):
    """Apply topics to a checkout.

    Arguments
    ---------
    checkout : Path
        Folder of a SpeechBrain repository.
    topics : tuple of Topic
        Topics to apply.

    Returns
    -------
    list of Path
        The files and links that were written, relative to the checkout.
    """
    return [path for topic in topics for path in topic.write(checkout)]


def write_patches(checkout, folder, topics=TOPICS):
    """Write one patch per topic; each applies to the checkout's latest commit.

    Arguments
    ---------
    checkout : Path
        Folder of a SpeechBrain repository, which is not changed.
    folder : Path
        Folder for the patches; created if needed.
    topics : tuple of Topic
        Topics to write.

    Returns
    -------
    list of Path
        The patches, in the form of ``git format-patch``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    patches = []
    for topic in topics:
        with tempfile.TemporaryDirectory() as temporary:
            clone = Path(temporary, "clone")
            run("git", "clone", "-q", checkout, clone, cwd=folder)
            written = apply_topics(clone, (topic,))
            run("git", "add", "--", *written, cwd=clone)
            message = f"{topic.title}\n\n{topic.reason}\n"
            run("git", *author(checkout), "commit", "-qm", message, cwd=clone)
            patch = run("git", "format-patch", "-1", "--stdout", cwd=clone)
        patches.append(folder / f"{topic.name}.patch")
        patches[-1].write_text(patch, "utf-8")
    return patches


def author(checkout):
    """Return git options that set an author if none is configured."""
    try:
        run("git", "config", "user.email", cwd=checkout)
        return []
    except ContributionError:
        name = "user.name=The miipher2 authors"
        return ["-c", name, "-c", "user.email=miipher2@localhost"]


def main(arguments=None):
    """Parse the command line and write the files or the patches."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "checkout",
        type=Path,
        metavar="SPEECHBRAIN_CHECKOUT",
        help="folder of a clone of SpeechBrain's repository",
    )
    parser.add_argument(
        "--patch",
        type=Path,
        metavar="DIR",
        help="write patches to this folder and do not change the checkout",
    )
    options = parser.parse_args(arguments)
    checkout = options.checkout.absolute()
    try:
        if not (checkout / "speechbrain" / "core.py").is_file():
            raise ContributionError(
                f"{options.checkout}: has no speechbrain/core.py; give the "
                "folder of a clone of SpeechBrain's repository"
            )
        if options.patch is not None:
            written = write_patches(checkout, options.patch.absolute())
        else:
            written = apply_topics(checkout)
    except ContributionError as error:
        sys.exit(str(error))
    print(*written, sep="\n")


if __name__ == "__main__":
    main()
