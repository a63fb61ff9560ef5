"""Corner bounds: no axioms, Lean accepts what Python claims, and nothing that is tighter by one step."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from aiida_pcm.runner import corner, lean
from aiida_pcm.science import misspecification as pops
from aiida_pcm.science.misspecification.corner import STEP, CornerClaim, corner_claim

from .test_library import names


@pytest.fixture(scope='session')
def corner_bench(library, tmp_path_factory):
    """A workbench with the library of corner bounds compiled."""
    with lean.workbench(tmp_path_factory.mktemp('lean'), None, lean.Limits()) as made:
        sources = corner.assemble(library, tmp_path_factory.mktemp('corner'))
        made.check_version()
        made.compile_library(sources, lean.source_hashes(sources))
        made.canary = corner.CANARY
        made.check_canary()
        yield made


def drawn(seed: int) -> CornerClaim:
    """Coefficients and sides of either sign, zeros, points and no sides at all among them."""
    chance = random.Random(seed)
    numbers = [Fraction(chance.randint(-9, 9), chance.choice([1, 2, 3, 7, 1000])) for _ in range(30)]
    count = chance.randint(0, 6)
    sides = [tuple(sorted(numbers[2 * i : 2 * i + 2])) for i in range(count)]
    return corner_claim(numbers[-1], numbers[12 : 12 + count], [(low, high) for low, high in sides])


def exact(claim: CornerClaim) -> CornerClaim:
    """The same with bounds that are not rounded."""
    ends = [(c * low, c * high) for c, (low, high) in zip(claim.coefficients, claim.sides, strict=True)]
    return replace(claim, low=claim.base + sum(map(min, ends)), high=claim.base + sum(map(max, ends)))


def theorem(claim: CornerClaim, name: str, value: str) -> str:
    """That the checker says true or false of a claim."""
    definition = pops.lean_text(claim).split('section\n')[1].split('theorem')[0].replace('certified', name)
    return (
        f'{definition}theorem {name} : Eq (check {name}Data) Bool.{value} := Eq.refl Bool.{value}\n'
        f'#print axioms {name}\n'
    )


def says(bench, claims: list[CornerClaim], value: str) -> bool:
    """Does Lean prove of every one of these claims that the checker says so?"""
    header = corner.CANARY.split('def ')[0]
    text = header + ''.join(theorem(claim, f'c{i}', value) for i, claim in enumerate(claims))
    run = bench.check(text)
    return run.status == 0 and lean.says_only_no_axioms(run.output, [f'c{i}' for i in range(len(claims))])


def test_no_theorem_depends_on_an_axiom(corner_bench, library):
    """check_sound and check_complete say together that the checker accepts what is valid and nothing else."""
    found = names(library / corner.FOLDER, 'Sound.lean')
    run = corner_bench.check('prelude\nimport Sound\n' + ''.join(f'#print axioms {name}\n' for name in found))
    assert run.status == 0 and lean.says_only_no_axioms(run.output, found), run.output
    assert {'check_sound', 'check_complete', 'corner_below', 'corner_above', 'corner_inside'} <= set(found)


def test_the_sources_hold_no_axiom(library):
    sources = [path.read_text() for path in (library / corner.FOLDER).glob('*.lean')]
    assert len(sources) == 3
    assert not any(re.search(r'axiom|sorry|opaque|unsafe|partial|implemented_by|extern', text) for text in sources)


@pytest.mark.slow
def test_python_and_lean_agree(corner_bench):
    """As they are all hold; exact bounds hold; and tighter by one step at either end none does."""
    claims = [drawn(seed) for seed in range(40)]
    assert {0, 1, 2, 3} <= {len(claim.sides) for claim in claims}
    assert says(corner_bench, [*claims, *map(exact, claims)], 'true')
    tighter = [replace(claim, low=claim.low + STEP) for claim in claims if claim.low < exact(claim).low]
    tighter += [replace(claim, high=claim.high - STEP) for claim in claims]
    tighter += [replace(exact(claim), low=exact(claim).low + Fraction(1, 10**30)) for claim in claims]
    tighter += [replace(exact(claim), high=exact(claim).high - Fraction(1, 10**30)) for claim in claims]
    assert says(corner_bench, tighter, 'false')


def test_what_is_not_a_claim_is_refused(corner_bench):
    """An empty side, of which anything would be true; a coefficient too many, which nobody would look at."""
    claim = CornerClaim(Fraction(0), (Fraction(2),), ((Fraction(1), Fraction(3)),), Fraction(2), Fraction(6))
    assert says(corner_bench, [claim], 'true')
    empty = replace(claim, sides=((Fraction(3), Fraction(1)),))
    longer = replace(claim, coefficients=(Fraction(2), Fraction(5)))
    shorter = replace(claim, coefficients=(), low=Fraction(0), high=Fraction(0))
    assert says(corner_bench, [empty, longer, shorter], 'false')


@pytest.mark.slow
def test_one_material_of_a_model(library, tmp_path):
    """From features to a proof, by what a user calls; a tighter bound, another theorem and a lie are refused."""
    random_ = np.random.default_rng(0)
    features = random_.normal(size=(300, 64)).astype(np.float32)
    model = pops.fit_model(features, 0.05 * np.sin(features).sum(axis=1))
    claim = pops.claim_of(model, features[0])
    good = pops.lean_text(claim)
    attacks = [
        pops.lean_text(replace(claim, low=claim.low + STEP)),
        pops.lean_text(replace(claim, high=claim.high - STEP)),
        good.replace('noncomputable section', 'def Valid (c : Certificate) : Prop := True'),
        good.replace('check_sound certifiedData (Eq.refl Bool.true)', 'sorry'),
    ]
    proved, *refused = corner.prove([good, *attacks], library, tmp_path)
    assert proved.accepted and proved.reason == '' and len(proved.sources_sha256) == 64, proved
    assert [result.reason for result in refused] == [lean.NOT_PROVED] * 4
    assert list(tmp_path.iterdir()) == []


def test_a_lean_that_says_yes_to_everything_is_broken(library, tmp_path):
    """It has the right version and no complaint, not even about the canary."""
    yes = tmp_path / 'yes'
    yes.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "Lean (version {lean.VERSION}, commit {lean.COMMIT}, Release)"\nexit 0\n')  # fmt: skip # noqa: E501
    yes.chmod(0o755)
    text = pops.lean_text(drawn(3))
    assert [result.reason for result in corner.prove([text], library, tmp_path, [str(yes)])] == [lean.BROKEN_LEAN]


def test_a_library_without_a_source(tmp_path):
    with pytest.raises(lean.LeanError, match='lacks'):
        corner.prove([], tmp_path, tmp_path)
