"""Draft a certificate: the rows of the opened part under a frozen claim."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_pcm.data.arrays import table_of
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science.certificate import canonical, draft
from aiida_pcm.science.certification import assumptions, make_rows, replicate_words, supplement


@calcfunction
def draft_certificate(
    claim: orm.Dict,
    part: DatasetData,
    table: orm.ArrayData,
    validation: orm.Dict | None = None,
    query_log: orm.ArrayData | None = None,
    selftest: orm.Dict | None = None,
    risk_report: orm.Dict | None = None,
    replicates: orm.ArrayData | None = None,
) -> orm.SinglefileData:
    """Return certificate.json with counts, bound and verdict as Python sees them; Lean has not spoken yet."""
    frozen, materials, rows = claim['claim'], part.materials, table_of(table)
    search = {} if query_log is None else query_log.base.attributes.get('strategies')
    found = {} if validation is None else validation.get_dict()
    checks = () if selftest is None else selftest['checks']
    score = None if risk_report is None else risk_report.get_dict()
    ends = None if replicates is None else replicate_words(frozen['box'], *map(replicates.get_array, ('lo', 'hi')))
    document = draft(
        frozen,
        make_rows(materials, rows, frozen['box']),
        validation=found,
        assumptions=assumptions(materials, rows.errors.of, found, frozen['model']['kind']),
        supplement=supplement(frozen, materials, rows, search, checks, score),
        replicates=ends,
    )
    return orm.SinglefileData.from_bytes(canonical(document), filename='certificate.json')
