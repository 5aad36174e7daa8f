"""Tests of the structure of ``miipher2/``: layers, imports and file sizes.

Authors
 * The miipher2 authors 2026
"""

import ast
import graphlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "miipher2"
# Layers of packages and modules, from the lowest to the highest. A package may
# import from lower layers and from its own layer, but not in a cycle. This also
# holds for imports inside functions.
LAYERS = (
    {"errors"},
    {"dataio"},
    {"models"},
    {"degrade", "inference", "evaluation"},
    {"training"},
    {"cli"},
    {"__main__"},
)
# Top-level code that uses the package; the package must not import it.
USERS = {"train", "benchmarks", "recipes", "tests"}
MAX_ROOT_MODULES = 4
MAX_LINES = 400  # per file


def imported_names(source):
    """Return the names that a module imports, with line numbers.

    Arguments
    ---------
    source : str
        Python code.

    Returns
    -------
    list of (str, int)
        ``from a.b import c`` gives ``a.b.c``.

    Example
    -------
    >>> imported_names("def f():\\n    from a import b, c\\n    import d.e")
    [('a.b', 2), ('a.c', 2), ('d.e', 3)]
    """
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            names += [(f"{module}.{a.name}", node.lineno) for a in node.names]
    return names


def all_imports():
    """Return (file:line, importing module, imported name) for each import."""
    return [
        (
            f"{path.relative_to(ROOT)}:{line}",
            ".".join(path.relative_to(ROOT).with_suffix("").parts),
            name,
        )
        for path in sorted(PACKAGE.rglob("*.py"))
        for name, line in imported_names(path.read_text("utf-8"))
    ]


def package_of(name):
    """Return the top-level package or module of a miipher2 name, or None."""
    first, *rest = name.split(".")
    return rest[0] if first == "miipher2" and rest else None


def module_of(name):
    """Return the complete module path of a miipher2 name, or None."""
    parts = name.split(".")
    if parts[0] != "miipher2":
        return None
    while not ROOT.joinpath(*parts).with_suffix(".py").is_file():
        if ROOT.joinpath(*parts, "__init__.py").is_file():
            return ".".join([*parts, "__init__"])
        parts.pop()
    return ".".join(parts)


def test_every_module_is_in_a_layer():
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert modules | packages == set().union(*LAYERS)


def test_no_relative_imports_and_no_imports_of_top_level_code():
    for location, _, name in all_imports():
        assert not name.startswith("."), f"{location}: relative import"
        assert name.split(".")[0] not in USERS, f"{location}: imports {name}"


def test_no_upward_imports():
    layers = {name: i for i, layer in enumerate(LAYERS) for name in layer}
    upward = [
        f"{location}: {importer} imports {name}"
        for location, importer, name in all_imports()
        if package_of(name) in layers
        and package_of(importer) in layers
        and layers[package_of(name)] > layers[package_of(importer)]
    ]
    assert not upward, "\n".join(upward)


@pytest.mark.parametrize("unit_of", [package_of, module_of])
def test_no_import_cycles(unit_of):
    graph = {}
    for _, importer, name in all_imports():
        unit, imported = unit_of(importer), unit_of(name)
        if imported and imported != unit:
            graph.setdefault(unit, set()).add(imported)
    list(graphlib.TopologicalSorter(graph).static_order())


def test_few_modules_at_the_root():
    modules = sorted(path.name for path in PACKAGE.glob("*.py"))
    assert len(modules) <= MAX_ROOT_MODULES, modules


def test_no_long_files():
    lines = {
        str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines())
        for path in PACKAGE.rglob("*.py")
    }
    assert {f: n for f, n in lines.items() if n > MAX_LINES} == {}
