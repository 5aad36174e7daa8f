"""Write docs/keys.md from the comments of the training YAMLs.

    python docs/make_keys.py

Authors
 * The miipher2 authors 2026
"""

from pathlib import Path

from miipher2.training.yaml_keys import yaml_keys

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "keys.md"
STAGES = {"0": "ssl", "1": "pa", "2": "vocoder"}

HEAD = """\
# Keys of the training YAMLs

Made by `python docs/make_keys.py` from the comments in `hparams/ssl.yaml` (stage 0),
`hparams/pa.yaml` (stage 1) and `hparams/vocoder.yaml` (stage 2). `hparams/compact/`
has the same keys with other defaults.

- Every key can be overridden on the command line: `--lr=0.0001`.
- `null` is Python's `None`. `!ref <key>` is the value of another key.
- `!new:` builds an object and `!name:` names a function or class to call later. Quote
  them on the command line: `--stft_loss='!new:miipher2.training.losses.MultiScaleSTFTLoss'`.
- `!include:` is another file below `hparams/`:
  `--ssl='!include:models/ssl/wavlm_large.yaml'`.

SpeechBrain's run options work as well, among them `--device=cpu` or `cuda:0`,
`--precision=bf16` (training) and `--eval_precision=bf16` (validation),
`--noprogressbar`, `--debug`. `python train.py --help` lists them.
"""


def cell(text):
    """Escape a text for a cell of a Markdown table."""
    return text.replace("<", "\\<").replace("|", "\\|").replace("*", "\\*")


def collect():
    """Return {section: {(name, value, comment): [stages]}} in file order."""
    sections = {}
    for stage, name in STAGES.items():
        for key in yaml_keys(ROOT / "hparams" / f"{name}.yaml"):
            rows = sections.setdefault(key.section or "folders", {})
            rows.setdefault(key[1:], []).append(stage)
    return sections


def page():
    """Return the text of docs/keys.md."""
    parts = [HEAD]
    for section, rows in collect().items():
        parts.append(f"\n## {section.capitalize()}\n")
        parts.append("| key | stage | default | |\n|---|---|---|---|")
        first = list(dict.fromkeys(name for name, _, _ in rows))
        for row in sorted(rows, key=lambda row: first.index(row[0])):
            name, value, comment = row
            value = f"`{value}`" if value else ""
            stages = ", ".join(rows[row])
            parts.append(f"| `{name}` | {stages} | {value} | {cell(comment)} |")
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
