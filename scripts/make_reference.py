"""Compute the reference that ships with the package, in the daemon: submit, follow, resume, export.

Run with `verdi run scripts/make_reference.py [n]`, with the daemon running and a code `pw@reference-machine`. First
come the n compounds, then the rows that are computed again for the noise. A second run finds what the first one
submitted and follows it; AiiDA's daemon continues what an interruption of any kind has left. When all is done, the
archive and its description are written into the folder of the package.
"""

import json
import sys
import time
from pathlib import Path

from aiida import orm
from aiida.engine import ProcessBuilder, submit

import aiida_pcm
from aiida_pcm.graph.closure import export
from aiida_pcm.workchains.noise import NoiseWorkChain
from aiida_pcm.workchains.protocol import load
from aiida_pcm.workchains.reference import ReferenceWorkChain

FOLDER = Path(aiida_pcm.__file__).parent / 'reference'
CODE = 'pw@reference-machine'
CONCURRENT = 5  # more than cores: the batch waits for its oldest run before it starts others


def find_or_submit(query: orm.QueryBuilder, builder: ProcessBuilder) -> orm.WorkChainNode:
    """The latest run that a query finds and that did not fail; otherwise a new one."""
    usable = [node for node in query.all(flat=True) if not (node.is_failed or node.is_excepted or node.is_killed)]
    if usable:
        return usable[-1]
    builder.max_concurrent = CONCURRENT
    return submit(builder)


def find_or_submit_reference(n: int) -> orm.WorkChainNode:
    """The run of n compounds."""
    query = orm.QueryBuilder().append(orm.Int, filters={'attributes.value': n}, tag='n')
    query.append(ReferenceWorkChain, with_incoming='n', edge_filters={'label': 'n'}, project='*')
    query.order_by({ReferenceWorkChain: 'id'})
    return find_or_submit(query, ReferenceWorkChain.get_builder_from_protocol(orm.load_code(CODE), overrides={'n': n}))


def find_or_submit_noise(dataset: orm.Data) -> orm.WorkChainNode:
    """The run that measures the noise of a reference."""
    query = orm.QueryBuilder().append(orm.Node, filters={'uuid': dataset.uuid}, tag='dataset')
    query.append(NoiseWorkChain, with_incoming='dataset', project='*').order_by({NoiseWorkChain: 'id'})
    return find_or_submit(query, NoiseWorkChain.get_builder_from_protocol(orm.load_code(CODE), dataset))


def follow(node: orm.WorkChainNode, total: int) -> None:
    """Print a line whenever something has finished, until all has; exit where the whole failed."""
    print(f'{node.process_label} {node.uuid}', file=sys.stderr)
    said, began, at_first = '', time.monotonic(), None
    while not node.is_terminated:
        runs = [run for run in node.called if isinstance(run, orm.WorkChainNode)]
        done = [run for run in runs if run.is_terminated]
        at_first = len(done) if at_first is None else at_first
        line = f'{len(done)} of {total} done, {sum(not run.is_finished_ok for run in done)} failed'
        if line != said:
            new = len(done) - at_first
            left = f', {(time.monotonic() - began) / new * (total - len(done)) / 60:.0f} min left' if new else ''
            print(line + left, file=sys.stderr, flush=True)
        said = line
        time.sleep(10)
    if not node.is_finished_ok:
        sys.exit(
            f'{node.process_label} {node.uuid} ended without a result: {node.exit_message}.\nAsk verdi process report.'
        )


def main() -> None:
    """Find or submit, follow, export."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else load('reference')['n']
    reference = find_or_submit_reference(n)
    follow(reference, n)
    noise = find_or_submit_noise(reference.outputs.dataset)
    follow(noise, 2 * len(_chosen(noise)))
    dataset = noise.outputs.dataset
    export([noise], FOLDER / 'reference.aiida', logs=False)
    description = {
        'uuid': dataset.uuid,
        'label': dataset.base.attributes.get('label'),
        'content_sha256': dataset.base.attributes.get('content_sha256'),
    }
    (FOLDER / 'reference.json').write_text(json.dumps(description, indent=1) + '\n')


def _chosen(noise: orm.WorkChainNode) -> list[int]:
    """The rows that are computed again, as soon as the work chain has chosen them."""
    while not noise.is_terminated:
        for run in noise.called:
            if run.process_label == 'choose_for_noise' and run.is_finished_ok:
                return list(run.outputs.result['rows'])
        time.sleep(2)
    return []


if __name__ == '__main__':
    main()
