"""Fixtures: the manifest and the dataset of a small corpus.

Authors
 * The miipher2 authors 2026
"""

import pytest
import soundfile

from miipher2.degrade import Chain, Clipping, Reverb
from miipher2.training.dataset import speech_dataset


@pytest.fixture
def manifest(corpus, tmp_path):
    rows = ["ID,duration,wav,spk_id"]
    for path in sorted(corpus.glob("speech/train/*/*.wav")):
        seconds = soundfile.info(path).duration
        wav = f"$data_root/{path.relative_to(corpus)}"
        rows.append(f"{path.parent.name}-{path.stem},{seconds:.6f},{wav},x")
    (tmp_path / "train.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "train.csv"


@pytest.fixture
def dataset(manifest, corpus):
    def make(**options):
        options = {
            "degrade": Chain(
                {"reverb": (0.5, Reverb(None)), "clipping": (1.0, Clipping())}
            ),
            "segment_seconds": 0.5,
            "sample_rate": 16000,
            "seed": 1,
            **options,
        }
        return speech_dataset(manifest, corpus, **options)

    return make
