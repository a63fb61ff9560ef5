"""The page in Chromium: no error, nothing loaded, tables by mouse and keyboard, two schemes, small screens, print."""

from __future__ import annotations

import shutil

import pytest

from aiida_pcm.report import comparison, write
from aiida_pcm.science.comparison import compare

from ..science.test_comparison import made
from .test_comparison import STATED

TABLE = 'table[data-sorts="find-counterexamples"]'
# Contrast of text and background as WCAG 2 has it, of every element with text of its own.
CONTRAST = """() => {
  const channel = (c) => { c /= 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
  const luminance = (rgb) => 0.2126 * channel(rgb[0]) + 0.7152 * channel(rgb[1]) + 0.0722 * channel(rgb[2]);
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const found = numbers(getComputedStyle(one).backgroundColor);
      if (found.length < 4 || found[3] > 0) return found;
    }
  };
  const low = [];
  for (const element of document.querySelectorAll('body *:not(svg *):not(script)')) {
    if (![...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim())) continue;
    const one = luminance(numbers(getComputedStyle(element).color)), other = luminance(behind(element));
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < 4.5) low.push([ratio, element.tagName, element.textContent.slice(0, 40)]);
  }
  return low;
}"""


@pytest.fixture(scope='module')
def browser():
    sync = pytest.importorskip('playwright.sync_api', reason='needs playwright')
    executable = shutil.which('chromium') or shutil.which('google-chrome')
    if executable is None:
        pytest.skip('needs Chromium')
    with sync.sync_playwright() as play:
        found = play.chromium.launch(executable_path=executable, args=['--no-sandbox'])
        yield found
        found.close()


@pytest.fixture(scope='module')
def paths(audited, tmp_path_factory):
    """Pages of an audit, of one that stopped, of a campaign, and of a comparison."""
    folder = tmp_path_factory.mktemp('pages')
    for name in ('audit', 'stopped', 'campaign'):
        write(getattr(audited, name), folder / f'{name}.html')
    compared = {**compare(made(0, n=240, size=2), 1, 50, 0.3), **STATED}
    comparison.write(compared, folder / 'comparison.html')
    return folder


class Opened:
    """A page, with what it asked for and what it said on the console."""

    def __init__(self, browser, path, **options) -> None:
        self.context = browser.new_context(viewport={'width': 1000, 'height': 900}, reduced_motion='reduce', **options)
        self.page, self.asked, self.said = self.context.new_page(), [], []
        self.page.on('request', lambda request: self.asked.append(request.url))
        self.page.on('console', lambda message: self.said.append(message.text))
        self.page.on('pageerror', lambda error: self.said.append(str(error)))
        self.page.goto(path.as_uri())

    def column(self, place: int) -> list[str]:
        """What stands in a column of the counterexamples, of the rows that are shown."""
        return self.page.eval_on_selector_all(
            f'{TABLE} tbody tr:not([hidden])', f'rows => rows.map(row => row.cells[{place}].textContent)'
        )

    def sorted_by(self, place: int) -> str | None:
        """aria-sort of a column."""
        return self.page.locator(f'{TABLE} thead th').nth(place).get_attribute('aria-sort')


@pytest.fixture
def opened(browser, paths):
    found = Opened(browser, paths / 'audit.html')
    yield found
    found.context.close()


@pytest.mark.parametrize('scheme', ['light', 'dark'])
@pytest.mark.parametrize('name', ['audit', 'stopped', 'campaign', 'comparison'])
def test_no_error_nothing_loaded_and_text_can_be_read(browser, paths, name, scheme):
    found = Opened(browser, paths / f'{name}.html', color_scheme=scheme)
    asked = [url for url in found.asked if not url.startswith('data:')]
    assert asked == [(paths / f'{name}.html').as_uri()]
    assert found.said == []
    ground = found.page.evaluate('getComputedStyle(document.body).backgroundColor')
    assert ground == ('rgb(255, 255, 255)' if scheme == 'light' else 'rgb(20, 23, 26)')
    assert found.page.evaluate(CONTRAST) == []
    wide = found.page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth')
    assert wide == 0, 'nothing hangs over the edge'
    found.context.close()


def test_a_telephone_shows_it_without_scrolling_sideways(browser, paths):
    found = Opened(browser, paths / 'audit.html')
    found.page.set_viewport_size({'width': 380, 'height': 700})
    assert found.page.evaluate('document.documentElement.scrollWidth') <= 380
    found.context.close()


def test_links_lead_to_their_parts(opened):
    links = opened.page.locator('nav a')
    assert links.count() > 8
    for place in range(links.count()):
        links.nth(place).click()
        target = opened.page.evaluate('decodeURIComponent(location.hash.slice(1))')
        assert opened.page.locator(f'#{target}').count() == 1


def test_a_table_sorts_by_mouse(opened):
    heading = opened.page.locator(f'{TABLE} thead th button').nth(3)
    heading.click()
    rising = [float(one) for one in opened.column(3) if one[0].isdigit()]
    assert rising == sorted(rising) and len(rising) > 5
    assert opened.sorted_by(3) == 'ascending'
    heading.click()
    falling = [float(one) for one in opened.column(3) if one[0].isdigit()]
    assert falling == sorted(falling, reverse=True) and opened.sorted_by(3) == 'descending'
    assert not opened.column(3)[-1][0].isdigit(), 'what has no number comes last in both directions'
    opened.page.locator(f'{TABLE} thead th button').nth(1).click()
    formulas = opened.column(1)
    assert formulas == sorted(formulas, key=str.lower)
    assert (opened.sorted_by(1), opened.sorted_by(3)) == ('ascending', 'none')


def test_a_table_sorts_by_keyboard(opened):
    opened.page.locator('#find-counterexamples').focus()
    for _ in range(3):  # the box that scrolls, material, formula
        opened.page.keyboard.press('Tab')
    assert opened.page.evaluate('document.activeElement.textContent') == 'formula'
    opened.page.keyboard.press('Enter')
    assert opened.sorted_by(1) == 'ascending'
    opened.page.keyboard.press('Space')
    assert opened.sorted_by(1) == 'descending'


def test_a_table_searches(opened):
    every, told = opened.column(0), opened.page.locator('#find-counterexamples-told')
    assert told.text_content() == f'{len(every)} of {len(every)} shown'
    opened.page.fill('#find-counterexamples', 'Portfolio outside')
    found = opened.column(4)
    assert 0 < len(found) < len(every) and all('portfolio' in one for one in found)
    assert told.text_content() == f'{len(found)} of {len(every)} shown'
    opened.page.fill('#find-counterexamples', 'no such thing')
    assert opened.column(0) == [] and told.text_content().startswith('0 of')
    opened.page.fill('#find-counterexamples', '')
    assert opened.column(0) == every


def test_another_script_would_not_run(browser, paths, tmp_path):
    """The page allows its own script by its hash, and no other: whatever got in would stay dead."""
    spoiled = tmp_path / 'spoiled.html'
    text = (paths / 'audit.html').read_text()
    spoiled.write_text(text.replace('</main>', '<script>document.title = "taken"</script></main>'))
    found = Opened(browser, spoiled)
    assert found.page.title() != 'taken' and any('Content Security Policy' in one for one in found.said)
    found.context.close()


def test_it_prints_on_white_and_whole(browser, paths):
    found = Opened(browser, paths / 'audit.html', color_scheme='dark')
    found.page.emulate_media(media='print')
    assert found.page.evaluate('getComputedStyle(document.body).backgroundColor') == 'rgb(255, 255, 255)'
    assert found.page.evaluate("getComputedStyle(document.querySelector('.tall')).maxHeight") == 'none'
    assert not found.page.locator('nav').is_visible()
    assert found.page.pdf(format='A4')[:5] == b'%PDF-'
    found.context.close()
