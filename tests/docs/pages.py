"""The pages as their readers see them: blocks of code, commands, links, headings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: `sh` is `bash` that no test takes from the page to run it, see how-to/cluster.md.
SHELL = ('bash', 'sh')
_FENCE = re.compile(r'^```([^\n]*)\n(.*?)^```$', re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Page:
    """README.md or a page of docs.

    :param name: its path in the repository.
    :param blocks: language and text of every fenced block, in order.
    :param prose: the page without its blocks.
    """

    name: str
    blocks: tuple[tuple[str, str], ...]
    prose: str

    @classmethod
    def read(cls, path: Path) -> Page:
        """Take a page apart."""
        text = path.read_text()
        blocks = tuple((language.strip(), block) for language, block in _FENCE.findall(text))
        return cls(str(path.relative_to(ROOT)), blocks, _FENCE.sub('', text))

    def code(self, *languages: str) -> list[str]:
        """Texts of the blocks in these languages."""
        return [text for language, text in self.blocks if language in languages]

    def commands(self) -> list[str]:
        """What a reader types, in order: one line each, without comments."""
        lines = [line for text in self.code(*SHELL) for line in text.replace('\\\n', ' ').splitlines()]
        return [' '.join(command.split()) for line in lines if (command := _without_comment(line))]

    def files(self) -> dict[str, str]:
        """Files that the page shows in full: blocks of which the first line is a comment with the file's name."""
        named = [(re.match(r'# ([\w-]+\.\w+)\n', text), text) for _, text in self.blocks]
        return {found[1]: text for found, text in named if found}

    def anchors(self) -> set[str]:
        """What a link may name after `#`: headings as a code-hosting site and Sphinx write them."""
        headings = re.findall(r'^#+ (.+)$', self.prose, re.MULTILINE)
        plain = [re.sub(r'[^\w\- ]', '', heading.lower()) for heading in headings]
        return {heading.replace(' ', '-') for heading in plain}

    def links(self) -> Iterator[tuple[str, str]]:
        """Path and anchor of every link that is relative."""
        for target in re.findall(r'\]\(([^)\s]+)\)', self.prose):
            if '://' not in target:
                path, _, anchor = target.partition('#')
                yield path, anchor

    def paths(self) -> set[str]:
        """What stands between backticks in the text and looks like a path in the repository."""
        spans = re.findall(r'(?<!`)`([^`\n]+)`(?!`)', self.prose)
        tops = '|'.join(sorted(path.name for path in ROOT.iterdir() if path.is_dir() and path.name[0] != '.'))
        return {span.split('::')[0] for span in spans if re.fullmatch(rf'({tops})/[\w./-]+(::\w+)?', span)}


def _without_comment(line: str) -> str:
    """A line up to its comment; quotes stay, so that it can be run."""
    found = re.match(r"""((?:'[^']*'|"[^"]*"|[^'"#]|(?<=\S)#)*)""", line)
    return found[1].strip() if found else ''


def pages() -> list[Page]:
    """README.md first, then docs in the order of their names."""
    return [Page.read(ROOT / 'README.md'), *(Page.read(path) for path in sorted((ROOT / 'docs').rglob('*.md')))]
