"""People try things: what the configuration promises for a call, beside what the account answers.

The promise comes from Dutybound's own judge, the answer from the emulator's IAM; neither knows of the other.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

from botocore.exceptions import ClientError

from demo.server import ROOT_USER, Credentials, Emulator
from dutybound.baseline import Account, Baseline, Role, User
from dutybound.callers import callers
from dutybound.evaluate import Decision, Policies, Request, decide, in_account
from dutybound.policy import filled
from dutybound.witness import OwnSide

Standing = Literal["access key", "no MFA", "MFA", "role"]
"""How somebody comes: with a long-term key, with a session made without or with MFA, or in a role."""
Clients: TypeAlias = Callable[[str], Any]
"""Service name to boto3 client, for one set of credentials."""

DATABASE, SECRET, NEWCOMER = "dutybound-demo", "dutybound-demo", "dutybound-demo"
Context: TypeAlias = dict[str, str | tuple[str, ...]]
OBJECT = "dutybound-demo.txt"
STRANGE_BUCKET = "another-bucket"
_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError", "403"}


@dataclass(frozen=True, slots=True)
class Trial:
    """One API call: the action and the resources that AWS judges it on, how to make it, how to undo it as root."""

    action: str
    resources: tuple[str, ...]
    call: Callable[[Clients], object]
    undo: Callable[[Clients], object] = lambda _: None
    on: str = ""
    """What a reader has to know of the resource beside the action."""
    role: Role | None = None
    """The role that the call takes on, whose trust then counts as well."""

    @property
    def label(self) -> str:
        """The call in a few words."""
        return f"{self.action} {self.on}".rstrip()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was promised to somebody for one call, and what happened."""

    who: str
    standing: Standing
    trial: Trial
    promised: str
    because: str
    answered: str

    @property
    def agrees(self) -> bool:
        """True when the account does what the configuration promises; 'unknown' and errors never agree."""
        return self.promised == self.answered and self.promised in ("allowed", "denied")


@dataclass(frozen=True, slots=True)
class Actor:
    """A user or role of the baseline, with the credentials made for the occasion."""

    name: str
    arn: str
    credentials: Mapping[Standing, Credentials]


def chosen(account: Account, most: int = 6) -> tuple[User, ...]:
    """One person of each group, as far as they go round: whoever is in the fewest groups, then the first by name."""
    out: list[User] = []
    for group in account.groups:
        members = [user for user in account.users if group.name in user.groups and user not in out]
        out += sorted(members, key=lambda user: (len(user.groups), user.name))[:1]
    return tuple(out[:most])


@contextlib.contextmanager
def equipped(emulator: Emulator, user: User) -> Iterator[Actor]:
    """A user with an access key, an MFA device and both kinds of session; all of it is gone afterwards."""
    iam = emulator.client("iam")
    with contextlib.ExitStack() as cleanup:
        key = iam.create_access_key(UserName=user.name)["AccessKey"]
        cleanup.callback(iam.delete_access_key, UserName=user.name, AccessKeyId=key["AccessKeyId"])
        device = iam.create_virtual_mfa_device(VirtualMFADeviceName=f"demo-{user.name}")["VirtualMFADevice"]
        serial = device["SerialNumber"]
        cleanup.callback(iam.delete_virtual_mfa_device, SerialNumber=serial)
        codes = {"AuthenticationCode1": "123456", "AuthenticationCode2": "654321"}
        iam.enable_mfa_device(UserName=user.name, SerialNumber=serial, **codes)
        cleanup.callback(iam.deactivate_mfa_device, UserName=user.name, SerialNumber=serial)
        long_term = Credentials.of(key)
        sts = emulator.client("sts", credentials=long_term)
        without = sts.get_session_token()["Credentials"]
        proven = sts.get_session_token(SerialNumber=serial, TokenCode="123456")["Credentials"]
        yield Actor(
            user.name,
            iam.get_user(UserName=user.name)["User"]["Arn"],
            {"access key": long_term, "no MFA": Credentials.of(without), "MFA": Credentials.of(proven)},
        )


def in_role(emulator: Emulator, role: Role) -> Actor | None:
    """A session of a role, taken on by whom it trusts; None when its trust asks for what cannot be played here.

    A service is played by the account's root user, and another account by that account's.
    """
    trusted = [p for s in role.trust.statements for p in s.principals]
    outside = [account for p in trusted for value in p.values for account in re.findall(r"::(\d{12}):root$", value)]
    taker = Credentials(outside[0], "test") if outside else ROOT_USER
    ids = [v for s in role.trust.statements for c in s.conditions if c.key == "sts:ExternalId" for v in c.values]
    arn = _role_arn(emulator, role)
    with contextlib.suppress(ClientError):
        answer = emulator.client("sts", credentials=taker).assume_role(
            RoleArn=arn, RoleSessionName="demo", **({"ExternalId": ids[0]} if ids else {})
        )
        return Actor(role.name, arn, {"role": Credentials.of(answer["Credentials"])})
    return None


def _role_arn(emulator: Emulator, role: Role) -> str:
    return f"arn:aws:iam::{emulator.account}:role{role.path}{role.name}"


def judged(emulator: Emulator, account: Account, users: Iterable[User]) -> Generator[Verdict, None, None]:
    """Let these people, and every role that can be played, try everything in every standing, one verdict at a time.

    Makes the things that they try to touch, as root, and removes them afterwards.
    """
    with _scenery(emulator, account) as trials:
        for user in users:
            with equipped(emulator, user) as person:
                yield from _attempts(emulator, account, person, (*_trials_on_oneself(person), *trials))
        for role in account.roles:
            actor = in_role(emulator, role)
            if actor is not None:
                yield from _attempts(emulator, account, actor, trials)


def _attempts(emulator: Emulator, account: Account, actor: Actor, trials: Iterable[Trial]) -> Iterator[Verdict]:
    root = _clients(emulator, ROOT_USER)
    clients = {standing: _clients(emulator, credentials) for standing, credentials in actor.credentials.items()}
    for trial in trials:
        for standing in actor.credentials:
            promised, because = promise(emulator, account, actor, standing, trial)
            answered = _answer(trial, clients[standing])
            if answered == "allowed":
                trial.undo(root)
            yield Verdict(actor.name, standing, trial, promised, because, answered)


def _clients(emulator: Emulator, credentials: Credentials) -> Clients:
    return functools.cache(lambda service: emulator.client(service, credentials=credentials))


def _answer(trial: Trial, clients: Clients) -> str:
    """'allowed', 'denied', or what else came back."""
    try:
        trial.call(clients)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        return "denied" if code in _DENIED else f"error {code}"
    return "allowed"


def promise(emulator: Emulator, account: Account, actor: Actor, standing: Standing, trial: Trial) -> tuple[str, str]:
    """What the configuration says of this call, and why: every resource must be allowed, the first that is not tells.

    Taking on a role needs the role's trust as well.
    """
    policies = _policies(emulator, account, actor)
    side = OwnSide(policies)
    context = request_context(emulator, actor, standing)
    reason = ""
    for resource in trial.resources:
        decision = side.decide(Request(actor.arn, trial.action, resource, context))
        reason = _reason(decision)
        if decision.outcome != "allowed":
            return decision.outcome, reason
    return _trust(emulator, actor, policies, context, trial.role) if trial.role else ("allowed", reason)


def _policies(emulator: Emulator, account: Account, actor: Actor) -> Policies:
    everyone = callers(Baseline("", (), "", (account,)), account, account_id=emulator.account)
    return next(caller.policies for caller in everyone if caller.name == actor.name)


def _trust(emulator: Emulator, actor: Actor, policies: Policies, context: Context, role: Role) -> tuple[str, str]:
    """Whether the role lets the actor in: its trust and the actor's own policies together."""
    known = context | {"sts:RoleSessionName": "demo"}
    request = Request(actor.arn, "sts:AssumeRole", _role_arn(emulator, role), known)
    decision = decide(request, replace(policies, resource=in_account(role.trust, emulator.account)))
    return decision.outcome, _reason(decision)


def _reason(decision: Decision) -> str:
    """The judge's grounds in one line."""
    return ", ".join(s.sid for s in decision.because) or decision.reason or "no statement allows it"


def request_context(emulator: Emulator, actor: Actor, standing: Standing) -> Context:
    """The condition keys that AWS puts into every request of this actor."""
    context: Context = {
        "aws:PrincipalArn": actor.arn,
        "aws:PrincipalAccount": emulator.account,
        "aws:PrincipalIsAWSService": "false",
        "aws:ViaAWSService": "false",
        "aws:CurrentTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "aws:RequestedRegion": emulator.region,
        "aws:SecureTransport": "true",
        "aws:SourceIp": "127.0.0.1",
    }
    if standing == "role":
        return context | {"aws:PrincipalType": "AssumedRole"}
    context |= {"aws:PrincipalType": "User", "aws:username": actor.name}
    if standing == "access key":
        return context
    proven = standing == "MFA"
    return context | {"aws:MultiFactorAuthPresent": str(proven).lower()} | ({_AGE: "1"} if proven else {})


_AGE = "aws:MultiFactorAuthAge"


def _trials_on_oneself(person: Actor) -> tuple[Trial, ...]:
    """What a person does with their own user."""
    name = person.name
    return (
        Trial("iam:GetUser", (person.arn,), lambda c: c("iam").get_user(UserName=name), on="oneself"),
        Trial("iam:ListMFADevices", (person.arn,), lambda c: c("iam").list_mfa_devices(UserName=name), on="oneself"),
    )


@contextlib.contextmanager
def _scenery(emulator: Emulator, account: Account) -> Iterator[tuple[Trial, ...]]:
    """Things in the account that can be listed, read and deleted, and the trials that do so."""
    root = _clients(emulator, ROOT_USER)
    buckets = (*buckets_named_in(account, emulator.account)[:2], STRANGE_BUCKET)
    # S3 refuses to be told the one Region that it takes for granted.
    elsewhere = {} if emulator.region == "us-east-1" else {"LocationConstraint": emulator.region}
    for bucket in buckets:
        root("s3").create_bucket(Bucket=bucket, **({"CreateBucketConfiguration": elsewhere} if elsewhere else {}))
        root("s3").put_object(Bucket=bucket, Key=OBJECT, Body=b"demo")
    secret = root("secretsmanager").create_secret(Name=SECRET, SecretString="demo")["ARN"]
    server = root("ec2").run_instances(ImageId="ami-12345678", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    _make_database(root, DATABASE)
    try:
        yield (
            *_iam_trials(emulator),
            *(trial for bucket in buckets for trial in _bucket_trials(bucket)),
            *_server_trials(emulator, server),
            *_database_trials(emulator),
            *_reading_trials(emulator, secret),
            *_role_trials(emulator, account),
        )
    finally:
        root("rds").delete_db_instance(DBInstanceIdentifier=DATABASE, SkipFinalSnapshot=True)
        root("ec2").terminate_instances(InstanceIds=[server])
        root("secretsmanager").delete_secret(SecretId=SECRET, ForceDeleteWithoutRecovery=True)
        for bucket in buckets:
            root("s3").delete_object(Bucket=bucket, Key=OBJECT)
            root("s3").delete_bucket(Bucket=bucket)


def buckets_named_in(account: Account, account_id: str) -> tuple[str, ...]:
    """A bucket for each S3 name that the policies allow something on, `*` replaced by a word."""
    names = {
        filled(resource, account_id).split(":::", 1)[1].split("/", 1)[0]
        for policy in account.policies
        for statement in policy.policy.statements
        if statement.effect == "Allow"
        for resource in statement.resources
        if ":s3:::" in resource
    }
    named = {name.replace("*", "demo").replace("?", "x") for name in names if name.strip("*")}
    return tuple(sorted(name for name in named if "$" not in name))


def _iam_trials(emulator: Emulator) -> tuple[Trial, ...]:
    return (
        Trial("iam:ListUsers", ("*",), lambda c: c("iam").list_users()),
        Trial(
            "iam:CreateUser",
            (f"arn:aws:iam::{emulator.account}:user/people/{NEWCOMER}",),
            lambda c: c("iam").create_user(UserName=NEWCOMER, Path="/people/"),
            lambda c: c("iam").delete_user(UserName=NEWCOMER),
        ),
    )


def _bucket_trials(bucket: str) -> tuple[Trial, ...]:
    arn, thing = f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/{OBJECT}"

    def put(c: Clients) -> object:
        return c("s3").put_object(Bucket=bucket, Key=OBJECT, Body=b"demo")

    return (
        Trial("s3:ListBucket", (arn,), lambda c: c("s3").list_objects_v2(Bucket=bucket), on=bucket),
        Trial("s3:GetObject", (thing,), lambda c: c("s3").get_object(Bucket=bucket, Key=OBJECT), on=bucket),
        Trial("s3:PutObject", (thing,), put, on=bucket),
        Trial("s3:DeleteObject", (thing,), lambda c: c("s3").delete_object(Bucket=bucket, Key=OBJECT), put, on=bucket),
    )


def _server_trials(emulator: Emulator, server: str) -> tuple[Trial, ...]:
    arn = f"arn:aws:ec2:{emulator.region}:{emulator.account}"
    started: list[str] = []

    def start(c: Clients) -> None:
        answer = c("ec2").run_instances(ImageId="ami-12345678", MinCount=1, MaxCount=1)
        started.extend(instance["InstanceId"] for instance in answer["Instances"])

    # AWS judges a start on everything that it makes or uses.
    parts = ("instance", "network-interface", "security-group", "subnet", "volume")
    return (
        Trial("ec2:DescribeInstances", ("*",), lambda c: c("ec2").describe_instances()),
        Trial(
            "ec2:RunInstances",
            (*(f"{arn}:{part}/*" for part in parts), f"arn:aws:ec2:{emulator.region}::image/ami-12345678"),
            start,
            lambda c: c("ec2").terminate_instances(InstanceIds=[started.pop()]),
        ),
        Trial(
            "ec2:StopInstances",
            (f"{arn}:instance/{server}",),
            lambda c: c("ec2").stop_instances(InstanceIds=[server]),
            lambda c: c("ec2").start_instances(InstanceIds=[server]),
        ),
    )


def _make_database(c: Clients, name: str) -> object:
    return c("rds").create_db_instance(
        DBInstanceIdentifier=name,
        DBInstanceClass="db.t4g.micro",
        Engine="postgres",
        AllocatedStorage=20,
        MasterUsername="demo",
        MasterUserPassword="not-a-secret",
    )


def _database_trials(emulator: Emulator) -> tuple[Trial, ...]:
    arn = f"arn:aws:rds:{emulator.region}:{emulator.account}:db"
    another = f"{DATABASE}-2"

    def delete(c: Clients, name: str) -> object:
        return c("rds").delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)

    return (
        Trial("rds:DescribeDBInstances", (f"{arn}:*",), lambda c: c("rds").describe_db_instances()),
        Trial(
            "rds:CreateDBInstance",
            (f"{arn}:{another}",),
            lambda c: _make_database(c, another),
            lambda c: delete(c, another),
        ),
        Trial(
            "rds:DeleteDBInstance",
            (f"{arn}:{DATABASE}",),
            lambda c: delete(c, DATABASE),
            lambda c: _make_database(c, DATABASE),
        ),
    )


def _reading_trials(emulator: Emulator, secret: str) -> tuple[Trial, ...]:
    logs = f"arn:aws:logs:{emulator.region}:{emulator.account}:log-group:*"
    return (
        Trial("cloudwatch:ListMetrics", ("*",), lambda c: c("cloudwatch").list_metrics()),
        Trial("logs:DescribeLogGroups", (logs,), lambda c: c("logs").describe_log_groups()),
        Trial("cloudtrail:LookupEvents", ("*",), lambda c: c("cloudtrail").lookup_events()),
        Trial("dynamodb:ListTables", ("*",), lambda c: c("dynamodb").list_tables()),
        Trial("lambda:ListFunctions", ("*",), lambda c: c("lambda").list_functions()),
        Trial(
            "secretsmanager:GetSecretValue",
            (secret,),
            lambda c: c("secretsmanager").get_secret_value(SecretId=SECRET),
        ),
    )


def _role_trials(emulator: Emulator, account: Account) -> tuple[Trial, ...]:
    """Taking on each role."""

    def take(arn: str) -> Callable[[Clients], object]:
        return lambda c: c("sts").assume_role(RoleArn=arn, RoleSessionName="demo")

    arns = {role: _role_arn(emulator, role) for role in account.roles}
    return tuple(Trial("sts:AssumeRole", (arn,), take(arn), on=role.name, role=role) for role, arn in arns.items())
