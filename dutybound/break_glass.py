"""Break-glass: the users who come in when everything else fails, and the alarm that watches them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from dutybound.baseline import Alarm, Group, ManagedPolicy, Role, Rule, Stack, Topic, User, customer_policy, logical_id
from dutybound.config import BreakGlass, Mfa
from dutybound.diagnostic import Diagnostic
from dutybound.mfa import mfa_policy
from dutybound.policy import ACCOUNT, PARTITION, Condition, Origin, Policy, Principal, Statement, minified

PATTERN_SIZE = 2048
"""Characters of an event pattern (EventBridge User Guide, "Amazon EventBridge quotas")."""


@dataclass(frozen=True, slots=True)
class Emergency:
    """What break-glass puts into an account."""

    stacks: tuple[Stack, ...]
    policies: tuple[ManagedPolicy, ...]
    group: Group
    users: tuple[User, ...]
    alarm: Alarm


def break_glass(wanted: BreakGlass, prefix: str, region: str, found: list[Diagnostic]) -> Emergency:
    """Decide break-glass for an account whose stacks are named from `prefix` and stand in `region`.

    Errors are added to `found`.
    """
    return _BreakGlass(wanted, prefix, region, found).decided()


class _BreakGlass:
    def __init__(self, wanted: BreakGlass, prefix: str, region: str, found: list[Diagnostic]) -> None:
        self.wanted, self.region, self.found = wanted, region, found
        self.stack = f"{prefix}-break-glass"
        self.home = f"{prefix}-break-glass-alarm"
        self.origins = (Origin("break_glass", wanted.span),)

    def decided(self) -> Emergency:
        policies: list[ManagedPolicy] = []
        group, users = self._users(policies)
        alarm = self._alarm(policies)
        return Emergency(self._stacks(), tuple(policies), group, users, alarm)

    def _stacks(self) -> tuple[Stack, ...]:
        out = [Stack(self.stack, self.region, "The way in for emergencies", protected=True, retained=True)]
        for region, name in sorted(self._alarm_stacks().items(), key=lambda entry: entry[1]):
            out.append(Stack(name, region, "Tells people of every use of break-glass", protected=True))
        return tuple(out)

    def _users(self, policies: list[ManagedPolicy]) -> tuple[Group, tuple[User, ...]]:
        """Users with all rights behind MFA, in a stack that needs no other: it must outlive whatever breaks."""
        # Who signs in once a year gets the strict form: no key of their own, no password change without MFA.
        strict = Policy(tuple(replace(s, origins=self.origins) for s in mfa_policy(Mfa()).statements))
        policies.append(customer_policy("break-glass-mfa", "/break-glass/", self.stack, strict))
        group = Group(
            logical_id("BreakGlass", "group"),
            self.stack,
            "break-glass",
            "/break-glass/",
            "The way in when everything else fails",
            ("break-glass-mfa",),
            ("AdministratorAccess",),
            self.wanted.span,
        )
        users = tuple(
            User(
                logical_id("BreakGlass", f"user {name}"),
                self.stack,
                str(name),
                "/break-glass/",
                ("break-glass",),
                span=name.span,
            )
            for name in self.wanted.users
        )
        return group, users

    def _alarm(self, policies: list[ManagedPolicy]) -> Alarm:
        home = self.home
        users = sorted(map(str, self.wanted.users))
        users_at = self.wanted.users[0]
        forwarder = self._forwarder(home, policies)
        topic_arn = f"arn:{PARTITION}:sns:{self.region}:{ACCOUNT}:{_ALARM}"
        taken = f"arn:{PARTITION}:iam::{ACCOUNT}:role{forwarder.path}{forwarder.name}"
        rules = []
        for region, stack in sorted(self._alarm_stacks().items()):
            at_home = region == self.region
            target, role = (topic_arn, None) if at_home else (self._home_bus(), taken)
            for name, description, pattern in _patterns(users, self.stack):
                text = minified(pattern)
                rules.append(Rule(logical_id("Rule", name), stack, name, description, text, target, role))
        if any(len(rule.pattern) > PATTERN_SIZE for rule in rules):
            message = f"an EventBridge pattern that names all break-glass users is over {PATTERN_SIZE:,} characters"
            self.found.append(
                Diagnostic("too-many-break-glass-users", message, users_at.span, "name fewer users, or shorter ones")
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
        topic = Topic(logical_id("Topic", _ALARM), home, _ALARM, addresses, Policy((publish,)))
        return Alarm(topic, tuple(rules), forwarder)

    def _alarm_stacks(self) -> dict[str, str]:
        """The name of the alarm's stack by Region: at home, and wherever break-glass events land."""
        home = self.home
        return {self.region: home} | {r: f"{home}-{r}" for r in _landing_regions(self.region) if r != self.region}

    def _home_bus(self) -> str:
        return f"arn:{PARTITION}:events:{self.region}:{ACCOUNT}:event-bus/default"

    def _forwarder(self, stack: str, policies: list[ManagedPolicy]) -> Role:
        put = Statement("ForwardToHome", "Allow", ("events:PutEvents",), (self._home_bus(),), origins=self.origins)
        policies.append(customer_policy(_ALARM, "/break-glass/", stack, Policy((put,))))
        trust = Statement(
            "TrustService",
            "Allow",
            actions=("sts:AssumeRole",),
            principals=(Principal("Service", ("events.amazonaws.com",)),),
            conditions=(
                Condition("ArnLike", "aws:SourceArn", _rule_arns()),
                Condition("StringEquals", "aws:SourceAccount", (ACCOUNT,)),
            ),
            origins=self.origins,
        )
        return Role(
            logical_id("Role", _ALARM),
            stack,
            _ALARM,
            "/break-glass/",
            "EventBridge hands break-glass events to the home Region",
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
_RULES = ("break-glass-call", "break-glass-sign-in", "break-glass-tampering")


def _rule_arns() -> tuple[str, ...]:
    """EventBridge User Guide, "Cross-service confused deputy prevention": the source of an event is its rule."""
    return tuple(f"arn:{PARTITION}:events:*:{ACCOUNT}:rule/{name}" for name in _RULES)


def _landing_regions(home: str) -> tuple[str, ...]:
    return next(regions for prefix, regions in _LANDING.items() if home.startswith(prefix))


_SIGN_IN = ["AWS Console Sign In via CloudTrail", "AWS Console Signin via CloudTrail"]
"""The EventBridge User Guide prints the second form, real events carry the first."""
_CALL = ["AWS API Call via CloudTrail"]
_CHANGES = [False, {"exists": False}]
"""`readOnly` of an event that changes something; an event that does not say counts as one."""


def _patterns(users: list[str], stacks: str) -> Iterator[tuple[str, str, object]]:
    """Name, description and event pattern of each rule; `stacks` is how the names of the break-glass stacks begin."""
    # By path too, so that a user who is no longer in the configuration, but still in the account, stays watched.
    who = {"$or": [{"userName": users}, {"arn": [{"wildcard": "arn:*:iam::*:user/break-glass/*"}]}]}
    yield (
        "break-glass-sign-in",
        "A break-glass user signed in, or tried to",
        {
            "detail-type": _SIGN_IN,
            "detail": {"eventSource": ["signin.amazonaws.com"], "userIdentity": {"type": ["IAMUser"], **who}},
        },
    )
    yield (
        "break-glass-call",
        "A break-glass user called AWS",
        {"detail-type": _CALL, "detail": {"userIdentity": who}},
    )
    yield (
        "break-glass-tampering",
        "Somebody changed a break-glass user, its alarm or the trail that feeds it",
        # Looking is not tampering: whoever reviews users would set the alarm off every day.
        {"detail-type": _CALL, "detail": {"readOnly": _CHANGES, "$or": list(_tampering(users, stacks))}},
    )


def _tampering(users: list[str], stacks: str) -> Iterator[object]:
    """What a call that tampers looks like, one form each."""
    emergency = [{"wildcard": "*/break-glass/*"}]

    def call(service: str, **parameters: object) -> dict[str, object]:
        return {"eventSource": [f"{service}.amazonaws.com"], "requestParameters": parameters}

    yield call("iam", userName=users)
    yield call("iam", groupName=["break-glass"])
    yield call("iam", roleName=[_ALARM])
    yield call("iam", policyArn=emergency)
    yield call("events", name=[{"prefix": "break-glass-"}])
    yield call("events", rule=[{"prefix": "break-glass-"}])
    yield call("sns", topicArn=[{"suffix": f":{_ALARM}"}])
    yield call("sns", subscriptionArn=[{"wildcard": f"*:{_ALARM}:*"}])
    yield call("cloudformation", stackName=[{"wildcard": f"*{stacks}*"}])
    yield {"eventSource": ["cloudtrail.amazonaws.com"]}
