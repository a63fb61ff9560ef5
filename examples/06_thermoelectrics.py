"""Which thermoelectrics get DFT first? After `make audit`, one of

    verdi run examples/06_thermoelectrics.py DATASET [ELEMENTS]
    verdi run examples/06_thermoelectrics.py MATERIALS.csv TRANSPORT.csv ELEMENTS [NUMBER]

MATERIALS is a table with material_id, formula, cif, formation_energy_per_atom (eV/atom, MP2020) and band_gap (eV);
TRANSPORT has mp_id, PF_p and PF_n (GW/(K^2 m s); the one of Ricci 2017 is inside the matminer wheel, in
utils/data_files/mp_transport). They are joined by id and filtered by power factor and gap, and NUMBER of them (120; 0:
all) become a data set with the hull of all other materials of the table. DATASET is such a data set, by label; with
predictions that came with it nothing is evaluated. ELEMENTS tells the energies of the elements in CHGNet's convention:
a data set with energies and formation energies, or a JSON file (ElementalReferences.as_dict).

CHGNet is asked for a single point where the materials stand. Then protocols say who gets DFT first, and it is counted
what that finds on the chemical systems from which they did not learn: two in three of them.
"""

import hashlib
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from aiida import orm
from ase.formula import Formula

from aiida_pcm.cli.engine import run_get_node
from aiida_pcm.data.arrays import references_of
from aiida_pcm.data.model import ModelData
from aiida_pcm.science.conventions import MATERIALS_PROJECT
from aiida_pcm.science.formation import ElementalReferences
from aiida_pcm.science.screening.stability import hull_of_others
from aiida_pcm.science.screening.thermoelectrics import POWER_FACTOR_UNIT, Wanted
from aiida_pcm.setup.codes import audit_codes
from aiida_pcm.setup.datasets import read_file, store
from aiida_pcm.setup.reference import find_dataset
from aiida_pcm.workchains.screen import ScreenWorkChain
from aiida_pcm.workchains.selftest import tested

WANTED = Wanted()
ENERGY = 'formation_energy_per_atom'
KEPT = dict.fromkeys(('missing', 'nonfinite', 'overlap', 'duplicate'), 'keep')
STATED = {
    'label': 'thermoelectrics',
    'id': 'material_id',
    'group': 'chemical-system',
    'pose': 'SINGLE_POINT',
    'convention': {**MATERIALS_PROJECT.as_dict(), 'pseudopotentials': 'PAW'},
    'references': {'formation_energy': {'column': ENERGY, 'unit': 'eV/atom'}},
    'when': {**KEPT, 'unreadable': 'drop'},
}
FEATURES = {
    'band_gap': {'column': 'band_gap', 'unit': 'eV', 'stage': 'POST_DFT'},
    'power_factor': {'column': 'power_factor', 'unit': POWER_FACTOR_UNIT, 'stage': 'POST_DFT'},
    # Of the other materials alone, so it is known before anybody computes this one.
    'hull_formation_energy': {'column': 'hull', 'unit': 'eV/atom', 'stage': 'PRE_DFT'},
}


def import_candidates(materials, transport, known, number):
    """The data set of those that are wanted, of elements whose energies are known; the hull is of the whole table."""
    table = pd.read_csv(materials)
    properties = pd.read_csv(transport, usecols=['mp_id', 'PF_p', 'PF_n']).set_index('mp_id')
    table['power_factor'] = properties.max(axis=1).reindex(table.material_id).to_numpy()
    joined = int(table.power_factor.notna().sum())
    wanted = table[WANTED.among(table.power_factor.to_numpy(), table.band_gap.to_numpy()) & table[ENERGY].notna()]
    covered = wanted[[set(Formula(formula.replace(' ', '')).count()) <= known for formula in wanted.formula]]
    # Nobody chooses which: those whose ids have the smallest hashes.
    digests = [hashlib.sha256(name.encode()).hexdigest() for name in covered.material_id]
    chosen = covered.iloc[np.argsort(digests)[: number or None]].copy()
    compositions = read_file(Path(materials), {**STATED, 'composition': 'formula'}).materials
    place = {name: row for row, name in enumerate(compositions.ids.tolist())}
    chosen['hull'] = hull_of_others(compositions, [place[name] for name in chosen.material_id])
    print(f'{joined} materials are in both tables; {len(wanted)} have a {WANTED}')
    print(f'{len(covered)} of these are of elements with an energy; {len(chosen)} are screened')
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'thermoelectrics.csv'
        chosen.to_csv(path, index=False)
        origin = f'{Path(materials).name} joined with {Path(transport).name} by id; {WANTED}; hull of the other rows'
        return store(read_file(path, {**STATED, 'structure': 'cif', 'features': FEATURES, 'origin': origin}))


def find_elements(named):
    """What tells the energies of the elements."""
    if not named.endswith('.json'):
        return find_dataset(named)
    return orm.Dict(ElementalReferences.from_dict(json.loads(Path(named).read_text())).as_dict())


def shown(one, name):
    """A figure with its 95 % interval."""
    ends = [one[f'{name}{end}'] for end in ('', '_low', '_high')]
    return 'unknown' if None in ends else '{:+.1f} [{:+.1f}, {:+.1f}]'.format(*ends)


words = sys.argv[1:]
if not words:
    sys.exit(__doc__)
if words[0].endswith(('.csv', '.csv.gz')):
    if len(words) < 3:
        sys.exit('Give MATERIALS, TRANSPORT and ELEMENTS.')
    elements = find_elements(words[2])
    known = set(references_of(elements).energies)
    dataset = import_candidates(words[0], words[1], known, int(words[3]) if len(words) > 3 else 120)
else:
    dataset = find_dataset(words[0])
    elements = find_elements(words[1]) if len(words) > 1 else dataset

asked = {}
if not dataset.materials.metadata.get('predictions'):
    code = audit_codes()['model']
    asked = {'code': code, 'model': tested(ModelData.chgnet('0.3.0', code), code), 'elemental_references': elements}
results, screening = run_get_node(ScreenWorkChain.get_builder_from_protocol(dataset, **asked))
if not screening.is_finished_ok:
    sys.exit(screening.exit_message)

found = results['screening'].get_dict()
print(f'{found["rows"]} candidates, {found["stable"]} stable; {found["population"]}, pose {found["pose"]}')
print(f'learned from {found["search"]["rows"]}, judged on {found["held_out"]["rows"]} of other chemical systems')
quality = found['quality'][found['model']]['hull distance']
for of in ('recall', 'precision'):
    value = quality[of]['value']
    print(f'{found["model"]} alone: {of} {"unknown" if value is None else f"{value:.2f}"}')
print('Stable ones found more than by it alone, at equal budget, with 95 % intervals')
for part, told in (('held out', 'discovery'), ('all, DFT of the search part charged', 'charged')):
    for at in found[told]['budgets']:
        alone = at['protocols']['single']['found']
        print(f'  {part}: {at["spent"]:.0f} get DFT, {alone:.1f} by it alone, {at["oracle"]:.0f} at most')
        for name, one in at['protocols'].items():
            if name != 'single':
                print(f'    {name:>9} {shown(one, "difference")}  in percent {shown(one, "percent")}')
for name, why in found['absent'].items():
    print(f'  no {name}: {why}')
print(f'Screening {screening.pk}')
