"""Certificates for the tests: drawn at random, or tampered with."""

from __future__ import annotations

import copy
import random
from typing import Any

from aiida_pcm.science import certificate as schema
from aiida_pcm.science.bounds import interval_ranks, spend
from aiida_pcm.science.certificate import CertificateError

__all__ = ['CertificateError', 'claim', 'drawn', 'plain', 'resampled', 'row', 'tampered']


def claim(**changes: Any) -> dict[str, Any]:
    """A claim about forces with a box of one feature in [-1, 1]."""
    use = changes.get('use', 1)
    num, den = spend(use)
    return {
        'frame': 'GENERATED',
        'property': 'force',
        'tolerance': {'value': 0.15, 'unit': 'eV/A', 'relative': 0.15},
        'noise': 0.01,
        'requested': {'num': 1, 'den': 10},
        'use': use,
        'alpha': {'num': num, 'den': den},
        'box': [schema.side('strain', '1', 'PRE_DFT', 3, -1.0, 1.0)],
        'model': {'label': 'CHGNet', 'kind': 'chgnet', 'version': '0.3.0', 'weights_sha256': 'a' * 64},
        'reference': {'label': 'test', 'convention': 'PBE', 'content_sha256': 'b' * 64, 'recipe_sha256': None},
        'part_sha256': 'c' * 64,
        'seed_rule': 'sha256 of part, group and id',
        **changes,
    }


def row(name: str, group: str, error: float | None = 0.05, feature: float | None = 0.0, unknown: bool = False):
    """A row with one feature."""
    features = [schema.word(feature, 3)]
    return {'id': name, 'group': group, 'error': schema.error_word(error, unknown), 'features': features}


def resampled(document: dict[str, Any], seed: int = 0, n: int = 40) -> dict[str, Any]:
    """The same certificate with replicates of the ends of its box, and the intervals that follow from them."""
    rng, changed = random.Random(seed), copy.deepcopy(document)
    changed['replicates'] = []
    for side in changed['claim']['box']:
        words = {name: [side[name] + rng.choice([0, 0, *range(-9, 10)]) for _ in range(n)] for name in ('lo', 'hi')}
        for name in ('lo', 'hi'):
            ends = (sorted(words[name])[rank - 1] for rank in interval_ranks(n))
            side[f'{name}_ci'] = [schema.value(end, side['decimals']) for end in ends]
        changed['replicates'].append(words)
    changed['claim_sha256'] = schema.claim_sha256(changed['claim'])
    return changed


def plain(n: int = 40, k: int = 1, **changes: Any) -> dict[str, Any]:
    """A drafted certificate: n groups inside the box, k of them failed, and two groups outside."""
    rows = [row(f'in-{i}', f'group {i}', 0.5 if i < k else 0.05) for i in range(n)]
    rows += [row('far', 'outside 1', feature=2.0), row('missing', 'outside 2', feature=None)]
    return schema.draft(claim(**changes), rows)


def drawn(seed: int) -> dict[str, Any]:
    """A small certificate with everything at random: frame, box, rows, groups, unknowns, use, rate."""
    rng = random.Random(seed)
    features = rng.randint(1, 4)
    box = [schema.side(f'x{i}', '1', 'PRE_DFT', 2, -rng.random() - 0.1, rng.random() + 0.1) for i in range(features)]
    bad = rng.choice([0.0, 0.05, 0.3, 1.0])
    rows = []
    for i in range(rng.choice([0, 1, 2, 15, 16, 17, 33, 60])):
        error = rng.uniform(0.14, 1.0) if rng.random() < bad else rng.uniform(0.0, 0.14)
        words = [schema.word(rng.choice([None, *[rng.uniform(-1, 1)] * 12]), 2) for _ in range(features)]
        found = schema.error_word(rng.choice([error, error, error, None]), unknown=rng.random() < 0.05)
        rows.append({'id': f'r{i}', 'group': f'g{i // rng.choice([1, 1, 2])}', 'error': found, 'features': words})
    frame = rng.choice(schema.FRAMES)
    requested = {'num': rng.choice([1, 3, 9]), 'den': 10}
    document = schema.draft(claim(frame=frame, box=box, requested=requested, use=rng.randint(1, 5)), rows)
    return resampled(document, seed, rng.choice([1, 2, 39, 40, 41, 80])) if rng.random() < 0.5 else document


def tampered(document: dict[str, Any], path: str, change: Any) -> dict[str, Any]:
    """A copy in which the value at `path` (keys with dots) is changed: `change` is a value or a function of the old."""
    changed = copy.deepcopy(document)
    *keys, last = path.split('.')
    place: Any = changed
    for key in keys:
        place = place[int(key)] if isinstance(place, list) else place[key]
    where = int(last) if isinstance(place, list) else last
    place[where] = change(place[where]) if callable(change) else change
    return changed
