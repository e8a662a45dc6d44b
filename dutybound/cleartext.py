"""Secrets that stand in a file in clear text, by their shape. They are reported without being repeated.

Sources: IAM User Guide, "IAM identifiers" (prefixes of access key ids); GitHub Docs, "About authentication to GitHub"
(prefixes of tokens); GitLab Docs, "Token overview"; RFC 7468 (private keys). A secret access key has no prefix: it is
40 characters of base64, told from names of that length by how mixed they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from dutybound.diagnostic import Diagnostic, Source, Span

_SHAPES = re.compile(
    r"(?P<id>(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9]))"
    r"|(?P<key>-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----.*)"
    r"|(?P<token>(?<![A-Za-z0-9])(?:gh[opsur]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{50,}|glpat-[A-Za-z0-9_-]{20,}"
    r"|xox[abeoprs]-[A-Za-z0-9-]{10,}))"
    r"|(?P<secret>(?<![A-Za-z0-9/+])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=]))"
)
_SAYS = {
    "id": "the id of an access key",
    "key": "a private key",
    "token": "an access token",
    "secret": "what looks like a secret access key",
}
_STARTS = ("AKIA", "ASIA", "PRIVATE KEY", "gho_", "ghp_", "ghr_", "ghs_", "ghu_", "github_pat_", "glpat-", "xox")
_IN_KEYS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/+")
_KEYS = bytes(ord("k") if byte in _IN_KEYS else ord(" ") for byte in range(256))
"""What makes of each byte whether it can stand in a secret access key."""
_FEWEST_CHANGES, _MOST_IN_WORDS = 15, 16
"""Of 40 random characters 25 are of another kind (capital, small letter, digit, sign) than the one before, and 6 stand
in runs of three small letters or more: one key in a hundred is missed by these. Names put together of words, with
numbers between, fail the second.
"""
_WORDS = re.compile("[a-z]{3,}")
_NO_SECRET = re.compile(r"external_id[\"']?\s*:\s*[\"']?$")
"""What an external id follows: it may have any shape, and is no secret."""


def cleartext_errors(source: Source, text: str) -> Iterator[Diagnostic]:
    """An error for each secret in a file. The line that it shows has stars in place of all its secrets."""
    if not may_hold_secrets(text) or not any(_is_secret(found) for found in _SHAPES.finditer(text)):
        return
    lines = tuple(_SHAPES.sub(_masked, line) for line in source.lines)
    covered = Source(source.path, lines)
    for number, line in enumerate(source.lines, 1):
        for found in _SHAPES.finditer(line):
            if _is_secret(found):
                span = Span(covered, number, found.start() + 1, len(found[0]))
                message = f"the file holds {_SAYS[found.lastgroup or '']}, for everybody who can read it to use"
                yield Diagnostic("cleartext-secret", message, span, "take it out, and delete it where it was made")


def may_hold_secrets(text: str) -> bool:
    """Whether anything in a text can have the shape of a secret: the quick way past most files."""
    return any(start in text for start in _STARTS) or b"k" * 40 in text.encode("utf-8", "replace").translate(_KEYS)


def _is_secret(found: re.Match[str]) -> bool:
    if found.lastgroup != "secret":
        return True
    kinds = [_kind(c) for c in found[0]]
    mixed = {"A", "a", "0"} <= set(kinds) and sum(a != b for a, b in pairwise(kinds)) >= _FEWEST_CHANGES
    in_words = sum(map(len, _WORDS.findall(found[0])))
    before = found.string[max(0, found.start() - 40) : found.start()]
    return mixed and in_words <= _MOST_IN_WORDS and _NO_SECRET.search(before) is None


def _kind(character: str) -> str:
    if character.isdigit():
        return "0"
    return ("A" if character.isupper() else "a") if character.isalpha() else "/"


def _masked(found: re.Match[str]) -> str:
    return "*" * len(found[0]) if _is_secret(found) else found[0]
