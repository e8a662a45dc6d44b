"""ARNs of the forms that the reference of services knows: one for each set of patterns that such ARNs can match."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from dutybound import catalog
from dutybound.catalog import Action
from dutybound.classes import Token, Tokens, exactly, like, like_arn, texts
from dutybound.conditions import fits
from dutybound.policy import Statement, overlap

Forms = tuple[tuple[str, str], ...]
"""Types of resources, each with the form of their ARNs."""
Others = Literal["named", "told", "apart"]
"""Which resources of other accounts count: of those that a pattern names; of any that a pattern tells from one's own;
or also where no pattern does."""
STRANGER = "000000000000"
"""An account that nobody names."""


@dataclass(frozen=True, slots=True)
class Where:
    """The account and Region that names are filled in with, and how a request is named."""

    principal: str
    account: str
    region: str
    partition: str = "aws"


def forms_of(action: Action) -> Forms:
    """What an action can be about; what every request names comes first."""
    types = catalog.service(action.service).types
    required = catalog.action_keys(action).required
    named = sorted(action.types, key=lambda name: (name not in required, name))
    return tuple((name, types[name].arn) for name in named if name in types)


@lru_cache(maxsize=32768)
def services_of(action: Action) -> frozenset[str]:
    """The services of the ARNs that an action is about; with its own, as whatever the reference lacks is in that."""
    named_ = (form.split(":", 3) for _, form in forms_of(action))
    return frozenset((action.service, *(parts[2] for parts in named_ if len(parts) == 4)))


def is_beside(statement: Statement, services: frozenset[str]) -> bool:
    """Whether a deny is about ARNs of other services alone: one of everything but looking, on roles, is nothing to
    buckets.
    """
    return statement.effect == "Deny" and bool(named_ := _services_in(statement.resources)) and not named_ & services


@lru_cache(maxsize=65536)
def _services_in(patterns: tuple[str, ...]) -> frozenset[str]:
    """The services whose ARNs a Resource names; none where it can be any."""
    parts = [pattern.split(":", 3) for pattern in patterns]
    plain_ = all(len(part) == 4 and not set("*?$") & set(part[2]) for part in parts)
    return frozenset(part[2] for part in parts) if plain_ else frozenset()


def resources(
    service: str, forms: Forms, said: Sequence[str], where: Where, others: Others
) -> Iterator[tuple[str, str]]:
    """A resource, with its type, of each class that patterns tell apart; `*` where there are no forms.

    Patterns of the service that are of no form of the reference count as they are. Raises TooMany.
    """
    if not forms:
        yield "", "*"
        return
    at = replace(where, principal="")
    for name, form in forms:
        yield from ((name, text) for text in _of_form(form, tuple(said), at, others))
    for pattern in said:
        if not _of_reference(service, pattern):
            yield from (("", text) for text in texts(like(pattern), tuple(map(like, said))).values())


def named(pattern: str, said: Iterable[str]) -> tuple[str, ...]:
    """A text that is like a pattern for each set of what is said of resources that such texts can match.

    Raises TooMany.
    """
    near = tuple(p for p in said if _meets(pattern, p))
    return tuple(texts(like(pattern), _patterns(pattern, near), (plain(pattern),)).values())


def plain(pattern: str) -> str:
    """A text that is like a pattern, as people would write it."""
    return pattern.replace("*", "x").replace("?", "x")


_DIGITS = (Token("0123456789"),) * 12
_FREE = (Token(but=":"), Token(but=":", many=True))
_PARTITIONS = ("aws", "aws-cn", "aws-us-gov")


@lru_cache(maxsize=16384)
def _of_form(form: str, said: tuple[str, ...], where: Where, others: Others) -> tuple[str, ...]:
    """An ARN of that form for each set of patterns that such ARNs can match; one's own account and Region come first.

    With `apart`, those of other accounts count as others.
    """
    parts = form.split(":", 5)
    near = tuple(p for p in said if _meets(form, p))
    if not near:
        accounts = (where.account, STRANGER) if others == "apart" and "${" in parts[4] else (where.account,)
        return tuple(_example(parts, replace(where, account=account)) for account in accounts)
    patterns = _patterns(form, near)
    nice = tuple(sorted((text for p in near for text in _nice(p, where)), key=len))
    found: dict[tuple[object, ...], str] = {}
    for shape, own in _shapes(parts, near, where, others):
        for key, text in texts(shape, patterns, nice).items():
            found.setdefault((key, others == "apart" and own), text)
    return tuple(found.values())


def _patterns(form: str, near: Iterable[str]) -> tuple[Tokens, ...]:
    return tuple((like_arn(p) if _part_by_part(form, p) else None) or like(p) for p in near)


def _example(form: Sequence[str], where: Where) -> str:
    """An ARN of the form, in one's own account and Region."""
    own = ("arn", where.partition, "x", where.region, where.account, "x")
    return ":".join(_BRACED.sub(given, part) for part, given in zip(form, own, strict=False))


def _nice(pattern: str, where: Where) -> Iterator[str]:
    """ARNs as people would write them, for a pattern."""
    parts = pattern.split(":", 5)
    if len(parts) == 6:
        own = ("", "aws", "x", where.region, where.account, "")
        filled = [given if part == "*" else part for part, given in zip(parts[:5], own, strict=False)]
        yield ":".join((*(plain(p) for p in filled), plain(parts[5])))


@lru_cache(maxsize=262144)
def _meets(form: str, pattern: str) -> bool:
    """Whether some ARN of the form can match the pattern."""
    mine = _BRACED.sub("?*", form)
    if _part_by_part(form, pattern):
        pairs = zip(reversed(mine.split(":", 5)), reversed(pattern.split(":", 5)), strict=True)
        return all(a == b or b == "*" or overlap(a, b) for a, b in pairs)
    return overlap(mine, pattern)


def _part_by_part(form: str, pattern: str) -> bool:
    """Whether no wildcard of the pattern can reach over a colon in ARNs of the form, or need not.

    Names hold no colons, but for those that the form shows and the keys of objects.
    """
    parts = pattern.split(":", 5)
    if len(parts) < 6 or form.count(":") < 5 or form.split(":", 3)[2] in _WITH_COLONS:
        return False
    wild = any("*" in part or "?" in part for part in parts[:5])
    return not wild or parts[5][:1] == "*" or pattern.count(":") == form.count(":")


_WITH_COLONS = ("s3", "s3express")
_BRACED = re.compile(r"\$\{[^}]*\}")


def _shapes(parts: Sequence[str], near: Iterable[str], where: Where, others: Others) -> Iterator[tuple[Tokens, bool]]:
    """The form as patterns: with one's own account and Region, and with any; and whether the account is one's own."""
    if len(parts) < 6:
        yield like(_BRACED.sub("?*", ":".join(parts))), True
        return
    name = like(_BRACED.sub("?*", parts[5]))
    if parts[5] == "${BucketName}":
        name = (Token(but=":/"), Token(but=":/", many=True))  # S3 User Guide, "General purpose bucket naming rules"
    elif parts[2] not in _WITH_COLONS:
        name = tuple(Token(token.only, ":", token.many) if not token.only else token for token in name)
    written = [p.split(":", 5) for p in near]
    named = {p for w in written if len(w) > 1 and w[1] != "*" for p in _PARTITIONS if fits(w[1], p)}
    accounts = {w[4] for w in written if len(w) > 4} - {"", "*"}
    if parts[2] == "iam" and parts[5].startswith("policy/"):
        accounts.add("aws")  # of AWS's own policies
    odd = [like(a) for a in sorted(accounts) if not re.fullmatch(r"[\d?*]+", a)]
    foreign = [*_foreign(accounts - {where.account}, others), *odd]
    region, account = exactly(where.region), exactly(where.account)
    choices = [(region, account)]
    if any(_tells(w, 3) for w in written):
        choices.append((_FREE, account))
    if any(_tells(w, 4) for w in written):
        free = [_FREE] if len(choices) > 1 else []
        choices += [(of_region, other) for of_region in (region, *free) for other in foreign]
    elif others == "apart":
        choices.append((region, _DIGITS))
    made: dict[Tokens, bool] = {}
    for partition in dict.fromkeys((where.partition, *sorted(named))):
        head = (*exactly(f"arn:{partition}:"), *_tokens(parts[2], _FREE), Token(":"))
        for of_region, of_account in choices:
            middle = (*_tokens(parts[3], of_region), Token(":"), *_tokens(parts[4], of_account), Token(":"))
            made.setdefault((*head, *middle, *name), of_account is account or "${" not in parts[4])
    yield from made.items()


def _foreign(accounts: Iterable[str], others: Others) -> Iterator[Tokens]:
    """Other accounts: any, or those that are named, where no wildcard names more of them."""
    named = [a for a in sorted(accounts) if re.fullmatch(r"[\d?*]+", a)]
    if others == "named" and all(map(str.isdigit, named)):
        yield from map(exactly, named)
    else:
        yield _DIGITS


def _tells(pattern: Sequence[str], part: int) -> bool:
    """Whether a pattern tells one Region (part 3) or account (part 4) from another."""
    if len(pattern) == 6:
        return pattern[part] not in ("*", "")
    return len(pattern) > part or pattern[-1] != "*"


def _tokens(part: str, free: Tokens) -> Tokens:
    return free if "${" in part or part == "*" else exactly(part)


@lru_cache(maxsize=65536)
def _of_reference(service: str, pattern: str) -> bool:
    """Whether the reference knows ARNs that a pattern can match, of this service or as another service's."""
    parts = pattern.split(":", 5)
    if len(parts) > 2 and parts[2] != service and parts[2] in catalog.services():
        return True
    return any(_meets(t.arn, pattern) for t in catalog.service(service).types.values())
