"""What the graph tells of a certificate: an honest one, and forged ones, each refused for its reason and no other."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida.engine import calcfunction

from aiida_pcm.data.certificate import CertificateData
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.graph.verification import verify_graph
from aiida_pcm.science import certificate as schema
from aiida_pcm.science.split import part_sha256

from ..machines import quick_computer
from . import story
from .story import Story, model


@pytest.fixture(scope='module')
def computer(aiida_profile, tmp_path_factory):
    aiida_profile.reset_storage()  # what other modules certified counts as a use
    return quick_computer('story', str(tmp_path_factory.mktemp('story')))


@pytest.fixture(scope='module')
def honest(computer, prove):
    """A story, its certificate, and what happened in it before the part was opened."""
    told = Story(computer, prove)
    prepared = told.prepare()
    return told, prepared, told.tell(prepared)


@pytest.fixture
def tell(computer, prove):
    """Tells a story of other materials and returns its certificate."""
    return lambda kind, seed, **kwargs: kind(computer, prove, story.dataset(seed=seed), **kwargs).tell()


def faults(certificate):
    return {finding.name: finding.detail for finding in verify_graph(certificate) if not finding.holds}


def test_an_honest_certificate_holds(honest):
    found = verify_graph(honest[2])
    assert all(finding.holds for finding in found), found
    assert [finding.name for finding in found] == [
        *('graph_makers', 'graph_rows', 'graph_model', 'graph_fits', 'graph_use', 'graph_opened')
    ]


def forged(function):
    """A calculation that carries the name of an honest one."""
    name = function.__name__.removeprefix('forged_')
    function.__name__ = function.__qualname__ = name
    return calcfunction(function)


# --- the split --------------------------------------------------------------------------------------------------------


@forged
def forged_split_dataset(dataset, quantity):
    """Divided by a seed that somebody chose."""
    materials, rows = dataset.materials, np.random.default_rng(4).permutation(dataset.n_rows)
    parts = {'search': rows[: len(rows) // 3], 'certification': rows[len(rows) // 3 :]}
    made = {}
    for name, some in parts.items():
        content = {'part': name, 'whole_sha256': materials.content_sha256, 'whole_groups': 1, 'ineligible_rows': 0}
        content['part_sha256'] = part_sha256(materials.ids[some], materials.content_sha256, name)
        made[name] = DatasetData(materials=materials.subset(sorted(some)).with_metadata(**content))
    return made


class ChosenSeed(Story):
    def split(self):
        return forged_split_dataset(self.whole, self.quantity)


class PartByHand(Story):
    def split(self):
        return {name: DatasetData(materials=part.materials).store() for name, part in super().split().items()}


# --- fits that saw the certification part -----------------------------------------------------------------------------


class FittedOnAll(Story):
    def searched(self, parts):
        return self.whole


class FittedOnThePart(Story):
    def searched(self, parts):
        return parts['certification']


class FittedOnACopy(Story):
    """Under other ids, in other groups, with nothing that says which part it is."""

    def searched(self, parts):
        materials = parts['certification'].materials
        about = {name: value for name, value in materials.metadata.items() if not re.match('part|whole|inel', name)}
        ids = np.array([f'copy-{i}' for i in range(len(materials))])
        return DatasetData(materials=story.replace(materials, ids=ids, groups=ids, metadata=about)).store()


class BoxByHand(Story):
    def envelope(self, search, table):
        return orm.Dict(super().envelope(search, table).get_dict()).store()


@forged
def forged_draw_envelope(dataset, table, tolerance, requested, settings, seed):
    """A box that nobody drew from these rows."""
    ends = {'feature': 'atomic_number_mean', 'lo': 1.0, 'hi': 100.0, 'lo_ci': None, 'hi_ci': None}
    return {'envelope': orm.Dict({'box': [ends]})}


class BoxOfOnesOwn(Story):
    def envelope(self, search, table):
        return forged_draw_envelope(
            search, table, self.tolerance, self.requested, orm.Dict(story.SETTINGS), orm.Int(1)
        )['envelope']


# --- rows that do not follow ------------------------------------------------------------------------------------------


def healed(node):
    arrays = {name: node.get_array(name) for name in node.get_arraynames()}
    return orm.ArrayData({**arrays, 'forces': np.ones_like(arrays['forces']) * [1.0, 0.0, 0.0]})


class PredictionsByHand(Story):
    def merge(self, pieces):
        return healed(super().merge(pieces)).store()


@forged
def forged_merge_evaluations(**parts: Any):
    from aiida_pcm.calcfunctions.merge_evaluations import merge_evaluations

    made = merge_evaluations.__wrapped__(**parts)
    return {**made, 'evaluation': healed(made['evaluation'])}


class PredictionsHealed(Story):
    def merge(self, pieces):
        return forged_merge_evaluations(**pieces)['evaluation']


class PiecesSwapped(Story):
    """The predictions of one half for the other; sizes are the same."""

    def merge(self, pieces):
        turned = {
            name.replace('0000', 'x').replace('0001', '0000').replace('x', '0001'): p for name, p in pieces.items()
        }
        return super().merge(turned)


class AnotherModel(Story):
    """Predictions of a better model under the name of the one that is certified."""

    def evaluation(self, part):
        claimed, self.model = self.model, model('e' * 64)
        try:
            return super().evaluation(part)
        finally:
            self.model = claimed


@forged
def forged_draft_certificate(claim, part, table, query_log):
    """The honest one, without the rows that failed."""
    from aiida_pcm.calcfunctions.draft_certificate import draft_certificate

    made = schema.loads(draft_certificate.__wrapped__(claim, part, table, query_log=query_log).get_content(mode='rb'))
    rows = [row for row in made['rows'] if row['error'] < 10**5]
    return orm.SinglefileData.from_bytes(schema.canonical(schema.draft(made['claim'], rows)), 'certificate.json')


class FailuresDropped(Story):
    def draft(self, claim, part, table, log):
        return forged_draft_certificate(claim, part, table, log)


@forged
def forged_freeze_claim(part, envelope, model, quantity, tolerance, requested, use):
    """A tolerance that was never frozen."""
    from aiida_pcm.calcfunctions.freeze_claim import freeze_claim

    return freeze_claim.__wrapped__(part, envelope, model, quantity, orm.Float(5.0), requested, use)


class ClaimWidened(Story):
    def freeze(self, part, envelope):
        return forged_freeze_claim(
            part, envelope, self.model, self.quantity, self.tolerance, self.requested, orm.Int(1)
        )


class RowsOfAnotherPart(Story):
    def certify(self, part, envelope, log):
        other = story.split_dataset(story.dataset(seed=8), self.quantity)['certification']
        claim = self.freeze(part, envelope)
        return self.seal(self.draft(claim, other, self.table(other), log))


# --- uses -------------------------------------------------------------------------------------------------------------


class OpenedEarly(Story):
    def certify(self, part, envelope, log):
        self.table(part)
        return super().certify(part, envelope, log)


class AlwaysTheFirst(Story):
    def use(self, part, key):
        return 1


# Nothing before the opening differs from the honest story.
LATE = (PredictionsByHand, PredictionsHealed, PiecesSwapped, AnotherModel, FailuresDropped, RowsOfAnotherPart)

FORGED = [
    (ChosenSeed, 'graph_rows', 'search of split_dataset<', 'graph_rows'),
    (PartByHand, 'graph_makers', 'part of draft_certificate was made by nobody in this graph', ''),
    (FittedOnAll, 'graph_fits', 'structures of the part', ''),
    (FittedOnThePart, 'graph_fits', 'structures of the part', 'graph_opened'),
    (FittedOnACopy, 'graph_fits', 'structures of the part', ''),
    (BoxByHand, 'graph_makers', 'envelope of freeze_claim was made by nobody in this graph', ''),
    (BoxOfOnesOwn, 'graph_rows', 'does not follow from its inputs', ''),
    (PredictionsByHand, 'graph_makers', 'evaluation of tabulate was made by nobody in this graph', ''),
    (PredictionsHealed, 'graph_rows', 'evaluation of merge_evaluations<', ''),
    (PiecesSwapped, 'graph_rows', 'took predictions of other rows', ''),
    (AnotherModel, 'graph_model', 'is about weights eeeeeeeeeeee, not dddddddddddd', ''),
    (FailuresDropped, 'graph_rows', 'result of draft_certificate<', ''),
    (ClaimWidened, 'graph_rows', 'result of freeze_claim<', ''),
    (RowsOfAnotherPart, 'graph_makers', 'the steps are about 2 different parts', ''),
    (OpenedEarly, 'graph_opened', 'slice_dataset<', ''),
]  # fmt: skip


@pytest.mark.slow  # together
@pytest.mark.parametrize(('kind', 'check', 'reason', 'also'), FORGED, ids=[kind[0].__name__ for kind in FORGED])
def test_forged_graphs_are_refused(computer, honest, prove, tell, kind, check, reason, also):
    if kind in LATE:
        told, prepared, _ = honest
        certificate = kind(computer, prove, told.whole).tell(prepared)
    else:
        certificate = tell(kind, 100 + [entry[0] for entry in FORGED].index(kind))
    found = faults(certificate)
    assert reason in found.get(check, ''), found
    assert set(found) == {check, also} - {''}


def test_uses_of_a_part(computer, prove):
    """An honest second use holds; two uses under one number do not, and neither of the two is spared."""
    told = Story(computer, prove, story.dataset(seed=50))
    prepared = told.prepare()
    first = told.tell(prepared)
    second = Story(computer, prove, told.whole, requested='1/4').tell(prepared)
    assert second.document['claim']['use'] == 2
    assert not faults(second) and not faults(first)
    again = AlwaysTheFirst(computer, prove, told.whole, requested='1/10').tell(prepared)
    for certificate in (first, again):
        found = faults(certificate)
        assert set(found) == {'graph_use'} and 'use 1 was counted for' in found['graph_use']
    assert not faults(second)


def test_a_certificate_by_hand(honest):
    found = faults(CertificateData(honest[2].document).store())
    assert found == {'graph_makers': 'the certificate was made by nobody in this graph, not by seal_certificate'}


def test_the_honest_one_still_holds(honest):
    """After all that was forged around it."""
    assert not faults(honest[2])
