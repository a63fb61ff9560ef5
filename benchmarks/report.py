"""The report of a large audit: bytes of the page, seconds to make it, milliseconds until a browser has opened it.

`python benchmarks/report.py [--quick] [--data FILE] [--seed N]`

The audit is that of benchmarks/archive.py: the steps of this package are really taken on the structures of mp_27k (or
of FILE, with the same columns), and the predictions are made up; here with a noise of 120 meV/atom, of which one row in
five fails, so that the table of counterexamples is as long as a page lets it be. The browser is Chromium by playwright:
the figures are the medians of five openings, until the page has loaded (its script has run by then) and until its first
content is painted, and the largest of them is `high`; where there is no Chromium they are left out, and a line on
standard error says so. `--quick` takes 1,000 rows.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import archive
import numpy as np
from common import arguments, figure, shared, temporary_profile

NOISE = 0.12  # eV/atom
OPENINGS = 5
_TIMES = """() => ({
  loaded: performance.getEntriesByType('navigation')[0].loadEventEnd,
  painted: performance.getEntriesByName('first-contentful-paint')[0].startTime,
})"""


def main() -> None:
    table = shared() / 'data' / 'mp_stability' / 'mp_27k.csv.gz'
    given = arguments(__doc__, table)
    materials = archive.read(given.data, given.data == table)
    if given.quick:
        rows = np.sort(np.random.default_rng(given.seed).permutation(len(materials))[:1000])
        materials = materials.subset(rows)
    about = {'n': len(materials), 'data': given.data, 'seed': given.seed}
    with tempfile.TemporaryDirectory() as folder, temporary_profile() as code:
        path = Path(folder) / 'report.html'
        found = measure(materials, code.computer, path, given.seed)
        opened = opening(path)
    for name, unit in (('bytes', 'B'), ('seconds', 's')):
        figure(f'report.{name}', found[name], unit, **about, counterexamples=found['counterexamples'])
    for name, milliseconds in opened.items():
        figure(f'report.ms_until_{name}', statistics.median(milliseconds), 'ms', high=max(milliseconds), **about)


def measure(materials: Any, computer: Any, path: Path, seed: int) -> dict[str, float]:
    """Make an audit of these materials in the profile that is loaded, and its report: bytes, seconds, rows shown."""
    from aiida_pcm.report import write

    usual, archive.NOISE = archive.NOISE, NOISE
    try:
        certificate, _ = archive.audit(materials, computer, seed)
    finally:
        archive.NOISE = usual
    began = time.perf_counter()
    write(certificate, path)
    seconds, text = time.perf_counter() - began, path.read_text()
    return {'bytes': path.stat().st_size, 'seconds': seconds, 'counterexamples': text.count('<td>certification</td>')
            + text.count('<td>search</td>')}  # fmt: skip


def opening(path: Path) -> dict[str, list[float]]:
    """Milliseconds until Chromium has loaded a page and painted its first content; empty without one."""
    executable = shutil.which('chromium') or shutil.which('google-chrome')
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        executable = None
    if executable is None:
        print('No Chromium or no playwright: nothing was opened.', file=sys.stderr)
        return {}
    times: dict[str, list[float]] = {'loaded': [], 'painted': []}
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=executable, args=['--no-sandbox'])
        for _ in range(OPENINGS):
            page = browser.new_page(viewport={'width': 1200, 'height': 900}, bypass_csp=True)
            page.goto(path.as_uri(), wait_until='load')
            # An event later: the entry is complete only when the event of loading has ended.
            page.wait_for_function("performance.getEntriesByType('navigation')[0].loadEventEnd > 0")
            page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length > 0")
            for name, value in page.evaluate(_TIMES).items():
                times[name].append(value)
            page.close()
        browser.close()
    return times


if __name__ == '__main__':
    main()
