"""Disagreement is found, whoever errs, and silence is no agreement."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiida_pcm.runner import lean as runner


@pytest.fixture(scope='module')
def bench(tmp_path_factory):
    library = Path(runner.__file__).resolve().parents[1] / 'lean'
    with runner.workbench(tmp_path_factory.mktemp('agreement'), None, runner.Limits()) as made:
        made.compile_library(library, runner.source_hashes(library))
        yield made


@pytest.fixture
def agreement(benchmark_module):
    return benchmark_module('agreement')


def test_both_judge_rightly(agreement, bench):
    asked = agreement.questions(12, 1)
    assert [right for _, right in asked].count(False) == 3
    assert agreement.compare(bench, asked) == []
    assert agreement.questions(12, 1) == asked != agreement.questions(12, 2)


def test_each_is_found_where_it_errs(agreement, bench, monkeypatch):
    """Asked the wrong way round, each of them errs in every one; in one alone, that one is named."""
    asked = agreement.questions(8, 1)
    turned = [(document, not right) for document, right in asked]
    assert agreement.misjudged_by_python(turned) == set(range(len(asked))) == agreement.misjudged_by_lean(bench, turned)
    one = [*asked[:4], turned[4], *asked[5:]]
    assert agreement.misjudged_by_lean(bench, one) == {4} == agreement.misjudged_by_python(one)
    monkeypatch.setattr(agreement, 'misjudged_by_python', lambda asked: set())
    monkeypatch.setattr(agreement, 'IN_A_FILE', 3)
    assert agreement.compare(bench, one) == [4], 'in whatever file it stands'


def test_a_lean_that_says_nothing_agrees_with_nothing(agreement):
    class Silent:
        def check(self, text):
            return runner.Run(0, '', False, 0.0)

    asked = agreement.questions(4, 1)
    assert agreement.misjudged_by_lean(Silent(), asked) == set(range(5))


def test_what_is_changed_is_wrong(agreement):
    """Every kind of change, also where there is nothing to take away."""
    rng = agreement.random.Random(0)
    documents = [agreement.drawn(seed) for seed in range(60)]
    assert agreement.misjudged_by_python([(agreement.changed(d, rng), False) for d in documents]) == set()
