"""A tree of values -> `Reading`: the configuration with its shape, names and references checked.

pydantic checks the shape; this module turns what it finds into diagnostics, puts an example in the place of what is
broken, and goes on, so that one run shows every error and one typo gives one error. The value of a run with errors
never reaches the next stage.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import Any, TypeAlias, TypeVar

from pydantic import ValidationError

from dutybound import accounts, identity_center, rollout, source
from dutybound.config import (
    GRANT_KINDS,
    PLACEHOLDERS,
    TRUST_KINDS,
    AccessRequest,
    AccessTest,
    ActionGrant,
    BreakGlass,
    Budget,
    Certificate,
    Configuration,
    Detectors,
    Duty,
    DutyUse,
    EksPods,
    Expectation,
    GithubWorkflow,
    GitlabPipeline,
    Grant,
    Guardrails,
    IdentityProviders,
    LevelGrant,
    ManagedGrant,
    Member,
    Mfa,
    Model,
    OidcIdentity,
    Organization,
    OrganizationGuardrails,
    Parameter,
    PassGrant,
    Passwords,
    Person,
    RawStatement,
    Role,
    RulePlace,
    SamlProvider,
    StatementGrant,
    Team,
    TeamTrust,
    UnusedAccess,
    Waiver,
    When,
    WorkloadBoundary,
    parameters_in,
)
from dutybound.diagnostic import Checked, Diagnostic, Span, Text, did_you_mean, in_order, quoted
from dutybound.quotas import quota
from dutybound.source import Fields, Items, described

M = TypeVar("M", bound=Model)
Loc: TypeAlias = tuple[str | int, ...]
GROUPS_PER_USER = quota("groups-per-user").value
TAGS_PER_USER = quota("tags-per-user").value
RESERVED_GROUP = "break-glass"
RESERVED_ROLES = ("break-glass", "break-glass-alarm")
_ROUNDS = 25
_MODELS: tuple[tuple[tuple[str, ...], type[Model]], ...] = (
    ((), Configuration),
    (("organization",), Organization),
    (("break_glass",), BreakGlass),
    (("mfa",), Mfa),
    (("passwords",), Passwords),
    (("budgets", "*"), Budget),
    (("detectors",), Detectors),
    (("detectors", "unused_access"), UnusedAccess),
    (("guardrails",), Guardrails),
    (("guardrails", "boundary"), WorkloadBoundary),
    (("guardrails", "organization"), OrganizationGuardrails),
    (("guardrails", "organization", "rules", "*", "place"), RulePlace),
    (("teams", "*"), Team),
    (("teams", "*", "members", "*"), Member),
    (("roles", "*"), Role),
    *((("roles", "*", "trusts", f"trust-{kind}"), model) for kind, model in TRUST_KINDS.items()),
    (("roles", "*", "trusts", "trust-github", "github"), GithubWorkflow),
    (("roles", "*", "trusts", "trust-gitlab", "gitlab"), GitlabPipeline),
    (("roles", "*", "trusts", "trust-oidc", "oidc"), OidcIdentity),
    (("roles", "*", "trusts", "trust-saml", "saml"), SamlProvider),
    (("roles", "*", "trusts", "trust-eks", "eks"), EksPods),
    (("roles", "*", "trusts", "trust-roles_anywhere", "roles_anywhere"), Certificate),
    (("identity_providers",), IdentityProviders),
    (("duties", "*"), Duty),
    (("duties", "*", "parameters", "*"), Parameter),
    *((("duties", "*", "grants", "*", kind.tag), kind.model) for kind in GRANT_KINDS),
    *((("duties", "*", "grants", "*", kind.tag, "when"), When) for kind in GRANT_KINDS),
    (("duties", "*", "grants", "*", "grant-statements", "statements", "*"), RawStatement),
    (("duties", "*", "expect", "*"), Expectation),
    (("people", "*"), Person),
    (("waivers", "*"), Waiver),
    (("access", "*"), AccessTest),
    (("access", "*", "can", "*"), AccessRequest),
    (("access", "*", "cannot", "*"), AccessRequest),
    (("access", "*", "can_only", "*", "only-request"), AccessRequest),
)
_SUBJECTS = {"teams": "team", "roles": "role", "duties": "duty", "people": "person", "budgets": "budget"}
_KINDS = {
    "teams": "a team",
    "members": "a member",
    "roles": "a role",
    "trusts": "a role's 'trusts'",
    "duties": "a duty",
    "parameters": "a parameter",
    "grants": "a grant",
    "statements": "an entry of 'statements'",
    "expect": "an entry of 'expect'",
    "people": "a person",
    "waivers": "a waiver",
    "budgets": "a budget",
}
"""What a message calls the mappings that stand under these keys."""
_WANTED = {
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "bool_type": "true or false",
    "wrong-type": "text",
}


@dataclass(frozen=True, slots=True)
class Reading:
    """A configuration, and every duty that it declares or uses (built-in ones included), by name."""

    configuration: Configuration
    duties: Mapping[str, Duty]


def read(tree: Fields) -> Checked[Reading]:
    """Check shape, names and references of a configuration. Raises nothing for bad input."""
    declared = {name: _names(tree.get(Text(name))) for name in ("people", "teams", "roles", "duties")}
    shaped = _shaped(Configuration, tree, ())
    if shaped.value is None:
        return Checked(None, shaped.diagnostics)
    found = list(shaped.diagnostics)
    duties = _duties(shaped.value, declared["duties"], found)
    found += _reference_errors(shaped.value, duties, declared)
    found += _waiver_errors(shaped.value, declared)
    found += _name_errors(shaped.value)
    return Checked(Reading(shaped.value, duties), in_order(found))


def library() -> tuple[str, ...]:
    """The names of the built-in duties, sorted."""
    return tuple(sorted(f.name.removesuffix(".yaml") for f in _library_folder().iterdir() if f.name.endswith(".yaml")))


def library_duty(name: str) -> Duty:
    """A built-in duty. Raises KeyError for an unknown name, ValueError for a file of ours that is broken."""
    if name not in library():
        raise KeyError(name)
    path = f"dutybound/duties/{name}.yaml"
    loaded = source.loads(_library_folder().joinpath(f"{name}.yaml").read_text(encoding="utf-8"), path)
    found = list(loaded.diagnostics)
    if loaded.value is not None:
        shaped = shaped_duty(loaded.value, name)
        found += shaped.diagnostics
        if shaped.value is not None and not found:
            return shaped.value
    raise ValueError(f"{path}: {'; '.join(d.message for d in found)}")


def shaped_duty(tree: Fields, name: str) -> Checked[Duty]:
    """A duty called `name` from its mapping, as far as its shape goes. Raises nothing for bad input."""
    return _shaped(Duty, tree, ("duties", name))


def _library_folder() -> Any:
    return resources.files("dutybound") / "duties"


def _names(value: object) -> dict[str, Text]:
    return {str(k): k for k in value} if isinstance(value, Fields) else {}


# --- shape ----------------------------------------------------------------------------------------------------------


def _shaped(model: type[M], tree: Fields, prefix: Loc) -> Checked[M]:
    """The tree as a model. `prefix` is where the tree stands in a configuration."""
    found: list[Diagnostic] = []
    for round_ in range(_ROUNDS):
        try:
            return Checked(model.model_validate(tree), tuple(found))
        except ValidationError as error:
            errors = [(e["type"], tuple(e["loc"]), e) for e in error.errors(include_url=False)]
        wrong_inside = {loc[:depth] for _, loc, _ in errors for depth in range(len(loc))}
        strangers: dict[Loc, list[str]] = {}
        for kind, loc, _ in errors:
            if kind == "extra_forbidden":
                strangers.setdefault(loc[:-1], []).append(str(loc[-1]))
        for kind, loc, detail in errors:
            # A list may be empty, or a key missing beside the others, since what stood there was wrong and is gone.
            caused = kind in ("too_short", "missing-key") and (round_ or loc in wrong_inside)
            if not caused:
                found += _shape_error(kind, loc, detail, tree, prefix, strangers.get(loc[:-1], ()))
        for kind, loc, _ in sorted(errors, key=lambda e: [str(s).zfill(9) for s in e[1]], reverse=True):
            _repair(kind, loc, tree, prefix)
    return Checked(None, tuple(found))


@dataclass(slots=True)
class _Place:
    """Where a loc of pydantic's leads in the tree."""

    span: Span
    holder: Fields | Items | None = None
    key: Any = None
    value: Any = None
    named: Span | None = field(default=None)
    """The key under which the value stands, for whatever is missing in it."""


def _place(loc: Loc, tree: Fields) -> _Place:
    place = _Place(tree.span, value=tree, named=tree.span)
    for step in loc:
        value = place.value
        if isinstance(value, Fields):
            if step == "[key]":
                break
            if step not in value:
                if str(step).startswith(("trust-", "grant-", "only-")):
                    continue
                if isinstance(step, str) and step.removesuffix("_") in value:
                    step = step.removesuffix("_")  # a word that Python keeps for itself
                elif len(value) == 1 and step in ("name", "parameters", "place"):
                    sole = next(iter(value))
                    if step == "name":
                        place.span = getattr(sole, "span", None) or place.span
                        break
                    step = sole
                else:
                    break
            written = value.key(str(step))
            named = written.span if written is not None else None
            place = _Place(value.spans[str(step)], value, step, value.at(str(step)), named)
        elif isinstance(value, Items) and isinstance(step, int) and step < len(value):
            place = _Place(value.spans[step], value, step, value[step], value.spans[step])
        else:
            break
    return place


def _model_at(loc: Loc) -> type[Model] | None:
    for pattern, model in _MODELS:
        if len(pattern) == len(loc) and all(p in ("*", step) for p, step in zip(pattern, loc, strict=True)):
            return model
    return None


@cache
def _fields_of(model: type[Model]) -> dict[str, Any]:
    return {f.alias or name: f for name, f in model.model_fields.items()}


def _subject(loc: Loc) -> str:
    if len(loc) > 1 and loc[0] in _SUBJECTS:
        return f"{_SUBJECTS[str(loc[0])]} {quoted(loc[1])}"
    return quoted(loc[0]) if loc else "the configuration"


def _shape_error(
    kind: str, loc: Loc, detail: Any, tree: Fields, prefix: Loc, strangers: Iterable[str]
) -> Iterator[Diagnostic]:
    """What is wrong at a place; `strangers` are the unknown keys beside it."""
    whole = (*prefix, *loc)
    place = _place(loc, tree)
    if kind == "missing":
        yield from _missing(whole, place, strangers)
    elif kind == "extra_forbidden":
        yield _unknown_key(whole, place)
    elif kind == "union_tag_not_found":
        yield from _no_kind(whole, place)
    elif kind == "literal_error":
        yield _not_one_of(whole, place, detail)
    elif kind in _WANTED and (kind != "wrong-type" or detail["msg"] == "expected text"):
        span = place.named if place.value is None and place.named else place.span
        hint = _remedy(kind, place.value)
        message = f"{_where(whole)} takes {_WANTED[kind]}, not {described(place.value)}"
        yield Diagnostic("wrong-type", message, span, hint)
    elif kind == "too_short":
        yield Diagnostic(
            "empty-list", f"{_where(whole)} is an empty list", place.span, "name at least one, or remove it"
        )
    else:
        yield _bad_value(kind if "-" in kind else "invalid-value", loc, whole, place, tree, detail["msg"])


def _remedy(kind: str, value: object) -> str:
    if kind == "wrong-type" and isinstance(value, (int, float)):
        return "put it in quotes"
    if kind == "tuple_type" and isinstance(value, (str, int)):
        return f"write {quoted(f'[{value}]')}"
    if kind in ("dict_type", "model_type"):
        return "write 'key: value' lines below it, indented"
    return ""


def _bad_value(name: str, loc: Loc, whole: Loc, place: _Place, tree: Fields, reason: str) -> Diagnostic:
    if loc[-1:] == ("[key]",):
        where = f"a key of '{'.'.join(str(s) for s in whole[:-2])}'"
        return Diagnostic(name, f"{where} cannot be {quoted(loc[-2])}: {reason}", _key_span(loc, tree))
    if name in ("wrong-type", "missing-key"):
        return Diagnostic(name, f"{_where(whole)}: {reason}", place.span)
    shown = quoted(place.value) if isinstance(place.value, str) else described(place.value)
    return Diagnostic(name, f"{_where(whole)} cannot be {shown}: {reason}", place.span)


def _key_span(loc: Loc, tree: Fields) -> Span:
    holder = _place(loc[:-2], tree).value
    key = holder.key(str(loc[-2])) if isinstance(holder, Fields) else None
    return key.span if key is not None and key.span else tree.span


def _where(whole: Loc) -> str:
    """A loc as a reader would say it: "team 'x': members"."""
    inside = [s for s in whole[2:] if not (isinstance(s, str) and s.startswith(("trust-", "grant-", "only-")))]
    if len(whole) == 1 or (whole and whole[0] not in _SUBJECTS):
        # Of a name with a mapping the model's own words are not the user's.
        ours = (isinstance(before, int) and s in ("name", "place") for before, s in pairwise((None, *whole)))
        words = [s for s, own in zip(whole, ours, strict=True) if isinstance(s, str) and not own]
        return ".".join(words) or "the configuration"
    words = [s for s in inside if isinstance(s, str) and s not in ("name", "[key]")]
    return f"{_subject(whole)}{': ' + '.'.join(words) if words else ''}" if len(whole) > 1 else "the configuration"


def _missing(whole: Loc, place: _Place, strangers: Iterable[str]) -> Iterator[Diagnostic]:
    key = str(whole[-1])
    model = _model_at(whole[:-1])
    if any(did_you_mean(s, [key]) for s in strangers):
        return  # the misspelt key has an error of its own
    hint = ""
    if model is not None and (known := _fields_of(model).get(key)) is not None and known.examples:
        hint = f"add '{key}: {_flow(known.examples[0])}'"
    at = place.named or place.span
    yield Diagnostic("missing-key", f"{_where(whole[:-1])} needs the key '{key}'", at, hint)


def _flow(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_flow(v) for v in value)}]"
    text = str(value)
    return f'"{text}"' if text.isdigit() and isinstance(value, str) else text


def _unknown_key(whole: Loc, place: _Place) -> Diagnostic:
    key = str(whole[-1])
    model = _model_at(whole[:-1])
    span = place.named or place.span
    where = _where(whole[:-1])
    if model is None:
        return Diagnostic("unknown-key", f"{where}: there is no key {quoted(key)}", span)
    known = list(_fields_of(model))
    hint = did_you_mean(key, known) or _belongs_in(key) or f"known keys: {', '.join(known)}"
    return Diagnostic("unknown-key", f"{where}: there is no key {quoted(key)}", span, hint)


def _belongs_in(key: str) -> str:
    """Where a key belongs that stands in the wrong place, or an empty text for one that exists nowhere."""
    places = []
    for pattern, model in _MODELS:
        if key in _fields_of(model):
            inside = [step for step in pattern if step != "*" and not step.startswith(("trust-", "grant-", "only-"))]
            places.append(f"in {_KINDS.get(inside[-1], quoted(inside[-1]))}" if inside else "at the top of a file")
    return f"it belongs {' or '.join(dict.fromkeys(places))}" if places else ""


def _no_kind(whole: Loc, place: _Place) -> Iterator[Diagnostic]:
    trust = whole[-1] == "trusts"
    what, kinds = ("a role trusts", tuple(TRUST_KINDS)) if trust else ("a grant has", tuple(k.key for k in GRANT_KINDS))
    where = _subject(whole)
    if not isinstance(place.value, Fields):
        yield Diagnostic("wrong-type", f"{where}: {what} a mapping, not {described(place.value)}", place.span)
        return
    keys = list(place.value)
    present = [k for k in keys if k in kinds]
    if len(present) > 1:
        message = f"{where}: {what} one of {', '.join(kinds)}; here are {' and '.join(present)}"
        yield Diagnostic("wrong-type", message, present[1].span, "split it in two" if not trust else "keep one")
        return
    hint = next((h for k in keys if (h := did_you_mean(k, kinds))), f"write one of {', '.join(kinds)}")
    yield Diagnostic(
        "missing-key", f"{where}: {what} one of {', '.join(kinds)}", keys[0].span if keys else place.span, hint
    )


def _not_one_of(whole: Loc, place: _Place, detail: Any) -> Diagnostic:
    allowed = [w.strip("'") for w in str(detail["ctx"]["expected"]).replace(" or ", ", ").split(", ")]
    value = place.value
    shown = quoted(value) if isinstance(value, str) else described(value)
    message = f"{_where(whole)} cannot be {shown}"
    hint = (did_you_mean(value, allowed) if isinstance(value, str) else "") or f"known: {', '.join(allowed)}"
    if isinstance(value, str) and value in allowed:
        hint = f"write {value} without quotes"
    return Diagnostic("invalid-value", message, place.span, hint)


def _repair(kind: str, loc: Loc, tree: Fields, prefix: Loc) -> None:
    """Put an example in the place of something broken, or take it out, so that the rest can be checked."""
    if loc and loc[-1] == "[key]":
        loc = loc[:-1]
    if "parameters" in loc and (*prefix, *loc)[0] != "duties":
        loc = loc[: loc.index("parameters")]  # a duty with a bad parameter goes as a whole
    if loc and isinstance(loc[-1], int) and not isinstance(_place(loc[:-1], tree).value, Items):
        loc = loc[:-1]  # a lone value that stands for a list of one
    if not loc:
        return
    model = _model_at((*prefix, *loc[:-1]))
    known = _fields_of(model).get(str(loc[-1])) if model is not None else None
    if known is not None and known.is_required():
        parent = _place(loc[:-1], tree).value
        if known.examples and isinstance(parent, Fields):
            if kind == "missing" or loc[-1] in parent:
                parent.put(Text(str(loc[-1])), _as_written(known.examples[0], parent.span), parent.span)
        else:
            _repair("", loc[:-1], tree, prefix)
        return
    holder = _place(loc[:-1], tree).value
    if known is not None and isinstance(holder, Fields) and loc[-1] not in holder:
        return  # it went with what was wrong in it
    place = _place(loc, tree)
    if isinstance(place.holder, Fields):
        place.holder.pop(place.key, None)
    elif isinstance(place.holder, Items):
        del place.holder[place.key], place.holder.spans[place.key]


def _as_written(value: Any, span: Span) -> Any:
    if isinstance(value, dict):
        fields = Fields(span)
        for k, v in value.items():
            fields.put(Text(k, span), _as_written(v, span), span)
        return fields
    if isinstance(value, list):
        items = Items(span)
        for v in value:
            items.append(_as_written(v, span))
            items.spans.append(span)
        return items
    return Text(value, span) if isinstance(value, str) else value


# --- names and references -------------------------------------------------------------------------------------------


def _duties(configuration: Configuration, declared: Mapping[str, Text], found: list[Diagnostic]) -> dict[str, Duty]:
    """Every duty declared or used, by name; a user's own may not take a built-in name."""
    built_in = set(library())
    duties: dict[str, Duty] = {str(name): duty for name, duty in configuration.duties.items()}
    for name, key in declared.items():
        if name in built_in:
            message = f"duty {quoted(name)} has the name of a built-in duty (dutybound/duties/{name}.yaml)"
            found.append(Diagnostic("duplicate-name", message, key.span, "give it another name"))
    for _, use in _uses(configuration):
        if use.name in built_in and use.name not in duties:
            duties[str(use.name)] = library_duty(use.name)
    return duties


def _uses(configuration: Configuration) -> Iterator[tuple[str, DutyUse]]:
    """Every use of a duty, with who uses it."""
    for name, team in configuration.teams.items():
        uses = (*team.duties, *(use for more in team.in_.values() for use in more), *team.never)
        yield from ((f"team {quoted(name)}", use) for use in uses)
    for name, role in configuration.roles.items():
        yield from ((f"role {quoted(name)}", use) for use in role.duties)
    for test in configuration.access:
        yield from (("a test of access", use) for use in test.can_only if isinstance(use, DutyUse))


def _reference_errors(
    configuration: Configuration, duties: Mapping[str, Duty], names: Mapping[str, Mapping[str, Text]]
) -> Iterator[Diagnostic]:
    declared = names["duties"]
    nevers = {id(use) for team in configuration.teams.values() for use in team.never}
    for who, use in _uses(configuration):
        if use.name not in duties:
            if use.name not in declared:
                yield _unknown_duty(who, use, declared)
        else:
            yield from _parameter_errors(who, use, duties[use.name], use_is_never=id(use) in nevers)
    for who, uses in _holders(configuration):
        yield from _twice(who, uses)
    for name, team in configuration.teams.items():
        yield from _contradictions(f"team {quoted(name)}", team)
    yield from _trust_errors(configuration, names["teams"])
    for name, duty in configuration.duties.items():
        yield from _duty_errors(name, duty)
        yield from _passed_errors(name, duty, names["roles"])


def _trust_errors(configuration: Configuration, teams: Iterable[str]) -> Iterator[Diagnostic]:
    for name, role in configuration.roles.items():
        if isinstance(role.trusts, TeamTrust) and (team := role.trusts.team) not in teams:
            message = f"role {quoted(name)} trusts a team that does not exist: {quoted(team)}"
            known = ", ".join(sorted(teams)[:12])
            hint = did_you_mean(team, teams) or (f"teams: {known}" if known else "there are no teams")
            yield Diagnostic("unknown-team", message, team.span, hint)


def _holders(configuration: Configuration) -> Iterator[tuple[str, tuple[DutyUse, ...]]]:
    for name, team in configuration.teams.items():
        for more in team.in_.values() or ((),):
            yield f"team {quoted(name)}", (*team.duties, *more)
        yield f"team {quoted(name)}", team.never
    for name, role in configuration.roles.items():
        yield f"role {quoted(name)}", role.duties


def _unknown_duty(who: str, use: DutyUse, declared: Mapping[str, Text]) -> Diagnostic:
    hint = did_you_mean(use.name, [*declared, *library()])
    for name, key in declared.items():
        if f"'{name}'" in hint and key.span:
            hint += f" ({key.span.place})"
    message = f"{who} names a duty that does not exist: {quoted(use.name)}"
    return Diagnostic("unknown-duty", message, use.name.span, hint or "'dutybound duties' lists the built-in ones")


def _parameter_errors(who: str, use: DutyUse, duty: Duty, use_is_never: bool) -> Iterator[Diagnostic]:
    for name in use.parameters:
        if name not in duty.parameters:
            known = list(duty.parameters)
            hint = did_you_mean(name, known) or (f"it takes: {', '.join(known)}" if known else "it takes none")
            yield Diagnostic(
                "unknown-parameter", f"duty {quoted(use.name)} has no parameter {quoted(name)}", name.span, hint
            )
    if use_is_never:
        if use.parameters:
            message = f"{who}: 'never' denies a duty everywhere, so it takes no parameters"
            yield Diagnostic("unknown-parameter", message, use.name.span, f"write '{use.name}'")
        return
    strangers = [p for p in use.parameters if p not in duty.parameters]
    for name, parameter in duty.parameters.items():
        misspelt = any(did_you_mean(stranger, [name]) for stranger in strangers)  # has an error of its own
        if name not in use.parameters and not misspelt:
            example = _flow(list(parameter.example))
            message = f"{who}: duty {quoted(use.name)} needs the parameter '{name}'"
            yield Diagnostic("missing-parameter", message, use.name.span, f"write '{use.name}: {{{name}: {example}}}'")


def _contradictions(who: str, team: Team) -> Iterator[Diagnostic]:
    """A duty that a team has and is denied does nothing, which nobody means."""
    has = {use.name: use.name for use in (*team.duties, *(u for more in team.in_.values() for u in more))}
    for use in team.never:
        if use.name in has:
            span = has[use.name].span
            where = f"it is among its duties at {span.place}" if span else ""
            yield Diagnostic(
                "contradiction", f"{who} has the duty {quoted(use.name)} and is denied it", use.name.span, where
            )


def _twice(who: str, uses: Iterable[DutyUse]) -> Iterator[Diagnostic]:
    seen: list[DutyUse] = []
    for use in uses:
        if use in seen:
            message = f"{who} names the duty {quoted(use.name)} twice with the same parameters"
            yield Diagnostic("duplicate-name", message, use.name.span, "remove one")
        seen.append(use)


def _duty_errors(name: Text, duty: Duty) -> Iterator[Diagnostic]:
    allows, denies = (sum(getattr(e, kind) is not None for e in duty.expect) for kind in ("allow", "deny"))
    if not allows or not denies:
        missing = "allow" if not allows else "deny"
        message = f"duty {quoted(name)} expects no '{missing}': say what it must {'do' if not allows else 'not do'}"
        yield Diagnostic(
            "untested-duty", message, name.span, f"add '- {missing}: service:Action on arn:aws:…' to its 'expect'"
        )
    used = {word for grant in duty.grants for word in _parameters_in(grant)}
    for word in sorted(used, key=str):
        if word not in duty.parameters and word not in PLACEHOLDERS:
            message = f"duty {quoted(name)} has no parameter {quoted(word)}"
            hint = did_you_mean(word, (*duty.parameters, *PLACEHOLDERS))
            yield Diagnostic("unknown-parameter", message, word.span, hint)
    for parameter in duty.parameters:
        if parameter in PLACEHOLDERS:
            message = f"duty {quoted(name)} declares {quoted(parameter)}, which always is {PLACEHOLDERS[parameter]}"
            yield Diagnostic("reserved-name", message, parameter.span, "give it another name")
        elif parameter not in used:
            message = f"duty {quoted(name)} never uses its parameter {quoted(parameter)}"
            yield Diagnostic("unused-parameter", message, parameter.span, "use it in 'resources' or remove it")


def _parameters_in(grant: Grant) -> Iterator[Text]:
    for text in _texts_of(grant):
        yield from (Text(word, text.span) for word in parameters_in(text))


def _texts_of(grant: Grant) -> Iterator[Text]:
    """The texts of a grant that may name parameters."""
    match grant:
        case LevelGrant() | ActionGrant():
            yield from (value for values in (grant.resources or {}).values() for value in values)
        case PassGrant():
            yield from (*grant.pass_, *grant.to)
        case StatementGrant():
            for statement in grant.statements:
                yield from (*(statement.resource or ()), *(statement.not_resource or ()))
                yield from _condition_texts(statement.condition)
        case ManagedGrant():
            return
    if not isinstance(grant, StatementGrant) and grant.when is not None:
        for tags in (grant.when.resource_tags, grant.when.request_tags):
            yield from (value for values in (tags or {}).values() for value in values)
        yield from _condition_texts(grant.when.conditions or {})


def _condition_texts(block: Mapping[Text, Mapping[Text, tuple[Text, ...]]]) -> Iterator[Text]:
    yield from (value for tests in block.values() for values in tests.values() for value in values)


def _passed_errors(name: Text, duty: Duty, roles: Mapping[str, Text]) -> Iterator[Diagnostic]:
    """A role that is passed is a path of roles (`role/app/*`), or a role of this configuration by its name."""
    for grant in duty.grants:
        for text in grant.pass_ if isinstance(grant, PassGrant) else ():
            if not text.startswith(("role/", "arn:", "{")) and text not in roles:
                message = f"duty {quoted(name)} passes a role that does not exist: {quoted(text)}"
                hint = did_you_mean(text, roles) or "write 'role/PATH/NAME', or the name of one of 'roles'"
                yield Diagnostic("unknown-role", message, text.span, hint)


def _waiver_errors(configuration: Configuration, names: Mapping[str, Mapping[str, Text]]) -> Iterator[Diagnostic]:
    people = {str(m.name): m.name for team in configuration.teams.values() for m in team.members}
    known_by_kind: dict[str, Mapping[str, Text]] = {
        "team": names["teams"],
        "role": names["roles"],
        "duty": names["duties"],
        "person": {**people, **names["people"]},
    }
    for waiver in configuration.waivers:
        kind, _, name = waiver.for_.partition(" ")
        known = known_by_kind.get(kind, {})
        if name and name not in known:
            message = f"a waiver is for a {kind} that does not exist: {quoted(name)}"
            near = did_you_mean(name, known)
            yield Diagnostic(f"unknown-{kind}", message, waiver.for_.span, near or "remove it, or correct the name")


def _name_errors(configuration: Configuration) -> Iterator[Diagnostic]:
    groups = [*configuration.teams, Text(RESERVED_GROUP)]
    yield from _same_but_for_case("team", groups)
    yield from _same_but_for_case("role", [*configuration.roles, *map(Text, RESERVED_ROLES)])
    yield from _same_but_for_case("duty", list(configuration.duties))
    wrong = list(accounts.check(configuration))
    yield from wrong or (*rollout.check(configuration), *identity_center.check(configuration))
    yield from _team_role_errors(configuration)
    yield from _people_errors(configuration)
    yield from _tag_errors(configuration)


def _same_but_for_case(kind: str, names: Iterable[Text]) -> Iterator[Diagnostic]:
    """IAM User Guide, "IAM and AWS STS quotas": names are unique in an account whatever their case."""
    first: dict[str, Text] = {}
    for name in sorted(names, key=lambda n: (n.span is not None, n.span.order if n.span else ("", 0, 0))):
        other = first.setdefault(name.casefold(), name)
        if other is name:
            continue
        if other.span is None:
            message = f"{kind} {quoted(name)} has a name that the baseline itself uses"
            yield Diagnostic("reserved-name", message, name.span, "give it another name")
        else:
            message = (
                f"{kind} {quoted(name)} differs from {quoted(other)} only in case, which IAM takes for the same name"
            )
            yield Diagnostic("duplicate-name", message, name.span, f"the other is at {other.span.place}")


def _team_role_errors(configuration: Configuration) -> Iterator[Diagnostic]:
    """Teams of a hub, or of Identity Center, are roles in the accounts, where answers tell them by their names."""
    organization = configuration.organization
    if organization.hub is None and organization.people_in == "iam":
        return
    roles = {name.casefold(): name for name in (*configuration.roles, *map(Text, RESERVED_ROLES))}
    for name in sorted(configuration.teams):
        if (role := roles.get(name.casefold())) is not None:
            whose = "a role of the baseline itself" if role.span is None else f"the role {quoted(role)}"
            message = f"team {quoted(name)} is a role in the other accounts, and has the name of {whose}"
            kind = "reserved-name" if role.span is None else "duplicate-name"
            yield Diagnostic(kind, message, name.span, "give it another name")


RESERVED_TAGS = ("email", "environment", "managed-by", "organization", "owner")
"""Tags that the baseline itself sets on users."""


def _tag_errors(configuration: Configuration) -> Iterator[Diagnostic]:
    """IAM User Guide, "Tags for AWS Identity and Access Management resources": keys differ by more than case."""
    for name, person in configuration.people.items():
        seen = {tag: Text(tag) for tag in RESERVED_TAGS}
        for key in person.tags:
            other = seen.setdefault(key.casefold(), key)
            if other is not key:
                ours = other.span is None
                message = f"person {quoted(name)}: the tag {quoted(key)} " + (
                    "is set by the baseline itself" if ours else f"differs from {quoted(other)} only in case"
                )
                yield Diagnostic("reserved-name" if ours else "duplicate-name", message, key.span, "rename it")
        if len(person.tags) > TAGS_PER_USER - len(RESERVED_TAGS):
            message = (
                f"person {quoted(name)} has more tags than the {TAGS_PER_USER - len(RESERVED_TAGS)} that IAM leaves"
            )
            yield Diagnostic("too-many-tags", message, name.span, "remove some")


def _people_errors(configuration: Configuration) -> Iterator[Diagnostic]:
    emergency: dict[str, Text] = {}
    for user in configuration.break_glass.users:
        if user.casefold() in emergency:
            yield Diagnostic(
                "duplicate-name", f"break-glass user {quoted(user)} is named twice", user.span, "remove one"
            )
        emergency[user.casefold()] = user
    spelt: dict[str, Text] = {}
    for name in sorted(configuration.people):
        if (first := spelt.setdefault(name.casefold(), name)) is not name:
            message = f"{quoted(name)} and {quoted(first)} differ only in case, which IAM takes for one user"
            yield Diagnostic("duplicate-name", message, name.span, "keep one of them")
    teams_of: dict[str, list[str]] = {}
    for team_name, team in sorted(configuration.teams.items()):
        here: set[str] = set()
        for member in team.members:
            fold = member.name.casefold()
            if fold in here:
                message = f"team {quoted(team_name)} names {quoted(member.name)} twice"
                yield Diagnostic("duplicate-name", message, member.name.span, "remove one")
                continue
            here.add(fold)
            teams_of.setdefault(fold, []).append(team_name)
            yield from _member_errors(member.name, team_name, spelt.setdefault(fold, member.name), configuration)
            if fold in emergency:
                message = f"{quoted(member.name)} is a break-glass user, which is for emergencies only and in no team"
                yield Diagnostic(
                    "break-glass-in-team", message, member.name.span, "give the person a user of their own"
                )
            if len(teams_of[fold]) == GROUPS_PER_USER + 1:
                message = f"{quoted(member.name)} is in more than {GROUPS_PER_USER} teams; IAM allows no more groups"
                yield Diagnostic("too-many-teams", message, member.name.span, "merge some of the teams")


def _member_errors(name: Text, team: Text, first: Text, configuration: Configuration) -> Iterator[Diagnostic]:
    """What is wrong with one member's name; `first` is how it was spelt where it stood first."""
    if first != name:
        where = f"as at {first.span.place}" if first.span else ""
        message = f"{quoted(name)} and {quoted(first)} differ only in case, which IAM takes for one user"
        yield Diagnostic("duplicate-name", message, name.span, f"write {quoted(first)} {where}")
    elif configuration.people and name not in configuration.people:
        message = f"team {quoted(team)} names somebody who is not among 'people': {quoted(name)}"
        hint = did_you_mean(name, configuration.people) or "add the person to 'people'"
        yield Diagnostic("unknown-person", message, name.span, hint)
