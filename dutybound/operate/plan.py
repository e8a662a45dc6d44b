"""What should be, and what is -> the calls that bring one to the other, in order.

Nothing here calls AWS. A step is one call with its parameters; what an earlier step finds out stands in them by name.
Steps only add: nothing is deleted, detached or closed, and of an account that exists only its unit changes. Sources:
Organizations API Reference and User Guide ("Using AWS Organizations with other AWS services"); IAM API Reference
(EnableOrganizationsRootCredentialsManagement); CloudFormation API Reference (ActivateOrganizationsAccess), which turns
on more than Organizations' own EnableAWSServiceAccess would; Account Management Reference (PutAlternateContact).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from dutybound.accounts import destinations
from dutybound.baseline import PasswordPolicy
from dutybound.config import Account, Configuration, Contact
from dutybound.diagnostic import Span
from dutybound.evaluate import in_account
from dutybound.operate.cdk_roles import NAME, PATH, execution_policy, policy_arn
from dutybound.operate.found import ContactKind, Found, FoundContact, FoundOrganization, Inside
from dutybound.policy import minified
from dutybound.rollout import by_stack_sets
from dutybound.steps import named_settings

ROOT_ACCESS = ("RootCredentialsManagement", "RootSessions")
POLICY_TYPES = ("RESOURCE_CONTROL_POLICY", "SERVICE_CONTROL_POLICY")
ALWAYS_TRUSTED = {
    "access-analyzer.amazonaws.com": "so that one analyzer looks at the whole organization",
    "iam.amazonaws.com": "so that the members' root users are managed from here",
}
ACCOUNTS = "account.amazonaws.com"
STACK_SETS = "member.org.stacksets.cloudformation.amazonaws.com"
VERSIONS = 5
"""Versions that IAM keeps of a policy (IAM User Guide, "IAM and AWS STS quotas")."""
DEFAULT_PASSWORDS: Mapping[str, int | bool] = {
    "MinimumPasswordLength": 8,
    "RequireSymbols": False,
    "RequireNumbers": True,
    "RequireUppercaseCharacters": True,
    "RequireLowercaseCharacters": True,
    "AllowUsersToChangePassword": False,
}
"""Where there is no password policy, IAM's own rules hold (IAM User Guide, "Set an account password policy for IAM
users"). They are the start, so that naming one setting loosens no other."""


@dataclass(frozen=True, slots=True)
class Later:
    """An id that is known once an earlier step is done: of the root, of a unit or of an account by its name."""

    kind: Literal["root", "unit", "account"]
    name: str = ""

    def __str__(self) -> str:
        return f"<id of {' '.join(filter(None, (self.kind, self.name)))}>"


Value: TypeAlias = str | int | bool | Later | tuple[tuple[str, str], ...]
"""A parameter; pairs are tags."""


@dataclass(frozen=True, slots=True)
class Step:
    """One call. `now` is what is there, `then` what should be; `account` is where the call is made, None: here."""

    what: str
    service: str
    operation: str
    parameters: tuple[tuple[str, Value], ...]
    now: str
    then: str
    why: str = ""
    span: Span | None = field(default=None, compare=False)
    account: str | None = None
    gives: Later | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """What no step does: what waits for an earlier one, or for people. `todo` says what to do."""

    what: str
    todo: str
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps in order, what is looked at once they are done, and what is left to people."""

    steps: tuple[Step, ...] = ()
    after: tuple[Note, ...] = ()
    people: tuple[Note, ...] = ()


class Contradiction(ValueError):
    """What is there is not what the configuration says it is: nothing can be planned."""


def plan(configuration: Configuration, found: Found) -> Plan:
    """The plan for a configuration that names its management account. Raises Contradiction."""
    return _Planning(configuration, found).plan()


def service_principal(service: str) -> str:
    """A service as `delegated` names it, as Organizations does."""
    return service if service.endswith(".amazonaws.com") else f"{service}.amazonaws.com"


def trusted_services(configuration: Configuration) -> dict[str, str]:
    """The services that EnableAWSServiceAccess is for, and why each."""
    wanted = dict(ALWAYS_TRUSTED)
    if configuration.organization.contacts is not None:
        wanted[ACCOUNTS] = "so that contacts of all accounts are set from here"
    for service in sorted(configuration.organization.delegated):
        wanted.setdefault(service_principal(service), "so that an account can administer it")
    wanted.pop(STACK_SETS, None)  # CloudFormation's own call does it
    return wanted


def contacts(configuration: Configuration) -> dict[ContactKind, Contact]:
    """The alternate contacts that a configuration names."""
    wanted = configuration.organization.contacts
    if wanted is None:
        return {}
    every: dict[ContactKind, Contact | None] = {
        "BILLING": wanted.billing,
        "OPERATIONS": wanted.operations,
        "SECURITY": wanted.security,
    }
    return {kind: contact for kind, contact in every.items() if contact is not None}


def named_passwords(configuration: Configuration) -> dict[str, int | bool]:
    """The settings of the password policy that a configuration names."""
    wanted = configuration.passwords
    if wanted is None:
        return {}
    require = None if wanted.require is None else tuple(wanted.require)
    return named_settings(PasswordPolicy(wanted.minimum_length, wanted.remember, wanted.max_age_days, require))


def inside(configuration: Configuration) -> tuple[str, ...]:
    """The names of the accounts that something is done inside of: break-glass has users, with passwords, in each."""
    names = {str(name) for name in configuration.accounts} if named_passwords(configuration) else set()
    if configuration.organization.cdk_roles:
        names |= set(cdk_accounts(configuration))
    return tuple(sorted(names))


def cdk_accounts(configuration: Configuration) -> tuple[str, ...]:
    """The names of the accounts that the CDK deploys to: all that no stack set reaches."""
    by_stacks = [d for d in destinations(configuration) if not by_stack_sets(configuration, d)]
    names = {target.name for destination in by_stacks for target in destination.targets}
    management = configuration.organization.management
    return tuple(sorted(names if management is None else {*names, str(management)}))


class _Planning:
    """One run: what is wanted, what is there, and what was said so far."""

    def __init__(self, configuration: Configuration, found: Found) -> None:
        self.configuration, self.found = configuration, found
        self.wanted = configuration.organization
        self.there: FoundOrganization | None = found.organization
        self.after: list[Note] = []
        self.people: list[Note] = []
        self.ids: dict[str, str | Later] = {}
        """The accounts that can be worked with, by name."""

    def plan(self) -> Plan:
        self._check()
        if self.wanted.people_in == "identity-center" and self.wanted.identity_center is None:
            todo = (
                f"enable it in its console, in this account and in {self.wanted.home_region}, with AWS Organizations; "
            )
            todo += "then write its instance and store (aws sso-admin list-instances) into organization.identity_center"
            self.people.append(Note("no API enables IAM Identity Center for an organization", todo, self.wanted.span))
        steps = tuple(self._steps())
        return Plan(steps, tuple(self.after), tuple(self.people))

    def _check(self) -> None:
        if self.there is None:
            return
        for key, said, is_ in (("id", self.wanted.id, self.there.id), ("root", self.wanted.root, self.there.root)):
            if said is not None and said != is_:
                raise Contradiction(f"organization.{key} says {said}, and AWS says {is_}: correct it")
        for path, said in sorted(self.wanted.units.items()):
            is_ = self.there.units.get(str(path), "")
            if is_ != said and (is_ or said in self.there.units.values()):
                by = next((name for name, id_ in self.there.units.items() if id_ == said), "")
                raise Contradiction(
                    f"organization.units says that {path} is {said}, and AWS says "
                    f"{f'it is {is_}' if is_ else f'that is {by}'}: correct it"
                )

    def _steps(self) -> Iterator[Step]:
        if self.there is None:
            yield Step(
                "organization",
                "organizations",
                "CreateOrganization",
                (("FeatureSet", "ALL"),),
                "none",
                "one with all features",
                "accounts, guardrail policies and stack sets hang on it",
                self.wanted.span,
                gives=Later("root"),
            )
        yield from self._services()
        yield from self._policy_types()
        yield from self._units()
        yield from self._accounts()
        yield from self._delegated()
        yield from self._contacts()
        yield from self._inside()

    def _services(self) -> Iterator[Step]:
        trusted = self.there.trusted if self.there else frozenset()
        span = self.wanted.span
        for service, why in sorted(trusted_services(self.configuration).items()):
            if service not in trusted:
                parameters = (("ServicePrincipal", service),)
                what = f"trusted access of {service}"
                yield Step(what, "organizations", "EnableAWSServiceAccess", parameters, "off", "on", why, span)
        on = self.there.root_access if self.there else frozenset()
        for feature in ROOT_ACCESS:
            if feature not in on:
                what = f"central {'management of root credentials' if feature == ROOT_ACCESS[0] else 'root sessions'}"
                why = "so that the members' root users need no credentials of their own"
                yield Step(what, "iam", f"EnableOrganizations{feature}", (), "off", "on", why, span)
        if self.there is None or not self.there.stack_sets:
            why = "so that stack sets reach every account of a unit"
            what = "trusted access of CloudFormation StackSets"
            yield Step(what, "cloudformation", "ActivateOrganizationsAccess", (), "off", "on", why, span)

    def _policy_types(self) -> Iterator[Step]:
        for kind in POLICY_TYPES:
            if self.there is None or kind not in self.there.policy_types:
                root: Value = self.there.root if self.there else Later("root")
                parameters = (("RootId", root), ("PolicyType", kind))
                what = f"policy type {kind}"
                why = "guardrail policies are of this type"
                yield Step(what, "organizations", "EnablePolicyType", parameters, "off", "on", why, self.wanted.span)

    def _units(self) -> Iterator[Step]:
        asked: dict[str, Span | None] = {}
        for account in self.configuration.accounts.values():
            if account.unit is not None:
                names = account.unit.split("/")
                for depth in range(1, len(names) + 1):
                    asked.setdefault("/".join(names[:depth]), account.unit.span)
        for path, span in sorted(asked.items()):
            if isinstance(self._unit(path), Later):
                above, _, name = path.rpartition("/")
                parameters = (("ParentId", self._unit(above)), ("Name", name))
                yield Step(
                    f"unit {path}",
                    "organizations",
                    "CreateOrganizationalUnit",
                    parameters,
                    "none",
                    "there",
                    "accounts stand in it",
                    span,
                    gives=Later("unit", path),
                )

    def _unit(self, path: str) -> str | Later:
        """The id of a unit; that of the root for no path."""
        if not path:
            return self.there.root if self.there else Later("root")
        return (self.there.units.get(path) if self.there else None) or Later("unit", path)

    def _accounts(self) -> Iterator[Step]:
        for name, account in sorted(self.configuration.accounts.items()):
            yield from self._account(str(name), account)

    def _account(self, name: str, account: Account) -> Iterator[Step]:
        known = self.there.accounts if self.there else {}
        id_ = str(account.id) if account.id is not None else self._id_by_email(account)
        if id_ is None:
            if self._taken(name, account):
                return
            yield self._made(name, account)
            self.ids[name] = Later("account", name)
            yield from self._moved(name, account, Later("account", name), self._unit(""))
        elif self.there is None and id_ == self.found.account:
            self.ids[name] = id_
            yield from self._moved(name, account, id_, self._unit(""))
        elif id_ not in known:
            todo = f"invite it, and accept in the account: {_invitation(id_)}"
            self.people.append(Note(f"account {name} ({id_}) is not in the organization", todo, account.span))
        elif known[id_].status not in ("ACTIVE", ""):
            todo = "take it out of the configuration, or reopen it with AWS Support"
            self.people.append(Note(f"account {name} ({id_}) is {known[id_].status.lower()}", todo, account.span))
        else:
            self.ids[name] = id_
            yield from self._moved(name, account, id_, known[id_].parent)

    def _id_by_email(self, account: Account) -> str | None:
        """The id of an account that is there already: of an earlier run, or made by somebody else."""
        known = self.there.accounts.values() if self.there else ()
        email = str(account.email).casefold()
        return next((each.id for each in known if each.email.casefold() == email), None)

    def _taken(self, name: str, account: Account) -> bool:
        """Whether there is an account of that name with another address: likely the one that is meant."""
        known = self.there.accounts.values() if self.there else ()
        same = [each for each in known if each.name.casefold() == name.casefold()]
        for each in same:
            todo = f"give accounts.{name}.id, or another name to the new one"
            self.people.append(Note(f"an account {name} is there, {each.id}, with another address", todo, account.span))
        return bool(same)

    def _made(self, name: str, account: Account) -> Step:
        request = self.there.making.get(name) if self.there else None
        what, gives = f"account {name}", Later("account", name)
        service, now, then = "organizations", "none", "there"
        if request is not None:
            parameters: tuple[tuple[str, Value], ...] = (("CreateAccountRequestId", request),)
            why = "AWS is making it; this waits"
            operation, now = "DescribeCreateAccountStatus", "being made"
            return Step(what, service, operation, parameters, now, then, why, account.span, gives=gives)
        tags = (("managed-by", "dutybound"), ("organization", str(self.wanted.name)), ("owner", str(self.wanted.owner)))
        parameters = (
            ("AccountName", name),
            ("Email", str(account.email)),
            ("RoleName", str(self.wanted.access_role)),
            ("Tags", tags),
        )
        why = "it has an email and no id"
        return Step(what, service, "CreateAccount", parameters, now, then, why, account.span, gives=gives)

    def _moved(self, name: str, account: Account, id_: str | Later, parent: str | Later) -> Iterator[Step]:
        """To its unit. An account without one stays where somebody put it."""
        if account.unit is None or self._unit(str(account.unit)) == parent:
            return
        paths = {unit: path for path, unit in self.there.units.items()} if self.there else {}
        unit = self._unit(str(account.unit))
        parameters = (("AccountId", id_), ("SourceParentId", parent), ("DestinationParentId", unit))
        now = f"in {paths.get(str(parent), 'the root')}"
        yield Step(
            f"unit of account {name}",
            "organizations",
            "MoveAccount",
            parameters,
            now,
            f"in {account.unit}",
            "it gets what its unit gets",
            account.unit.span,
        )

    def _delegated(self) -> Iterator[Step]:
        there = self.there.delegated if self.there else frozenset()
        for service, name in sorted(self.wanted.delegated.items()):
            id_, principal = self.ids.get(str(name)), service_principal(service)
            if id_ is None or (principal, id_) in there:
                continue
            parameters = (("AccountId", id_), ("ServicePrincipal", principal))
            what = f"administrator of {principal}"
            operation, why = "RegisterDelegatedAdministrator", "so that nobody needs the management account for it"
            others = sorted(other for other_service, other in there if other_service == principal)
            now, then = " and ".join(others) or "none", f"{name} too" if others else str(name)
            yield Step(what, "organizations", operation, parameters, now, then, why, name.span)

    def _contacts(self) -> Iterator[Step]:
        for kind, contact in contacts(self.configuration).items():
            unread: list[str] = []
            wanted = FoundContact(str(contact.name), str(contact.title), str(contact.email), str(contact.phone))
            for name, id_ in sorted(self.ids.items()):
                if (str(id_), kind) not in self.found.contacts:
                    unread.append(name)
                elif (now := self.found.contacts[str(id_), kind]) != wanted:
                    yield self._contact(kind, wanted, name, str(id_), now, contact.span)
            if unread:
                what = f"{kind.lower()} contact of {_listed(unread)}"
                self.after.append(Note(what, "is read and set as soon as it can be asked for", contact.span))

    def _contact(
        self,
        kind: ContactKind,
        wanted: FoundContact,
        name: str,
        id_: str,
        now: FoundContact | None,
        span: Span | None,
    ) -> Step:
        # An account may not name itself.
        whose: tuple[tuple[str, Value], ...] = () if id_ == self.found.account else (("AccountId", id_),)
        parameters: tuple[tuple[str, Value], ...] = (
            *whose,
            ("AlternateContactType", kind),
            ("EmailAddress", wanted.email),
            ("Name", wanted.name),
            ("PhoneNumber", wanted.phone),
            ("Title", wanted.title),
        )
        what, why = f"{kind.lower()} contact of account {name}", "so that mails of AWS reach more than the root user"
        then = f"{wanted.name} <{wanted.email}>"
        before = f"{now.name} <{now.email}>" if now else "none"
        return Step(what, "account", "PutAlternateContact", parameters, before, then, why, span)

    def _inside(self) -> Iterator[Step]:
        named = named_passwords(self.configuration)
        by_cdk = cdk_accounts(self.configuration) if self.wanted.cdk_roles else ()
        unread: list[str] = []
        for name in inside(self.configuration):
            id_ = self.ids.get(name)
            if id_ is None:
                continue
            if isinstance(id_, Later) or str(id_) not in self.found.inside:
                unread.append(name)
                continue
            there = self.found.inside[id_]
            where = None if id_ == self.found.account else id_
            if there is None:
                role = f"role {self.wanted.access_role} of account {name} ({id_})"
                todo = "let the management account take it, or name another in organization.access_role"
                self.people.append(Note(f"{role} cannot be taken", todo, self.wanted.access_role.span))
                continue
            if named:
                yield from self._passwords(name, where, named, there.passwords)
            if name in by_cdk:
                yield from self._execution_policy(name, id_, where, there)
        if unread:
            what = "password policy" if named else f"policy {NAME}"
            what = f"password policy and policy {NAME}" if named and by_cdk else what
            self.after.append(Note(f"{what} of {_listed(unread)}", "is read and set as soon as there is a way in"))

    def _execution_policy(self, name: str, id_: str, where: str | None, there: Inside) -> Iterator[Step]:
        policy = execution_policy(str(self.wanted.name), name == self.wanted.management)
        wanted = in_account(policy, id_, self.found.partition).document()
        arn, text = policy_arn(id_, self.found.partition), minified(wanted)
        what, span = f"policy {NAME} of account {name}", self.wanted.span
        why = "so that a role of 'cdk bootstrap' can do no more than deploy the baseline"
        before = there.policies.get(arn)
        parameters: tuple[tuple[str, Value], ...]
        if before is None:
            parameters = (("PolicyName", NAME), ("Path", PATH), ("PolicyDocument", text))
            yield Step(what, "iam", "CreatePolicy", parameters, "none", "there", why, span, where)
        elif before.document == wanted:
            return
        elif before.versions >= VERSIONS:
            todo = f"delete a version that does not hold: IAM keeps {VERSIONS}, and nothing is deleted here"
            self.people.append(Note(f"{what} is not as it should be", todo, span))
        else:
            parameters = (("PolicyArn", arn), ("PolicyDocument", text), ("SetAsDefault", True))
            yield Step(what, "iam", "CreatePolicyVersion", parameters, "another text", "as here", why, span, where)

    def _passwords(
        self, name: str, where: str | None, named: Mapping[str, int | bool], there: Mapping[str, int | bool] | None
    ) -> Iterator[Step]:
        # AWS resets what is left out, so what is there is sent again. A 0 is no number that it takes: left out is none.
        after = {**(DEFAULT_PASSWORDS if there is None else there), **named}
        after = {key: value for key, value in after.items() if value is False or value != 0}
        if after == there:
            return
        changed = {key: value for key, value in named.items() if there is None or there.get(key, 0) != value}
        before = "none" if there is None else minified({key: there.get(key, 0) for key in sorted(changed)})
        span = self.configuration.passwords.span if self.configuration.passwords else None
        yield Step(
            f"password policy of account {name}",
            "iam",
            "UpdateAccountPasswordPolicy",
            tuple(sorted(after.items())),
            before,
            minified(dict(sorted(changed.items()))),
            "CloudFormation has no type for it",
            span,
            where,
        )


def _listed(names: list[str]) -> str:
    return f"{len(names)} accounts" if len(names) > 3 else f"account {', '.join(names)}"


def _invitation(id_: str) -> str:
    return f"aws organizations invite-account-to-organization --target Id={id_},Type=ACCOUNT"
