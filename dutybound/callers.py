"""Who can call in an account: each person, role and break-glass user, with the policies over it and what its requests
say of it.

A request says who calls whatever it is about: the name, the tags, whether MFA was used. Sources: IAM User Guide, "AWS
global condition context keys" (Properties of the principal, of a role session) and "Secure API access with MFA".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from dutybound.baseline import Account, Baseline, Group, Role, User
from dutybound.evaluate import Policies, in_account
from dutybound.managed import managed_policy
from dutybound.policy import Policy

Kind = Literal["person", "team", "role", "break-glass"]
Session = Literal["mfa", "no-mfa", "key", "role"]
"""How somebody signed in: with MFA, with a password alone, with a long-term access key alone, or as a role."""
Known = Mapping[str, "str | tuple[str, ...] | None"]
"""What is known of a request: condition keys with their value, or None for a key that is absent."""
ACCOUNT_ID = "111122223333"
"""Stands for the account of a baseline that is for whatever account it is deployed to."""


@dataclass(frozen=True, slots=True)
class Caller:
    """One principal of an account: its ARN (of the session, for a role), and everything that decides over it."""

    name: str
    kind: Kind
    arn: str
    policies: Policies
    groups: tuple[str, ...] = ()
    """For people, the names of their groups."""
    tags: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    role: str = ""
    """For a role, its own ARN."""

    @property
    def sessions(self) -> tuple[Session, ...]:
        """How it can call."""
        return ("role",) if self.role else ("mfa", "no-mfa", "key")

    def known(self, session: Session) -> dict[str, str | tuple[str, ...] | None]:
        """What its requests say of it, signed in this way; keys that they never carry are None."""
        account = self.arn.split(":")[4]
        keys: dict[str, str | tuple[str, ...] | None] = {
            "aws:PrincipalArn": self.role or self.arn,
            "aws:PrincipalAccount": account,
            "aws:PrincipalIsAWSService": "false",
            "aws:PrincipalType": "AssumedRole" if self.role else "User",
            "aws:ViaAWSService": "false",
            "aws:username": None if self.role else self.arn.rpartition("/")[2],
            "aws:MultiFactorAuthPresent": {"mfa": "true", "no-mfa": "false"}.get(session),
            "aws:MultiFactorAuthAge": "60" if session == "mfa" else None,
            **{f"aws:PrincipalTag/{key}": value for key, value in self.tags},
        }
        return keys


def callers(
    baseline: Baseline, account: Account, partition: str = "aws", account_id: str = ACCOUNT_ID
) -> tuple[Caller, ...]:
    """All principals of an account, sorted by kind and name: people, roles of teams and others, break-glass users.

    `account_id` stands for an account without an id. The role that EventBridge takes for the alarm is left out.
    """
    return _Callers(baseline, account, partition, account_id).all()


def teams(baseline: Baseline, account: Account, partition: str = "aws") -> tuple[Caller, ...]:
    """Each team of an account's people as a caller: somebody who is in it and in no other, sorted by name."""
    return _Callers(baseline, account, partition, ACCOUNT_ID).teams()


_KINDS: dict[str, Kind] = {"/break-glass/": "break-glass", "/teams/": "team"}
"""What stands for whom, by the path of a role: that of a team is taken by its people, who are in another account."""
_HASH = "0123456789abcdef"
"""Stands for what Identity Center puts behind the name of a permission set, which is another in each account."""


def is_team(role: Role) -> bool:
    """Whether a role stands for a team, whose people sign in elsewhere."""
    return role.permission_set is not None or _KINDS.get(role.path) == "team"


def name_in_arn(role: Role) -> str:
    """The name of a role in ARNs (Identity Center User Guide, "Referencing permission sets in resource policies")."""
    return role.name if role.permission_set is None else f"AWSReservedSSO_{role.permission_set}_{_HASH}"


class _Callers:
    def __init__(self, baseline: Baseline, account: Account, partition: str, account_id: str) -> None:
        self.baseline, self.account, self.partition = baseline, account, partition
        self.id = account.id or account_id
        self.policies = {p.name: in_account(p.policy, self.id, partition) for p in account.policies}
        self.guards = tuple(guard.policy for guard in account.guards)
        self.groups = {group.name: group for group in account.groups}
        self.held = {name: self._held(group) for name, group in self.groups.items()}

    def all(self) -> tuple[Caller, ...]:
        everyone = [*map(self._user, self.account.users), *map(self._role, self.account.roles)]
        order: tuple[Kind, ...] = ("person", "team", "role", "break-glass")
        return tuple(sorted(everyone, key=lambda c: (order.index(c.kind), c.name)))

    def teams(self) -> tuple[Caller, ...]:
        arn = f"arn:{self.partition}:iam::{self.id}:user/people/somebody"
        bounds = {u.permissions_boundary for u in self.account.users if u.path == "/people/"}
        name = next((b for b in sorted(filter(None, bounds))), None)
        boundary = self.policies[name] if name else None
        return tuple(
            Caller(g.name, "team", arn, self._over(groups=(self.held[g.name],), boundary=boundary), (g.name,))
            for g in sorted(self.account.groups, key=lambda g: g.name)
            if g.path == "/teams/" and "." not in g.name
        )

    def _over(
        self,
        identity: tuple[Policy, ...] = (),
        groups: tuple[tuple[Policy, ...], ...] = (),
        boundary: Policy | None = None,
    ) -> Policies:
        """Policies with those of the organization that stand over everybody here."""
        return Policies(identity, groups, boundary, guards=self.guards)

    def _held(self, holder: Group | Role) -> tuple[Policy, ...]:
        own = [self.policies[name] for name in holder.policies]
        return (*own, *(managed_policy(name).policy for name in holder.managed))

    def _user(self, user: User) -> Caller:
        boundary = self.policies[user.permissions_boundary] if user.permissions_boundary else None
        held = tuple(self.held[name] for name in user.groups)
        kind: Kind = "break-glass" if user.path == "/break-glass/" else "person"
        arn = f"arn:{self.partition}:iam::{self.id}:user{user.path}{user.name}"
        tags = (*self.baseline.tags, *user.tags)
        return Caller(user.name, kind, arn, self._over(groups=held, boundary=boundary), user.groups, tags)

    def _role(self, role: Role) -> Caller:
        name = name_in_arn(role)
        session = f"arn:{self.partition}:sts::{self.id}:assumed-role/{name}/session"
        own = f"arn:{self.partition}:iam::{self.id}:role{role.path}{name}"
        kind = "team" if is_team(role) else _KINDS.get(role.path, "role")
        boundary = self.policies[role.permissions_boundary] if role.permissions_boundary else None
        policies = self._over(identity=self._held(role), boundary=boundary)
        # Identity Center gives its roles none of our tags.
        tags = () if role.permission_set is not None else self.baseline.tags
        return Caller(role.name, kind, session, policies, (), tags, own)
