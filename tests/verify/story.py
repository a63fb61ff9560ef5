"""The graph of a small certification, step by step as the work chains make it, so that a test can change one step.

The calculations on other machines (predictions, Lean) are nodes without a run; all else is what the package does.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from aiida import orm

from aiida_pcm.calcfunctions.draft_certificate import draft_certificate
from aiida_pcm.calcfunctions.draw_envelope import draw_envelope
from aiida_pcm.calcfunctions.freeze_claim import freeze_claim
from aiida_pcm.calcfunctions.merge_evaluations import merge_evaluations
from aiida_pcm.calcfunctions.seal_certificate import seal_certificate
from aiida_pcm.calcfunctions.search_failures import search_failures
from aiida_pcm.calcfunctions.slice_dataset import slice_dataset
from aiida_pcm.calcfunctions.split_dataset import split_dataset
from aiida_pcm.calcfunctions.tabulate import tabulate
from aiida_pcm.data.arrays import pack_evaluation
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.data.model import ModelData
from aiida_pcm.graph.ledger import use_of
from aiida_pcm.science import certificate as schema
from aiida_pcm.science.conventions import Convention
from aiida_pcm.science.failure import Evaluation
from tests.stored import as_if_run, new_job
from tests.synthetic import generated

FEATURES = ['atomic_number_mean', 'volume_per_atom']
SETTINGS = {'peel': 0.1, 'smallest': 0.1, 'target': 1.0, 'chance': 0.0, 'resamples': 20}
WEIGHTS = 'd' * 64


def model(weights=WEIGHTS):
    description = {
        'kind': 'chgnet', 'name': 'story', 'weights_sha256': weights, 'package': 'chgnet', 'version': '0.4.2',
        'license': 'MIT', 'arguments': {},
    }  # fmt: skip
    return ModelData(description, Convention('PBE')).store()


def dataset(n=60, seed=7):
    """Materials whose reference force is 1 eV/A along x everywhere."""
    materials = generated(n, seed)
    forces = np.tile([1.0, 0.0, 0.0], (materials.n_atoms, 1))
    columns = {'forces': forces}
    label = {'label': 'story', 'convention': Convention('PBE').as_dict()}
    return DatasetData(materials=materials.with_references(columns, [''] * n, **label)).store()


def predicted(materials):
    """Right, but for every tenth row."""
    forces = np.tile([1.0, 0.0, 0.0], (materials.n_atoms, 1))
    for row in range(0, len(materials), 10):
        forces[materials.atom_slice(row)] += 1.0
    empty = Evaluation.missing(materials)
    return replace(empty, status=np.zeros(len(materials), dtype=np.int8), forces=forces)


def report(items):
    """What the runner says beside its numbers, as far as pieces are joined by it."""
    same = dict.fromkeys(('schema', 'model', 'runner_sha256', 'versions', 'device', 'precision', 'hardware'), 'story')
    return {**same, 'items': items, 'failed': 0, 'resumed': 0, 'seconds': {}, 'peak_memory_mb': 1.0, 'failures': []}


def job(label, computer, inputs, outputs):
    """What a calculation made, as if it had been run."""
    as_if_run(new_job(computer, label), label, inputs, outputs)
    return outputs


class Story:
    """The steps of an honest certification; each is a method that a test may override."""

    def __init__(self, computer, prove, whole=None, weights=WEIGHTS, requested='1/2'):
        self.computer, self.prove = computer, prove
        self.whole, self.model = whole or dataset(), model(weights)
        self.quantity, self.tolerance, self.requested = orm.Str('force'), orm.Float(0.15), orm.Str(requested)

    def split(self):
        return split_dataset(self.whole, self.quantity)

    def evaluation(self, part):
        """In two pieces, as a large part is."""
        pieces = {}
        for name, piece in slice_dataset(part, orm.Int(-(-part.n_rows // 2))).items():
            number = name.removeprefix('slice_')
            made = {'evaluation': pack_evaluation(predicted(piece.materials)), 'report': orm.Dict(report(piece.n_rows))}
            made = job('EvaluateCalculation', self.computer, {'model': self.model, 'dataset': piece}, made)
            pieces |= {f'evaluation_{number}': made['evaluation'], f'report_{number}': made['report']}
        return self.merge(pieces)

    def merge(self, pieces):
        return merge_evaluations(**pieces)['evaluation']

    def searched(self, parts):
        """The part that the adversary and the box are given."""
        return parts['search']

    def use(self, part, key):
        return use_of(part, key)

    def table(self, part):
        return tabulate(part, self.evaluation(part), self.quantity, orm.List(FEATURES))

    def freeze(self, part, envelope):
        arguments = (part, envelope, self.model, self.quantity, self.tolerance, self.requested)
        key = freeze_claim.__wrapped__(*arguments, orm.Int(1))['key']
        return freeze_claim(*arguments, orm.Int(self.use(part, key)))

    def envelope(self, search, table):
        return draw_envelope(search, table, self.tolerance, self.requested, orm.Dict(SETTINGS), orm.Int(1))['envelope']

    def draft(self, claim, part, table, log):
        return draft_certificate(claim, part, table, query_log=log)

    def tell(self, prepared=None):
        """The certificate; with the part, the box and the search of another story of these data, if one is given."""
        return self.certify(*(prepared or self.prepare()))

    def prepare(self):
        """Part, box and query log: all that happens before the part is opened."""
        parts = self.split()
        search = self.searched(parts)
        table = self.table(search)
        log = search_failures(search, table, self.tolerance, orm.List(['random']), orm.Int(5), orm.Int(1))
        return parts['certification'], self.envelope(search, table), log

    def certify(self, part, envelope, log):
        claim = self.freeze(part, envelope)
        return self.seal(self.draft(claim, part, self.table(part), log))

    def seal(self, draft):
        (result,) = self.prove([schema.lean_text(schema.loads(draft.get_content(mode='rb')))])
        assert result.accepted, result
        proof = job('LeanCalculation', self.computer, {'certificate': draft}, {'proof': orm.Dict(result.as_dict())})
        return seal_certificate(draft, proof['proof'])
