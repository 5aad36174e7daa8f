"""Changes to SpeechBrain's core: an adapter and two fixes for checkpoints.

The lines to change are located by function and variable names or by their text.

Authors
 * The miipher2 authors 2026
"""

import ast
from pathlib import Path

from contribution.topic import (
    FILES,
    ROOT,
    ContributionError,
    find_node,
    read_text,
    replace_once,
    write_new,
)

ADAPTERS = Path("speechbrain/nnet/adapters.py")
CHECKPOINTS = Path("speechbrain/utils/checkpoints.py")
TESTS = Path("tests/unittests")


def add_parallel_adapter(checkout):
    """Add ``ParallelAdapter`` and its tests; return the changed paths."""
    source = ROOT / "miipher2" / "models" / "adapters.py"
    code = source.read_text("utf-8")
    node = find_node(ast.parse(code), ast.ClassDef, "ParallelAdapter", source)
    text = read_text(checkout, ADAPTERS)
    if node.name in text:
        raise ContributionError(f"{ADAPTERS}: {node.name} already exists")
    text = f"{text.rstrip()}\n\n\n{ast.get_source_segment(code, node)}\n"
    (checkout / ADAPTERS).write_text(text, "utf-8")
    test = TESTS / "test_adapters.py"
    write_new(checkout, test, (FILES / test.name).read_text("utf-8"))
    return [ADAPTERS, test]


def keep_importance_keys(checkout):
    """Make SpeechBrain copy ``importance_keys``; return the changed paths."""
    old = "importance_keys.append(ckpt_recency)"
    new = "importance_keys = [*importance_keys, ckpt_recency]"
    text = replace_once(read_text(checkout, CHECKPOINTS), old, new, CHECKPOINTS)
    (checkout / CHECKPOINTS).write_text(text, "utf-8")
    test = TESTS / "test_checkpoints.py"
    added = (FILES / "keep_only_test.py").read_text("utf-8")
    added = added[added.index("def ") :]  # the file already imports torch
    lines = f"{read_text(checkout, test).rstrip()}\n\n\n{added}"
    (checkout / test).write_text(lines, "utf-8")
    return [CHECKPOINTS, test]


def write_meta_file_last(checkout):
    """Make SpeechBrain write the meta file last; return the changed paths."""
    text = read_text(checkout, CHECKPOINTS)
    text = _move_call(text)
    text = _write_atomically(text)
    (checkout / CHECKPOINTS).write_text(text, "utf-8")
    test = TESTS / "test_interrupted_checkpoints.py"
    write_new(checkout, test, (FILES / test.name).read_text("utf-8"))
    return [CHECKPOINTS, test]


def _move_call(text):
    """Move the call that saves the meta file to before the last ``if``.

    In its original position, insert code that deletes the meta file of a
    checkpoint that is overwritten.
    """
    tree = ast.parse(text)
    save = find_node(tree, ast.FunctionDef, "save_checkpoint", CHECKPOINTS)
    calls = [
        node
        for node in ast.walk(save)
        if isinstance(node, ast.Assign)
        and ast.unparse(node.targets[0]) == "saved_meta"
    ]
    ends = [node for node in save.body if isinstance(node, ast.If)]
    if len(calls) != 1 or len(ends) < 2 or ends[-1].lineno < calls[0].lineno:
        raise ContributionError(
            f"{CHECKPOINTS}: save_checkpoint has an unexpected form; is the "
            "meta file already written last?"
        )
    (call,), end = calls, ends[-1]
    lines = text.splitlines(keepends=True)
    moved = lines[call.lineno - 1 : call.end_lineno]
    return "".join(
        [
            *lines[: call.lineno - 1],
            " " * call.col_offset
            + "# Invalidate a checkpoint that is overwritten\n",
            " " * call.col_offset
            + "(ckpt_dir / METAFNAME).unlink(missing_ok=True)\n",
            *lines[call.end_lineno : end.lineno - 1],
            " " * end.col_offset
            + "# The meta file marks all other files as complete\n",
            " " * end.col_offset + "ddp_barrier()\n",
            " " * end.col_offset + "if if_main_process():\n",
            *moved,
            " " * end.col_offset + "ddp_barrier()\n\n",
            *lines[end.lineno - 1 :],
        ]
    )


def _write_atomically(text):
    """Make the code write the meta file under another name and rename it."""
    name = "_save_checkpoint_metafile"
    node = find_node(ast.parse(text), ast.FunctionDef, name, CHECKPOINTS)
    blocks = [part for part in node.body if isinstance(part, ast.With)]
    if len(blocks) != 1:
        raise ContributionError(f"{CHECKPOINTS}: {name} has an unexpected form")
    (block,) = blocks
    indent = " " * block.col_offset
    lines = text.splitlines(keepends=True)
    body = "".join(lines[block.lineno - 1 : block.end_lineno])
    body = replace_once(body, "open(fpath,", "open(partial,", CHECKPOINTS)
    return "".join(
        [
            *lines[: block.lineno - 1],
            f'{indent}partial = fpath.with_name(fpath.name + ".partial")\n',
            body,
            f"{indent}os.replace(partial, fpath)\n",
            *lines[block.end_lineno :],
        ]
    )
