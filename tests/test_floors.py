"""Tests of the layout of ``miipher2/``: its floors, imports and file sizes.

Authors
 * The miipher2 authors 2026
"""

import ast
import graphlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "miipher2"
# A package may import from lower floors, and from its own floor if that makes
# no cycle. This includes imports inside functions.
FLOORS = (
    {"errors"},
    {"dataio"},
    {"models"},
    {"degrade", "inference", "evaluation"},
    {"training"},
    {"cli"},
    {"__main__"},
)
# Top-level code that uses the package and must not be imported by it.
USERS = {"train", "benchmarks", "recipes", "tests"}
MAX_ROOT_MODULES = 4
MAX_LINES = 400  # of a file


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
    """Return (file:line, importing module, imported name) of each import."""
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
    """Return the package or module of miipher2 that holds a name, or None."""
    first, *rest = name.split(".")
    return rest[0] if first == "miipher2" and rest else None


def module_of(name):
    """Return the module of miipher2 that defines a name, or None."""
    parts = name.split(".")
    if parts[0] != "miipher2":
        return None
    while not ROOT.joinpath(*parts).with_suffix(".py").is_file():
        if ROOT.joinpath(*parts, "__init__.py").is_file():
            return ".".join([*parts, "__init__"])
        parts.pop()
    return ".".join(parts)


def test_every_module_is_on_a_floor():
    found = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    found |= {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert found == set().union(*FLOORS)


def test_no_relative_imports_and_no_imports_of_users():
    for where, _, name in all_imports():
        assert not name.startswith("."), f"{where}: relative import"
        assert name.split(".")[0] not in USERS, f"{where}: imports {name}"


def test_no_upward_imports():
    floors = {name: i for i, floor in enumerate(FLOORS) for name in floor}
    upward = [
        f"{where}: {importer} imports {name}"
        for where, importer, name in all_imports()
        if package_of(name) in floors
        and package_of(importer) in floors
        and floors[package_of(name)] > floors[package_of(importer)]
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
