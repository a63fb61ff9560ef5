"""An audit of a large data set becomes one file: seconds to write it, to import it and to verify it, and its size.

`python benchmarks/archive.py [--quick] [--data FILE] [--seed N]`

The file is one with the columns material_id, cif and formation_energy_per_atom (eV/atom); where PCM_CACHE names the
cache of benchmarks/backbones.py, the structures of mp_27k are taken from it. The graph is that of an audit: the data
set, its two parts, slices of 5,000, the evaluations with what AiiDA retrieved of them, tables, box, claim, draft, proof
and certificate. The steps of this package are really taken, and Lean proves; the predictions are made up (the reference
plus normal noise of 50 meV/atom; random forces and stresses in float32, as a network gives them), because only their
size matters here. The archive is written twice, as a zip (.aiida) and packed as a whole (.aiida.xz). The size is a
quotient: the archive by the data set deflated, which is the figure; beside it by the npz of the node, which is not
compressed, and by the file that the data came in. `--quick` takes 1,000 rows.
"""

from __future__ import annotations

import io
import json
import logging
import os
import re
import tempfile
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import arguments, figure, shared, temporary_profile
from import_dataset import MANIFEST

FEATURES = ['atomic_number_mean', 'volume_per_atom']
SETTINGS = {'peel': 0.1, 'smallest': 0.3, 'target': 0.5, 'chance': 0.0, 'resamples': 20}
SLICE = 5000
NOISE = 0.05  # eV/atom
RATE, TOLERANCE = '1/5', 0.15


def main() -> None:
    table = shared() / 'data' / 'mp_stability' / 'mp_27k.csv.gz'
    given = arguments(__doc__, table)
    materials = read(given.data, given.data == table)
    if given.quick:
        rows = np.sort(np.random.default_rng(given.seed).permutation(len(materials))[:1000])
        materials = materials.subset(rows)
    with tempfile.TemporaryDirectory() as folder, temporary_profile() as code:
        found = measure(materials, code.computer, Path(folder), given.seed)
    about = {'n': len(materials), 'data': given.data, 'seed': given.seed, 'nodes': found['nodes']}
    for name, value in found['seconds'].items():
        figure(f'archive.seconds_{name}', value, 's', **about)
    sources = {'dataset_deflated': found['dataset_deflated'], 'dataset_as_stored': found['dataset_as_stored']}
    if not given.quick:
        sources['dataset_source_file'] = given.data.stat().st_size
    for name, size in found['bytes'].items():
        more = {'bytes': size, 'verdict': found['verdict'], **{f'by_{k}': size / v for k, v in sources.items()}}
        figure(f'archive.size_ratio_{name}', size / found['dataset_deflated'], '1', **about, **sources, **more)
    figure('archive.by_type', found['bytes']['zip'], 'B', **about, by_type=found['by_type'])


def read(path: Path, cached: bool) -> Any:
    """The materials of a table, from the cache of the backbones where it has them."""
    from aiida_pcm.setup.datasets import read_file

    if cached and os.environ.get('PCM_CACHE'):
        import backbones

        return backbones.read('mp_27k')
    return read_file(path, MANIFEST).materials


def measure(materials: Any, computer: Any, folder: Path, seed: int) -> dict[str, Any]:
    """Seconds and bytes of one certificate's archive in the profile that is loaded, which is emptied."""
    from aiida.manage import get_manager

    from aiida_pcm.graph.sharing import bring, look, share
    from aiida_pcm.report.card import render
    from aiida_pcm.verify import verify_file

    certificate, dataset = audit(materials, computer, seed)
    for name in ('aiida.export', 'aiida.import'):
        logging.getLogger(name).setLevel(logging.WARNING)
    names = {'zip': folder / 'audit.aiida', 'xz': folder / 'audit.aiida.xz'}
    seconds, card, content = {}, render(certificate.document), dataset.materials.to_bytes()
    verdict = certificate.document['verdict']
    for name, path in names.items():
        seconds[f'export_{name}'] = timed(lambda path=path: share(certificate, path, card=card))
    for name, path in names.items():
        seconds[f'verify_{name}'] = timed(lambda path=path: require(verify_file(path)))
        get_manager().get_profile_storage()._clear()  # an empty profile, as a colleague's is
        seconds[f'look_{name}'] = timed(lambda path=path: look(path))
        seconds[f'import_{name}'] = timed(lambda path=path: bring(path))
    zipped = names['zip']
    return {'seconds': seconds, 'bytes': {name: path.stat().st_size for name, path in names.items()},
            'dataset_as_stored': len(content), 'dataset_deflated': len(zlib.compress(content)), 'verdict': verdict,
            'nodes': look(zipped)['total'], 'by_type': bytes_by_type(zipped)}  # fmt: skip


def bytes_by_type(path: Path) -> dict[str, int]:
    """Compressed bytes of the files in an archive by the type of the first node that has them."""
    from aiida import orm

    from aiida_pcm.graph.sharing import opened

    with zipfile.ZipFile(path) as bundle:
        left = {info.filename.removeprefix('repo/'): info.compress_size for info in bundle.infolist()}
    found: Counter[str] = Counter()
    with opened(path) as backend:
        query = orm.QueryBuilder(backend=backend).append(orm.Node, project=['node_type', 'repository_metadata'])
        for kind, files in query.all():
            for key in re.findall('[0-9a-f]{64}', json.dumps(files)):
                found[kind.rstrip('.').rpartition('.')[2]] += left.pop(key, 0)
    return {**found, 'database and the rest': sum(left.values())}


def timed(work: Callable[[], Any]) -> float:
    """Seconds by the clock."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def require(report: Any) -> None:
    """Stop where the certificate does not hold: a time to refuse says nothing."""
    if not report.holds:
        raise SystemExit(f'The archive does not verify: {report}')


def audit(materials: Any, computer: Any, seed: int) -> tuple[Any, Any]:
    """The graph of an audit of these materials; its certificate and its data set."""
    from aiida import orm

    from aiida_pcm.calcfunctions.draft_certificate import draft_certificate
    from aiida_pcm.calcfunctions.draw_envelope import draw_envelope
    from aiida_pcm.calcfunctions.freeze_claim import freeze_claim
    from aiida_pcm.calcfunctions.seal_certificate import seal_certificate
    from aiida_pcm.calcfunctions.search_failures import search_failures
    from aiida_pcm.calcfunctions.split_dataset import split_dataset
    from aiida_pcm.data.dataset import DatasetData
    from aiida_pcm.data.model import ModelData
    from aiida_pcm.runner import lean
    from aiida_pcm.science import certificate as schema
    from aiida_pcm.verify import LIBRARY

    dataset = DatasetData(materials=materials).store()
    described = {'kind': 'chgnet', 'name': 'made-up', 'weights_sha256': 'd' * 64, 'package': 'chgnet', 'version': '0',
                 'license': 'none', 'arguments': {}}  # fmt: skip
    model = ModelData(described, dataset.convention).store()
    quantity, tolerance, requested = orm.Str('formation_energy'), orm.Float(TOLERANCE), orm.Str(RATE)
    parts = split_dataset(dataset, quantity)
    tables = {name: table_of(parts[name], model, computer, quantity, seed) for name in ('search', 'certification')}
    search, part = parts['search'], parts['certification']
    log = search_failures(search, tables['search'], tolerance, orm.List(['random']), orm.Int(50), orm.Int(seed))
    drawn = draw_envelope(search, tables['search'], tolerance, requested, orm.Dict(SETTINGS), orm.Int(seed))
    claim = freeze_claim(part, drawn['envelope'], model, quantity, tolerance, requested, orm.Int(1))
    draft = draft_certificate(claim, part, tables['certification'], query_log=log)
    document = schema.loads(draft.get_content(mode='rb'))
    with tempfile.TemporaryDirectory() as folder:
        proof = lean.prove(schema.lean_text(document), LIBRARY, Path(folder)).as_dict()
    made = job('LeanCalculation', computer, {'certificate': draft}, {'proof': orm.Dict(proof)})
    return seal_certificate(draft, made['proof']), dataset


def table_of(part: Any, model: Any, computer: Any, quantity: Any, seed: int) -> Any:
    """Slices of a part, their evaluations, and the table that follows."""
    from aiida import orm
    from aiida.common.links import LinkType

    from aiida_pcm.calcfunctions.merge_evaluations import merge_evaluations
    from aiida_pcm.calcfunctions.slice_dataset import slice_dataset
    from aiida_pcm.calcfunctions.tabulate import tabulate
    from aiida_pcm.data.arrays import evaluation_of, pack_evaluation

    # One stream for all slices: the same numbers twice would be packed once.
    random = np.random.default_rng([seed, int(part.content_sha256[:8], 16)])
    pieces: dict[str, Any] = {}
    for name, piece in slice_dataset(part, orm.Int(SLICE)).items():
        arrays = predictions(piece.materials, random)
        outputs = {'evaluation': orm.ArrayData(arrays), 'report': orm.Dict(report(piece.n_rows)),
                   'retrieved': retrieved(arrays)}  # fmt: skip
        made = job('EvaluateCalculation', computer, {'model': model, 'dataset': piece}, outputs)
        number = name.removeprefix('slice_')
        pieces |= {f'evaluation_{number}': made['evaluation'], f'report_{number}': made['report']}
    merged = merge_evaluations(**pieces)['evaluation']
    formed = made_up_energies(evaluation_of(merged), part.materials, seed)
    node = orm.CalcFunctionNode()
    node.set_process_label('form_energies')
    node.base.links.add_incoming(merged, LinkType.INPUT_CALC, 'evaluation')
    node.store()
    evaluation = pack_evaluation(formed)
    evaluation.base.links.add_incoming(node, LinkType.CREATE, 'evaluation')
    evaluation.store()
    finish(node)
    return tabulate(part, evaluation, quantity, orm.List(FEATURES))


def predictions(materials: Any, random: Any) -> dict[str, Any]:
    """Arrays of the shapes and the precision of an evaluation."""
    n = len(materials)

    def normal(*shape: int) -> Any:
        return random.normal(size=shape).astype(np.float32).astype(np.float64)

    return {'status': np.zeros(n, np.int8), 'energy': normal(n) - 10 * np.diff(materials.offsets),
            'forces': normal(materials.n_atoms, 3), 'stress': normal(n, 3, 3)}  # fmt: skip


def made_up_energies(evaluation: Any, materials: Any, seed: int) -> Any:
    """Formation energies that are the reference's, plus noise."""
    from dataclasses import replace

    noise = np.random.default_rng(seed).normal(0, NOISE, len(materials))
    return replace(evaluation, formation_energy=materials.references['formation_energy'] + noise)


def retrieved(arrays: dict[str, Any]) -> Any:
    """The folder that AiiDA keeps of a job: the same numbers once more."""
    from aiida import orm

    folder = orm.FolderData()
    for name, array in arrays.items():
        buffer = io.BytesIO()
        np.save(buffer, array)
        folder.base.repository.put_object_from_bytes(buffer.getvalue(), f'results/{name}.npy')
    return folder


def report(items: int) -> dict[str, Any]:
    """What the runner says beside its numbers."""
    same = dict.fromkeys(('schema', 'model', 'runner_sha256', 'versions', 'device', 'precision', 'hardware'), 'made up')
    return {**same, 'items': items, 'failed': 0, 'resumed': 0, 'seconds': {}, 'peak_memory_mb': 1.0, 'failures': []}


def job(label: str, computer: Any, inputs: dict[str, Any], outputs: dict[str, Any]) -> dict[str, Any]:
    """A calculation as if it had been run."""
    from aiida import orm
    from aiida.common.links import LinkType

    node = orm.CalcJobNode(computer=computer, process_type=f'aiida.calculations:{label}')
    node.set_process_label(label)
    node.set_option('resources', {'num_machines': 1})
    for name, data in inputs.items():
        node.base.links.add_incoming(data, LinkType.INPUT_CALC, name)
    node.store()
    for name, data in outputs.items():
        data.base.links.add_incoming(node, LinkType.CREATE, name)
        data.store()
    finish(node)
    return outputs


def finish(node: Any) -> None:
    """Let a calculation have ended well."""
    node.set_process_state('finished')
    node.set_exit_status(0)
    node.seal()


if __name__ == '__main__':
    main()
