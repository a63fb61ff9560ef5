"""Causes are ranked, and files are quoted by line."""

from __future__ import annotations

from aiida_pcm.science.explanation import Cause, Explanation, Step, at, number, ranked, telling_lines


def test_the_heaviest_cause_is_the_first_and_json_has_the_keys_that_others_rely_on():
    causes = ranked(
        [Cause('a', 'light', 0.1), Cause('b', 'heavy', 1.0, evidence=(number('n', '1', 1.0),)), Cause('c', 'same', 0.1)]
    )
    document = Explanation('uuid', 'it', 'REFUSED', causes).as_dict()
    assert [cause['name'] for cause in document['causes']] == ['b', 'a', 'c']
    assert [cause['rank'] for cause in document['causes']] == [1, 2, 3]
    assert {'node', 'verdict_or_exit', 'causes'} <= set(document)
    assert {'rank', 'summary', 'process', 'exit_status', 'evidence', 'path'} <= set(document['causes'][0])
    assert document['causes'][0]['evidence'] == [
        {'kind': 'number', 'where': 'n', 'text': '1', 'value': 1.0, 'unit': ''}
    ]


def test_a_path_grows_in_front():
    inner, outer = Step(2, 'b', 'inner', 'called'), Step(1, 'a', 'outer')
    assert at(Cause('x', 'x', 1.0, path=(inner,)), [outer]).path == (outer, inner)


def test_the_last_telling_lines_are_quoted_with_their_numbers():
    text = 'fine\n\nslurmstepd: error: Exceeded memory limit\nmore\n/bin/x: line 3: 42 Killed\nbye\n'
    assert [line.where for line in telling_lines('err', text)] == ['err:3', 'err:5']
    assert [line.text for line in telling_lines('out', 'one\ntwo\n\n')] == ['two']
    assert telling_lines('out', '\n') == []
