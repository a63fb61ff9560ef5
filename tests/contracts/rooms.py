"""Who may import whom: the one table of design/house.md, and how imports are read."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = 'aiida_pcm'

# A room may import itself and the rooms (or single modules) named here.
_NODES = {'data', 'science'}
_PROCESSES = {'calculations', 'calcfunctions', 'parsers', 'groups'}
DOORS: dict[str, set[str]] = {
    'science': set(),
    'runner': set(),
    'verify': {'science.certificate', 'science.bounds', 'science.packed', 'runner.lean'},
    'readers': {'science'},
    'data': {'science'},
    'groups': _NODES,
    'calcfunctions': _NODES | {'readers'},
    'calculations': _NODES | {'runner'},
    'parsers': _NODES | {'runner'},
    # Certify asks the graph which uses of a part there were before.
    'workchains': _NODES | _PROCESSES | {'graph'},
    'graph': _NODES | _PROCESSES,
    'report': _NODES | _PROCESSES | {'graph'},
    # Imports of data sets end in a calcfunction, so that the graph has them.
    'setup': _NODES | {'runner', 'graph', 'readers', 'calcfunctions'},
    'cli': {'workchains', 'graph', 'report', 'setup', 'verify', 'groups', 'data', 'science', 'readers'},
}


def modules(root: Path) -> dict[str, Path]:
    """Every module of the package, by dotted name without the package's own."""
    found = {}
    for path in sorted((root / PACKAGE).rglob('*.py')):
        parts = path.relative_to(root / PACKAGE).with_suffix('').parts
        found['.'.join(parts[:-1] if parts[-1] == '__init__' else parts)] = path
    return found


def imports(path: Path, known: set[str]) -> set[str]:
    """The modules of this package that a file imports anywhere in its text, as precisely as the text says."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f'{_origin(node, path)}.{alias.name}' for alias in node.names]
        else:
            continue
        for name in names:
            if name == PACKAGE or name.startswith(f'{PACKAGE}.'):
                inner = name.removeprefix(PACKAGE).removeprefix('.')
                while inner not in known:
                    inner = inner.rpartition('.')[0]
                found.add(inner)
    return found - {''}


def _origin(node: ast.ImportFrom, path: Path) -> str:
    """The module that names are imported from, in full also where it is written with dots."""
    if node.level == 0:
        return str(node.module)
    folders = path.parts[path.parts.index(PACKAGE) : len(path.parts) - node.level]
    return '.'.join([*folders, *([node.module] if node.module else [])])


def room(module: str) -> str:
    """The room that a module lies in."""
    return module.partition('.')[0]


def may_enter(module: str, target: str) -> bool:
    """Whether DOORS lets a module import another one."""
    if room(module) == room(target):
        return True
    allowed = DOORS.get(room(module), set())
    return room(target) in allowed or target in allowed
