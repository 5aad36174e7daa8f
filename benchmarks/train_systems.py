"""Systems that ``benchmarks/train.py`` compares.

The ``step`` method of a system trains on one batch and returns the loss.

Authors
 * The miipher2 authors 2026
"""

from pathlib import Path

import reference
from reference import SIZES

# The reference loads its own backbone. Therefore, the backbone in the YAML file
# is replaced with one unused layer of the same width.
UNUSED_BACKBONE = """
source: !new:transformers.HubertConfig
    hidden_size: {width}
    num_hidden_layers: 1
    num_attention_heads: 1
    intermediate_size: 8
    conv_dim: [8, 8, 8, 8, 8, 8, 8]
    feat_extract_norm: layer
    num_conv_pos_embeddings: 2
layer: 1
"""


def load_stage(job, **overrides):
    """Load the YAML file of a stage, without noise and room manifests."""
    values = {
        "batch_size": job["batch_size"],
        "segment_seconds": job["seconds"],
        "num_workers": 0,
        "noise_csv": "null",
        "valid_noise_csv": "null",
        "rir_csv": "null",
        "valid_rir_csv": "null",
        **overrides,
    }
    folder = Path(job["folder"])
    hparams, _ = reference.load_experiment(
        job["stage"], job["size"], folder, **values
    )
    return hparams


def load_initial(hparams, folder):
    """Load the initial weights that both systems use in stage 2."""
    import torch

    for name, tensors in torch.load(Path(folder, "initial.pt")).items():
        hparams[name].load_state_dict(tensors)


class Recipe:
    """The Brain that the YAML file of a stage defines.

    Arguments
    ---------
    job : dict
        The job, with stage, size, device, precision, folder, batch_size and
        seconds.
    """

    def __init__(self, job):
        from miipher2.training.experiment import load_cleaner

        hparams = load_stage(job)
        if job["stage"] == "vocoder":
            load_cleaner(hparams["cleaner"], hparams["cleaner_folder"])
            load_initial(hparams, job["folder"])
        self.brain = hparams["brain"](
            modules=hparams["modules"],
            opt_class=hparams["opt_class"],
            hparams=hparams,
            run_opts={"device": job["device"], "precision": job["precision"]},
            checkpointer=hparams["checkpointer"],
        )
        self.brain.init_optimizers()
        self.brain.modules.train()
        if job["stage"] == "vocoder":  # train on restored features
            self.brain.optimizer_step = hparams["pretrain_steps"]

    def step(self, items):
        """Train on one batch."""
        from speechbrain.dataio.batch import PaddedBatch

        self.brain.step += 1
        return float(self.brain.fit_batch(PaddedBatch(items)))


class Reference:
    """Complete backbone with adapters, run with transformers.

    Arguments
    ---------
    job : dict
        The job, with stage, size, device, folder, batch_size and seconds.
    """

    def __init__(self, job):
        import torch

        torch.manual_seed(0)
        self.device, size = job["device"], SIZES[job["size"]]
        width, bottleneck = size["config"]["hidden_size"], size["bottleneck"]
        adapters = [
            (
                torch.nn.Linear(width, bottleneck),
                torch.nn.Linear(bottleneck, width),
            )
            for _ in range(size["layer"])
        ]
        for _, up in adapters:
            torch.nn.init.zeros_(up.weight)
            torch.nn.init.zeros_(up.bias)
        self.backbone = reference.ReferenceBackbone(
            Path(job["folder"], "backbone"), adapters, self.device
        )
        self.parameters = [
            parameter
            for pair in adapters
            for projection in pair
            for parameter in projection.parameters()
        ]

    def optimizer(self, parameters, betas):
        """Return an optimizer with the settings of the YAML files."""
        import torch

        return torch.optim.AdamW(
            parameters, lr=2e-4, betas=betas, weight_decay=0.01
        )

    def stack(self, items, key):
        """Return the padded clips of a batch."""
        from torch.nn.utils.rnn import pad_sequence

        clips = [item[key] for item in items]
        return pad_sequence(clips, batch_first=True).to(self.device)


class ReferenceAdapters(Reference):
    """Reference of stage 1, with two passes through the complete backbone."""

    def __init__(self, job):
        from miipher2.training.losses import FeatureLoss

        super().__init__(job)
        self.loss = FeatureLoss()
        self.optimizers = [self.optimizer(self.parameters, (0.9, 0.98))]

    def step(self, items):
        """Train on one batch."""
        import torch

        with torch.no_grad():
            self.enable_adapters(False)
            target = self.backbone(self.stack(items, "clean"))
            self.enable_adapters(True)
        predicted = self.backbone(self.stack(items, "noisy"))
        loss = self.loss(predicted, target)["loss"].mean()
        (optimizer,) = self.optimizers
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        optimizer.step()
        return float(loss.detach())

    def enable_adapters(self, enabled):
        """Enable or disable the adapters."""
        for adapter in self.backbone.adapters:
            adapter.enabled = enabled


class ReferenceVocoder(Reference):
    """Reference of stage 2: complete backbone and HiFi-GAN training step."""

    def __init__(self, job):
        super().__init__(job)
        folder = Path(job["folder"])
        width = SIZES[job["size"]]["config"]["hidden_size"]
        unused = folder / "unused_backbone.yaml"
        unused.write_text(UNUSED_BACKBONE.format(width=width))
        hparams = load_stage(
            job, ssl=f"!include:{unused}", ssl_source=None, ssl_layer=1
        )
        load_initial(hparams, folder)
        generator = hparams["generator"]
        self.hop = generator.hop_length
        self.frames = hparams["vocoder_frames"]
        self.generator = generator.generator.to(self.device).train()
        self.discriminator = hparams["discriminator"].to(self.device)
        self.generator_loss = hparams["generator_loss"].to(self.device)
        self.discriminator_loss = hparams["discriminator_loss"]
        self.optimizers = [
            self.optimizer(network.parameters(), (0.8, 0.99))
            for network in (self.generator, self.discriminator)
        ]

    def step(self, items):
        """Train on one batch."""
        features, target = self.segments(items)
        fake = self.generator(features.transpose(1, 2))
        generator_optimizer, discriminator_optimizer = self.optimizers

        fake_scores, _ = self.discriminator(fake.detach())
        real_scores, _ = self.discriminator(target)
        losses = self.discriminator_loss(fake_scores, real_scores)
        discriminator_optimizer.zero_grad()
        losses["D_loss"].backward()
        discriminator_optimizer.step()

        loss = self.adversarial_loss(fake, target)
        generator_optimizer.zero_grad()
        loss.backward()
        generator_optimizer.step()
        return float(loss.detach())

    def segments(self, items):
        """Return the features and the targets of random segments."""
        import torch

        with torch.no_grad():
            features = self.backbone(self.stack(items, "noisy"))
        target = self.stack(items, "target")
        starts = [
            int(item["cut"] * (features.shape[1] - self.frames + 1))
            for item in items
        ]
        features = torch.stack(
            [
                clip[start : start + self.frames]
                for clip, start in zip(features, starts, strict=True)
            ]
        )
        size = self.frames * self.hop
        target = torch.stack(
            [
                clip[start * self.hop :][:size]
                for clip, start in zip(target, starts, strict=True)
            ]
        )
        return features, target[:, None]

    def adversarial_loss(self, fake, target):
        """Return the generator loss."""
        import speechbrain as sb

        fake_scores, fake_features = self.discriminator(fake)
        _, real_features = self.discriminator(target)
        losses = self.generator_loss(
            sb.Stage.TRAIN,
            fake,
            target,
            fake_scores,
            fake_features,
            [[map_.detach() for map_ in layer] for layer in real_features],
        )
        return losses["G_loss"]


SYSTEMS = {
    ("reference", "pa"): ReferenceAdapters,
    ("reference", "vocoder"): ReferenceVocoder,
    ("recipe", "pa"): Recipe,
    ("recipe", "vocoder"): Recipe,
}
