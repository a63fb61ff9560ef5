"""Between stages 1 and 2: learn where the model fails, as one more feature that the box may use."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ProcessBuilder, WorkChain

from aiida_pcm.calcfunctions.fit_risk import fit_risk
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science.certification import parse_rate
from aiida_pcm.workchains import checks
from aiida_pcm.workchains.protocol import load


class RiskWorkChain(WorkChain):
    """Fit a risk model on the search part, freeze it, and say how good it is beside scores that need no learning.

    It looks at everything that is known of the materials before DFT (science.features.learnable).
    """

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input('dataset', valid_type=DatasetData, help='The search part.')
        spec.input('evaluation', valid_type=orm.ArrayData, help='Predictions for it, from pcm.falsify.')
        spec.input('table', valid_type=orm.ArrayData, help='Its features and errors, from pcm.falsify.')
        spec.input('tolerance', valid_type=orm.Float, help="Largest error that is no failure, in the property's unit.")
        spec.input(
            'failure_rate', valid_type=orm.Str, validator=checks.rate_validator, help='Rate at which coverage is told.'
        )
        spec.input('settings', valid_type=orm.Dict, validator=checks.risk_validator, help='See science.risk.Settings.')
        spec.inputs.validator = checks.searched_validator
        spec.outline(cls.fit)
        spec.output('risk', valid_type=orm.SinglefileData, help='The frozen model.')
        spec.output('report', valid_type=orm.Dict, help='AUC, coverage, calibration, importance, and the baselines.')
        spec.output('table', valid_type=orm.ArrayData, help='The table with the out-of-fold score of every row.')
        spec.exit_code(410, 'ERROR_NOT_LEARNABLE', message='Nothing can be learned from these rows: {reason}')

    @classmethod
    def get_builder_from_protocol(
        cls,
        dataset: DatasetData,
        evaluation: orm.ArrayData,
        table: orm.ArrayData,
        tolerance: float,
        failure_rate: str = '1/5',
        protocol: str | None = None,
        overrides: dict[str, Any] | None = None,
    ) -> ProcessBuilder:
        """Builder from the protocol of the audit; ``overrides`` come last, unknown keys are an error."""
        parse_rate(failure_rate)
        builder = cls.get_builder()
        builder.dataset, builder.evaluation, builder.table = dataset, evaluation, table
        builder.tolerance, builder.failure_rate = orm.Float(tolerance), orm.Str(failure_rate)
        builder.settings = orm.Dict(load('audit', protocol, overrides)['risk']['settings'])
        return builder

    def fit(self) -> ExitCode | None:
        """Learn, and judge by what was held out."""
        inputs = self.inputs
        _, node = fit_risk.run_get_node(
            inputs.dataset, inputs.evaluation, inputs.table, inputs.tolerance, inputs.failure_rate, inputs.settings
        )
        if not node.is_finished_ok:
            return self.exit_codes.ERROR_NOT_LEARNABLE.format(reason=node.exit_message)
        report = node.outputs.report
        auc, kept = report['auc'], report['coverage']
        self.report(
            f'ROC-AUC {auc["value"]:.3f} [{auc["low"]:.3f}, {auc["high"]:.3f}] out of fold; '
            f'keeps {kept["value"]:.2f} at {report["rate"]:g} failures (the oracle {report["oracle"]:.2f})'
        )
        for name in ('risk', 'report', 'table'):
            self.out(name, node.outputs[name])
        return None
