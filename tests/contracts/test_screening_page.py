"""The table of docs/topics/screening.md is what its campaign gave."""

from __future__ import annotations

import json


def test_table_is_that_of_the_campaign(root):
    folder = root / 'docs' / 'topics'
    found = json.loads((folder / 'screening' / 'campaign.json').read_text())
    page = (folder / 'screening.md').read_text()
    table = [[cell.strip() for cell in line.split('|')[1:-1]] for line in page.splitlines() if line.startswith('| 00')]
    told = {
        row['id'].removeprefix('mpf-TP-'): [
            row['role'],
            *(f'{row[name]:.2f}' for name in ('error', 'error_against_referee', 'force_ratio', 'reference_noise')),
            f'{row["cost"] / 1e6:.1f}',
            f'{row["seconds"]:.0f}',
            row['judgement'],
        ]
        for row in found['rows']
    }
    assert {cells[0]: cells[3:] for cells in table} == told and len(table) == 40
    assert f'{found["converged"]} of {found["submitted"]} converged' in page
    for of in found['by_role'].values():
        low, high = of['force_ratio_interval']
        assert f'{of["median_force_ratio"]:.2f} [{low:.2f}, {high:.2f}]' in page
