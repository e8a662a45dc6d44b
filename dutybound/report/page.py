"""The page `access.html`: one file that needs no network, no server and nothing beside it.

It is `page.html` with three texts put in: the style, the script and the facts as JSON. Names in the configuration are
anybody's to choose, so the page must stay safe with any: the facts stand where a browser runs nothing and cannot be
left early, the script writes them as text, and the Content-Security-Policy in the page runs this script, by its
digest, and no other. Source: W3C, "Content Security Policy Level 3", hash-source and `<meta>`.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from functools import cache
from importlib import resources

from dutybound.report.facts import Facts, to_json


def render(facts: Facts) -> str:
    """The whole page of these facts."""
    style, script = _beside("page.css"), _beside("page.js")
    parts = {
        "policy": _policy(style, script),
        "title": html.escape(f"Access at {facts.organization}"),
        "style": style,
        "script": script,
        "facts": _harmless(facts),
    }
    # In one pass: what is put in is not looked at again.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], _beside("page.html"))


def _policy(style: str, script: str) -> str:
    """Nothing is loaded, sent or run but the style and the script that stand in the page."""
    rules = {
        "default-src": "'none'",
        "script-src": _digest(script),
        "style-src": _digest(style),
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _harmless(facts: Facts) -> str:
    """JSON in which nothing ends a script element or opens a comment, whatever a name holds."""
    return to_json(facts).replace("<", r"\u003c")


@cache
def _beside(name: str) -> str:
    return (resources.files("dutybound.report") / name).read_text(encoding="utf-8")
