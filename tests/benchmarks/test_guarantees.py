"""The simulation of the guarantees: it passes on forty populations, and it would notice what must be noticed."""

from __future__ import annotations

import json

import numpy as np
import pytest

from aiida_pcm.science import certificate, certification
from aiida_pcm.science.certificate import OFFSET
from aiida_pcm.science.certification import rows_inside
from aiida_pcm.science.parts import divide

SEED = 0


@pytest.fixture(scope='module')
def guarantees(benchmark_module):
    return benchmark_module('guarantees')


@pytest.fixture(autouse=True)
def small_truth(guarantees, monkeypatch):
    """A truth from fewer groups is nearly as sharp, and quicker."""
    monkeypatch.setattr(guarantees, 'TRUTH_GROUPS', 5_000)


def of_kind(guarantees, kind: str, n: int):
    """Audits of the first n populations of one kind."""
    kinds = guarantees.KINDS
    return [guarantees.audit(len(kinds) * i + kinds.index(kind), SEED) for i in range(n)]


def test_the_limit_of_the_issue(guarantees):
    """64 of 1,000 is the 97.5 % quantile: sound bounds at exactly 5 % would pass it with probability 0.021."""
    assert guarantees.limit(1000) == 64
    draws = np.random.default_rng(0).binomial(1000, 0.05, 200_000)
    assert (draws > 64).mean() == pytest.approx(0.0207, abs=0.002)


def test_bounds_hold(guarantees, capsys, monkeypatch):
    monkeypatch.setattr(guarantees, 'MOST_USES', 5)
    audits = [guarantees.audit(index, SEED) for index in range(40)]
    assert guarantees.violations(audits) <= guarantees.limit(len(audits))
    bounds = [bound for one in audits for bound in one]
    assert any(bound.certified for bound in bounds) and any(0 < bound.n < 50 for bound in bounds)
    assert all(not bound.certified for one in audits for bound in one[:-1])
    guarantees.tell_violations(audits, SEED)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line['figure'] for line in lines] == [
        'violations',
        *(f'violations_{kind}' for kind in guarantees.KINDS),
    ]
    assert lines[0]['value'] == sum(line['value'] for line in lines[1:]) and lines[0]['holds']


def test_counting_correlated_rows_is_noticed(guarantees, monkeypatch):
    """All rows instead of one a group."""
    monkeypatch.setattr(certificate, 'choose_rows', lambda rows, box, part: list(enumerate(rows)))
    assert guarantees.violations(of_kind(guarantees, 'clusters', 12)) > guarantees.limit(12)


@pytest.mark.slow
def test_the_same_alpha_for_every_use_is_noticed(guarantees, monkeypatch):
    for module in (certificate, certification):
        monkeypatch.setattr(module, 'spend', lambda use: (1, 40))
    assert guarantees.violations(of_kind(guarantees, 'repeated', 24)) > guarantees.limit(24)


def test_leaving_out_what_has_no_reference_is_noticed(guarantees):
    audits = of_kind(guarantees, 'no_reference', 12)
    assert guarantees.violations(audits) <= guarantees.limit(12)
    ignored = [[bound._replace(bound=bound.without_unknowns) for bound in one] for one in audits]
    assert guarantees.violations(ignored) > guarantees.limit(12)


def test_certifying_on_the_rows_of_the_search_is_noticed(guarantees, monkeypatch):
    def careless(materials, quantity):
        search = divide(materials, quantity)['search']
        return {'search': search, 'certification': search.with_metadata(part='certification')}

    monkeypatch.setattr(guarantees, 'divide', careless)
    assert guarantees.violations(of_kind(guarantees, 'independent', 30)) > guarantees.limit(30)


@pytest.mark.parametrize('kind', ['independent', 'clusters', 'no_prediction'])
def test_the_truth_is_what_the_counts_estimate(guarantees, kind):
    """Chosen rows of a very large part fail as often as the truth says: both mean the same rate."""
    random = np.random.default_rng(3)
    law = guarantees.draw_law(kind, random)
    rows = guarantees.draw_rows(law, 3000, random)
    plan = guarantees.plans(kind, random)[0]
    parts = divide(guarantees.materials_of(rows, 'GENERATED'), 'formation_energy')
    document = guarantees.certify(parts, rows, plan, {}, 0)
    truth = guarantees.true_rate(document['claim'], plan, guarantees.draw_rows(law, 20_000, random))
    n, k = document['counts']['inside'], document['counts']['failed']
    assert abs(k / n - truth) < 4 * np.sqrt(truth * (1 - truth) / n)


def test_the_truth_has_the_box_of_the_certificate(guarantees):
    """Which rows are inside, written twice."""
    random = np.random.default_rng(4)
    law = guarantees.draw_law('no_prediction', random)
    rows = guarantees.draw_rows(law, 400, random)
    plan = guarantees.plans('no_prediction', random)[0]
    parts = divide(guarantees.materials_of(rows, 'GENERATED'), 'formation_energy')
    claim = guarantees.certify(parts, rows, plan, {}, 0)['claim']
    whole = guarantees.materials_of(rows, 'GENERATED')
    ends = [
        {'feature': side['feature'], **{end: (side[end] - OFFSET) / 10 ** side['decimals'] for end in ('lo', 'hi')}}
        for side in claim['box']
    ]
    inside = rows_inside(guarantees.tabulate(whole, rows, plan), ends)
    failing = rows.no_reference | rows.no_prediction | (0.1 * rows.ratio[:, 0] + 0.01 > 0.1)
    rates = [failing[inside & (rows.group == group)].mean() for group in np.unique(rows.group[inside])]
    assert guarantees.true_rate(claim, plan, rows) == pytest.approx(np.mean(rates))


def test_a_use_that_was_made_is_not_made_again(guarantees):
    """The same key spends no alpha: numbers of uses follow each other without a gap."""
    for one in of_kind(guarantees, 'repeated', 2):
        assert [bound.use for bound in one] == list(range(1, len(one) + 1))
        assert len(one) <= guarantees.MOST_USES
        assert sum(bound.alpha for bound in one) <= 0.05


def test_a_population_follows_from_its_number_and_the_seed(guarantees):
    assert guarantees.audit(6, SEED) == guarantees.audit(6, SEED)
    assert guarantees.audit(6, SEED) != guarantees.audit(6, SEED + 1)


def test_figures_of_coverage(guarantees, capsys):
    found = [guarantees.intervals(index, SEED, 'moderate', 200) for index in range(60)]
    value = guarantees.tell_coverage('moderate', found, SEED)
    lines = {line['figure']: line for line in map(json.loads, capsys.readouterr().out.splitlines())}
    assert set(lines) == {f'bootstrap_coverage_moderate{end}' for end in ('', '_bca', '_percentile', '_auc')}
    assert value == lines['bootstrap_coverage_moderate']['value'] >= 0.85
    assert lines['bootstrap_coverage_moderate']['undefined'] == 0


@pytest.mark.parametrize(('only', 'wanted'), [('bounds', {'violations'}), ('intervals', {'coverage'}), (None, None)])
def test_both_halves_are_printed_unless_one_is_asked_for(guarantees, capsys, monkeypatch, only, wanted):
    monkeypatch.setattr(guarantees, 'QUICK', 8)
    monkeypatch.setattr(guarantees, 'MOST_USES', 1)
    monkeypatch.setattr(guarantees, 'PROCESSES', 1)
    monkeypatch.setattr(guarantees, 'REGIMES', {'few_groups': guarantees.REGIMES['few_groups']})
    argv = ['guarantees.py', '--quick', '--resamples', '50', *(['--only', only] if only else [])]
    monkeypatch.setattr('sys.argv', argv)
    guarantees.main()
    names = [json.loads(line)['figure'] for line in capsys.readouterr().out.splitlines()]
    halves = {'violations' if name.startswith('violations') else 'coverage' for name in names}
    assert halves == (wanted or {'violations', 'coverage'})
    assert ('bootstrap_coverage' in names) == (only != 'bounds') and ('violations' in names) == (only != 'intervals')


def test_every_regime_has_ten_failures_to_expect(guarantees):
    assert all(regime.groups * regime.rate >= 10 for regime in guarantees.REGIMES.values())


def test_area_is_that_of_repeated_rows(guarantees):
    from sklearn.metrics import roc_auc_score

    random = np.random.default_rng(5)
    failed, score = random.random(40) < 0.4, random.normal(size=40)
    weights = random.integers(0, 4, (3, 40))
    expected = [roc_auc_score(np.repeat(failed, one), np.repeat(score, one)) for one in weights]
    assert guarantees.area(weights.astype(float), failed, score) == pytest.approx(expected)
