"""Load speech encoders with transformers, or build them from a config.

Authors
 * The miipher2 authors 2026
"""

import contextlib

import torch
import transformers
from safetensors import SafetensorError

from miipher2.dataio.wording import count
from miipher2.errors import UserError


def from_pretrained(auto_class, source, **options):
    """Call ``from_pretrained`` of a class without warnings or progress bars.

    Arguments
    ---------
    auto_class : class
        A transformers class, for example ``AutoModel``.
    source : str
        Name of a model on the Hugging Face hub, or path of a local folder.
    **options : dict
        Further arguments of ``from_pretrained``.

    Returns
    -------
    object
        The loaded object.

    Raises
    ------
    UserError
        If the source cannot be read.
    """
    try:
        with _quiet():
            return auto_class.from_pretrained(source, **options)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        raise UserError(
            f"{source}: cannot load a speech encoder; give its name on the"
            " Hugging Face hub or, without network access, a local folder with"
            " its config.json, preprocessor_config.json and model.safetensors"
            f" (transformers: {reason})"
        ) from error


def load_encoder(family, source, config, unused_norm=None):
    """Load a model and check that no weights are missing.

    Arguments
    ---------
    family : class
        A subclass of ``FrontEnd``.
    source : str
        Name of a model on the Hugging Face hub, or path of a local folder.
    config : transformers.PretrainedConfig
        Config of the truncated model. Weights of removed layers are ignored.
    unused_norm : str
        Name of a norm whose weights may be missing. None if all weights are
        required.

    Returns
    -------
    transformers.PreTrainedModel
        The model in fp32.

    Raises
    ------
    UserError
        If the source cannot be read or lacks weights.
    """
    model, report = from_pretrained(
        family.model_class,
        source,
        config=config,
        dtype=torch.float32,
        key_mapping=family.key_mapping,
        output_loading_info=True,
    )
    missing = sorted(
        name
        for name in report["missing_keys"]
        if unused_norm is None or not name.startswith(f"{unused_norm}.")
    )
    if missing:
        more = ", ..." if len(missing) > 3 else ""
        raise UserError(
            f"{source}: {count(len(missing), 'weight tensor')} missing"
            f" ({', '.join(missing[:3])}{more}); check that it is a complete"
            f" {config.model_type} model, or download it again"
        )
    return model


def build_encoder(family, config):
    """Build a model with random weights that are the same in every process.

    Arguments
    ---------
    family : class
        A subclass of ``FrontEnd``.
    config : transformers.PretrainedConfig
        Config of the model.

    Returns
    -------
    transformers.PreTrainedModel
        The model in fp32.
    """
    model_class = family.model_class
    build = getattr(model_class, "from_config", model_class)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return build(config).float()


@contextlib.contextmanager
def _quiet():
    """Suppress warnings and progress bars from transformers."""
    logging = transformers.utils.logging
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
