"""Walks find what AiiDA's own relation finds, and nothing else."""

from __future__ import annotations

import pytest
from aiida import orm
from aiida.engine import calcfunction

from aiida_pcm.graph import closure, walk


@calcfunction
def add(x, y):
    return orm.Int(x.value + y.value)


@pytest.fixture(scope='module')
def total(aiida_profile):
    """A sum of sums in which one number is met on several ways."""
    aiida_profile.reset_storage()
    one, two = orm.Int(1).store(), orm.Int(2).store()
    add(one, one)
    orm.Int(7).store()
    three = add(one, two)
    return add(add(three, one), add(three, two))


@pytest.mark.parametrize('at_once', [2, 999])
def test_ancestors_are_those_of_aiida(total, monkeypatch, at_once):
    monkeypatch.setattr(closure, '_AT_ONCE', at_once)
    query = orm.QueryBuilder().append(orm.Node, filters={'uuid': total.uuid}, tag='node')
    query.append(orm.Node, with_descendants='node', project='id')
    found = [node.pk for node in closure.ancestors(total)]
    assert found == sorted(set(query.all(flat=True))) and len(found) == 9


def test_nodes_and_links_of_a_walk(total):
    pks = walk.behind([total.pk])
    nodes = walk.nodes_behind([total.pk])
    assert set(nodes) == pks
    for pk, found in nodes.items():
        node = orm.load_node(pk)
        assert found.type == node.node_type and found.is_process == isinstance(node, orm.ProcessNode)
        assert (found.process, found.is_well) == ((node.process_label, True) if found.is_process else (None, False))
    links = walk.links_behind([total.pk])
    assert len(links) == len(set(links)) == sum(len(orm.load_node(pk).base.links.get_incoming().all()) for pk in pks)
