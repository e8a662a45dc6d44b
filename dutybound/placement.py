"""Which stack holds a resource: decided by its own kind and name and by `organization.parts`, by nothing else.

A named resource of IAM cannot move to another stack in a deployment: the new stack makes it first, and the name is
taken. So nothing that is added or removed elsewhere may move it, and no count takes part here. With `parts` 1 there is
a stack for teams with their people and one for roles. With more, each team (its groups, policies and role), each person
and each role (with its policies) goes to one of that many stacks by a hash of its name; what everybody shares, and
identity providers, stay in the first two whatever `parts` is. Source of the limits: CloudFormation User Guide,
"Understand CloudFormation quotas".
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from dutybound.baseline import Account, ManagedPolicy, Stack, StackName
from dutybound.policy import Policy
from dutybound.quotas import quota

PARTS = (1, 4, 16, 64)
"""Each is four times the one before, so that a part splits into four others and no operation of a stack refactoring,
which takes five stacks, has to touch more than one part and the four that it becomes."""
MOST_RESOURCES = quota("resources-per-stack").value
MOST_BYTES = quota("template-size-in-s3").value
_PURPOSES = {
    "people": "People, by their groups",
    "roles": "Roles for software and for others",
    "teams": "Teams and their duties",
}
_FRAME = 1000
"""Bytes of a template around its resources."""
_RESOURCE = 600
"""Bytes of a resource without its policies: type, names, tags that everything carries, metadata."""
_REFERENCE = 250
"""Bytes of a reference to a policy, or of an address, at most."""
_LINE = 60
"""Bytes around a tag, or around the name of a group."""
_SPREAD = 2
"""Bytes of a template for each character of a policy: it is written on many lines, with Fn::Sub around its ARNs."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a stack holds: resources, and bytes of its template, estimated from above."""

    resources: int
    size: int

    @property
    def fits(self) -> bool:
        """Whether CloudFormation takes it."""
        return self.resources <= MOST_RESOURCES and self.size <= MOST_BYTES


def stack(prefix: str, purpose: str, owner: str, parts: int) -> StackName:
    """The name of the stack for what belongs to `owner`, one of the teams, people or roles, as `purpose` says."""
    if parts == 1:
        return f"{prefix}-{'teams' if purpose == 'people' else purpose}"
    digest = hashlib.sha256(f"{purpose}:{owner}".encode()).digest()
    return _part(prefix, purpose, int.from_bytes(digest[:8]) % parts)


def stacks(prefix: str, region: str, parts: int) -> tuple[Stack, ...]:
    """The stacks of all parts; none where there is one part. They are there with nothing in them too."""
    if parts == 1:
        return ()
    return tuple(
        Stack(_part(prefix, purpose, part), region, f"{what}, part {part}")
        for purpose, what in sorted(_PURPOSES.items())
        for part in range(parts)
    )


def place(account: Account, prefix: str, parts: int) -> Account:
    """The account with every team, person and role in its stack; the order of everything stays as it is."""
    return replace(
        account,
        policies=tuple(replace(p, stack=_of_policy(p, prefix, parts)) for p in account.policies),
        groups=tuple(
            replace(g, stack=stack(prefix, "teams", g.name.partition(".")[0], parts)) if g.path == "/teams/" else g
            for g in account.groups
        ),
        users=tuple(
            replace(u, stack=stack(prefix, "people", u.name, parts)) if u.path == "/people/" else u
            for u in account.users
        ),
        roles=tuple(
            replace(r, stack=stack(prefix, r.path.strip("/"), r.name, parts)) if r.path in ("/roles/", "/teams/") else r
            for r in account.roles
        ),
    )


def loads(account: Account) -> dict[StackName, Load]:
    """What each stack with anything in it holds, by its name."""
    counts: Counter[StackName] = Counter()
    sizes: Counter[StackName] = Counter()
    for name, resources, size in _weights(account):
        counts[name] += resources
        sizes[name] += size
    return {name: Load(counts[name], _FRAME + sizes[name]) for name in sorted(counts)}


def enough(account: Account, prefix: str, parts: int) -> int | None:
    """The fewest parts, above `parts`, with which everything of the account fits; None if no number is enough."""
    more = (number for number in PARTS if number > parts)
    return next((n for n in more if all(load.fits for load in loads(place(account, prefix, n)).values())), None)


def _part(prefix: str, purpose: str, part: int) -> StackName:
    return f"{prefix}-{purpose}-{part:02}"


def _of_policy(policy: ManagedPolicy, prefix: str, parts: int) -> StackName:
    """That of its team or role: `team-NAME`, `team-NAME.2`, `team-NAME.until-2030-12-31`. No such name holds a dot."""
    if policy.path != "/duties/" or policy.inline:
        return policy.stack
    kind, _, owner = policy.name.partition(".")[0].partition("-")
    return stack(prefix, f"{kind}s", owner, parts)


def _weights(account: Account) -> Iterator[tuple[StackName, int, int]]:
    """Stack, number of resources and bytes of everything that can be many."""
    for policy in account.own_policies:
        yield policy.stack, 1, _RESOURCE + _text(policy.policy)
    for group in account.groups:
        yield group.stack, 1, _RESOURCE + _REFERENCE * (len(group.policies) + len(group.managed)) + len(group.purpose)
    for user in account.users:
        lines = (*user.groups, *(f"{key}{value}" for key, value in user.tags))
        yield user.stack, 1, _RESOURCE + _REFERENCE + sum(_LINE + len(line.encode()) for line in lines)
    for role in account.own_roles:
        attached = _REFERENCE * (len(role.policies) + len(role.managed) + 1)
        profile = role.instance_profile is not None
        size = _RESOURCE * (2 if profile else 1) + attached + _text(role.trust) + len(role.purpose)
        yield role.stack, 2 if profile else 1, size
    for provider in account.identity_providers:
        yield provider.stack, 1, _RESOURCE + _REFERENCE * len(provider.audiences)
    for budget in account.budgets:
        yield budget.stack, 1, _RESOURCE + _REFERENCE * len(budget.alert_at) * (1 + len(budget.addresses))


def _text(policy: Policy) -> int:
    return _SPREAD * policy.size
