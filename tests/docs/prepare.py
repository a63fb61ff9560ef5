"""What a page finds when somebody works through it here: a profile, models, files. Stand-ins are named."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
from aiida import orm
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

from aiida_pcm.data.certificate import CertificateData
from aiida_pcm.science.conventions import Convention
from aiida_pcm.setup.models import add_model

from ..models import run_selftest

METALS = ('Al', 'Ni', 'Cu', 'Pd', 'Ag', 'Pt', 'Au')


def codes() -> None:
    """The computer and the codes of set-up, without pw.x: Quantum ESPRESSO takes minutes, and has tests of its own."""
    from aiida_pcm.setup import codes, profile

    profile.get_or_create_computer()
    for spec in codes.specs():
        if spec.role != 'pw':
            codes.get_or_create_code(spec)


def audited(run) -> dict[str, str]:
    """What `make audit` leaves: the audit of CHGNet on the shipped reference, its file; and names for the pages."""
    from aiida_pcm.setup import reference

    reference.get_or_import()
    run('aiida-pcm audit chgnet-0.3.0 reference --protocol fast -o audit')
    certificate = newest()
    (file,) = Path('audit').glob('certificate-*.json')
    Path('certificate.json').write_bytes(file.read_bytes())
    run(f'aiida-pcm certificate export {certificate.uuid} -o audit.aiida')
    query = orm.QueryBuilder().append(orm.WorkChainNode, filters={'attributes.process_label': 'AuditWorkChain'})
    audit = query.all(flat=True)[0]
    evaluated = next(node for node in audit.called_descendants if node.process_label == 'EvaluateCalculation')
    claim = json.loads(file.read_text())['claim_sha256']
    return {
        'CERTIFICATE': certificate.uuid[:8],
        'UUID': certificate.uuid,
        'NODE': certificate.uuid,
        'AUDIT': str(audit.pk),
        'PROCESS': str(evaluated.pk),
        'CLAIM': claim,
    }


def newest() -> CertificateData:
    """The certificate that was made last."""
    query = orm.QueryBuilder().append(CertificateData, tag='made')
    return query.order_by({'made': {'id': 'desc'}}).all(flat=True)[0]


def own_potential() -> None:
    """The reader's potential and data: EMT, which ase brings, under the pages' name, and files made up here."""
    code = orm.load_code('pcm-python@localhost')
    arguments = {'asap_cutoff': True}  # not the plain one, which how-to/potential.md adds
    model = add_model(
        'ase:ase.calculators.emt.EMT', None, Convention('PBE'), arguments, label='my-mace', trust_pickle=True
    )
    run_selftest(code, model, ['Cu', 'Al'])
    frames()
    table()


def frames() -> None:
    """``frames.xyz``: distorted alloys of all pairs of metals, as ase writes them."""
    from ase.io import write

    random, written = np.random.default_rng(0), []
    for number, one in enumerate(METALS):
        for other in METALS[number + 1 :]:
            for _ in range(2):
                atoms = bulk(one + other, 'cesiumchloride', a=3.0)
                atoms.positions += random.normal(0, 0.05, (2, 3))
                atoms.calc = EMT()
                forces, stress = atoms.get_forces(), atoms.get_stress(voigt=False)
                wrong = 1.0 if 'Au' in (one, other) else 0.0
                given = {'energy': atoms.get_potential_energy(), 'forces': forces + wrong, 'stress': stress * 160.2}
                atoms.calc = SinglePointCalculator(atoms, **given)
                written.append(atoms)
    write('frames.xyz', written, format='extxyz')


def table() -> None:
    """``table.csv``: formation energies of made-up compounds, and of two models that err where a metal is heavy."""
    random = np.random.default_rng(0)
    with Path('table.csv').open('w', newline='') as handle:
        writer = csv.writer(handle)
        writer.writerow(['material', 'formula', 'dft', 'chgnet', 'mace'])
        for number in range(400):
            metal, anion = METALS[random.integers(len(METALS))], ('O', 'S', 'Cl', 'F', 'N')[random.integers(5)]
            dft = random.normal(-1.0, 0.3)
            spread = 0.3 if metal in ('Pt', 'Au') else 0.03
            row = [f'm-{number}', f'{metal}{random.integers(1, 4)}{anion}{random.integers(1, 4)}', dft]
            writer.writerow([*row, dft + random.normal(0, spread), dft + random.normal(0, 0.05)])


def interpreter() -> str:
    """The folder of this Python, so that `python` in a page is the same."""
    return str(Path(sys.executable).parent)
