"""Judge a potential by what it said about the structures of the self-test."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_pcm.data.arrays import evaluation_of
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.data.model import ModelData
from aiida_pcm.science import selftest

IDENTITY = ('kind', 'name', 'package', 'version', 'weights_sha256', 'arguments', 'convention')
SETTING = ('runner_sha256', 'precision', 'device', 'versions', 'hardware')


@calcfunction
def judge_selftest(
    model: ModelData,
    dataset: DatasetData,
    batched: orm.ArrayData,
    batched_report: orm.Dict,
    single: orm.ArrayData,
    single_report: orm.Dict,
) -> orm.Dict:
    """Return schema, accepted, checks, model (who it is), runner_sha256, precision, device, versions, hardware."""
    who = {name: model.base.attributes.get(name) for name in IDENTITY}
    reports = [batched_report.get_dict(), single_report.get_dict()]
    failures = [failure for report in reports for failure in report['failures']]
    checks = selftest.judge(dataset.materials, evaluation_of(batched), evaluation_of(single), failures, who)
    verdict = {'accepted': selftest.accepted(checks), 'checks': [check.as_dict() for check in checks], 'model': who}
    setting = {name: reports[0][name] for name in SETTING}
    return orm.Dict({'schema': selftest.SCHEMA, **verdict, **setting})
