"""Hold materials against a certificate: failures that somebody found, or a draw that was registered beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ProcessBuilder, WorkChain, if_, while_

from aiida_pcm.calcfunctions.collect_reference import collect_reference
from aiida_pcm.calcfunctions.collect_structures import collect_structures
from aiida_pcm.calcfunctions.find_refutation import find_refutation
from aiida_pcm.calcfunctions.judge_draw import judge_draw
from aiida_pcm.calcfunctions.register_draw import register_draw
from aiida_pcm.calcfunctions.screen import screen
from aiida_pcm.calcfunctions.structures_of import structures_of
from aiida_pcm.data.certificate import CertificateData
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.data.model import ModelData
from aiida_pcm.graph.refutations import drawn_by, draws_of, find_same_draw, known_rows, risk_model_of
from aiida_pcm.science.certificate import sha256
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.failure import get_property
from aiida_pcm.science.materials import all_elements
from aiida_pcm.science.refutation import (
    bound_of,
    check_convention,
    check_reference,
    check_refutable,
    draw,
    draw_key,
    eligible,
)
from aiida_pcm.workchains import checks
from aiida_pcm.workchains.ended import name_of
from aiida_pcm.workchains.evaluate.base import EvaluateBaseWorkChain
from aiida_pcm.workchains.guard import EVALUATE_OWN, same_model, scores_of
from aiida_pcm.workchains.protocol import load
from aiida_pcm.workchains.pw import convention_of, element_settings, referee_settings
from aiida_pcm.workchains.pw_batch import PwBatchMixin
from aiida_pcm.workchains.risk import asking_for_features


def _can_be_held_against(inputs: Mapping[str, Any]) -> None:
    """The certificate's model, and a reference that means what the certificate's own means, or a way to get one."""
    certificate, dataset = inputs.get('certificate'), inputs.get('dataset')
    if not (isinstance(certificate, CertificateData) and isinstance(dataset, DatasetData)):
        return  # a missing or mistyped port has its own message
    claim = certificate.document['claim']
    wanted = get_property(claim['property'])
    same_model(certificate, inputs.get('base', {}).get('model'))
    if wanted.formed:
        raise PcmError('Formation energies cannot be refuted like this yet.', 'Audit the model on the new materials.')
    if not dataset.materials.has_structures:
        raise PcmError('These are compositions without structures.', 'Bring the structures.')
    if isinstance(inputs.get('draw'), orm.Dict):
        if inputs['draw'].uuid not in [made.uuid for made in draws_of(certificate)]:
            raise PcmError('This is no draw against this certificate.', 'See them: aiida-pcm certificate show')
        if drawn_by(inputs['draw']).uuid != dataset.uuid:
            raise PcmError('These are not the materials of the draw.', 'Give what register_draw called `drawn`.')
    if isinstance(inputs.get('reference'), DatasetData):
        check_reference(claim, inputs['reference'].materials)
    elif wanted.scanned:
        raise PcmError(f'Quantum ESPRESSO is not asked for {wanted.name} here.', 'Give a data set with references.')
    elif 'code' not in inputs or 'settings' not in inputs:
        raise PcmError('There is neither a reference nor a code for pw.x.', 'Give one of the two.')
    else:
        check_convention(claim, convention_of(inputs['settings'].get_dict()), dataset.materials)


class RefuteWorkChain(PwBatchMixin, WorkChain):
    """What says the model, what says the reference, and what follows for the certificate.

    Without a reference Quantum ESPRESSO is asked, with the settings of the validation: materials outside the box are
    not computed.
    """

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input('certificate', valid_type=CertificateData, help='What is held against.')
        spec.input('dataset', valid_type=DatasetData, help='Materials that somebody found, or those of a draw.')
        spec.input('draw', valid_type=orm.Dict, required=False, help='The registered draw that these materials are of.')
        spec.input('reference', valid_type=DatasetData, required=False, help='Values in a convention that it states.')
        spec.input('risk', valid_type=orm.SinglefileData, required=False, help='The frozen model of a learned score.')
        spec.input('code', valid_type=orm.AbstractCode, required=False, help='pw.x, where no reference is given.')
        spec.input(
            'settings', valid_type=orm.Dict, required=False, help='Of pw.x, see aiida_pcm.workchains.pw.pw_inputs.'
        )
        spec.expose_inputs(EvaluateBaseWorkChain, exclude=EVALUATE_OWN, namespace='base')
        spec.inputs.validator = checks.as_validator(_can_be_held_against)
        spec.outline(
            cls.evaluate,
            cls.screen,
            if_(cls.should_compute)(cls.choose, while_(cls.some_are_left)(cls.run_some, cls.inspect_some), cls.collect),
            if_(cls.is_drawn)(cls.judge_drawn).else_(cls.judge_found),
        )
        spec.output('refutation', valid_type=orm.Dict, help='From judge_draw or find_refutation, with the evidence.')
        spec.output('reference', valid_type=DatasetData, required=False, help='What Quantum ESPRESSO computed.')
        spec.exit_code(
            410, 'ERROR_EVALUATION_FAILED', message='The model could not be evaluated; see {process}: {reason}'
        )

    @classmethod
    def get_builder_from_protocol(
        cls,
        codes: Mapping[str, orm.AbstractCode | None],
        certificate: CertificateData,
        model: ModelData,
        dataset: DatasetData,
        draw: orm.Dict | None = None,
        reference: DatasetData | None = None,
        protocol: str | None = None,
        overrides: dict[str, Any] | None = None,
    ) -> ProcessBuilder:
        """Builder with the numerics of an audit's validation.

        :param codes: ``model``, and ``pw`` where no reference is given.
        :param overrides: those of pcm.audit (``evaluate``, ``validate``), and come last.
        :raises PcmError: what cannot be held against this certificate.
        """
        inputs = load('audit', protocol, overrides)
        quantity = certificate.document['claim']['property']
        risk = risk_model_of(certificate)
        evaluate = asking_for_features(inputs['evaluate'], scores_of(risk))
        base = EvaluateBaseWorkChain.get_builder_from_protocol(
            codes['model'], model, dataset, overrides=evaluate, property=quantity
        )._inputs(prune=True)
        given: dict[str, Any] = {'certificate': certificate, 'dataset': dataset}
        given['base'] = {name: node for name, node in base.items() if name not in EVALUATE_OWN}
        given |= {name: node for name, node in (('draw', draw), ('reference', reference)) if node is not None}
        given |= {} if risk is None else {'risk': risk}
        if reference is None and codes.get('pw') is not None:
            given |= {'code': codes['pw'], 'settings': _settings(inputs['validate'], dataset)}
        _can_be_held_against(given)
        builder = cls.get_builder()
        builder.base._merge(given.pop('base'))
        builder._merge(given)
        builder.max_concurrent = inputs['validate']['max_concurrent']
        return builder

    def evaluate(self) -> None:
        """Ask the model."""
        inputs = self.exposed_inputs(EvaluateBaseWorkChain, 'base')
        quantity = orm.Str(self.inputs.certificate.document['claim']['property'])
        chain = self.submit(EvaluateBaseWorkChain, dataset=self.inputs.dataset, property=quantity, **inputs)
        self.to_context(evaluation=chain)

    def screen(self) -> ExitCode | None:
        """Which of them are inside the box?"""
        chain = self.ctx.evaluation
        # A model that fails on all of them has said something too.
        if 'evaluation' not in chain.outputs:
            return self.exit_codes.ERROR_EVALUATION_FAILED.format(process=name_of(chain), reason=chain.exit_message)
        self.ctx.predicted = chain.outputs.evaluation
        risk = {'risk': self.inputs.risk} if 'risk' in self.inputs else {}
        self.ctx.screening = screen(self.inputs.certificate, self.inputs.dataset, evaluation=self.ctx.predicted, **risk)
        admitted = self.ctx.screening.base.attributes.get('n_admitted')
        self.report(f'{admitted} of {self.inputs.dataset.n_rows} materials are inside the box')
        return None

    def should_compute(self) -> bool:
        """Whether nobody gave a reference."""
        return 'reference' not in self.inputs

    def choose(self) -> None:
        """What is inside goes to Quantum ESPRESSO; what was drawn is inside by its registration."""
        inside = self.ctx.screening.get_array('admitted').nonzero()[0].tolist()
        rows = list(range(self.inputs.dataset.n_rows)) if self.is_drawn() else inside
        self.queue(structures_of(self.inputs.dataset, orm.List(rows)) if rows else {}, rows)

    def collect(self) -> None:
        """The reference that was computed; what did not converge is not known."""
        results, causes = self.results()
        convention = orm.Dict(convention_of(self.inputs.settings.get_dict()).as_dict())
        label = orm.Str(f'referee for {self.inputs.dataset.label or self.inputs.dataset.uuid[:8]}')
        self.ctx.reference = collect_reference(self.inputs.dataset, convention, orm.Dict(causes), label, **results)
        self.out('reference', self.ctx.reference)

    def _reference(self) -> DatasetData:
        given: DatasetData = self.ctx.reference if self.should_compute() else self.inputs.reference
        return given

    def is_drawn(self) -> bool:
        """Whether a registered draw stands behind the materials."""
        return 'draw' in self.inputs

    def judge_drawn(self) -> None:
        """The ledger of the draw."""
        inputs, reference = self.inputs, self._reference()
        found = judge_draw(inputs.certificate, inputs.draw, inputs.dataset, self.ctx.predicted, reference)
        self.report(
            f'{found["verdict"]}: {found["failed"]} of {found["judged"]} failed, e-value {found["largest"]:.3g}'
        )
        self.out('refutation', found)

    def judge_found(self) -> None:
        """The evidence, row by row."""
        inputs, reference = self.inputs, self._reference()
        screening, predicted = self.ctx.screening, self.ctx.predicted
        found = find_refutation(inputs.certificate, inputs.dataset, screening, predicted, reference)
        self.report(f'{found["failures"]} confirmed failures inside the box')
        self.out('refutation', found)


def from_structure(structure: orm.StructureData) -> DatasetData:
    """A structure of the graph as a data set of one row, made by a process."""
    stated = {'label': structure.label or structure.uuid[:8], 'id': 'uuid', 'group': 'formula', 'pose': 'SINGLE_POINT'}
    values = orm.Dict({structure.uuid: {'uuid': structure.uuid}})
    made: DatasetData = collect_structures(orm.Dict(stated), values, structure_000000=structure)
    return made


def register(
    certificate: CertificateData, listed: DatasetData, screening: orm.ArrayData, n: int, seed: str
) -> orm.Dict:
    """Register a list and draw from it; the draw that exists where the same was registered before.

    :param screening: of this list against this certificate, from pcm.guard.
    :raises PcmError: a list of which too few groups are inside and not known yet; a bound that cannot be refuted.
    """
    existing = find_same_draw(certificate, listed, n, seed)
    if existing is not None:
        return existing
    document, materials = certificate.document, listed.materials
    check_refutable(bound_of(document))
    known = known_rows(listed, document['claim']['property'])
    if len(known) == len(materials):
        raise PcmError(
            'The reference of every material on this list is known here already.',
            'A list is registered before anything of it is computed: bring new materials.',
        )
    # Tried first, so that what cannot be drawn leaves no process that broke off.
    possible = eligible(materials, screening.get_array('admitted'), known, document['claim']['property'])
    key = draw_key(sha256(document), listed.content_sha256, seed)
    draw(materials.groups, materials.ids, possible, n, key)
    number = orm.Int(len(draws_of(certificate)) + 1)
    made: dict[str, Any] = register_draw(
        certificate, listed, screening, orm.List(known), orm.Int(n), orm.Str(seed), number
    )
    registered: orm.Dict = made['draw']
    return registered


def _settings(inputs: Mapping[str, Any], dataset: DatasetData) -> orm.Dict:
    """Settings of pw.x as in a validation; raises PcmError where the family lacks an element."""
    settings = referee_settings(inputs)
    element_settings(settings, all_elements(dataset.materials))
    return orm.Dict(settings)
