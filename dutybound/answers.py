"""Answers of `explain` in words: as text of at most 100 columns, and as JSON with the same facts.

A name or ARN longer than a line stays whole, so that it can be copied. What a user or AWS wrote is made visible.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence

from dutybound.callers import Session
from dutybound.case import Way, team_of
from dutybound.denial import Denial
from dutybound.diagnostic import Span, visible
from dutybound.explain import LEVELS, AccessList, Explanation, Obstacle, Reach, ServiceAccess, Unmet, WhoCan
from dutybound.nearest import Near, is_duty
from dutybound.policy import Condition, Origin, minified

WIDTH = 100
_MOST_RESOURCES = 6
_MOST_NAMES = 20
_COLOURS = {"allowed": "32", "denied": "31", "unknown": "33"}
_SIGNED_IN: Mapping[Session, str] = {
    "mfa": "signed in with MFA",
    "no-mfa": "signed in without MFA",
    "key": "with an access key alone",
    "role": "as a role",
}


# --- one explanation ------------------------------------------------------------------------------------------------


def explanation_text(found: Explanation, paint: bool = False) -> str:
    """The decision in a sentence, then the chain, what stops it and what is missing. `paint` adds ANSI colour."""
    head = f"\x1b[{_COLOURS[found.outcome]};1m{found.outcome}\x1b[0m" if paint else found.outcome
    lines = _wrapped(f"{found.outcome}: {sentence(found)}")
    lines[0] = head + lines[0].removeprefix(found.outcome)
    lines += _wrapped(_asked(found), "  ")
    for obstacle in found.obstacles:
        lines += ["", *_obstacle_lines(obstacle)]
    if found.chain and found.outcome == "denied":
        lines += ["", "  what would allow it:"]
    for way in found.chain:
        lines += ["", *_chain_lines(found, way)]
    for unmet in found.unmet:
        lines += ["", *_chain_lines(found, unmet.way), *_unmet_lines(unmet)]
    for way in found.elsewhere:
        lines += ["", *_chain_lines(found, way)]
    duties = [w for w in found.elsewhere if w.is_of_duty]
    if given := dict.fromkeys(_place(o.asked) for w in duties for o in w.statement.origins if o.asked):
        lines += ["", *_wrapped(f"to reach it, name the resource where the duty is given: {_or(given)}", "  ")]
    for limit in found.limits:
        lines += ["", *_limit_lines(limit)]
    lines += _nearest_lines(found)
    notes = [*_supposed(found), *found.notes]
    return "\n".join([*lines, *([""] if notes else []), *(line for n in notes for line in _wrapped(n, "  ", "note: "))])


def sentence(found: Explanation) -> str:
    """The decision and its reason, without the word `allowed`, `denied` or `unknown` in front."""
    question = found.question
    on = f" on {visible(question.resource)}" if question.resource else ""
    who = visible(question.who)
    if found.outcome == "allowed":
        anything = not on and any("*" in w.statement.resources and not w.statement.conditions for w in found.chain)
        where = on or (" on every resource" if anything else " on the resources below" if found.chain else "")
        return f"{who} can do {question.action}{where}"
    if found.outcome == "unknown":
        return f"whether {who} can do {question.action}{on}: {found.reason}"
    return "; ".join(_denied(found, on))


def _denied(found: Explanation, on: str) -> Iterator[str]:
    question = found.question
    yield from dict.fromkeys(stops(o, found) for o in found.obstacles)
    also = "besides, " if found.obstacles else ""
    ended = {u.way.holder.partition(".until-")[2] for u in found.unmet}
    if found.role:
        whom = f"for team {_and(list(found.trusted))}" if found.trusted else "not for people"
        yield f"{also}the role {found.role} is {whom}: its 'trusts' says who may take it"
    elif found.unmet and all(ended) and all(_is_end(c) for u in found.unmet for c, _ in u.conditions):
        teams = _and(list(dict.fromkeys(u.way.team for u in found.unmet)))
        yield f"{also}{question.who}'s membership in team {teams} ended on {max(ended)}"
    elif found.unmet:
        duties = _and(_ticked(d for u in found.unmet for d in u.way.duties))
        yield f"{also}{duties} grants {question.action} under conditions that the request does not meet"
    elif duties := _and(_ticked(d for w in found.elsewhere if w.is_of_duty for d in w.duties)):
        yield f"{also}{duties} grants {question.action} on other resources, not{on}"
    elif not found.chain:
        yield f"{also}no duty of {_whose(found)} grants {question.action}{on if found.elsewhere else ''}"
        if found.nearest:
            names = [f"`{near.duty}`" for near in found.nearest]
            yield f"{_and(names)} {'does' if len(names) == 1 else 'do'}"
        elif found.administrators:
            yield f"only administrators can: {', '.join(found.administrators)}"


def _is_end(condition: Condition) -> bool:
    return (condition.operator, condition.key) == ("DateLessThan", "aws:CurrentTime")


def _whose(found: Explanation) -> str:
    who = visible(found.question.who)
    return {"person": f"{who}'s teams", "team": f"team {who}", "role": f"role {who}"}.get(found.kind, who)


def stops(obstacle: Obstacle, found: Explanation) -> str:
    """What an explicit deny is, in words, with the line behind it."""
    at = _at(_first_span(obstacle.way.statement.origins))
    duty = obstacle.way.duties[0] if obstacle.way.duties else obstacle.way.policy
    match obstacle.kind:
        case "mfa":
            if found.question.session == "key":
                return f"an access key alone is not enough: get a session with MFA (aws sts get-session-token){at}"
            return f"sign in with MFA{at}"
        case "guardrail":
            return _guardrail(obstacle, at)
        case "organization":
            return f"the organization's policy {obstacle.way.policy} denies it{at}"
        case "never":
            team = obstacle.way.team or found.question.who
            return f"team {team} never does what `{duty}` does{at}"
        case "end":
            return f"{found.question.who}'s access ended{at}"
    return f"{duty} denies it{at}"


def _guardrail(obstacle: Obstacle, at: str) -> str:
    key = f"guardrails.{obstacle.key}"
    has = next((values for _, values in obstacle.holds if values and values != ("false",)), ())
    match obstacle.key:
        case "regions":
            return f"{_values(has) or 'the Region'} is not among {key}{at}"
        case "instance_types":
            return f"{_values(has) or 'the instance type'} is not among {key}{at}"
        case "from":
            return f"{_values(has) or 'where it comes from'} is not among {key}{at}"
        case "require_tags":
            tags = [c.key.partition("/")[2] for c, _ in obstacle.holds if "/" in c.key]
            return f"what is created must carry the tag {_or(tags)} ({key}{at.replace(' (', ', ') or ')'}"
    return f"{key} keeps whoever creates roles from it{at}"


def _asked(found: Explanation) -> str:
    what = "for break-glass" if found.kind == "break-glass" else f"a {found.kind}"
    if found.kind == "person":
        what = f"in the team{'s' if len(found.teams) > 1 else ''} {_and(list(found.teams))}"
    signed_in = "" if found.question.session == "role" else f", {_SIGNED_IN[found.question.session]}"
    return f"{visible(found.question.who)} is {what}{signed_in}"


def _supposed(found: Explanation) -> Iterator[str]:
    for condition in found.provided:
        how = "" if "Not" in condition.operator else "not "
        yield f"provided that the request comes {how}from {_or(condition.values)} ({condition.key})"


def _obstacle_lines(obstacle: Obstacle) -> list[str]:
    statement = obstacle.way.statement
    lines = _wrapped(f"the statement {statement.sid} of {_policy(obstacle.way)}", "  ", "denied by ")
    for condition, values in obstacle.holds:
        if condition.key == "aws:ViaAWSService":
            continue  # that nobody forwarded the request is the rule
        lines += _wrapped(f"{words(condition)}; the request has {_values(values) or 'none'}", "    ", "because ")
    return lines


def _limit_lines(obstacle: Obstacle) -> list[str]:
    way = obstacle.way
    what = f"guardrails.{obstacle.key}" if obstacle.kind == "guardrail" else _and(_ticked(way.duties)) or _policy(way)
    never = f"team {way.team}'s never {what}" if obstacle.kind == "never" else what
    never = _policy(way) if obstacle.kind == "organization" else never
    return [
        *_wrapped(f"{never}{_at(_first_span(way.statement.origins))}", "  ", "denied by "),
        *_reach_lines(way, "    "),
    ]


def _chain_lines(found: Explanation, way: Way) -> list[str]:
    rows: list[tuple[str, str]] = []
    who = visible(found.question.who)
    if way.kind == "team" and found.kind == "person":
        rows.append((f"{who} is in the team {way.team}", _place(way.member)))
    elif way.declared:
        rows.append(
            (f"the {way.kind} {way.holder}" if way.kind != "break-glass" else "break-glass", _place(way.declared))
        )
    for origin in way.statement.origins:
        rows.append((_has(origin), _place(origin.asked)))
        if origin.granted and is_duty(origin):
            rows.append(("its grant", _place(origin.granted)))
    rows.append((f"the statement {way.statement.sid or 'without a Sid'}", f"in {_policy(way)}"))
    width = max(len(left) for left, _ in rows)
    lines = [f"  {left:{width}}  {right}".rstrip() for left, right in rows]
    return [*lines, *_reach_lines(way, "    ")]


def _has(origin: Origin) -> str:
    ours = {
        "mfa": "the MFA policy",
        "break_glass": "break_glass",
        "hub": "takes its role elsewhere",
        "trusts": "the role trusts the team",
    }
    return ours.get(origin.duty, f"has the duty {origin.duty}")


def _reach_lines(way: Way, indent: str) -> list[str]:
    statement = way.statement
    lines = []
    if statement.not_resources:
        lines += _wrapped(f"everything but {_some(statement.not_resources)}", indent, "on ")
    else:
        lines += _wrapped(_resources(statement.resources), indent, "on ")
    for number, condition in enumerate(statement.conditions):
        lines += _wrapped(words(condition), indent, " and " if number else "when ")
    return lines


def _unmet_lines(unmet: Unmet) -> list[str]:
    return [
        line
        for condition, values in unmet.conditions
        for line in _wrapped(f"{words(condition)}; the request has {_values(values) or 'none'}", "    ", "needs ")
    ]


def _nearest_lines(found: Explanation) -> list[str]:
    if not found.nearest:
        return []
    whom = {"person": f"a team of {found.question.who}'s", "team": f"the team {found.question.who}"}
    once = "once nothing denies it, " if found.obstacles else ""
    lines = ["", f"  to grant it, {once}give {whom.get(found.kind, f'the role {found.question.who}')} one of:"]
    width = max(len(_use(near)) for near in found.nearest)
    for near in found.nearest:
        holders = list(dict.fromkeys(map(team_of, near.holders)))
        has = f"; {_some(holders, 3)} {'has' if len(holders) == 1 else 'have'} it" if holders else ""
        where = "" if near.built_in else f" ({_place(near.grant)})"
        lines += _wrapped(f"{_count(near.actions, 'action')}{has}{where}", "    ", f"{_use(near):{width}}  ")
    return lines


def _use(near: Near) -> str:
    """How a duty is given to a team, in YAML; what its parameters are is for whoever writes it."""
    if not near.parameters:
        return f"- {near.duty}"
    return f"- {near.duty}: {{{', '.join(f'{name}: [...]' for name in near.parameters)}}}"


def unknown_text(reason: str) -> str:
    """An answer that cannot be given, and why."""
    return "\n".join(_wrapped(f"unknown: {reason}"))


def unknown_json(reason: str) -> str:
    """The same as an object."""
    return minified({"decision": "unknown", "reason": reason})


def encoded_text(denial: Denial, width: int = 60) -> str:
    """What to do with a message that names nobody and nothing, but carries an encoded one."""
    shown = denial.encoded if len(denial.encoded) <= width else f"{denial.encoded[:width]}…"
    return "\n".join(
        [
            "unknown: AWS encoded who was denied what, since it may say more than the caller should see",
            "  to decode it (it takes sts:DecodeAuthorizationMessage):",
            "    aws sts decode-authorization-message --query DecodedMessage --output text --encoded-message \\",
            f"      {shown}",
            "  and paste what it prints: dutybound explain -",
        ]
    )


# --- who can --------------------------------------------------------------------------------------------------------


def who_can_text(answers: Sequence[WhoCan]) -> str:
    """For each action who can, through which line, on what and when."""
    return "\n\n".join("\n".join(_who_can_lines(answer)) for answer in answers)


def _who_can_lines(answer: WhoCan) -> list[str]:
    on = f" on {visible(answer.resource)}" if answer.resource else ""
    count = f"{len(answer.names) or 'nobody'} of {_count(answer.of, 'principal')} can"
    lines = _wrapped(f"{answer.action}{on}: {count}, people {_SIGNED_IN[answer.session]}")
    grouped: dict[str, list[Reach]] = {}
    for reach in answer.reaches:
        grouped.setdefault(_reach_head(reach), []).append(reach)
    for head, reaches in grouped.items():
        lines += _wrapped(head, "  ")
        names = sorted({name for reach in reaches for name in reach.names})
        if names != [reaches[0].way.holder]:
            lines += _wrapped(_some(names, _MOST_NAMES), "    ")
        for reach in reaches:
            lines += _reach_lines(reach.way, "    ")
    for name, reason in answer.unknown:
        lines += _wrapped(f"{visible(name)}: {reason}", "  ", "unknown for ")
    return lines


def _reach_head(reach: Reach) -> str:
    way = reach.way
    holder = way.kind if way.kind == "break-glass" else f"{way.kind} {way.team}"
    through = [f"{_duty(o)}{_at(o.asked)}" for o in way.statement.origins]
    return f"{holder}: {_and(through) or _policy(way)}"


def _duty(origin: Origin) -> str:
    ours = {
        "mfa": "the MFA policy",
        "break_glass": "break_glass",
        "hub": "may take its role elsewhere",
        "trusts": "may take the role",
    }
    return ours.get(origin.duty, f"duty {origin.duty}")


# --- what somebody can ----------------------------------------------------------------------------------------------


def access_text(found: AccessList) -> str:
    """A table: a line for each service, with how many actions of each level, on what, through which duties."""
    total = sum(len(names) for s in found.services for names in s.levels.values())
    signed_in = "" if found.session == "role" else f", {_SIGNED_IN[found.session]}"
    what = f"{_count(total, 'action')} of {_count(len(found.services), 'service')}" if total else "nothing"
    lines = [f"{visible(found.who)} ({found.kind}{signed_in}): {what}"]
    if found.services:
        width = max(7, *(len(s.service) for s in found.services))
        lines += ["", f"{'service':{width}} {' '.join(f'{level:>5}' for level in LEVELS)}  on     duties"]
        lines += [line for s in found.services for line in _service_lines(s, width)]
    if found.unknown:
        lines += ["", *_wrapped(_some(found.unknown), "", "unknown: ")]
    return "\n".join(lines)


def _service_lines(service: ServiceAccess, width: int) -> list[str]:
    counts = " ".join(f"{len(service.levels.get(level, ())) or '-':>{max(5, len(level))}}" for level in LEVELS)
    left = f"{service.service:{width}} {counts}  {'all' if service.everywhere else 'named':5}  "
    room = max(20, WIDTH - len(left))
    first, *rest = textwrap.wrap(", ".join(service.duties), room, break_long_words=False, break_on_hyphens=False) or [
        ""
    ]
    return [(left + first).rstrip(), *(" " * len(left) + line for line in rest)]


# --- words ----------------------------------------------------------------------------------------------------------

_OPERATORS = {
    "StringEquals": "=",
    "StringEqualsIgnoreCase": "=",
    "StringLike": "like",
    "ArnEquals": "like",
    "ArnLike": "like",
    "NumericEquals": "=",
    "NumericLessThan": "<",
    "NumericLessThanEquals": "<=",
    "NumericGreaterThan": ">",
    "NumericGreaterThanEquals": ">=",
    "DateLessThan": "before",
    "DateLessThanEquals": "until",
    "DateGreaterThan": "after",
    "DateGreaterThanEquals": "from",
    "Bool": "=",
    "IpAddress": "in",
    "NotIpAddress": "not in",
    "StringNotEquals": "is not",
    "StringNotLike": "is not",
    "StringNotEqualsIgnoreCase": "is not",
    "ArnNotEquals": "is not",
    "ArnNotLike": "is not",
    "NumericNotEquals": "is not",
}
_SETS = {"ForAnyValue": "some of ", "ForAllValues": "every one of ", "": ""}


def words(condition: Condition) -> str:
    """A condition as people say it: `aws:ResourceTag/team = web`."""
    set_, _, rest = condition.operator.rpartition(":")
    name = rest.removesuffix("IfExists")
    key = visible(condition.key)
    if name == "Null":
        return f"no {key}" if condition.values == ("true",) else f"some {key}"
    operator = _OPERATORS.get(name, name)
    absent = f", or there is no {key}" if name != rest else ""
    return f"{_SETS.get(set_, f'{set_} ')}{key} {operator} {_or(map(visible, condition.values))}{absent}"


def _resources(resources: Sequence[str]) -> str:
    return "every resource" if "*" in resources else _some(resources)


def _some(texts: Sequence[str], most: int = _MOST_RESOURCES) -> str:
    shown = [visible(text) for text in texts[:most]]
    more = len(texts) - most
    return ", ".join(shown) + (f" and {more:,} more" if more > 0 else "")


def _values(values: Sequence[str]) -> str:
    return _some(values, 3)


def _and(texts: Sequence[str]) -> str:
    return " and ".join([", ".join(texts[:-1]), texts[-1]]) if len(texts) > 1 else "".join(texts)


def _or(texts: Iterable[str]) -> str:
    listed = list(texts)
    return " or ".join([", ".join(listed[:-1]), listed[-1]]) if len(listed) > 1 else "".join(listed)


def _ticked(texts: Iterable[str]) -> list[str]:
    return [f"`{text}`" for text in dict.fromkeys(texts)]


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _policy(way: Way) -> str:
    whose = "the organization's" if way.kind == "organization" else "AWS's" if way.of_aws else "the"
    return f"{whose} policy {way.policy}"


def _first_span(origins: Sequence[Origin]) -> Span | None:
    return next((o.asked for o in origins if o.asked), None)


def _place(span: Span | None) -> str:
    return visible(span.place) if span else ""


def _at(span: Span | None) -> str:
    return f" ({_place(span)})" if span else ""


def _wrapped(text: str, indent: str = "", lead: str = "") -> list[str]:
    """The text in lines of at most 100 columns where it has spaces; those after the first stand under its words."""
    after = indent + " " * (len(lead) if lead else 2)
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent + lead,
        subsequent_indent=after,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [indent + lead]


# --- JSON -----------------------------------------------------------------------------------------------------------


def explanation_json(found: Explanation) -> str:
    """One object with all facts of an explanation."""
    question = found.question
    return minified(
        {
            "decision": found.outcome,
            "sentence": sentence(found),
            "who": question.who,
            "kind": found.kind,
            "teams": list(found.teams),
            "action": question.action,
            "resource": question.resource or None,
            "session": question.session,
            "context": {key: list(values) for key, values in question.given},
            "chain": [_way(w) for w in found.chain],
            "denied_by": [
                {
                    "what": o.kind,
                    "key": o.key or None,
                    "says": stops(o, found),
                    **_way(o.way),
                    "because": _held(o.holds),
                }
                for o in found.obstacles
            ],
            "unmet": [{**_way(u.way), "needs": _held(u.conditions)} for u in found.unmet],
            "limits": [{"what": o.kind, "key": o.key or None, **_way(o.way)} for o in found.limits],
            "elsewhere": [_way(w) for w in found.elsewhere],
            "nearest": [
                {
                    "duty": near.duty,
                    "actions": near.actions,
                    "parameters": list(near.parameters),
                    "holders": list(near.holders),
                    "built_in": near.built_in,
                }
                for near in found.nearest
            ],
            "administrators": list(found.administrators),
            "notes": [*_supposed(found), *found.notes],
            "reason": found.reason or None,
        }
    )


def who_can_json(answers: Sequence[WhoCan]) -> str:
    """A list: for each action who can, and how."""
    return minified(
        [
            {
                "action": answer.action,
                "resource": answer.resource or None,
                "session": answer.session,
                "of": answer.of,
                "who": list(answer.names),
                "ways": [{**_way(reach.way), "who": list(reach.names)} for reach in answer.reaches],
                "unknown": [{"who": name, "reason": reason} for name, reason in answer.unknown],
            }
            for answer in answers
        ]
    )


def access_json(found: AccessList) -> str:
    """One object: for each service the actions by level."""
    return minified(
        {
            "who": found.who,
            "kind": found.kind,
            "session": found.session,
            "services": [
                {
                    "service": s.service,
                    "levels": {level: list(names) for level, names in s.levels.items()},
                    "on": "all" if s.everywhere else "named",
                    "duties": list(s.duties),
                }
                for s in found.services
            ],
            "unknown": list(found.unknown),
        }
    )


def encoded_json(denial: Denial) -> str:
    """An encoded message, recognised."""
    return minified({"decision": "unknown", "reason": "AWS encoded the message", "encoded": denial.encoded})


def _way(way: Way) -> dict[str, object]:
    statement = way.statement
    return {
        "holder": way.team,
        "holder_kind": way.kind,
        "member": _place(way.member) or None,
        "declared": _place(way.declared) or None,
        "duties": [{"duty": o.duty, "at": _place(o.asked), "grant": _place(o.granted)} for o in statement.origins],
        "policy": way.policy,
        "sid": statement.sid,
        "resources": list(statement.resources),
        "not_resources": list(statement.not_resources),
        "conditions": [{"operator": c.operator, "key": c.key, "values": list(c.values)} for c in statement.conditions],
    }


def _held(conditions: Iterable[tuple[Condition, tuple[str, ...]]]) -> list[dict[str, object]]:
    return [
        {"operator": c.operator, "key": c.key, "values": list(c.values), "has": list(values)}
        for c, values in conditions
    ]
