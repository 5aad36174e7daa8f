"""Package metadata of miipher2."""

from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py


class BuildModules(build_py):
    """``build_py`` that leaves setup.py out of ``miipher2.recipe``."""

    def find_package_modules(self, package, package_dir):
        modules = super().find_package_modules(package, package_dir)
        return [module for module in modules if module[1] != "setup"]


setup(
    name="miipher2",
    version="0.1.0",
    description=(
        "An open implementation of Miipher-2 for universal speech restoration, "
        "as a SpeechBrain recipe"
    ),
    long_description=Path(__file__).with_name("README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    # miipher2.recipe: train.py, hparams, prepare functions (`miipher2 train`)
    packages=[
        *find_packages(include=["miipher2", "miipher2.*"]),
        "miipher2.recipe",
    ],
    package_dir={"miipher2.recipe": "."},
    package_data={
        "miipher2": [
            "py.typed",
            "pretrained/*/*.*",
            "pretrained/*/backbone/*.*",
        ],
        "miipher2.degrade": ["*.yaml"],
        "miipher2.evaluation": ["*.yaml", "html/*"],
        "miipher2.inference.demo": ["*.css"],
        "miipher2.recipe": ["hparams/**/*.yaml", "recipes/*/*.py"],
    },
    # The recipes of the bundled models are not used by `miipher2 train`
    exclude_package_data={
        "miipher2.recipe": ["recipes/Compact/*", "recipes/Whisper24/*"]
    },
    cmdclass={"build_py": BuildModules},
    python_requires=">=3.10,<3.14",
    install_requires=[
        "huggingface_hub>=1.0",
        "matplotlib>=3.8",
        "numpy>=1.26",
        "pyloudnorm>=0.2",
        "ruamel.yaml>=0.17.28",
        "tqdm>=4.60",
        "torch>=2.9,<2.15",
        "torchaudio>=2.9",
        "speechbrain>=1.1",
        "transformers>=5",
        "hyperpyyaml>=1.2.3",
        "safetensors>=0.4",
        "scipy>=1.11",
        "soundfile>=0.13",
        "soxr>=0.5",
    ],
    extras_require={
        # PyAV 19 has no AMR-NB encoder
        "codecs": ["av>=14,<19"],
        # Speaker similarity and phoneme errors also need:
        # pip install --no-deps resemblyzer hama
        "metrics": [
            "speechmos>=0.0.1.1",
            "librosa>=0.11",
            "onnxruntime>=1.20",
            "pesq>=0.0.4",
            "pystoi>=0.4.1",
            "webrtcvad-wheels>=2.0.14",
            "faster-whisper>=1.1",
            "jiwer>=4",
            "pyrnnoise>=0.4.5",
        ],
        # miipher2 demo
        "demo": ["gradio>=6.31,<7"],
        # pitch targets for training the harmonic vocoder
        "pitch": ["swift-f0>=0.3"],
        # miipher2 export-onnx; onnxruntime runs the exported file
        "onnx": ["onnx>=1.18", "onnxruntime>=1.20", "onnxscript>=0.5"],
        "parquet": ["pyarrow>=15"],
        "ray": ["ray[data]>=2.60"],
        "rooms": ["pyroomacoustics>=0.8"],
        # docs/build_site.py
        "docs": ["mkdocs-material>=9.5", "mkdocstrings[python]>=0.29"],
        # recipes/Spoken
        "spoken": ["kokoro-onnx>=0.4"],
        "tensorboard": ["tensorboard"],
        "wandb": ["wandb>=0.20"],
        "webdataset": ["webdataset>=0.2.48"],
        "test": [
            "build>=1.2",
            "setuptools>=77",
            "pytest>=8",
            "pytest-xdist",
            "ruff",
            "yamllint",
            "codespell[toml]>=2.4",
            "mypy",
            "jiwer>=4",
            "av>=14,<19",
            # for tests of the demo page, which also need a Chromium browser
            "gradio>=6.31,<7",
            "playwright",
            "onnx>=1.18",
            "onnxruntime>=1.20",
            "onnxscript>=0.5",
            "pyarrow>=15",
            "pyroomacoustics>=0.8",
            "ray[data]>=2.60",
            "swift-f0>=0.3",
            "tensorboard",
            "wandb>=0.20",
            "webdataset>=0.2.48",
        ],
    },
    entry_points={"console_scripts": ["miipher2 = miipher2.cli:main"]},
)
