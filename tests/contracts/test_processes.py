"""What every process promises: exit codes, ports, entry points, small calcfunctions."""

from __future__ import annotations

import ast
import configparser
import importlib
import inspect
from importlib.metadata import distribution

import pytest
from aiida.engine import CalcJob, Process, WorkChain
from aiida.engine.processes.functions import FunctionProcess

from .rooms import PACKAGE

OURS = [*range(210, 220), *range(310, 320), *range(410, 420), *range(510, 520)]
TRANSIENT = ('MEMORY', 'LOST', 'PACKAGE', 'PARTIAL', 'INCOMPLETE', 'INTERRUPTED', 'KILLED', 'TIME', 'MISSING')

# Ports that are used by something other than a line of the class that declares them: class -> port -> by whom.
USED_ELSEWHERE: dict[str, dict[str, str]] = {}


def declared_entry_points(root) -> list[tuple[str, str, str]]:
    """(group, name, value) of setup.cfg."""
    config = configparser.ConfigParser()
    config.read(root / 'setup.cfg')
    return [
        (group, *(part.strip() for part in line.split('=', 1)))
        for group, lines in config['options.entry_points'].items()
        for line in lines.strip().splitlines()
    ]


def load(value: str):
    """The object that an entry point names."""
    module, _, name = value.partition(':')
    return getattr(importlib.import_module(module), name)


@pytest.fixture(scope='session')
def processes(root) -> list[type[Process]]:
    """Process classes behind the entry points, without calcfunctions."""
    groups = ('aiida.calculations', 'aiida.workflows')
    loaded = [load(value) for group, _, value in declared_entry_points(root) if group in groups]
    return [cls for cls in loaded if inspect.isclass(cls)]


def own_classes(cls: type) -> list[type]:
    """The class and its bases, as far as they are of this package."""
    return [base for base in cls.__mro__ if base.__module__.startswith(PACKAGE)]


def foreign_base(cls: type[Process]) -> type[Process]:
    """The nearest base that AiiDA or a plugin owns."""
    return next(base for base in cls.__mro__ if issubclass(base, Process) and not base.__module__.startswith(PACKAGE))


def own_exit_codes(cls: type[Process]):
    """Exit codes that this package added, by label."""
    inherited = foreign_base(cls).spec().exit_codes
    return {label: code for label, code in cls.spec().exit_codes.items() if label not in inherited}


def test_entry_points_load(root):
    for group, name, value in declared_entry_points(root):
        assert load(value) is not None, (group, name)


def test_installed_entry_points_are_those_of_setup_cfg(root):
    declared = {(group, name, value) for group, name, value in declared_entry_points(root)}
    installed = {(e.group, e.name, e.value) for e in distribution('aiida-pcm').entry_points}
    assert installed == declared, 'install the package again: pip install -e .'


def test_exit_codes_are_unique_within_a_process(processes):
    for cls in processes:
        numbers = [code.status for code in cls.spec().exit_codes.values()]
        twice = {number for number in numbers if numbers.count(number) > 1}
        own = {code.status for code in own_exit_codes(cls).values()}
        assert not twice & own, f'{cls.__name__}: {sorted(twice)}'


def test_exit_codes_are_in_our_ranges(processes):
    wrong = [
        f'{cls.__name__} {code.status} {label}'
        for cls in processes
        for label, code in own_exit_codes(cls).items()
        if code.status not in OURS
    ]
    assert not wrong


def test_exit_codes_say_something(processes):
    for cls in processes:
        for label, code in own_exit_codes(cls).items():
            assert label.startswith('ERROR_'), f'{cls.__name__} {label}'
            assert code.message and len(code.message.split()) >= 3, f'{cls.__name__} {label}'


def test_transient_failures_are_never_served_from_the_cache(processes):
    """Partial results too: whatever another run could mend."""
    wrong = [
        f'{cls.__name__} {code.status} {label}'
        for cls in processes
        if issubclass(cls, CalcJob)
        for label, code in own_exit_codes(cls).items()
        if (any(word in label for word in TRANSIENT) or code.status // 10 == 51) and not code.invalidates_cache
    ]
    assert not wrong


def own_ports(cls: type[Process], kind: str):
    """Ports of this package's own, without exposed ones: name -> port."""
    inherited = getattr(foreign_base(cls).spec(), kind)
    exposed = {name for names in cls.spec()._exposed_inputs.values() for ports in names.values() for name in ports}
    namespaces = {namespace for namespace in cls.spec()._exposed_inputs if namespace}
    ports = getattr(cls.spec(), kind)
    return {n: port for n, port in ports.items() if n not in inherited and n not in exposed and n not in namespaces}


def test_every_port_is_documented(processes):
    silent = [
        f'{cls.__name__}.{kind}.{name}'
        for cls in processes
        for kind in ('inputs', 'outputs')
        for name, port in own_ports(cls, kind).items()
        if not port.help
    ]
    assert not silent


def names_read_from_inputs(cls: type) -> set[str]:
    """Ports that the text of a class reads.

    These are inputs.x, inputs['x'], inputs.get('x'), 'x' in inputs; and, where inputs[name] is read with a variable,
    the names that stand as text in the methods, which is where the variable gets them from.
    """
    found = set()
    for base in own_classes(cls):
        tree = ast.parse(inspect.getsource(inspect.getmodule(base)))
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and _is_inputs(node.value):
                found.add(node.attr)
            elif isinstance(node, ast.Subscript) and _is_inputs(node.value):
                found |= {node.slice.value} if isinstance(node.slice, ast.Constant) else _texts_in_methods(tree)
            elif isinstance(node, ast.Compare) and isinstance(node.left, ast.Constant):
                found |= {node.left.value for side in node.comparators if _is_inputs(side)}
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _is_inputs(node.func.value):
                found |= {argument.value for argument in node.args[:1] if isinstance(argument, ast.Constant)}
    return found


def _texts_in_methods(tree: ast.Module) -> set[str]:
    """Text constants in the steps of a process: not where ports are declared or inputs are put together."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    steps = [f for f in functions if f.name not in ('define', 'get_builder_from_protocol')]
    constants = [node for step in steps for node in ast.walk(step) if isinstance(node, ast.Constant)]
    return {node.value for node in constants if isinstance(node.value, str)}


def _is_inputs(node: ast.AST) -> bool:
    """`inputs` or `anything.inputs`."""
    return getattr(node, 'attr', getattr(node, 'id', None)) == 'inputs'


def test_every_port_is_used(processes):
    unused = []
    for cls in processes:
        read = names_read_from_inputs(cls) | set(USED_ELSEWHERE.get(cls.__name__, {}))
        if issubclass(cls, CalcJob):
            read |= {'code', 'metadata'}
        unused += [f'{cls.__name__}.{name}' for name in own_ports(cls, 'inputs') if name not in read]
    assert not unused


def test_exceptions_are_still_needed(processes):
    by_name = {cls.__name__: cls for cls in processes}
    for name, ports in USED_ELSEWHERE.items():
        assert set(ports) <= set(own_ports(by_name[name], 'inputs')) - names_read_from_inputs(by_name[name]), name


def test_every_work_chain_has_a_builder_from_a_protocol(processes):
    lacking = [
        c.__name__ for c in processes if issubclass(c, WorkChain) and not hasattr(c, 'get_builder_from_protocol')
    ]
    assert not lacking


def calcfunction_files(root):
    """Every file of the room of calcfunctions."""
    return [p for p in sorted((root / PACKAGE / 'calcfunctions').glob('*.py')) if p.name != '__init__.py']


def _is_calcfunction(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef) and any('calcfunction' in ast.unparse(d) for d in node.decorator_list)


def test_one_small_calcfunction_a_file(root):
    for path in calcfunction_files(root):
        found = [node for node in ast.parse(path.read_text()).body if _is_calcfunction(node)]
        assert [node.name for node in found] == [path.stem], f'{path.name} holds one calcfunction, of its own name'
        first = min(decorator.lineno for decorator in found[0].decorator_list)
        lines = found[0].end_lineno - first + 1
        assert lines <= 30, f'{path.name}: {lines} lines; unpack nodes, call science, pack nodes'


def test_every_calcfunction_has_an_entry_point(root):
    values = {value for group, _, value in declared_entry_points(root) if group == 'aiida.calculations'}
    for path in calcfunction_files(root):
        value = f'{PACKAGE}.calcfunctions.{path.stem}:{path.stem}'
        assert value in values
        assert issubclass(load(value).process_class, FunctionProcess)
