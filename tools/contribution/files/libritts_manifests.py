"""CSV manifests of LibriTTS for speech restoration.

``libritts_prepare.py`` finds the utterances of the training, development and
test subsets of the corpus. This module writes them as CSV.

Authors
 * The miipher2 authors 2026
"""

import csv
import json
import os

from libritts_prepare import prepare_libritts

SUBSETS = {
    "train": ["train-clean-100", "train-clean-360", "train-other-500"],
    "valid": ["dev-clean", "dev-other"],
    "test": ["test-clean", "test-other"],
}
SAMPLE_RATE = 24000  # Hz, as in the corpus, so files are not resampled


def prepare_manifests(
    data_folder, train_csv, valid_csv, test_csv, skip_prep=False
):
    """Write the manifests of LibriTTS, or of LibriTTS-R.

    Arguments
    ---------
    data_folder : str
        Folder that contains the subsets, at least one for each manifest;
        missing subsets are skipped.
    train_csv, valid_csv, test_csv : str
        Manifests to write, with the columns ``ID,duration,wav,spk_id``;
        durations are in seconds. If all manifests exist, nothing is written.
    skip_prep : bool
        Whether to skip the preparation.

    Raises
    ------
    FileNotFoundError
        If the folder has no subset for one of the manifests.
    """
    csvs = {"train": train_csv, "valid": valid_csv, "test": test_csv}
    if skip_prep or all(map(os.path.isfile, csvs.values())):
        return
    # prepare_libritts requires an absolute path
    data_folder = os.path.abspath(data_folder)
    jsons = {split: f"{path}.json" for split, path in csvs.items()}
    splits = {
        f"{split}_split": [
            name
            for name in names
            if os.path.isdir(os.path.join(data_folder, name))
        ]
        for split, names in SUBSETS.items()
    }
    for split, names in SUBSETS.items():
        if not splits[f"{split}_split"]:
            raise FileNotFoundError(
                f"{data_folder}: expected at least one of {', '.join(names)}"
            )
    prepare_libritts(
        data_folder,
        *jsons.values(),
        sample_rate=SAMPLE_RATE,
        model_name="HiFi-GAN",  # needs no phonemes
        **splits,
    )
    for split, path in csvs.items():
        write_csv(jsons[split], path)


def write_csv(json_path, csv_path):
    """Write the utterances of a JSON manifest as CSV."""
    with open(json_path, encoding="utf-8") as file:
        utterances = json.load(file)
    with open(csv_path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["ID", "duration", "wav", "spk_id"])
        for name, item in sorted(utterances.items()):
            writer.writerow(
                [name, item["duration"], item["wav"], item["spk_id"]]
            )
