"""The folder of a model: where it is, and what tells it from others.

Authors
 * The miipher2 authors 2026
"""

import hashlib
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from miipher2.errors import UserError

# Models that come with the package, by name, and the one that is taken where
# none is named.
PRETRAINED = Path(__file__).parents[1] / "pretrained"
DEFAULT = "compact"


def find_model(source=None):
    """The folder of a model.

    Arguments
    ---------
    source : str or Path
        A folder, the name of a model that comes with this package, or a
        repository on the Hugging Face hub; None: the package's default.

    Returns
    -------
    Path
        It holds ``hyperparams.yaml``.

    Raises
    ------
    UserError
        If there is none.
    """
    if source is None:  # whatever there is of that name in this folder
        return PRETRAINED / DEFAULT
    if (PRETRAINED / source).is_dir() and not Path(source).exists():
        return PRETRAINED / source
    folder = Path(source)
    if not folder.is_dir():
        try:
            folder = Path(snapshot_download(str(source)))
        except (HfHubHTTPError, HFValidationError, OSError) as error:
            reason = str(error).strip().splitlines()[0]
            raise UserError(
                f"{source}: neither a folder nor a repository on the hub "
                f"({reason})"
            ) from None
    if not (folder / "hyperparams.yaml").is_file():
        raise UserError(
            f"{folder}: not a restoration model: no hyperparams.yaml; "
            "expected the folder 'model' in the output_folder of stage 2 "
            "(python train.py hparams/vocoder.yaml ...)"
        )
    return folder


def model_identity(folder):
    """Tells a model from others by what its files hold.

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
