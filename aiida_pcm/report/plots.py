"""Figures of a page: inline SVG that takes its colours from the page, in light and in dark.

matplotlib draws with the colours of INK; in the SVG they become the page's own variables (style.css). What is dense
is rasterised inside the SVG, in colours that stand out on both backgrounds.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

# What matplotlib draws -> what the page paints. Black is the text.
INK, PASS, FAIL, ACCENT, MUTE, LINE = '#000000', '#5b84ad', '#c2410c', '#0b5cad', '#59636e', '#c9d1d9'
_PAINTED: Mapping[str, str] = {
    INK: 'currentColor', PASS: 'var(--pass)', FAIL: 'var(--fail)', ACCENT: 'var(--accent)', MUTE: 'var(--mute)',
    LINE: 'var(--line)',
}  # fmt: skip
# Text stays text; a fixed salt gives the same bytes for the same numbers.
_STYLE: Any = {
    'svg.fonttype': 'none', 'svg.hashsalt': 'aiida-pcm', 'font.size': 10.0, 'axes.titlesize': 10.0,
    'axes.spines.top': False, 'axes.spines.right': False, 'axes.edgecolor': MUTE, 'axes.linewidth': 0.7,
    'xtick.color': MUTE, 'ytick.color': MUTE, 'xtick.labelcolor': INK, 'ytick.labelcolor': INK, 'grid.color': LINE,
    'grid.linewidth': 0.6, 'axes.axisbelow': True, 'legend.frameon': False, 'figure.dpi': 100.0,
    'patch.linewidth': 0.0, 'hatch.linewidth': 0.5,
}  # fmt: skip
# Of lines that are told apart without colours, the first the most important.
STYLES: tuple[Any, ...] = ('-', '--', ':', '-.', (0, (5, 1)), (0, (1, 1)), (0, (3, 1, 1, 1)), (0, (8, 2)), (0, (2, 3)))
DPI = 150
WIDTH = 9.2  # inches: the width of the text
_ID = re.compile(r'\bid="([^"]+)"')
_USED = re.compile(r'(?:url\(#|href="#)([^")]+)')


def ramp(colour: str) -> LinearSegmentedColormap:
    """From nearly nothing to a colour: for what is rasterised, on any background."""
    red, green, blue = mpl.colors.to_rgb(colour)
    return LinearSegmentedColormap.from_list(colour, [(red, green, blue, 0.4), (red, green, blue, 1.0)])


@contextmanager
def drawing(width: float, height: float) -> Iterator[Figure]:
    """A figure in the style of the page; width and height in inches."""
    # Not pyplot, which would keep the figure and may want a display.
    with mpl.rc_context(_STYLE):
        yield Figure(figsize=(width, height), layout='constrained')


def svg(figure: Figure, name: str, said: str) -> Markup:
    """The figure as an element of a page.

    :param name: what its ids begin with; another for every figure of a page.
    :param said: what the picture shows, for who cannot see it.
    """
    drawn = io.StringIO()
    with mpl.rc_context(_STYLE):
        figure.patch.set_alpha(0.0)
        for axes in figure.axes:
            axes.patch.set_alpha(0.0)
        figure.savefig(drawn, format='svg', dpi=DPI, metadata={'Date': None})
    text = drawn.getvalue()
    for colour, painted in _PAINTED.items():
        text = text.replace(colour, painted)
    return inline(text, name, said)


def inline(text: str, name: str, said: str) -> Markup:
    """An SVG file as an element: named for screen readers, with ids of its own, without its header."""
    body = text[text.index('<svg') :]
    used = set(_USED.findall(body))
    body = re.sub(r'<metadata>.*?</metadata>|<!--.*?-->', '', body, flags=re.S)
    body = _ID.sub(lambda found: f'id="{name}-{found[1]}"' if found[1] in used else '', body)
    body = re.sub(r'(url\(#|href="#)', rf'\g<1>{name}-', body)
    return Markup(body.replace('<svg', f'<svg role="img" aria-label="{escape(said)}"', 1))


def picture(figure: Figure, name: str, said: str, caption: str | Markup) -> Markup:
    """The figure with its caption."""
    return Markup('<figure><div class="wide">{}</div><figcaption>{}</figcaption></figure>').format(
        svg(figure, name, said), caption
    )


def legend(figure: Figure, columns: int) -> None:
    """One for all panels, above them: a label that several have stands there once."""
    pairs = [pair for axes in figure.axes for pair in zip(*axes.get_legend_handles_labels(), strict=True)]
    labels = {label: handle for handle, label in pairs}
    figure.legend(labels.values(), labels.keys(), loc='outside upper center', ncols=columns)


def frame(axes: Axes, x: str, y: str, title: str = '') -> None:
    """Labels, and a faint grid."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if title:
        axes.set_title(title, loc='left')
    axes.grid(True)
