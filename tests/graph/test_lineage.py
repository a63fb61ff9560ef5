"""Lineage against AiiDA's own ancestors; boxes, depths, drawings."""

from __future__ import annotations

import shutil
import xml.etree.ElementTree

import pytest
from aiida import orm
from aiida.engine import calcfunction, workfunction

from aiida_pcm.graph import walk
from aiida_pcm.graph.lineage import LABELS, PROCESSES, STAGES, lineage
from aiida_pcm.science.conventions import PcmError

ROWS = 12


@calcfunction
def measure(x, unit):
    return orm.Float(x.value)


@calcfunction
def collect(**rows):
    return orm.Float(sum(row.value for row in rows.values()))


@workfunction
def campaign():
    unit = orm.Str('eV').store()
    return collect(**{f'row_{i}': measure(orm.Float(i), unit) for i in range(ROWS)})


@pytest.fixture(scope='module')
def result(aiida_profile):
    aiida_profile.reset_storage()
    return campaign()


def test_a_walk_finds_what_aiida_finds(result):
    query = orm.QueryBuilder().append(orm.Node, filters={'id': result.pk}, tag='node')
    expected = set(query.append(orm.Node, with_descendants='node', project='id').all(flat=True))
    assert walk.behind([result.pk]) - {result.pk} == expected
    assert set(walk.nodes_behind([result.pk])) == expected | {result.pk}
    chain = orm.QueryBuilder().append(orm.WorkFunctionNode).one()[0]
    assert set(walk.called_by([chain.pk])) == {chain.pk, *(one.pk for one in chain.called_descendants)}
    links = walk.links_behind([result.pk])
    assert len(links) == 1 + ROWS * 4 and {link.type for link in links} == {'create', 'input_calc'}


def test_three_depths(result):
    stages, labels, every = (lineage(result, depth) for depth in (STAGES, LABELS, PROCESSES))
    assert [(box.title, box.number) for box in stages.boxes.values()] == [('campaign', ROWS + 1)]
    assert {box.title: box.number for box in labels.boxes.values()} == {'measure': ROWS, 'collect': 1}
    assert labels.boxes['measure'].given == {'x Float': ROWS, 'unit Str': 1}
    assert labels.arrows == {('measure', 'collect'): frozenset({'row'})}
    assert 'measure in campaign' in every.boxes and len(every.boxes) == 2, 'a batch is one box'
    with pytest.raises(PcmError, match='no depth 4'):
        lineage(result, 4)


def test_a_tree_is_read_from_the_node_to_its_sources(result):
    lines = lineage(result).text().splitlines()
    assert lines[0].startswith(f'Float<{result.pk}>') and 'nodes behind it' in lines[0]
    assert lines[1:] == ['└─ collect', f'   └─ row: measure ({ROWS})', f'      └─ given: unit Str, x Float ({ROWS})']


def test_a_process_has_a_lineage_too(result):
    chain = orm.QueryBuilder().append(orm.WorkFunctionNode).one()[0]
    assert set(lineage(chain).boxes) >= {'measure', 'collect'}


def test_dot_and_svg(result, monkeypatch):
    drawn = lineage(result).dot()
    assert drawn.startswith('digraph lineage {') and f'label="measure\\n({ROWS})"' in drawn
    if shutil.which('dot'):
        assert xml.etree.ElementTree.fromstring(lineage(result).svg()).tag.endswith('svg')
    monkeypatch.setenv('PATH', '')
    with pytest.raises(PcmError, match='Graphviz') as caught:
        lineage(result).svg()
    assert len(str(caught.value).splitlines()) == 2
