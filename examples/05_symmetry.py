"""Does a model underpredict, and is it too soft? `verdi run examples/05_symmetry.py [DATASET]`, after `make audit`.

Without DATASET it is the reference that comes with the package: strained and rattled cells with forces, of which the
slope of the forces is told. DATASET is what `aiida-pcm dataset list` shows. With formation energies (and energies, or
predictions that came with it) the errors are told by degrees of freedom, crystal system and distance to the hull. Only
the search part is looked at: the other part stays fresh for certificates.
"""

import sys

from aiida import orm
from aiida.engine import run, run_get_node

from aiida_pcm.data.model import ModelData
from aiida_pcm.graph import selftests
from aiida_pcm.setup.codes import audit_codes
from aiida_pcm.setup.reference import find_dataset
from aiida_pcm.workchains.compare import search_part
from aiida_pcm.workchains.selftest import SelftestWorkChain
from aiida_pcm.workchains.symmetry import SymmetryWorkChain

whole = find_dataset(sys.argv[1] if len(sys.argv) > 1 else 'reference')
recorded = bool(whole.materials.metadata.get('predictions'))
formed = 'formation_energy' in whole.materials.references
dataset = search_part(whole, orm.Str('formation_energy' if formed else 'force'))

# Who is asked: predictions that came with the data set, or else CHGNet where it stands (a single point, no relaxation).
asked = {}
if not recorded:
    asked['code'] = audit_codes()['model']
    asked['model'] = ModelData.chgnet('0.3.0', asked['code'])
    if selftests.latest(asked['model']) is None:
        run(SelftestWorkChain.get_builder_from_protocol(asked['code'], asked['model']))
results, audit = run_get_node(SymmetryWorkChain.get_builder_from_protocol(dataset, **asked))

found = results['symmetry'].get_dict()
print(f'Hypothesis: {found["hypothesis"]} ({found["source"]})')
print(f'{dataset.n_rows} rows, {found["frame"]}, {found["pose"]}; symmetry of {found["symmetry"]["of"]}')
for name, told in found['models'].items():
    if 'forces' in told:
        slope = told['forces']['slope']
        print(f'{name}: slope of the forces {slope["value"]:.3f} [{slope["low"]:.3f}, {slope["high"]:.3f}]')
    if 'energies' in told:
        overall = told['energies']['overall']
        print(f'{name}: bias {overall["bias"]["value"]:+.4f}, MAE {overall["mae"]["value"]:.4f} eV/atom')
        for table, bins in told['energies']['tables'].items():
            for label, cell in bins.items():
                print(f'  {table} {label}: {cell["rows"]} rows, bias {cell["bias"]["value"]:+.4f}, p {cell["p_value"]}')
        for which, figure in told['energies']['contrasts'].items():
            print(f'  {which}: {figure["bias"]["value"]} eV/atom, {figure["bias"]["says"]}')
print(f'Symmetry audit {audit.pk}')
