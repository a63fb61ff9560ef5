"""The parts of a report, in the order in which they stand, by what the report is about."""

from __future__ import annotations

from collections.abc import Mapping

from aiida_pcm.graph.evidence import AUDIT, CAMPAIGN, CERTIFICATE, COMPARISON, SCREENING
from aiida_pcm.report.parts import (
    cells,
    checking,
    claim,
    comparison,
    counterexamples,
    discovery,
    elements,
    envelope,
    lineage,
    parity,
    referee,
    reliability,
    risk,
    screening,
    selftest,
)
from aiida_pcm.report.parts.base import ReportPart

_AUDITED: tuple[ReportPart, ...] = (
    claim, envelope, parity, elements, reliability, cells, discovery, counterexamples, referee, risk, comparison,
    selftest, lineage, checking,
)  # fmt: skip
#: What may be expected of each kind; what one of them lacks, the page says by name.
EXPECTED: Mapping[str, tuple[ReportPart, ...]] = {
    AUDIT: _AUDITED,
    CERTIFICATE: _AUDITED,
    CAMPAIGN: (referee, counterexamples, discovery, envelope, parity, elements, reliability, lineage),
    COMPARISON: (comparison, lineage),
    SCREENING: (screening, lineage),
}
