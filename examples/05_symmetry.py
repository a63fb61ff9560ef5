"""Does a model underpredict, and is it too soft? `verdi run examples/05_symmetry.py [DATASET]`, after `make audit`.

Without DATASET it is the reference that comes with the package: strained and rattled cells with forces, of which the
slope of the forces is told. DATASET is what `aiida-pcm dataset list` shows. With formation energies (and energies, or
predictions that came with it) the errors are told by degrees of freedom, crystal system and distance to the hull. Only
the search part is looked at: the other part stays fresh for certificates.
"""

import sys

from aiida import orm

from aiida_pcm.cli.engine import run_get_node
from aiida_pcm.data.model import ModelData
from aiida_pcm.science.symmetry import FEW, FEWEST_GROUPS, MANY, NEAR, UNKNOWN
from aiida_pcm.setup.codes import audit_codes
from aiida_pcm.setup.reference import find_dataset
from aiida_pcm.workchains.compare import search_part
from aiida_pcm.workchains.selftest import tested
from aiida_pcm.workchains.symmetry import SymmetryWorkChain

TABLES = {
    'degrees': 'degrees of freedom',
    'system': 'crystal system',
    'distance': 'eV/atom above the hull, by the reference',
    'predicted_distance': 'eV/atom above the hull, by the prediction',
}
CONTRASTS = {
    'many_less_few': f'{MANY} or more degrees of freedom less {FEW} or fewer',
    'many_less_few_near_the_hull': f'{MANY} or more less {FEW} or fewer, within {NEAR} eV/atom of the hull',
    'near_less_far_by_distance': f'within {NEAR} eV/atom of the hull less beyond, by the reference',
    'near_less_far_by_predicted_distance': f'within {NEAR} eV/atom of the hull less beyond, by the prediction',
}


def shown(figure, form='+.3f'):
    """A value with its 95 % interval, as far as they are known."""
    if figure['value'] == UNKNOWN:
        return UNKNOWN
    ends = UNKNOWN if figure['low'] == UNKNOWN else f'{figure["low"]:{form}}, {figure["high"]:{form}}'
    return f'{figure["value"]:{form}} [{ends}]'


whole = find_dataset(sys.argv[1] if len(sys.argv) > 1 else 'reference')
recorded = bool(whole.materials.metadata.get('predictions'))
formed = 'formation_energy' in whole.materials.references
dataset = search_part(whole, orm.Str('formation_energy' if formed else 'force'))

# Who is asked: predictions that came with the data set, or else CHGNet where it stands (a single point, no relaxation).
asked = {}
if not recorded:
    code = audit_codes()['model']
    asked = {'code': code, 'model': tested(ModelData.chgnet('0.3.0', code), code)}
results, audit = run_get_node(SymmetryWorkChain.get_builder_from_protocol(dataset, **asked))
if not audit.is_finished_ok:
    sys.exit(audit.exit_message)

found = results['symmetry'].get_dict()
print(f'Hypothesis: {found["hypothesis"]}')
print(f'Source: {found["source"]}')
print(f'{dataset.n_rows} rows, frame {found["frame"]}, pose {found["pose"]}')
symmetry = found['symmetry']
print(f'Symmetry: {symmetry["why"] if symmetry["of"] == UNKNOWN else "that of " + symmetry["of"]}')
print(f'In brackets 95 % intervals; {UNKNOWN} is what rests on fewer than {FEWEST_GROUPS} chemical systems')
for name, told in found['models'].items():
    print(f'\n{name}')
    if 'forces' in told:
        slope, ratio = told['forces']['slope'], told['forces']['dft_over_model']
        print(f'  slope of the forces {shown(slope, ".3f")}, {slope["rows"]} rows; below 1: too soft')
        median = shown({**ratio, 'value': ratio['median']}, '.3f')
        print(f'  forces of DFT over those of the model, median of {ratio["used"]} rows {median}')
    if 'energies' in told:
        energies = told['energies']
        bias, mae = energies['overall']['bias'], energies['overall']['mae']
        print(f'  bias {shown(bias)}, MAE {shown(mae, ".3f")} eV/atom, {energies["rows"]} rows')
        print(f'  left out: {energies["missing"]} rows without a prediction, {energies["beyond"]} with a huge error')
        for table, bins in energies['tables'].items():
            print(f'  bias by {TABLES[table]}; p: test for underprediction, adjusted by Holm')
            for label, cell in bins.items():
                p = cell['p_value'] if cell['p_value'] == UNKNOWN else f'{cell["p_value"]:.2g}'
                print(f'    {label:>14}{cell["rows"]:7d} rows  {shown(cell["bias"])}  p {p}')
        print('  difference of the bias')
        for which, of in energies['contrasts'].items():
            difference, says = shown(of['bias']), of['bias']['says']
            told_of_it = UNKNOWN if says == UNKNOWN else f'{difference} eV/atom, {says}'
            print(f'    {CONTRASTS[which]}: {told_of_it}')
print(f'\nSymmetry audit {audit.pk}')
