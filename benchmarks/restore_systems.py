"""Systems that ``benchmarks/restore.py`` compares.

Calling a system restores all files of a folder. ``restore`` restores a batch,
and ``parts`` lists the methods to time.

Authors
 * The miipher2 authors 2026
"""

import argparse
import os
from pathlib import Path

import reference
import timing


class Reference:
    """Reference implementation: all layers, one complete file at a time.

    Arguments
    ---------
    job : dict
        The job: ``folder`` contains ``reference.pt``, ``source`` is the folder
        of the backbone, and ``device`` is the PyTorch device.
    """

    def __init__(self, job):
        import torch

        if job["device"] == "cpu":
            timing.limit_memory()
        path = Path(job["folder"], "reference.pt")
        adapters, generator = torch.load(path, weights_only=False)
        self.device = job["device"]
        self.backbone = reference.ReferenceBackbone(
            Path(job["source"]), adapters, self.device
        )
        self.generator = generator.to(self.device)

    def __call__(self, folder, output):
        import soundfile
        import torch

        from miipher2.dataio.speech_level import SpeechLevel

        output.mkdir(parents=True, exist_ok=True)
        for path in sorted(folder.glob("*.wav")):
            wav, rate = soundfile.read(path, dtype="float32")
            gain = SpeechLevel.of(wav, rate).gain()  # as in the engine
            inputs = torch.from_numpy(wav) * gain
            with torch.no_grad():
                restored = self.restore(inputs[None]).cpu().numpy()
            soundfile.write(output / path.name, restored[0, : len(wav)], rate)

    def restore(self, wavs):
        """Restore waveforms ``(batch, time)``."""
        features = self.backbone(wavs)
        if not hasattr(self.generator, "inference"):
            return self.generator(features, wavs)[0]
        wav = self.generator.inference(features.transpose(1, 2))[:, 0]
        frames = features.shape[1] + 2 * self.generator.inference_padding
        padding = self.generator.inference_padding * wav.shape[1] // frames
        return wav[:, padding:-padding]

    def parts(self):
        """Return a (part, object, method name) tuple for each timed method."""
        network = self.backbone.model
        front_end = (
            network.feature_extractor,
            network.feature_projection,
            network.encoder.pos_conv_embed,
        )
        used = self.backbone.layer
        return [
            *(("front-end", module, "forward") for module in front_end),
            *(
                (
                    "layers" if index < used else "unused layers",
                    layer,
                    "forward",
                )
                for index, layer in enumerate(network.encoder.layers)
            ),
            *(("adapters", a, "residual") for a in self.backbone.adapters),
            ("vocoder", self.generator, "forward"),
        ]


class Engine:
    """Engine of ``miipher2 restore``.

    Arguments
    ---------
    job : dict
        The job, with ``model``, ``device`` and ``precision``.
    """

    def __init__(self, job):
        from miipher2.inference.restorer import Restorer

        run_opts = {"device": job["device"], "precision": job["precision"]}
        self.restorer = Restorer.from_hparams(job["model"], run_opts=run_opts)

    def __call__(self, folder, output):
        from miipher2.inference.corpus import local
        from miipher2.inference.corpus.inputs import list_items
        from miipher2.inference.job import Settings

        rows = []
        local.run(
            list_items([str(folder)], output, ".wav"),
            Settings(self.restorer.sample_rate),
            rows.append,
            lambda size, seconds: None,
            argparse.Namespace(
                output=output,
                format="wav",
                workers=min(8, os.cpu_count() or 1),
                batch_seconds=None,
            ),
            self.restorer,
        )
        failed = [row for row in rows if row.status != "done"]
        if failed:
            raise RuntimeError(f"{failed[0].input}: {failed[0].reason}")

    def restore(self, wavs):
        """Restore waveforms ``(batch, time)``, each as one window."""
        return self.restorer.restore_windows(wavs)[0]

    def parts(self):
        """Return a (part, object, method name) tuple for each timed method."""
        cleaner = self.restorer.mods.cleaner
        backbone, generator = (
            cleaner.adapted_model,
            self.restorer.mods.generator,
        )
        return [
            ("front-end", backbone, "embed"),
            *(
                ("layers", backbone.get_submodule(site), "forward")
                for site in backbone.layer_sites()
            ),
            *(
                ("adapters", getattr(adapter, name), "forward")
                for adapter in cleaner.adapters
                for name in (
                    "adapter_down_proj",
                    "activation",
                    "adapter_up_proj",
                )
            ),
            ("vocoder", generator, "forward"),
            ("vocoder", generator, "synthesise"),
        ]
