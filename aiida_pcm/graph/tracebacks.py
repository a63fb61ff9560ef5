"""What a traceback that AiiDA stored says in one line."""

from __future__ import annotations

import re

_ERROR = re.compile(r'(?:\w+\.)*(\w+(?:Error|Exception|Interrupt)\b)')


def raised(traceback: str) -> str:
    """The error at the end of a traceback; its message may have more lines, of which the first says what happened."""
    lines = traceback.strip().splitlines()
    named = [line for line in lines if _ERROR.match(line)]
    return _ERROR.sub(r'\1', named[-1]) if named else (lines or ['no message'])[-1]
