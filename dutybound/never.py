"""What a team's `never` denies: statements for what a duty does, save what people need to enrol MFA for themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from dutybound import catalog
from dutybound.asked import Asked, Scope
from dutybound.baseline import camel
from dutybound.catalog import Action
from dutybound.config import Duty, DutyUse, ManagedGrant, PassGrant, parameters_in
from dutybound.diagnostic import Diagnostic, Text, quoted
from dutybound.grant import LOOKING, actions_named, duty_access, passed_to, unknown_action_hint
from dutybound.mfa import ENROL, MAKE_DEVICE, OWN_KEYS, REMOVE_DEVICE, SEE_RULES, SELF
from dutybound.policy import Condition, Origin, Statement
from dutybound.shorten import shortened

_OWN = frozenset({*ENROL, *REMOVE_DEVICE}) - {"iam:DeleteVirtualMFADevice"}
_UNOWNED = frozenset({*SEE_RULES, *MAKE_DEVICE, "iam:DeleteVirtualMFADevice"})
"""Enrolment that cannot be limited to a user: `never` leaves it alone."""


def never(
    use: DutyUse, duty: Duty, own_access_keys: bool, found: list[Diagnostic], scope: Scope
) -> Iterator[Statement]:
    """Denies for what a duty does, save what a person needs to enrol MFA for themselves.

    Its changes, and the actions of its own `never`, are denied on every resource; what it looks at, where it looks.
    A duty that changes things also lists and reads everything (all servers, all metrics) to find its way, as many
    duties do: that is not what it is about, and stays. With `own_access_keys` people keep those actions on themselves.
    Errors are added to `found`.
    """
    if any(isinstance(g, ManagedGrant) for g in duty.grants):
        message = f"'never' cannot name {quoted(use.name)}, which is an AWS managed policy as a whole"
        found.append(Diagnostic("wrong-never", message, use.name.span, "leave it out: nobody gets it unasked"))
        return
    if scope.boundary_path is None:
        scope = Scope(roles=scope.roles)  # what is denied everywhere needs no boundary to be made within
    origin = Origin(str(use.name), use.span or use.name.span, duty.span)
    own = _OWN | frozenset(OWN_KEYS if own_access_keys else ())
    asked = Asked(str(use.name), {}, origin, found, scope)
    for label, actions, where in _denied(use, duty, asked, own):
        short = shortened(actions, catalog.RANK)
        if short:
            yield replace(where, sid=f"Never{camel(use.name)}{label}", actions=short, origins=(origin,))
    passing = [grant for grant in duty.grants if isinstance(grant, PassGrant)]
    sid = f"Never{camel(use.name)}PassRole"
    if any(name in duty.parameters for grant in passing for text in grant.to for name in parameters_in(text)):
        # Whoever has the duty says to which services: to any, then.
        yield Statement(sid, "Deny", ("iam:PassRole",), ("*",), origins=(origin,))
    elif to := {service for grant in passing for service in passed_to(grant, asked)}:
        condition = Condition("StringEquals", "iam:PassedToService", tuple(sorted(to)))
        yield Statement(sid, "Deny", ("iam:PassRole",), ("*",), conditions=(condition,), origins=(origin,))


def _denied(
    use: DutyUse, duty: Duty, asked: Asked, own_names: frozenset[str]
) -> Iterator[tuple[str, set[Action], Statement]]:
    """What `never` denies of a duty: a label, actions, and the statement that says where.

    `own_names` are actions that people keep on themselves.
    """
    anywhere: dict[Text, tuple[Text, ...]] = {name: (Text("*"),) for name in duty.parameters}
    wide = DutyUse.model_construct(name=use.name, parameters=anywhere)
    # Roles are passed by many duties: what is denied of that is the services that this one passes them to.
    rest = duty.model_copy(update={"grants": tuple(g for g in duty.grants if not isinstance(g, PassGrant))})
    # The duty's own errors are reported where somebody has it, or where nobody has.
    access = duty_access(wide, rest, [], asked.scope)
    granted = {s: catalog.spoken_of(s) for s in access.statements if s.effect == "Allow"}
    changes = {a for actions in granted.values() for a in actions if a.level not in LOOKING}
    named = set(_never_patterns(duty, asked))
    everywhere = changes | named
    yield "", everywhere - actions_named(own_names | _UNOWNED), Statement("", "Deny", resources=("*",))
    own = everywhere & actions_named(own_names)
    looked_at: dict[tuple[tuple[str, ...], tuple[str, ...]], set[Action]] = {}
    for statement, actions in granted.items():
        looks = {a for a in actions if a.level in LOOKING} - everywhere - actions_named(_UNOWNED)
        if statement.resources != ("*",) or not changes:
            own |= looks & actions_named(own_names)
            where = statement.resources, statement.not_resources
            looked_at.setdefault(where, set()).update(looks - actions_named(own_names))
    yield "OfOthers", own, Statement("", "Deny", not_resources=SELF)
    for (resources, not_resources), looks in looked_at.items():
        yield "Looking", looks, Statement("", "Deny", resources=resources, not_resources=not_resources)


def _never_patterns(duty: Duty, asked: Asked) -> Iterator[Action]:
    for pattern in duty.never:
        hits = catalog.actions_of(pattern)
        if not hits:
            hint = unknown_action_hint(pattern) or "remove it"
            message = f"'never' names {quoted(pattern)}, which matches no action"
            asked.report("unknown-action", message, pattern.span, hint)
        yield from hits
