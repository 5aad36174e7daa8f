"""Data preparation: a multi-speaker corpus from a text-to-speech model.

Kokoro-82M (Apache 2.0) synthesises clean speech at 24 kHz with blended voices,
for training without a recorded corpus.

    python spoken_prepare.py DATA_FOLDER OUTPUT_FOLDER --texts TEXTS \
        --model kokoro-v1.0.onnx --voices voices-v1.0.bin --speakers 200

Authors
 * The miipher2 authors 2026
"""

import concurrent.futures
import json
import logging
import multiprocessing
import os
import re
import zipfile
from pathlib import Path

import numpy as np
from kokoro_speech import COLUMNS, Synthesiser
from tqdm import tqdm

from miipher2.dataio.atomic import write_text
from miipher2.dataio.audio_files import list_audio
from miipher2.dataio.digest import file_digest
from miipher2.dataio.prepare import prepare_manifests
from miipher2.dataio.prepare_cli import command_line
from miipher2.dataio.splits import Utterance
from miipher2.dataio.tables import read_table, write_table
from miipher2.degrade import generator
from miipher2.errors import UserError

logger = logging.getLogger(__name__)

# Minimum and maximum number of characters per sentence
LENGTHS = {"cmn": (10, 60), "ja": (10, 60)}
LENGTH = (25, 190)  # other languages
# The first letter of a voice's name stands for the language, the second letter
# for the speaker's sex.
LANGUAGES = {
    "a": "en-us",
    "b": "en-gb",
    "e": "es",
    "f": "fr-fr",
    "h": "hi",
    "i": "it",
    "j": "ja",
    "p": "pt-br",
    "z": "cmn",
}
HELD_OUT = {  # voices for validation and test
    "valid": ("af_nova", "bm_daniel"),
    "test": ("am_puck", "bf_lily"),
}
# Three character voices and a whispering voice, which are not used
EXCLUDED = ("am_santa", "em_santa", "pm_santa", "af_nicole")
BLENDED = 0.7  # fraction of training speakers with a blend of two voices
RESIZED = 0.5  # fraction of training speakers with scaled pitch and formants


def prepare_spoken(
    data_folder,
    train_csv,
    valid_csv,
    test_csv,
    skip_prep=False,
    texts="",
    model="",
    voices="",
    speakers=200,
    clips=8,
    seed=0,
    workers=1,
    recogniser="",
    max_cer=30.0,
    min_ovrl=0.0,
):
    """Synthesise a corpus, then prepare its manifests.

    If a run is interrupted, the next call skips speakers that are complete.

    Arguments
    ---------
    data_folder : str
        Output folder of the corpus; $data_root in the manifests.
    train_csv, valid_csv, test_csv : str
        Manifests to write.
    skip_prep : bool
        Whether to skip preparation.
    texts : str
        Folder with one file per language (en-us.txt, fr-fr.txt, ...) and one
        sentence per line.
    model : str
        ONNX file of Kokoro-82M.
    voices : str
        File with the voices of Kokoro.
    speakers : int
        Number of training speakers.
    clips : int
        Number of sentences per speaker.
    seed : int
        Seed of all random choices.
    workers : int
        Number of processes.
    recogniser : str
        Whisper model for faster-whisper: a name or a folder; empty to skip the
        check. Clips with a character error rate above max_cer are dropped.
    max_cer : float
        Maximum character error rate in percent.
    min_ovrl : float
        Minimum DNSMOS OVRL of a clip; 0 to skip the check.

    Raises
    ------
    UserError
        If a file is missing, a language is unknown, there are no sentences or
        voices, or the folder contains a corpus with other settings.
    """
    if skip_prep:
        return
    data_folder = Path(data_folder)
    for name, path in (("texts", texts), ("model", model), ("voices", voices)):
        if not path or not Path(path).exists():
            raise UserError(
                f"{name}: expected an existing path, found {path!r}"
            )
    sentences = read_sentences(texts)
    checks = {
        "recogniser": recogniser,
        "max_cer": max_cer,
        "min_ovrl": min_ovrl,
    }
    source = {"model": str(model), "voices": str(voices)}
    settings = {
        "sentences": sorted((k, len(v)) for k, v in sentences.items()),
        "model": file_digest(model),
        "voices": file_digest(voices),
        "clips": clips,
        "seed": seed,
        **checks,
    }
    people = draw_speakers(voice_names(voices), sentences, speakers, seed)
    check_settings(data_folder / "settings.json", settings)
    jobs = [
        (
            data_folder / speaker["split"] / speaker["speaker"],
            speaker,
            clips,
            seed,
        )
        for speaker in people
    ]
    synthesise(jobs, workers, (source, sentences, checks))
    write_texts(data_folder, [folder for folder, *_ in jobs])
    utterances = [
        Utterance(file, file.folders[1], file.folders[1], file.folders[0])
        for file in list_audio(data_folder)
    ]
    prepare_manifests(
        data_folder,
        utterances,
        {"train": train_csv, "valid": valid_csv, "test": test_csv},
        "synthesised clips",
    )


def read_sentences(folder):
    """Read the sentences of each language.

    Arguments
    ---------
    folder : str or Path
        Folder with files ``LANGUAGE.txt`` in UTF-8, with one sentence per line.
        British English uses ``en-us.txt`` if ``en-gb.txt`` is missing.

    Returns
    -------
    dict
        Sentences by language, except those that are too short or too long or
        contain long numbers, links or markup.

    Raises
    ------
    UserError
        If a file name is not a known language, or there are no sentences.
    """
    sentences = {}
    for path in sorted(Path(folder).glob("*.txt")):
        if path.stem not in LANGUAGES.values():
            known = ", ".join(sorted(LANGUAGES.values()))
            raise UserError(
                f"{path}: unknown language; expected one of {known}"
            )
        low, high = LENGTHS.get(path.stem, LENGTH)
        lines = path.read_text("utf-8").splitlines()
        lines = [re.sub(r'[«»"“”„]', "", line).strip() for line in lines]
        sentences[path.stem] = [
            line
            for line in lines
            if low <= len(line) <= high
            and not re.search(r"\d{3,}|http|[<>{}|]", line)
        ]
    if "en-us" in sentences:
        sentences.setdefault("en-gb", sentences["en-us"])
    if not any(sentences.values()):
        raise UserError(
            f"{folder}: expected sentences in LANGUAGE.txt, found none"
        )
    return sentences


def voice_names(voices):
    """Return the names of the voices in a file."""
    try:
        with np.load(voices) as file:
            return sorted(file)
    except (OSError, ValueError, zipfile.BadZipFile):
        raise UserError(f"{voices}: expected the voices of Kokoro") from None


def check_settings(path, settings):
    """Write the settings of a corpus, or compare them with existing ones.

    Arguments
    ---------
    path : Path
        JSON file of the settings.
    settings : dict
        Settings of this run.

    Raises
    ------
    UserError
        If the folder contains a corpus with other settings.
    """
    text = json.dumps(settings, indent=1)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
        return
    found = json.loads(path.read_text("utf-8"))
    found = {**dict.fromkeys(settings), **found}
    wanted = json.loads(text)
    other = [key for key in wanted if found[key] != wanted[key]]
    if other:
        raise UserError(
            f"{path.parent}: contains a corpus with different "
            f"{', '.join(other)}; use another folder, or the settings of that "
            "corpus"
        )


def draw_speakers(names, sentences, count, seed):
    """Draw the voice, language, size and pace of each speaker.

    Arguments
    ---------
    names : list of str
        Names of the voices.
    sentences : dict
        Sentences by language.
    count : int
        Number of training speakers, who use the voices that are neither held
        out nor excluded. A larger number adds speakers and does not change the
        others.
    seed : int
        Seed of all random choices.

    Returns
    -------
    list of dict
        One dict per speaker with ``speaker``, ``split``, ``language``,
        ``voices`` (weight by name), ``size`` (pitch and formants are divided by
        it) and ``pace`` (factor of the speaking rate).

    Raises
    ------
    UserError
        If there is no training voice for any of the languages.
    """
    native = {n: LANGUAGES.get(n[0]) for n in names}
    held_out = {name for group in HELD_OUT.values() for name in group}
    usable = [
        name
        for name in names
        if name not in held_out | set(EXCLUDED) and sentences.get(native[name])
    ]
    if not usable:
        raise UserError(
            "no training voice for the languages of the texts: "
            f"{', '.join(sorted(sentences))}"
        )
    people = []
    for split, group in HELD_OUT.items():
        for name in group:
            if name in names and sentences.get(native[name]):
                drawn = {"voices": {name: 1.0}, "size": 1.0, "pace": 1.0}
                people.append(
                    {
                        "speaker": name,
                        "split": split,
                        "language": native[name],
                        **drawn,
                    }
                )
    for number in range(count):
        rng = generator(seed, "speaker", number)
        first = str(rng.choice(usable))
        voices = {first: 1.0}
        others = [n for n in usable if n[1] == first[1] and n != first]
        if others and rng.random() < BLENDED:
            share = float(rng.uniform(0.25, 0.55))
            voices = {first: 1 - share, str(rng.choice(others)): share}
        resized = rng.random() < RESIZED
        people.append(
            {
                "speaker": f"spoken{number:04d}",
                "split": "train",
                "language": native[first],
                "voices": voices,
                "size": float(rng.uniform(0.9, 1.12)) if resized else 1.0,
                "pace": float(rng.uniform(0.85, 1.18)),
            }
        )
    return people


def synthesise(jobs, workers, setup):
    """Synthesise all speakers that are not complete.

    Arguments
    ---------
    jobs : list of tuple
        Arguments of ``Synthesiser.synthesise_speaker`` for each speaker.
    workers : int
        Number of processes.
    setup : tuple
        Arguments of ``Synthesiser``, without ``threads``.
    """
    jobs = [job for job in jobs if not (job[0] / "clips.csv").exists()]
    if not jobs:
        return
    with tqdm(total=len(jobs), unit="speaker", disable=None) as bar:
        if workers <= 1:
            synthesiser = Synthesiser(*setup, threads=os.cpu_count())
            for job in jobs:
                synthesiser.synthesise_speaker(*job)
                bar.update()
            return
        threads = max(1, (os.cpu_count() or 1) // workers)
        with concurrent.futures.ProcessPoolExecutor(
            workers,
            multiprocessing.get_context("spawn"),
            initializer=Synthesiser.start,
            initargs=(*setup, threads),
        ) as pool:
            futures = [pool.submit(Synthesiser.run, *job) for job in jobs]
            try:
                for future in concurrent.futures.as_completed(futures):
                    future.result()
                    bar.update()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise


def write_texts(data_folder, folders):
    """Write the texts of the kept clips to ``texts.csv``; log the counts."""
    rows, dropped = [], 0
    for folder in folders:
        for _, row in read_table(folder / "clips.csv", COLUMNS):
            dropped += bool(row["dropped"])
            if not row["dropped"]:
                path = (folder / row["file"]).relative_to(data_folder)
                ID = path.with_suffix("").as_posix()
                rows.append({"ID": ID, "text": row["text"]})
    write_table(data_folder / "texts.csv", ("ID", "text"), rows)
    logger.info("%d clips kept, %d dropped", len(rows), dropped)


if __name__ == "__main__":
    command_line(prepare_spoken)
