"""`LeanParser`: what Lean said about a certificate, from the retrieved files alone."""

from __future__ import annotations

import json
from typing import Any

from aiida import orm
from aiida.engine import ExitCode
from aiida.parsers import Parser

from aiida_pcm.runner import lean as runner

_EXIT_CODES = {
    runner.NO_LEAN: 'ERROR_NO_LEAN',
    runner.WRONG_VERSION: 'ERROR_LEAN_VERSION',
    runner.WRONG_SOURCES: 'ERROR_LEAN_SOURCES',
    runner.BROKEN_LEAN: 'ERROR_BROKEN_LEAN',
    runner.LIMITS_EXCEEDED: 'ERROR_LIMITS_EXCEEDED',
    runner.NOT_PROVED: 'ERROR_NOT_PROVED',
}


class LeanParser(Parser):
    """Turns `result.json` into the Dict `proof`, and the reason of a refusal into an exit code."""

    def parse(self, **kwargs: Any) -> ExitCode | None:
        """Parse the retrieved files; `proof` is there whenever the result can be read."""
        try:
            content = self.retrieved.base.repository.get_object_content(runner.RESULT_FILE, mode='rb')
        except FileNotFoundError:
            return self.exit_codes.ERROR_RESULT_MISSING
        try:
            result = runner.Result(**json.loads(content))
        except (ValueError, TypeError):
            return self.exit_codes.ERROR_RESULT_UNREADABLE
        if not result.accepted and result.reason not in _EXIT_CODES:
            return self.exit_codes.ERROR_RESULT_UNREADABLE
        self.out('proof', orm.Dict(result.as_dict()))
        if result.accepted:
            return None
        detail = result.messages[0].splitlines()[0].rstrip('.') if result.messages else result.reason
        return self.exit_codes[_EXIT_CODES[result.reason]].format(detail=detail[:500])
