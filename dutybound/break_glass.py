"""Break-glass: the users who come in when everything else fails, and the alarm that watches them.

Of several accounts one holds the users; every other has a role that they alone may take, and an alarm of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from dutybound.baseline import (
    Account,
    Alarm,
    EventBusPolicy,
    Group,
    ManagedPolicy,
    Role,
    Rule,
    Schedule,
    Secret,
    Stack,
    Topic,
    User,
    customer_policy,
    logical_id,
)
from dutybound.config import BreakGlass, Mfa, Passwords
from dutybound.detectors import Watch, identity_pattern, identity_region
from dutybound.diagnostic import Diagnostic
from dutybound.evaluate import Judge, Request, policies_of
from dutybound.mfa import mfa_policy
from dutybound.policy import ACCOUNT, PARTITION, Condition, Origin, Policy, Principal, Statement, minified
from dutybound.quotas import quota

PATTERN_SIZE = quota("event-pattern-size").value
TRUST_SIZE = quota("trust-policy-size").value
REFERENCES = quota("dynamic-references-per-stack").value
SECRET_POLICY_SIZE = 20_480
"""Characters of a secret's resource policy (Secrets Manager User Guide, "AWS Secrets Manager quotas")."""
SESSION_SECONDS = 3600
"""How long the role lasts, and how old the MFA of whoever takes it may be."""
PASSWORD_LENGTH = 40
NOT_IN_PASSWORDS = '",./:;<>?\\`~'
"""Characters that Secrets Manager takes for symbols and IAM's password policy does not: a password whose only symbols
are these fails a policy that asks for one. Source: IAM User Guide, "Set an account password policy"; Secrets Manager
API Reference, GetRandomPassword."""


@dataclass(frozen=True, slots=True)
class Emergency:
    """What break-glass puts into an account."""

    policies: tuple[ManagedPolicy, ...]
    groups: tuple[Group, ...]
    users: tuple[User, ...]
    roles: tuple[Role, ...]
    secrets: tuple[Secret, ...]
    alarm: Alarm


def break_glass_stacks(prefix: str, region: str) -> tuple[Stack, ...]:
    """The stacks of break-glass, for an account whose stacks are named from `prefix` and whose home is `region`."""
    out = [Stack(f"{prefix}-break-glass", region, "The way in for emergencies", protected=True, retained=True)]
    alarms = _alarm_stacks(f"{prefix}-break-glass-alarm", region)
    for place, name in sorted(alarms.items(), key=lambda entry: entry[1]):
        out.append(Stack(name, place, "Tells people of every use of break-glass", protected=True))
    return tuple(out)


def _alarm_stacks(home: str, region: str) -> dict[str, str]:
    """The name of the alarm's stack by Region: at home, and wherever break-glass events land."""
    return {region: home} | {r: f"{home}-{r}" for r in _landing_regions(region) if r != region}


def break_glass(
    wanted: BreakGlass,
    passwords: Passwords | None,
    others: Account,
    prefix: str,
    found: list[Diagnostic],
    workloads: str | None = None,
    users_in: str = ACCOUNT,
    elsewhere: Statement | None = None,
    watch: Watch | None = None,
) -> Emergency:
    """Decide break-glass for an account whose stacks are named from `prefix`; `others` is all else that it holds.

    `workloads` is the path of the roles that teams create, if they do. `users_in` is the account that holds the users;
    where that is the one at hand, `elsewhere` is what lets them take the role in the others. `watch` is what the
    alarm does besides. Errors are added to `found`.
    """
    watch = watch or Watch()
    return _BreakGlass(wanted, passwords, others, prefix, found, workloads, users_in, elsewhere, watch).decided()


class _BreakGlass:
    def __init__(
        self,
        wanted: BreakGlass,
        passwords: Passwords | None,
        others: Account,
        prefix: str,
        found: list[Diagnostic],
        workloads: str | None,
        users_in: str,
        elsewhere: Statement | None,
        watch: Watch,
    ) -> None:
        self.wanted, self.passwords, self.others, self.found = wanted, passwords, others, found
        self.workloads, self.users_in, self.elsewhere = workloads, users_in, elsewhere
        self.watch = watch
        self.region = others.home_region
        self.has_users = users_in == ACCOUNT
        self.role = wanted.through == "role" or not self.has_users
        self.sealed = self.has_users and wanted.password == "secret"  # noqa: S105 - the word of the YAML
        self.stack = f"{prefix}-break-glass"
        self.home = f"{prefix}-break-glass-alarm"
        self.origins = (Origin("break_glass", wanted.span),)

    def decided(self) -> Emergency:
        policies: list[ManagedPolicy] = []
        groups, users = self._users(policies) if self.has_users else ((), ())
        roles = (self._emergency_role(),) if self.role else ()
        secrets = self._secrets() if self.sealed else ()
        alarm = self._alarm(policies)
        return Emergency(tuple(policies), groups, users, roles, secrets, alarm)

    def _users(self, policies: list[ManagedPolicy]) -> tuple[tuple[Group, ...], tuple[User, ...]]:
        """Users with all rights behind MFA, or with a role that has them, in a stack that needs no other: it must
        outlive whatever breaks.
        """
        # Who signs in once a year gets the strict form: no key of their own, no password change without MFA.
        strict = Policy(tuple(replace(s, origins=self.origins) for s in mfa_policy(Mfa()).statements))
        policies.append(customer_policy("break-glass-mfa", "/break-glass/", self.stack, strict))
        if self.role:
            arn = f"arn:{PARTITION}:iam::{ACCOUNT}:{EMERGENCY_ROLE}"
            take = Statement("TakeBreakGlassRole", "Allow", ("sts:AssumeRole",), (arn,), origins=self.origins)
            taken = (take, *([self.elsewhere] if self.elsewhere is not None else []))
            policies.append(customer_policy(_ROLE_POLICY, "/break-glass/", self.stack, Policy(taken)))
        group = Group(
            logical_id("BreakGlass", "group"),
            self.stack,
            "break-glass",
            "/break-glass/",
            "The way in when everything else fails",
            ("break-glass-mfa", *((_ROLE_POLICY,) if self.role else ())),
            () if self.role else ("AdministratorAccess",),
            self.wanted.span,
        )
        users = tuple(
            User(
                logical_id("BreakGlass", f"user {name}"),
                self.stack,
                str(name),
                "/break-glass/",
                ("break-glass",),
                secret=logical_id("Secret", name) if self.sealed else None,
                span=name.span,
            )
            for name in self.wanted.users
        )
        return (group,), users

    def _emergency_role(self) -> Role:
        """The one-hour role that holds all rights; whoever takes it proved MFA within the hour."""
        home = f"arn:{PARTITION}:iam::{self.users_in}"
        users = tuple(f"{home}:user/break-glass/{name}" for name in sorted(self.wanted.users))
        trust = Policy(
            (
                Statement(
                    "TrustBreakGlassUsers",
                    "Allow",
                    actions=("sts:AssumeRole",),
                    # The account and a condition: a user named as principal has to exist before the role, and one that
                    # is made anew under the same name would not be trusted any more.
                    principals=(Principal("AWS", (f"{home}:root",)),),
                    conditions=(
                        Condition("ArnEquals", "aws:PrincipalArn", users),
                        Condition("Bool", "aws:MultiFactorAuthPresent", ("true",)),
                        Condition("NumericLessThan", "aws:MultiFactorAuthAge", (str(SESSION_SECONDS),)),
                    ),
                    origins=self.origins,
                ),
            )
        )
        if trust.size > TRUST_SIZE:
            message = f"a trust policy that names all break-glass users has {trust.size:,} characters; IAM takes "
            self._too_many_users(f"{message}{TRUST_SIZE:,}")
        return Role(
            logical_id("BreakGlass", "role"),
            self.stack,
            _ROLE,
            "/break-glass/",
            "All rights, for an hour, when everything else fails",
            trust,
            (),
            ("AdministratorAccess",),
            session_seconds=SESSION_SECONDS,
            span=self.wanted.span,
        )

    def _too_many_users(self, message: str) -> None:
        hint = "name fewer users, or shorter ones"
        self.found.append(Diagnostic("too-many-break-glass-users", message, self.wanted.users[0].span, hint))

    # -- sealed passwords

    def _secrets(self) -> tuple[Secret, ...]:
        users = self.wanted.users
        if len(users) > REFERENCES:
            message = f"{len(users)} sealed passwords are more than the {REFERENCES} that one template can refer to"
            self._too_many_users(message)
        least = self.passwords.minimum_length if self.passwords else None
        if least is not None and least > PASSWORD_LENGTH:
            message = (
                f"a sealed break-glass password has {PASSWORD_LENGTH} characters, and 'passwords' asks for {least}"
            )
            hint = f"ask for {PASSWORD_LENGTH} at most, or write 'password: runbook' under break_glass"
            at = self.passwords.span if self.passwords else None
            self.found.append(Diagnostic("short-password", message, at, hint))
        fence = self._fence()
        if fence.size > SECRET_POLICY_SIZE:
            message = (
                f"{len(password_setters(self.others, users))} people and roles may set a break-glass password; "
                f"a secret's policy of {SECRET_POLICY_SIZE:,} characters cannot name them all"
            )
            hint = "fewer people should administer, or write 'password: runbook'"
            self.found.append(Diagnostic("too-long", message, self.wanted.span, hint))
        return tuple(
            Secret(
                logical_id("Secret", name),
                self.stack,
                # An IAM user's name may hold a comma, a secret's may not.
                f"break-glass/{logical_id('Secret', name) if ',' in name else name}",
                f"The password of {name}",
                PASSWORD_LENGTH,
                NOT_IN_PASSWORDS,
                fence,
            )
            for name in sorted(users)
        )

    def _fence(self) -> Policy:
        """Who may not read or change a sealed password.

        Denied is whoever of ours could not set a break-glass password anyway. A fence that names who may read instead
        would have to know who deploys (there is no `cdk bootstrap` role that does), and a wrong guess makes every
        deployment fail. Deploying the users takes the right to set their passwords, so this fence never stands in its
        way. It leaves alone whom Dutybound did not make: the root user, hand-made roles, Identity Center.
        """
        # A role that a team makes may be given all of Secrets Manager, and would open what its maker may not.
        paths = ["role/roles/*", "user/people/*", *([f"role{self.workloads}*"] if self.workloads else [])]
        emergency = tuple(f"arn:{PARTITION}:iam::{ACCOUNT}:{kind}/break-glass/*" for kind in ("role", "user"))
        paths += [f"role{r.path}AWSReservedSSO_{r.permission_set}_*" for r in self.others.roles if r.permission_set]
        people = tuple(sorted(f"arn:{PARTITION}:iam::{ACCOUNT}:{path}" for path in paths))
        setters = password_setters(self.others, self.wanted.users)
        # The names of roles that Identity Center makes end in digits that only it knows.
        but = (
            (
                Condition(
                    "ArnNotLike" if any(map(_is_pattern, setters)) else "ArnNotEquals", "aws:PrincipalArn", setters
                ),
            )
            if setters
            else ()
        )
        return Policy(
            (
                self._deny("SealFromPeopleAndRoles", Condition("ArnLike", "aws:PrincipalArn", people), *but),
                # One break-glass user's stolen session does not open the others' passwords.
                self._deny("SealFromBreakGlass", Condition("ArnLike", "aws:PrincipalArn", emergency)),
            )
        )

    def _deny(self, sid: str, *conditions: Condition) -> Statement:
        return Statement(
            sid,
            "Deny",
            not_actions=_LOOKING,
            resources=("*",),
            conditions=conditions,
            principals=(Principal("AWS", ("*",)),),
            origins=self.origins,
        )

    # -- the alarm

    def _alarm(self, policies: list[ManagedPolicy]) -> Alarm:
        home = self.home
        # Elsewhere the users are strangers, whom events do not name; what lies under their path is still watched.
        users = sorted(map(str, self.wanted.users)) if self.has_users else []
        forwarder = self._forwarder(home, policies)
        topic_arn = f"arn:{PARTITION}:sns:{self.region}:{ACCOUNT}:{_ALARM}"
        taken = f"arn:{PARTITION}:iam::{ACCOUNT}:role{forwarder.path}{forwarder.name}"
        # What other accounts hand over names a role that this one may not have.
        patterns = list(_patterns(users, self.stack, self.role or self.watch.hears))
        changes = [identity_pattern(self.watch.deployers)] if self.watch.identity_changes else []
        # Secrets Manager logs where the secret is, and EventBridge where the bus is: rules at home alone.
        only_home = [*([_SEALS] if self.sealed else []), *([_OPENED] if self.watch.hears else [])]
        rules = []
        for region, stack in sorted(_alarm_stacks(self.home, self.region).items()):
            at_home = region == self.region
            mails = at_home and self.watch.bus is None
            target, role = (topic_arn, None) if mails else (self._bus(), taken)
            here = [*patterns, *(changes if at_home or region == identity_region(self.region) else [])]
            for name, description, pattern in (*here, *(only_home if at_home else [])):
                text = minified(pattern)
                rules.append(Rule(logical_id("Rule", name), stack, name, description, text, target, role))
        if any(len(rule.pattern) > PATTERN_SIZE for rule in rules):
            self._too_many_users(
                f"an EventBridge pattern that names all break-glass users is over {PATTERN_SIZE:,} characters"
            )
        addresses = tuple(sorted(set(map(str, self.wanted.alert))))
        publish = Statement(
            "RulesPublish",
            "Allow",
            actions=("sns:Publish",),
            resources=(topic_arn,),
            principals=(Principal("Service", ("events.amazonaws.com",)),),
            # No condition: EventBridge User Guide, "Using resource-based policies", rules them out for SNS topics, and
            # an alarm that does not arrive is worse than one that somebody else can set off.
            origins=self.origins,
        )
        if self.watch.bus is not None:
            return Alarm(None, tuple(rules), forwarder)
        topic = Topic(logical_id("Topic", _ALARM), home, _ALARM, addresses, Policy((publish,)))
        return Alarm(topic, tuple(rules), forwarder, self._drill(topic_arn), self._opened())

    def _opened(self) -> EventBusPolicy | None:
        """Lets the organization's accounts hand over events. They name AWS as their source, which nobody can who puts
        events of their own (EventBridge API Reference, PutEventsRequestEntry: Source).
        """
        if self.watch.organization is None:
            return None
        put = Statement(
            "AlarmsOfTheOrganization",
            "Allow",
            actions=("events:PutEvents",),
            resources=(self._bus(),),
            principals=(Principal("AWS", ("*",)),),
            conditions=(Condition("StringEquals", "aws:PrincipalOrgID", (self.watch.organization,)),),
            origins=self.origins,
        )
        return EventBusPolicy(logical_id("Bus", "default"), self.home, Policy((put,)))

    def _drill(self, topic_arn: str) -> Schedule | None:
        days = self.wanted.drill_every_days
        if days is None or not self.has_users:
            return None
        name = "break-glass-drill"
        every = f"rate({days} day{'s' if days > 1 else ''})"
        description = "Reminds people to test the way in"
        return Schedule(logical_id("Rule", name), self.home, name, description, every, topic_arn, _REMINDER)

    def _bus(self) -> str:
        """The bus with the topic behind it: at home, here or in the account that hears all."""
        return f"arn:{PARTITION}:events:{self.region}:{self.watch.bus or ACCOUNT}:event-bus/default"

    def _forwarder(self, stack: str, policies: list[ManagedPolicy]) -> Role:
        to = "account that hears all" if self.watch.bus else "home Region"
        put = Statement("ForwardToHome", "Allow", ("events:PutEvents",), (self._bus(),), origins=self.origins)
        policies.append(customer_policy(_ALARM, "/break-glass/", stack, Policy((put,))))
        trust = Statement(
            "TrustService",
            "Allow",
            actions=("sts:AssumeRole",),
            principals=(Principal("Service", ("events.amazonaws.com",)),),
            conditions=(
                Condition("ArnLike", "aws:SourceArn", _rule_arns(self.watch)),
                Condition("StringEquals", "aws:SourceAccount", (ACCOUNT,)),
            ),
            origins=self.origins,
        )
        return Role(
            logical_id("Role", _ALARM),
            stack,
            _ALARM,
            "/break-glass/",
            f"EventBridge hands break-glass events to the {to}",
            Policy((trust,)),
            (_ALARM,),
        )


# --- where break-glass events land ----------------------------------------------------------------------------------

_LANDING = {
    "cn-": ("cn-north-1",),
    "us-gov-": ("us-gov-west-1",),
    "": ("ap-southeast-2", "eu-north-1", "us-east-1", "us-east-2"),
}
"""Regions where the events of IAM and of sign-in through the global endpoint are logged, by the prefix of the home
Region. Source: CloudTrail User Guide, "AWS Management Console sign-in events"; China and GovCloud from experience."""


_ALARM = "break-glass-alarm"
_ROLE, _ROLE_POLICY = "break-glass", "break-glass-role"
EMERGENCY_ROLE = f"role/break-glass/{_ROLE}"
"""What the ARN of the break-glass role ends in, in every account that has one."""
_REMINDER = (
    "Time for the break-glass drill: sign in as each break-glass user, see that the alarm reaches every address, and "
    "sign out."
)
_LOOKING = ("secretsmanager:DescribeSecret", "secretsmanager:GetResourcePolicy", "secretsmanager:ListSecretVersionIds")
"""What does not touch a secret's value, nor who may read it."""
_RULES = ("break-glass-call", "break-glass-root", "break-glass-sign-in", "break-glass-tampering")


def _rule_arns(watch: Watch) -> tuple[str, ...]:
    """EventBridge User Guide, "Cross-service confused deputy prevention": the source of an event is its rule."""
    return tuple(f"arn:{PARTITION}:events:*:{ACCOUNT}:rule/{name}" for name in sorted({*_RULES, *watch.rules}))


def _landing_regions(home: str) -> tuple[str, ...]:
    return next(regions for prefix, regions in _LANDING.items() if home.startswith(prefix))


_SIGN_IN = ["AWS Console Sign In via CloudTrail", "AWS Console Signin via CloudTrail"]
"""The EventBridge User Guide prints the second form, real events carry the first."""
_CALL = ["AWS API Call via CloudTrail"]
_CONSOLE_ACTION = ["AWS Console Action via CloudTrail"]
_CONSOLE = "signin.amazonaws.com"
"""`invokedBy` of calls from the console, in events of older form: not a service that acts, but whoever is signed in."""
_CHANGES = [False, {"exists": False}]
"""`readOnly` of an event that changes something; an event that does not say counts as one."""


def _patterns(users: list[str], stacks: str, role: bool) -> Iterator[tuple[str, str, object]]:
    """Name, description and event pattern of each rule; `stacks` is how the names of the break-glass stacks begin,
    `role` whether there is a break-glass role.
    """
    who = {"$or": list(_users(users))}
    signed_in = {"userIdentity": {"type": ["IAMUser"], **who}}
    called = {"userIdentity": who}
    yield (
        "break-glass-sign-in",
        "A break-glass user signed in, or tried to",
        {
            "detail-type": _SIGN_IN,
            "detail": {"eventSource": ["signin.amazonaws.com"], **({"$or": _sign_ins(users)} if role else signed_in)},
        },
    )
    yield (
        "break-glass-call",
        "A break-glass user called AWS",
        {"detail-type": _CALL, "detail": {"$or": _calls(users)} if role else called},
    )
    yield (
        "break-glass-tampering",
        "Somebody changed a break-glass user, its alarm or the trail that feeds it",
        # Looking is not tampering: whoever reviews users would set the alarm off every day.
        {"detail-type": _CALL, "detail": {"readOnly": _CHANGES, "$or": list(_tampering(users, stacks, role))}},
    )
    yield (
        "break-glass-root",
        "The root user was used, or somebody tried to",
        {"detail-type": [*_CALL, *_SIGN_IN, *_CONSOLE_ACTION], "detail": {"$or": _root()}},
    )


def _root() -> list[object]:
    """The root user signs in, fails to, resets its password or calls AWS; and somebody takes the root of a member
    account, which is logged as a call of whoever takes it (IAM User Guide, "Track privileged tasks in AWS CloudTrail").

    What a service does with the root user's rights is left out as in CIS AWS Foundations Benchmark, "Ensure usage of
    the 'root' account is monitored".
    """
    return [
        {
            "eventType": [{"anything-but": "AwsServiceEvent"}],
            "userIdentity": {"type": ["Root"], "invokedBy": [{"exists": False}, _CONSOLE]},
        },
        {"eventSource": ["sts.amazonaws.com"], "eventName": ["AssumeRoot"]},
    ]


def _users(users: list[str]) -> Iterator[dict[str, object]]:
    """A break-glass user as CloudTrail's `userIdentity`: by name, and by path, so that a user who is no longer in the
    configuration, but still in the account, stays watched.
    """
    if users:
        yield {"userName": users}
    yield {"arn": [{"wildcard": "arn:*:iam::*:user/break-glass/*"}]}


def _sign_ins(users: list[str]) -> list[object]:
    """A user's sign-in; and a switch to the role, which is logged with the new role as the one who acts (CloudTrail
    User Guide, "AWS Management Console sign-in events").
    """
    switched = {"arn": [{"wildcard": f"arn:*:sts::*:assumed-role/{_ROLE}/*"}]}
    return [
        *({"userIdentity": {"type": ["IAMUser"], **form}} for form in _users(users)),
        {"eventName": ["SwitchRole"], "userIdentity": switched},
    ]


def _calls(users: list[str]) -> list[object]:
    """A call by a user or in the role; and the role taken by whomever, should its trust ever be changed."""
    in_role = {"sessionContext": {"sessionIssuer": {"userName": [_ROLE]}}}
    taken = {"roleArn": [{"suffix": f":role/break-glass/{_ROLE}"}]}
    return [
        *({"userIdentity": form} for form in _users(users)),
        {"userIdentity": in_role},
        {"eventSource": ["sts.amazonaws.com"], "requestParameters": taken},
    ]


def _tampering(users: list[str], stacks: str, role: bool) -> Iterator[object]:
    """What a call that tampers looks like, one form each."""
    emergency = [{"wildcard": "*/break-glass/*"}]

    def call(service: str, **parameters: object) -> dict[str, object]:
        return {"eventSource": [f"{service}.amazonaws.com"], "requestParameters": parameters}

    if users:
        yield call("iam", userName=users)
    yield call("iam", groupName=["break-glass"])
    yield call("iam", roleName=[_ALARM, *([_ROLE] if role else [])])
    yield call("iam", policyArn=emergency)
    # A rule of ours, or the bus under all of them, which a key of somebody else's would silence.
    yield call("events", name=["default", {"prefix": "break-glass-"}])
    yield call("events", rule=[{"prefix": "break-glass-"}])
    yield call("sns", topicArn=[{"suffix": f":{_ALARM}"}])
    yield call("sns", resourceArn=[{"suffix": f":{_ALARM}"}])
    yield call("sns", subscriptionArn=[{"wildcard": f"*:{_ALARM}:*"}])
    ours = [{"wildcard": f"*{stacks}*"}]  # a name, or an ARN
    yield call("cloudformation", stackName=ours)
    yield call("cloudformation", stackDefinitions={"stackName": ours})
    yield call("cloudformation", stackIds=ours)
    # The ARN of a change set does not tell its stack, so it may be one of these.
    unnamed = call("cloudformation", stackName=[{"exists": False}])
    yield {**unnamed, "eventName": ["ExecuteChangeSet", "ExecuteStackRefactor"]}
    yield {"eventSource": ["cloudtrail.amazonaws.com"]}


_OPENED = (
    "break-glass-bus",
    "Somebody changed who may hand events to the alarm",
    {
        "detail-type": _CALL,
        "detail": {"eventSource": ["events.amazonaws.com"], "eventName": ["PutPermission", "RemovePermission"]},
    },
)
"""A rule of its own: the bus is named by a parameter that may be absent, and the tampering rule has no room left."""
_SEALED = [{"prefix": "break-glass/"}, {"wildcard": "arn:*:secret:break-glass/*"}]
_SEALS = (
    "break-glass-password",
    "Somebody read or changed a sealed break-glass password",
    {
        "detail-type": _CALL,
        "detail": {
            "eventSource": ["secretsmanager.amazonaws.com"],
            "eventName": [{"anything-but": [action.partition(":")[2] for action in _LOOKING]}],
            "$or": [{"requestParameters": {"secretId": _SEALED}}, {"requestParameters": {"secretIdList": _SEALED}}],
        },
    },
)


# --- who could set a password anyway ---------------------------------------------------------------------------------


def password_setters(account: Account, users: Iterable[str]) -> tuple[str, ...]:
    """The ARNs of the people and roles of an account that may set the password of one of these break-glass users.

    In doubt somebody counts: conditions of what they are allowed are taken to hold, of what they are denied not to.
    """
    calls = [
        Request("", f"iam:{action}", f"arn:aws:iam::{_ANY}:user/break-glass/{user}")
        for user in sorted(users)
        for action in ("CreateLoginProfile", "UpdateLoginProfile")
    ]
    out = []
    # A role and a user may have one name.
    roles, users_ = replace(account, users=()), replace(account, roles=())
    for kind, own, holders in (("role", roles, account.roles), ("user", users_, account.users)):
        for holder in holders:
            judge = Judge(_at_most(policy) for policy in policies_of(own, holder.name, _ANY))
            if any(judge.decide(call).outcome != "denied" for call in calls):
                made = holder.permission_set if isinstance(holder, Role) else None
                name = holder.name if made is None else f"AWSReservedSSO_{made}_*"
                out.append(f"arn:{PARTITION}:iam::{ACCOUNT}:{kind}{holder.path}{name}")
    return tuple(sorted(out))


def _is_pattern(arn: str) -> bool:
    return arn.endswith("*")


_ANY = "111122223333"


def _at_most(policy: Policy) -> Policy:
    """All that a policy could allow, whatever the conditions."""
    kept = (s for s in policy.statements if s.effect == "Allow" or not s.conditions)
    return Policy(tuple(replace(s, conditions=()) for s in kept))
