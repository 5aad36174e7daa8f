"""The demo page. Gradio is imported only when the page is built.

Authors
 * The miipher2 authors 2026
"""

import base64
import html
import tempfile
from pathlib import Path

from miipher2.dataio.wording import duration
from miipher2.errors import UserError
from miipher2.inference.demo.service import Stopped, max_megabytes

# The folder exists only in a clone of the repository.
EXAMPLES_FOLDER = Path(__file__).parents[3] / "examples" / "noisy"
EXAMPLES = {
    "valid_001.flac": "Reverberation, babble",
    "valid_002.flac": "Telephone band, car",
    "valid_003.flac": "Reverberation, boat, telephone band",
}
STYLE = Path(__file__).with_name("page.css")
INTRODUCTION = """
# miipher2

This page restores degraded speech: it removes noise, reverberation and codec
artefacts. A recording can be up to {seconds} long and {megabytes} MiB in size.
It stays on the machine that serves this page and is deleted after about an
hour.

The model can change words. Do not use it where the exact wording matters.
"""
# In seconds: files older than an hour are deleted every 10 minutes.
DELETE_CACHE = (600, 3600)
MAX_WAITING = 50  # recordings in the queue
# System fonts, so that the page needs no internet access
FONT = ("system-ui", "sans-serif")
MONO = ("ui-monospace", "monospace")


def theme():
    """Return the theme of the page.

    Returns
    -------
    gradio.themes.Base
    """
    import gradio as gr

    return gr.themes.Default(
        primary_hue="teal", neutral_hue="slate", font=FONT, font_mono=MONO
    ).set(
        # Dark enough for white text
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
    )


def build_page(models, max_seconds):
    """Build the page.

    Arguments
    ---------
    models : miipher2.inference.demo.service.Models
        The models to choose from.
    max_seconds : float
        Maximum duration of a recording in seconds.

    Returns
    -------
    gradio.Blocks
        The page. Its queue restores one recording at a time.
    """
    import gradio as gr

    page = gr.Blocks(
        title="miipher2", analytics_enabled=False, delete_cache=DELETE_CACHE
    )
    with page:
        gr.Markdown(
            INTRODUCTION.format(
                seconds=duration(max_seconds),
                megabytes=max_megabytes(max_seconds),
            )
        )
        with gr.Row():
            with gr.Column():
                recording = gr.Audio(
                    label="Recording",
                    sources=["upload", "microphone"],
                    type="filepath",
                    buttons=[],
                    elem_id="recording",
                )
                _add_examples(recording)
                model = gr.Radio(
                    models.names, value=models.selected, label="Model"
                )
                button = gr.Button("Restore", variant="primary")
            with gr.Column():
                restored = gr.Audio(
                    label="Restored",
                    interactive=False,
                    buttons=[],
                    elem_id="restored",
                )
                download = gr.DownloadButton("Download", interactive=False)
                status = gr.HTML(elem_id="status")
        pictures = gr.HTML(elem_id="spectrograms")
        outputs = [restored, download, status, pictures]

        def run(path, name, progress=gr.Progress()):
            yield from _run(models, max_seconds, path, name, progress)

        button.click(
            run,
            [recording, model],
            outputs,
            api_visibility="private",
            show_progress_on=restored,
        )
        # A new recording clears the previous result.
        recording.change(
            lambda: _outputs(),
            None,
            outputs,
            queue=False,
            show_progress="hidden",
            api_visibility="private",
        )
    return page.queue(default_concurrency_limit=1, max_size=MAX_WAITING)


def _add_examples(recording):
    """Add a button for each example recording."""
    import gradio as gr

    examples = {
        str(EXAMPLES_FOLDER / name): label
        for name, label in EXAMPLES.items()
        if (EXAMPLES_FOLDER / name).is_file()
    }
    if examples:
        gr.Examples(
            list(examples),
            recording,
            cache_examples=False,
            example_labels=list(examples.values()),
            api_visibility="private",
        )


def _run(models, max_seconds, path, name, progress):
    """Restore a recording and yield the values of the outputs.

    Gradio copies the restored file before the temporary folder is deleted.
    """
    if path is None:
        yield _outputs("Upload or record something first.", error=True)
        return
    progress(0.0, desc="Loading the model and the recording")
    with tempfile.TemporaryDirectory(prefix="miipher2-") as folder:
        try:
            result = models.restore(
                name,
                path,
                folder,
                max_seconds,
                lambda fraction: progress(fraction, desc="Restoring"),
            )
        except Stopped:
            yield _outputs("The server has stopped.", error=True)
            return
        except (UserError, OSError) as error:
            text = str(error).replace(str(path), Path(path).name)
            yield _outputs(text, error=True)
            return
        file = str(result.path)
        yield _outputs(_summary(result.row, name), file, _pictures(result))


def _outputs(text="", file=None, pictures="", error=False):
    """Return values for the player, download button, status and pictures."""
    import gradio as gr

    role = "alert" if error else "status"
    return (
        file,
        gr.DownloadButton(value=file, interactive=file is not None),
        f'<p role="{role}">{html.escape(text)}</p>' if text else "",
        pictures,
    )


def _summary(row, name):
    """Return a sentence that describes the result."""
    if row.status == "silent":
        return "The recording is silent; it was not changed."
    text = (
        f"Restored {duration(row.seconds)} with {name} in "
        f"{duration(row.seconds_spent)}, at {row.output_rate / 1000:g} kHz."
    )
    return f"{text} Note: {row.reason}." if row.reason else text


def _pictures(result):
    """Return both spectrograms with their axes, as HTML."""
    figures = "".join(
        _figure(title, png, result.max_hz, result.row.seconds)
        for title, png in (("Input", result.before), ("Restored", result.after))
    )
    return f'<div class="spectrograms">{figures}</div>'


def _figure(title, png, max_hz, seconds):
    source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    top = max_hz / 1000
    return f"""
<figure>
  <figcaption>{title}</figcaption>
  <div class="frequency">
    <span>{top:g} kHz</span><span>{top / 2:g}</span><span>0</span>
  </div>
  <img src="{source}" alt="Spectrogram: {title.lower()}, 0 to {top:g} kHz">
  <div class="time"><span>0</span><span>{duration(seconds)}</span></div>
</figure>"""
