"""Path templates: `*` stands for one segment, `**` for any number of them.

Source:
https://www.envoyproxy.io/docs/envoy/latest/api-v3/extensions/path/match/uri_template/v3/uri_template_match.proto
"""

from __future__ import annotations

import re
from typing import Final

from mizzen.simulate.string_match import StringTest, regex_test

_SEGMENT: Final = r"[a-zA-Z0-9\-._~%!$&'()+,;:@]+"
_SEGMENTS: Final = r"[a-zA-Z0-9\-._~%!$&'()+,;:@/]*"
_PART: Final = re.compile(r"\*\*|\*|\{[^}=]*\}|\{[^}=]*=([^}]*)\}|[^*{]+")


def template_test(template: str) -> StringTest:
    """Return a function that tells whether a path without its query fits a template."""
    return regex_test(_regex(template))


def _regex(template: str) -> str:
    made = []
    for part in _PART.finditer(template):
        text = part[0]
        if text == "**":
            made.append(_SEGMENTS)
        elif text == "*":
            made.append(_SEGMENT)
        elif text[0] == "{":
            made.append(_regex(part[1]) if part[1] else _SEGMENT)
        else:
            made.append(re.escape(text))
    return "".join(made)
