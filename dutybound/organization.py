"""The key `guardrails.organization` -> policies of AWS Organizations: service control policies over the principals of
member accounts, and resource control policies over what they hold.

They bind administrators and roles made by hand too, which no policy of an account does, and neither the management
account nor service-linked roles. Each rule is denies alone. Who deploys the baseline, and break-glass, are spared by
the ARN of their role or user in whatever account; so nobody else may make or change what has such an ARN (`_exempt` is
one list for both). Sources: Organizations User Guide, "SCP evaluation", "RCP evaluation", "Resource control policies";
IAM User Guide, "AWS global condition context keys", "Track privileged tasks in AWS CloudTrail" (aws:AssumedRoot);
CloudFormation User Guide, "Service-managed permissions" (stacksets-exec); AWS Well-Architected, SEC01-BP01, SEC03-BP05.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from dutybound import catalog, fence
from dutybound.accounts import Destination, destinations
from dutybound.baseline import Account, Baseline, Kind, OrganizationPolicy, StackSet, Target, camel, logical_id
from dutybound.boundary import TRAIL, covering
from dutybound.config import AccountTrust, Configuration, OrganizationGuardrails, OrganizationTrust, Role, RuleUse
from dutybound.diagnostic import Diagnostic, Text, did_you_mean, quoted
from dutybound.hub import LOOK, is_in
from dutybound.issuer import identities
from dutybound.pack import pack
from dutybound.policy import EVERYBODY, Condition, Origin, Statement, overlap
from dutybound.quotas import quota
from dutybound.rollout import management, within

SCP: Kind = "SERVICE_CONTROL_POLICY"
RCP: Kind = "RESOURCE_CONTROL_POLICY"
SCP_SIZE, RCP_SIZE = quota("service-control-policy-size").value, quota("resource-control-policy-size").value
MOST_SCPS = quota("service-control-policies-per-target").value - 1
MOST_RCPS = quota("resource-control-policies-per-target").value - 1
"""FullAWSAccess and RCPFullAWSAccess take one place each."""
STACK_SETS = "stacksets-exec-*"
"""The role that StackSets makes in a member account and deploys with. It is no service-linked role, so SCPs bind it."""


# --- what is wrong with it ------------------------------------------------------------------------------------------


def check(configuration: Configuration) -> Iterator[Diagnostic]:
    """What is wrong with `guardrails.organization`, and which rules would stop the baseline itself."""
    wanted = configuration.guardrails.organization
    if wanted is None:
        return
    if configuration.organization.management is None:
        message = "policies of the organization stand in the account that manages it, and none is named"
        hint = "name it in 'organization.management'"
        yield Diagnostic("no-management-account", message, wanted.span, hint)
    yield from _target_errors(configuration, wanted)
    yield from _deployer_errors(configuration, wanted)
    guardrails = configuration.guardrails
    for rule, key, given in (
        ("regions", "regions", guardrails.regions),
        ("instance-types", "instance_types", guardrails.instance_types),
        ("tags", "require_tags", guardrails.require_tags),
    ):
        if rule in wanted.names and not given:
            message = f"guardrails.organization asks for {quoted(rule)}, and guardrails says nothing of {quoted(key)}"
            yield Diagnostic(
                "useless-guardrail", message, wanted.span, f"add '{key}' to 'guardrails', or remove the rule"
            )
    if wanted.partners and "perimeter" not in wanted.names:
        message = "guardrails.organization.partners says nothing without the rule 'perimeter'"
        yield Diagnostic("contradiction", message, wanted.partners[0].span, "add the rule, or remove 'partners'")
    yield from _twice(wanted)
    for use in wanted.rules:
        if use.name == "no-users" and _reaches_people(configuration, use):
            message = "the rule 'no-users' reaches the account that holds the people, who are IAM users"
            hint = "attach it to other units ('units'), or write 'people_in: identity-center'"
            yield Diagnostic("self-stopping-rule", message, use.span or wanted.span, hint)
        if use.name == "perimeter":
            yield from _perimeter_errors(configuration, wanted, use)


def _twice(wanted: OrganizationGuardrails) -> Iterator[Diagnostic]:
    first: set[str] = set()
    for use in wanted.rules:
        if use.name in first:
            message = f"guardrails.organization names the rule {quoted(use.name)} twice"
            yield Diagnostic("duplicate-name", message, use.span or wanted.span, "name all of its units in one place")
        first.add(use.name)


def _target_errors(configuration: Configuration, wanted: OrganizationGuardrails) -> Iterator[Diagnostic]:
    organization = configuration.organization
    if wanted.root and wanted.units:
        message = "guardrails.organization is attached to the root, which holds every unit, and to units too"
        yield Diagnostic("contradiction", message, wanted.units[0].span, "remove one of 'root' and 'units'")
    elif wanted.root and organization.root is None:
        message = "guardrails.organization is attached to the root, whose id is not given"
        yield Diagnostic("unknown-unit", message, wanted.span, "give 'organization.root'")
    own = [unit for use in wanted.rules for unit in use.units]
    for unit in dict.fromkeys((*own, *(() if wanted.root else _units(configuration, wanted)))):
        if unit not in organization.units:
            message = f"guardrails.organization is attached to the unit {quoted(unit)}, whose id is not given"
            hint = "put it into 'organization.units'; 'aws organizations list-organizational-units-for-parent' shows it"
            at = unit.span if isinstance(unit, Text) else wanted.span
            yield Diagnostic("unknown-unit", message, at, did_you_mean(unit, organization.units) or hint)
    if any(not _targets(configuration, wanted, use) for use in wanted.rules):
        message = "guardrails.organization is attached to nothing: no account of the configuration is a member"
        yield Diagnostic("unknown-unit", message, wanted.span, "name units in 'guardrails.organization.units'")


def _deployer_errors(configuration: Configuration, wanted: OrganizationGuardrails) -> Iterator[Diagnostic]:
    """What is spared must be out of reach of those who are not: roles that teams make, roles that stand for teams."""
    bounds = configuration.guardrails.boundary
    made = f"{str(bounds.path).strip('/')}/" if bounds is not None else None
    for role in wanted.deployers:
        own = role.removeprefix("roles/") if role.startswith("roles/") and not _wild(role) else None
        if made is not None and overlap(role, f"{made}*"):
            message = f"guardrails.organization.deployers: teams make roles that {quoted(role)} takes in"
            hint = f"name roles outside of '/{made}'"
            yield Diagnostic("open-exemption", message, role.span, hint)
        elif overlap(role, "teams/*") or (own is None and overlap(role, "roles/*")):
            message = (
                f"guardrails.organization.deployers: {quoted(role)} takes in roles that do not deploy the baseline"
            )
            yield Diagnostic("open-exemption", message, role.span, "name the role that deploys, with its path")
        elif own is not None and own not in configuration.roles:
            message = f"guardrails.organization.deployers names a role that does not exist: {quoted(role)}"
            hint = did_you_mean(own, configuration.roles) or "add it to 'roles'"
            yield Diagnostic("unknown-role", message, role.span, hint)


def _wild(text: str) -> bool:
    return "*" in text or "?" in text


def _perimeter_errors(
    configuration: Configuration, wanted: OrganizationGuardrails, use: RuleUse
) -> Iterator[Diagnostic]:
    organization = configuration.organization
    if organization.id is None:
        message = "the rule 'perimeter' tells the organization's own principals by its id, which is not given"
        yield Diagnostic("no-organization-id", message, wanted.span, "give 'organization.id'")
    inside = {*wanted.partners, *(a.id for a in configuration.accounts.values()), organization.id}
    reached = [d for d in destinations(configuration) if any(_reached(configuration, use, t) for t in d.targets)]
    for name, role in sorted(configuration.roles.items()):
        outsider = _outsider(role)
        if outsider is not None and outsider not in inside and any(is_in(role, d) for d in reached):
            message = f"the rule 'perimeter' would shut out whom the role {quoted(name)} trusts: {quoted(outsider)}"
            hint = "add it to 'guardrails.organization.partners', or an account of the organization to 'accounts'"
            yield Diagnostic("self-stopping-rule", message, outsider.span, hint)


def _outsider(role: Role) -> Text | None:
    match role.trusts:
        case AccountTrust(account=account):
            return account
        case OrganizationTrust(organization=organization):
            return organization
    return None


# --- where they are attached ----------------------------------------------------------------------------------------


def _members(configuration: Configuration) -> Iterator[Target]:
    """The accounts that such policies can bind: all but the one that manages the organization."""
    boss = management(configuration)
    return (t for d in destinations(configuration) for t in d.targets if t != boss)


def _units(configuration: Configuration, wanted: OrganizationGuardrails) -> list[str]:
    """The units that the policies are attached to, by name: those asked for, or those of the accounts. Rules that name
    units of their own are apart.
    """
    if wanted.units:
        return list(dict.fromkeys(wanted.units))
    names = sorted({t.unit for t in _members(configuration) if t.unit is not None})
    return [name for name in names if not any(other != name and within(name, other) for other in names)]


def _targets(configuration: Configuration, wanted: OrganizationGuardrails, use: RuleUse) -> tuple[str, ...]:
    """The ids of units, accounts or the root that the policies with a rule are attached to, sorted."""
    organization = configuration.organization
    if use.units:
        return tuple(sorted({str(organization.units.get(unit, unit)) for unit in use.units}))
    if wanted.root:
        return (str(organization.root),)
    ids = {str(organization.units.get(Text(unit), unit)) for unit in _units(configuration, wanted)}
    if not wanted.units:
        ids |= {target.id for target in _members(configuration) if target.unit is None}
    return tuple(sorted(ids))


def _reached(configuration: Configuration, use: RuleUse, target: Target) -> bool:
    """Whether a rule binds an account."""
    wanted = configuration.guardrails.organization
    if wanted is None or target == management(configuration):
        return False
    units = use.units or (() if wanted.root else wanted.units)
    return not units or any(within(target.unit, unit) for unit in units)


def _reaches_people(configuration: Configuration, use: RuleUse) -> bool:
    holds = [d for d in destinations(configuration) if d.standing != "member"]
    return any(_reached(configuration, use, target) for d in holds for target in d.targets)


# --- what they say --------------------------------------------------------------------------------------------------


def organization_policies(
    configuration: Configuration,
    baselines: Sequence[tuple[Destination, Baseline]],
    stack_sets: Iterable[StackSet],
    found: list[Diagnostic],
) -> tuple[OrganizationPolicy, ...]:
    """The policies of a configuration that `check` finds nothing in, sorted by name. `baselines` are all destinations.

    What fits into no policy is reported to `found`.
    """
    wanted = configuration.guardrails.organization
    if wanted is None:
        return ()
    rules = _Rules(configuration, wanted, baselines, stack_sets)
    prefix = str(configuration.organization.name)
    stack = f"{prefix}-organization-policies"
    made: list[OrganizationPolicy] = []
    for kind, word, most, size, says in (
        (SCP, "guardrails", MOST_SCPS, SCP_SIZE, "What no principal of the accounts does"),
        (RCP, "perimeter", MOST_RCPS, RCP_SIZE, "Whom the resources of the accounts let in"),
    ):
        attached: Counter[str] = Counter()
        for uses in _together(wanted):
            targets = _targets(configuration, wanted, uses[0])
            binds = tuple(sorted(t.id for t in _members(configuration) if _reached(configuration, uses[0], t)))
            packed = pack(rules.controls(uses) if kind == SCP else rules.perimeter(uses), most, size)
            attached.update(dict.fromkeys(targets, most + 1 if packed is None else len(packed)))
            for i, policy in enumerate(packed or ()):
                name = "-".join((prefix, word, *([_label(uses[0])] if uses[0].units else []))) + (
                    f".{i + 1}" if i else ""
                )
                id_ = logical_id("OrganizationPolicy", name)
                made.append(OrganizationPolicy(id_, stack, name, kind, says, policy, targets, binds))
        if max(attached.values(), default=0) > most:
            message = f"the policies of the organization need more than the {most} of {size:,} characters that a unit "
            message += "has room for"
            hint = "ask for fewer rules, tags, instance types or partners"
            found.append(Diagnostic("too-many-guardrails", message, wanted.span, hint))
    return tuple(sorted(made, key=lambda p: p.name))


def _together(wanted: OrganizationGuardrails) -> Iterator[tuple[RuleUse, ...]]:
    """The rules that are attached to the same: those that go where the rest goes, then those that name units."""
    grouped: dict[tuple[str, ...], list[RuleUse]] = {}
    for use in wanted.rules:
        grouped.setdefault(tuple(sorted(set(use.units))), []).append(use)
    return (tuple(uses) for _, uses in sorted(grouped.items()))


def _label(use: RuleUse) -> str:
    """What tells the policies of a rule that names units from the others: these units, in a name of AWS's length."""
    text = "+".join(sorted(set(use.units)))
    return text if len(text) <= _LABEL else f"{text[: _LABEL - 7]}-{logical_id('', text)[-6:]}"


_LABEL = 64


def above(account: Account, policies: Iterable[OrganizationPolicy]) -> Account:
    """An account with the policies of the organization that bind it, or one of its targets."""
    ids = {target.id for target in account.targets}
    return replace(account, above=tuple(p for p in policies if ids & set(p.binds)))


class _Rules:
    """The statements of one configuration."""

    def __init__(
        self,
        configuration: Configuration,
        wanted: OrganizationGuardrails,
        baselines: Sequence[tuple[Destination, Baseline]],
        stack_sets: Iterable[StackSet],
    ) -> None:
        self.configuration, self.wanted = configuration, wanted
        self.guardrails = configuration.guardrails
        self.accounts = [account for _, baseline in baselines for account in baseline.accounts]
        self.stack_sets = [made.name for made in stack_sets]
        self.arn = f"arn:{catalog.partition(str(configuration.organization.home_region))}"
        self.iam = f"{self.arn}:iam::*:"
        self.exempt = self._exempt()
        self.but = Condition("ArnNotLike", "aws:PrincipalArn", self.exempt)

    def controls(self, uses: Sequence[RuleUse]) -> list[Statement]:
        """Of the service control policies with these rules."""
        rules: dict[str, Callable[[], Iterator[Statement]]] = {
            "no-root": self._no_root,
            "stay": self._stay,
            "keep-baseline": self._keep_baseline,
            "keep-trail": self._keep_trail,
            "no-users": self._no_users,
            "regions": self._regions,
            "instance-types": self._instance_types,
            "tags": self._tags,
        }
        saying = [(use, rules[use.name]) for use in uses if use.name in rules]
        made = [replace(s, origins=self._origin(use)) for use, say in saying for s in say()]
        if any(self.but in s.conditions for s in made):
            made.append(replace(self._keep_exempt(), origins=self._origin()))
        return made

    def _origin(self, use: RuleUse | None = None) -> tuple[Origin, ...]:
        """The line that asks for a statement: that of its rule."""
        span = use.span if use is not None else None
        return (Origin("guardrails.organization", span or self.wanted.span),)

    # -- who is spared

    def _exempt(self) -> tuple[str, ...]:
        """The principals that the rules spare, in whatever account: who deploys, and break-glass."""
        roles = {*map(str, self.wanted.deployers), *((STACK_SETS,) if self.stack_sets else ())}
        emergency = (f"{self.iam}role/break-glass/*", f"{self.iam}user/break-glass/*")
        return tuple(sorted({*(f"{self.iam}role/{role}" for role in roles), *emergency}))

    def _keep_exempt(self) -> Statement:
        """Nobody else makes or changes what is spared, or hands it to a service. Who takes such a role, its trust says.

        To move a user takes permission for the new ARN too (IAM API Reference, UpdateUser); roles cannot be moved.
        """
        return self._deny("KeepExempt", self.exempt, not_actions=(*LOOK, "sts:*"))

    def _deny(
        self,
        sid: str,
        resources: Iterable[str] = ("*",),
        actions: tuple[str, ...] = (),
        not_actions: tuple[str, ...] = (),
    ) -> Statement:
        return Statement(
            sid, "Deny", actions, tuple(sorted(resources)), not_actions=not_actions, conditions=(self.but,)
        )

    def _spare(self, statements: Iterable[Statement]) -> Iterator[Statement]:
        for statement in statements:
            conditions = sorted((*statement.conditions, self.but), key=lambda c: (c.operator, c.key))
            resources = tuple(sorted(re.sub(r"^arn:\*:", f"{self.arn}:", r) for r in statement.resources))
            yield replace(statement, resources=resources, conditions=tuple(conditions))

    # -- the rules

    def _no_root(self) -> Iterator[Statement]:
        """The root user does nothing; the short sessions that the management account takes as root carry a key."""
        root = (
            Condition("ArnLike", "aws:PrincipalArn", (f"{self.iam}root",)),
            Condition("Null", "aws:AssumedRoot", ("true",)),
        )
        yield Statement("NoMemberRoot", "Deny", ("*",), ("*",), conditions=root)

    def _stay(self) -> Iterator[Statement]:
        """No account leaves. One that accepts another organization's invitation leaves too (Organizations API
        Reference, AcceptHandshake).
        """
        leaving = ("account:CloseAccount", "organizations:AcceptHandshake", "organizations:LeaveOrganization")
        yield Statement("StayInOrganization", "Deny", leaving, ("*",))

    def _keep_baseline(self) -> Iterator[Statement]:
        """What the baseline made stays as it is. Taking and passing its roles is for trust and duties to say, and what
        people do with their own devices and passwords is left alone.
        """
        ours = [f"{self.iam}{path}*" for path in _KEPT]
        issuers = {i.url.removeprefix("https://") for a in self.accounts for i in a.identity_providers}
        ours += [f"{self.iam}oidc-provider/{issuer}" for issuer in issuers]
        if self.configuration.organization.people_in == "identity-center":
            ours.append(f"{self.iam}saml-provider/AWSSSO_*")
        else:
            yield self._deny("KeepPeople", (f"{self.iam}user/people/*",), _GIVES_ACCESS)
        yield self._deny("KeepBaseline", ours, not_actions=(*LOOK, "iam:PassRole", "sts:*"))
        names = {stack.name for account in self.accounts for stack in account.stacks}
        # CloudFormation names the stacks of a stack set after it, with an id behind.
        sets = (f"StackSet-{name.removesuffix('*')}-*" for name in covering(self.stack_sets))
        stacks = sorted((*covering(sorted(names)), *sets))
        looking = ("cloudformation:Describe*", "cloudformation:Detect*", "cloudformation:Get*", "cloudformation:List*")
        arns = (f"{self.arn}:cloudformation:*:*:stack/{name}/*" for name in stacks)
        yield self._deny("KeepStacks", arns, not_actions=looking)
        alarm = tuple(
            f"{self.arn}:{name}"
            # The topic, and its subscriptions, whose ARNs begin with it.
            for name in ("events:*:*:rule/break-glass-*", "sns:*:*:break-glass-alarm", "sns:*:*:break-glass-alarm:*")
        )
        quiet = ("events:Describe*", "events:List*", "sns:Get*", "sns:List*", "sns:Publish")
        yield self._deny("KeepAlarm", alarm, not_actions=quiet)
        # A key on the bus encrypts its rules: whoever turns it off turns them off.
        yield self._deny("KeepBus", (f"{self.arn}:events:*:*:event-bus/default",), ("events:UpdateEventBus",))
        hearing = [account for account in self.accounts if account.alarm is not None and account.alarm.bus is not None]
        if hearing:
            # These two know no resource, and so no bus: only where the bus stands that hears the other accounts.
            here = Condition("StringEquals", "aws:PrincipalAccount", tuple(sorted(str(a.id) for a in hearing)))
            closing = self._deny("KeepBusOpen", actions=("events:PutPermission", "events:RemovePermission"))
            yield replace(closing, conditions=(self.but, here))
        if any(account.secrets for account in self.accounts):
            secrets = (f"{self.arn}:secretsmanager:*:*:secret:break-glass/*",)
            yield self._deny("KeepSeals", secrets, not_actions=_READ_SECRETS)

    def _keep_trail(self) -> Iterator[Statement]:
        """Trails and event data stores keep recording."""
        stores = ("DeleteEventDataStore", "StopEventDataStoreIngestion", "UpdateEventDataStore")
        actions = tuple(sorted((*TRAIL, *(f"cloudtrail:{name}" for name in stores))))
        yield self._deny("KeepTrail", actions=actions)

    def _no_users(self) -> Iterator[Statement]:
        """People are in Identity Center: no new IAM users, passwords and long-term keys."""
        yield self._deny("NoNewUsers", actions=_LONG_TERM)

    def _regions(self) -> Iterator[Statement]:
        yield from self._spare(fence.region_lock(self.guardrails))

    def _instance_types(self) -> Iterator[Statement]:
        yield from self._spare(fence.instance_types(self.guardrails))

    def _tags(self) -> Iterator[Statement]:
        """What duties create carries the tags, whoever creates it: denies for all that AWS can create fit nowhere."""
        allowing = [s for a in self.accounts for p in a.policies for s in p.policy.statements if p.path == "/duties/"]
        managed = {m for a in self.accounts for g in a.groups for m in g.managed}
        managed |= {m for a in self.accounts for r in a.roles for m in r.managed}
        yield from self._spare(fence.tags(self.guardrails, allowing, sorted(managed - {"AdministratorAccess"})))

    def perimeter(self, uses: Sequence[RuleUse]) -> list[Statement]:
        """Of the resource control policies: principals and services of the organization and of partners alone."""
        use = next((use for use in uses if use.name == "perimeter"), None)
        if use is None:
            return []
        organizations = {str(self.configuration.organization.id)}
        organizations |= {str(p) for p in self.wanted.partners if p.startswith("o-")}
        accounts = tuple(sorted({str(p) for p in self.wanted.partners if not p.startswith("o-")}))

        def strangers(organization: str, account: str) -> tuple[Condition, ...]:
            known = Condition("StringNotEqualsIfExists", organization, tuple(sorted(organizations)))
            return (known, *((Condition("StringNotEqualsIfExists", account, accounts),) if accounts else ()))

        person = Condition("BoolIfExists", "aws:PrincipalIsAWSService", ("false",))
        service = Condition("Bool", "aws:PrincipalIsAWSService", ("true",))
        somebody = Condition("Null", "aws:SourceAccount", ("false",))
        outsiders = Statement(
            "OnlyOurPrincipals",
            "Deny",
            tuple(sorted((*_GUARDED, "sts:AssumeRole"))),
            ("*",),
            conditions=(*strangers("aws:PrincipalOrgID", "aws:PrincipalAccount"), person),
        )
        deputies = Statement(
            "OnlyForUs",
            "Deny",
            tuple(sorted((*_GUARDED, "sts:*"))),
            ("*",),
            conditions=(*strangers("aws:SourceOrgID", "aws:SourceAccount"), somebody, service),
        )
        made = (outsiders, deputies, *self._tenants())
        return [replace(s, principals=(EVERYBODY,), origins=self._origin(use)) for s in made]

    def _tenants(self) -> Iterator[Statement]:
        """Of an issuer that many customers share, only those customers whom roles of the configuration trust."""
        tenants: dict[str, set[str]] = {}
        for role in self.configuration.roles.values():
            taken = identities(role.trusts)
            shared = catalog.shared_issuers().get(taken.name) if taken is not None else None
            if taken is not None and shared is not None and shared.claim == "sub":
                named = (_TENANT.match(subject) for subject in taken.subjects)
                tenants.setdefault(taken.name, set()).update(f"{m[0]}*" if m else "*" for m in named)
        for issuer, known in sorted(tenants.items()):
            claim = f"{issuer}:sub"
            others = (
                Condition("Null", claim, ("false",)),
                Condition("StringNotLike", claim, tuple(sorted(known))),
            )
            yield Statement(
                f"OnlyOurTenantsOf{camel(issuer)}",
                "Deny",
                ("sts:AssumeRoleWithWebIdentity",),
                ("*",),
                conditions=others,
            )


_TENANT = re.compile(r"[^:*?]+:[^:/*?]+[:/]")
"""How the subjects of shared issuers begin: `repo:acme/`, `project_path:acme/`, `organization:acme:`."""
_KEPT = (
    "group/break-glass/",
    "group/teams/",
    "instance-profile/roles/",
    "policy/baseline/",
    "policy/break-glass/",
    "policy/duties/",
    "role/roles/",
    "role/teams/",
)
"""Paths of the baseline; those of break-glass users and roles are among what is spared, and kept with that."""
_GUARDED = ("kms:*", "s3:*", "secretsmanager:*", "sqs:*")
"""The services besides STS that RCPs have guarded from the start, with what others are after."""
_LONG_TERM = (
    "iam:CreateAccessKey",
    "iam:CreateLoginProfile",
    "iam:CreateServiceSpecificCredential",
    "iam:CreateUser",
    "iam:ResetServiceSpecificCredential",
    "iam:UpdateLoginProfile",
    "iam:UploadSSHPublicKey",
    "iam:UploadSigningCertificate",
)
_GIVES_ACCESS = (
    "iam:AttachUserPolicy",
    "iam:CreateUser",
    "iam:DeleteUser",
    "iam:DeleteUserPermissionsBoundary",
    "iam:DeleteUserPolicy",
    "iam:DetachUserPolicy",
    "iam:PutUserPermissionsBoundary",
    "iam:PutUserPolicy",
    "iam:TagUser",
    "iam:UntagUser",
    "iam:UpdateUser",
)
"""Changes of a person that change what the person may do; the group's side is the group's."""
_READ_SECRETS = (
    "secretsmanager:DescribeSecret",
    "secretsmanager:GetResourcePolicy",
    "secretsmanager:GetSecretValue",
    "secretsmanager:ListSecretVersionIds",
)
"""Who reads a sealed password, the policy of its secret says."""
