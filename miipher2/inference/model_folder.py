"""Model folders: location, identity, and old class names.

Authors
 * The miipher2 authors 2026
"""

import hashlib
import logging
import re
from pathlib import Path

from miipher2.errors import UserError
from miipher2.inference import hub

logger = logging.getLogger("miipher2.inference")

# The folder of the bundled models, and the name of the default model
PRETRAINED = Path(__file__).parents[1] / "pretrained"
DEFAULT = "whisper24"

HYPERPARAMS = "hyperparams.yaml"

# Class names in model folders written by earlier versions, and current names
OLD_CLASSES = {
    "miipher2.ssl.SSLBackbone": "miipher2.models.backbone.SSLBackbone",
    "miipher2.cleaner.FeatureCleaner": "miipher2.models.cleaner.FeatureCleaner",
    "miipher2.adapters.ParallelAdapter": (
        "miipher2.models.adapters.ParallelAdapter"
    ),
    "miipher2.vocoders.build_vocoder": (
        "miipher2.models.vocoders.base.build_vocoder"
    ),
    "miipher2.vocoders.HiFiGAN": "miipher2.models.vocoders.hifigan.HiFiGAN",
    "miipher2.vocoders.istft.ISTFTVocoder": (
        "miipher2.models.vocoders.istft.ISTFTVocoder"
    ),
    "miipher2.vocoders.harmonic.HarmonicVocoder": (
        "miipher2.models.vocoders.harmonic.HarmonicVocoder"
    ),
}
# Arguments of HarmonicVocoder: old and current names
OLD_ARGUMENTS = {"keep": "spectral_gate", "hint_width": "level_width"}


def find_model(source: str | Path | None = None) -> Path:
    """Return the folder of a model, which is downloaded if needed.

    Arguments
    ---------
    source : str or Path
        A model folder, the ``output_folder`` of ``miipher2 train vocoder``, the
        name of a bundled model, or a repository on the Hugging Face hub:
        ``USER/NAME`` or ``USER/NAME@REVISION``. None for the default model.

    Returns
    -------
    Path
        Folder that contains ``hyperparams.yaml``.

    Raises
    ------
    UserError
        If there is no such model.
    """
    if source is None:
        # Even if the working directory contains a folder of this name
        return PRETRAINED / DEFAULT
    if (PRETRAINED / source).is_dir() and not Path(source).exists():
        return PRETRAINED / source
    folder = Path(source)
    if folder.suffix == ".onnx":
        raise UserError(
            f"{source}: an ONNX file cannot be used here; expected a model "
            "folder"
        )
    if not folder.is_dir():
        logger.info("%s: no such folder; looking for it on the hub", source)
        folder = hub.download(str(source))
    if (folder / "model" / HYPERPARAMS).is_file():
        return folder / "model"
    # The output folder of a training run contains env.log and a
    # hyperparams.yaml that describes the training, not a model.
    training = (folder / "env.log").exists()
    if training or not (folder / HYPERPARAMS).is_file():
        raise UserError(
            f"{folder}: contains neither model/{HYPERPARAMS} nor the "
            f"{HYPERPARAMS} of a model; expected a model folder or the "
            "output_folder of miipher2 train vocoder, which contains the model "
            "once training has finished"
        )
    return folder


def pretrained_models() -> list[str]:
    """Return the names of the bundled models, the default model first.

    Example
    -------
    >>> pretrained_models()
    ['whisper24', 'compact']
    """
    names = sorted(
        path.parent.name for path in PRETRAINED.glob(f"*/{HYPERPARAMS}")
    )
    return sorted(names, key=lambda name: name != DEFAULT)


def model_identity(folder: Path) -> str:
    """Return a hash of a model's YAML, JSON and safetensors files.

    Arguments
    ---------
    folder : Path
        The model's folder.

    Returns
    -------
    str
        12 hexadecimal digits.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> _ = (folder / "hyperparams.yaml").write_text("window_seconds: 20.0")
    >>> model_identity(folder)
    '9e6367f86b62'
    """
    hashed = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".yaml", ".json", ".safetensors"):
            hashed.update(f"{path.relative_to(folder).as_posix()}\n".encode())
            with open(path, "rb") as file:
                while block := file.read(2**20):
                    hashed.update(block)
    return hashed.hexdigest()[:12]


def update_names(text: str) -> str:
    """Replace old class and argument names in a model's YAML.

    Arguments
    ---------
    text : str
        The YAML.

    Returns
    -------
    str
        The YAML with current names.

    Example
    -------
    >>> print(update_names("a: !new:miipher2.ssl.SSLBackbone"))
    a: !new:miipher2.models.backbone.SSLBackbone
    """

    def new_tag(tag):
        return tag[1] + OLD_CLASSES.get(tag[2], tag[2])

    updated = re.sub(r"(!(?:new|name|apply):)([\w.]+)", new_tag, text)
    if updated == text:
        return text
    for old, new in OLD_ARGUMENTS.items():
        updated = re.sub(rf"^( +){old}:", rf"\g<1>{new}:", updated, flags=re.M)
    return updated
