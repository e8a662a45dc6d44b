"""What CloudFormation will do to the resources of an account when one baseline follows another, and what will fail.

CloudFormation makes new resources before it deletes old ones, and IAM knows a name once in an account, in whatever
case. So a resource with a name of its own cannot be replaced under that name, nor come back under another logical id or
in another stack. Sources: resource schemas of AWS::IAM::* and the others (`createOnlyProperties`), as carried by
cfn-lint; CloudFormation User Guide, "Update behaviors of stack resources"; IAM API Reference, DeleteUser (what must be
gone before); "Stack refactoring" and API Reference, CreateStackRefactor (what moves between stacks, and how); AWS CDK:
a stack that is not in the app any more is left alone.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from dutybound.baseline import Account, Group, Role, Stack, User

Effect = Literal["fails", "left behind", "deleted", "kept", "replaced"]
EFFECTS: tuple[Effect, ...] = ("fails", "left behind", "deleted", "kept", "replaced")
"""From the worst."""
FIXED: Mapping[str, tuple[str, ...]] = {
    "AWS::AccessAnalyzer::Analyzer": ("AnalyzerName", "Type"),
    "AWS::Budgets::Budget": ("BudgetName",),
    "AWS::Events::EventBusPolicy": ("StatementId", "EventBusName"),
    "AWS::Events::Rule": ("Name",),
    "AWS::IAM::Group": ("GroupName",),
    "AWS::IAM::InstanceProfile": ("InstanceProfileName", "Path"),
    "AWS::IAM::ManagedPolicy": ("ManagedPolicyName", "Path"),
    "AWS::IAM::OIDCProvider": ("Url",),
    "AWS::IAM::Role": ("RoleName", "Path"),
    "AWS::IAM::User": ("UserName",),
    "AWS::SNS::Topic": ("TopicName",),
    "AWS::SecretsManager::Secret": ("Name",),
}
"""The properties of each type that we set and that cannot change without a new resource; the first is its name."""
_WORDS = {
    "AWS::AccessAnalyzer::Analyzer": "analyzer",
    "AWS::Budgets::Budget": "budget",
    "AWS::Events::EventBusPolicy": "statement of the event bus",
    "AWS::Events::Rule": "alarm rule",
    "AWS::IAM::Group": "group",
    "AWS::IAM::InstanceProfile": "instance profile",
    "AWS::IAM::ManagedPolicy": "policy",
    "AWS::IAM::OIDCProvider": "identity provider",
    "AWS::IAM::Role": "role",
    "AWS::IAM::User": "user",
    "AWS::SNS::Topic": "topic",
    "AWS::SecretsManager::Secret": "secret",
}
_MOST_NAMES = 8
_MOST_STACKS = 5
"""Of one operation of a stack refactoring: the stack that resources leave, and those that they go to."""
_REGIONAL = ("AWS::Events::Rule", "AWS::SNS::Topic", "AWS::SecretsManager::Secret")
"""Types whose names are known once in a Region; those of the others once in an account."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of a template that has a name: `fixed` are the values of its type's `FIXED`, the name first."""

    type: str
    stack: str
    region: str
    logical_id: str
    fixed: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its physical name."""
        return self.fixed[0]

    @property
    def kind(self) -> str:
        """What it is, in a word."""
        return _WORDS[self.type]

    @property
    def taken(self) -> tuple[str, str, str]:
        """What no other resource can have at the same time. IAM's names differ by more than case."""
        return (self.type, self.region if self.type in _REGIONAL else "", self.name.casefold())


@dataclass(frozen=True, slots=True)
class Consequence:
    """Something that a deployment does to a resource besides changing it in place.

    `why` is a clause; `steps` are what has to be done by hand before, as shell commands.
    """

    effect: Effect
    kind: str
    name: str
    stack: str
    why: str = ""
    steps: tuple[str, ...] = ()


def resources(account: Account) -> tuple[Resource, ...]:
    """All resources with a name that the stacks of an account hold."""
    regions = {stack.name: stack.region for stack in account.stacks}
    return tuple(
        Resource(type_, stack, regions[stack], logical_id, fixed)
        for type_, stack, logical_id, fixed in (*_of_iam(account), *_of_others(account))
    )


_Row = tuple[str, str, str, tuple[str, ...]]


def _of_iam(account: Account) -> Iterator[_Row]:
    for policy in account.own_policies:
        yield "AWS::IAM::ManagedPolicy", policy.stack, policy.logical_id, (policy.name, policy.path)
    for group in account.groups:
        yield "AWS::IAM::Group", group.stack, group.logical_id, (group.name,)
    for user in account.users:
        yield "AWS::IAM::User", user.stack, user.logical_id, (user.name,)
    for provider in account.identity_providers:
        yield "AWS::IAM::OIDCProvider", provider.stack, provider.logical_id, (provider.url,)
    forwarder: tuple[Role, ...] = (account.alarm.forwarder,) if account.alarm is not None else ()
    for role in (*account.own_roles, *forwarder):
        yield "AWS::IAM::Role", role.stack, role.logical_id, (role.name, role.path)
        if role.instance_profile is not None:
            yield "AWS::IAM::InstanceProfile", role.stack, role.instance_profile, (role.name, role.path)


def _of_others(account: Account) -> Iterator[_Row]:
    for secret in account.secrets:
        yield "AWS::SecretsManager::Secret", secret.stack, secret.logical_id, (secret.name,)
    for budget in account.budgets:
        yield "AWS::Budgets::Budget", budget.stack, budget.logical_id, (budget.name,)
    for analyzer in account.analyzers:
        yield "AWS::AccessAnalyzer::Analyzer", analyzer.stack, analyzer.logical_id, (analyzer.name, analyzer.type)
    if account.alarm is not None:
        if (topic := account.alarm.topic) is not None:
            yield "AWS::SNS::Topic", topic.stack, topic.logical_id, (topic.name,)
        if (bus := account.alarm.bus) is not None:
            sids = tuple(statement.sid for statement in bus.policy.statements)
            yield "AWS::Events::EventBusPolicy", bus.stack, bus.logical_id, (*sids, "default")
        drill = (account.alarm.drill,) if account.alarm.drill is not None else ()
        for rule in (*account.alarm.rules, *drill):
            yield "AWS::Events::Rule", rule.stack, rule.logical_id, (rule.name,)


def consequences(old: Account, new: Account) -> tuple[Consequence, ...]:
    """What the deployment of `new` over `old` makes, replaces, deletes or fails at, the worst first, then by name."""
    before, after = resources(old), resources(new)
    was = {(r.region, r.stack, r.logical_id): r for r in before}
    is_ = {(r.region, r.stack, r.logical_id): r for r in after}
    taken = {r.taken: r for r in before}
    there = {(s.region, s.name): s for s in new.stacks}
    found: list[Consequence] = []
    elsewhere: dict[Resource, Resource] = {}
    for place, resource in is_.items():
        holder = taken.get(resource.taken)
        if holder is not None and (holder.region, holder.stack) != place[:2] and was.get(place) != resource:
            elsewhere[resource] = holder
        else:
            found += _made(resource, was.get(place), holder)
    found += _moves(elsewhere, before, there)
    found += _used_elsewhere(old, new)
    found += [_left(stack, before) for stack in old.stacks if (stack.region, stack.name) not in there]
    moved = set(elsewhere.values())
    for place, resource in was.items():
        if place not in is_ and place[:2] in there and resource not in moved:
            found.append(_gone(resource, there[place[:2]]))
    return tuple(sorted(found, key=lambda c: (EFFECTS.index(c.effect), c.kind, c.name, c.stack)))


def _moves(
    elsewhere: Mapping[Resource, Resource], before: Iterable[Resource], there: Mapping[tuple[str, str], Stack]
) -> Iterator[Consequence]:
    """What goes from one stack to another, with the steps that move it: an operation for each few new stacks.

    `there` are the stacks of the new side: one that is not among them has nothing left, and its name changed with it.
    """
    leaving = set(elsewhere.values())
    staying = {(r.region, r.stack) for r in before if r not in leaving}
    moves: dict[tuple[str, str], dict[tuple[str, str], list[Resource]]] = {}
    for resource, was in elsewhere.items():
        to = moves.setdefault((was.region, was.stack), {}).setdefault((resource.region, resource.stack), [])
        to.append(resource)
    for (region, holder), destinations in moves.items():
        movable = sorted(stack for where, stack in destinations if where == region and (region, holder) in there)
        for (where, stack), made in destinations.items():
            if where != region or stack not in movable:
                yield _moved(stack, holder, [r.name for r in made])
        for start in range(0, len(movable), _MOST_STACKS - 1):
            some = movable[start : start + _MOST_STACKS - 1]
            names = [r.name for stack in some for r in destinations[region, stack]]
            last = start + _MOST_STACKS > len(movable)
            steps = refactor_steps(holder, some, emptied=last and (region, holder) not in staying)
            yield _moved(", ".join(some), holder, names, steps)


def _moved(stack: str, holder: str, names: Sequence[str], steps: tuple[str, ...] = ()) -> Consequence:
    some = ", ".join(sorted(set(names))[:_MOST_NAMES])
    more = f" and {len(set(names)) - _MOST_NAMES} more" if len(set(names)) > _MOST_NAMES else ""
    same = "the same stack in another Region" if holder == stack else f"the stack {holder}"
    how = "move them by a stack refactoring" + (
        " before the deployment" if steps else " (cdk refactor), or delete it first"
    )
    return Consequence("fails", "stack", stack, stack, f"{same} has the names {some}{more}: {how}", steps)


def refactor_steps(source: str, destinations: Sequence[str], emptied: bool = False) -> tuple[str, ...]:
    """The commands that move what the destinations will hold out of `source`, in one operation.

    They read the templates of `cdk synth` and of the deployed stack, and change no resource. At most four destinations
    fit beside the source. One that would be `emptied` gets a resource first that costs and does nothing, since a stack
    without any cannot be: the next deployment deletes the stack. BUCKET and ID stand for what only the account knows.
    """
    left, url = f"{source}.left.json", f"https://BUCKET.s3.amazonaws.com/{source}.json"
    fill = (
        f"aws cloudformation get-template --stack-name {source} --query TemplateBody "
        f"""| jq '.Resources.Empty = {{Type: "AWS::CloudFormation::WaitConditionHandle"}}' > {left}""",
        f"aws s3 cp {left} s3://BUCKET/{source}.json",
        f"aws cloudformation update-stack --stack-name {source} --template-url {url} "
        "--capabilities CAPABILITY_NAMED_IAM",
        f"aws cloudformation wait stack-update-complete --stack-name {source}",
    )
    files = [f"cdk.out/{name}.template.json" for name in destinations]
    definitions = " ".join(
        f"StackName={name},TemplateURL=https://BUCKET.s3.amazonaws.com/{name}.json" for name in (source, *destinations)
    )
    keep = ".[0] as $all | ([.[1:][].Resources | keys[]]) as $gone | "
    keep += "$all | .Resources |= with_entries(select(.key | IN($gone[]) | not))"
    return (
        *(fill if emptied else ()),
        "npx cdk synth --quiet  # a configuration in which nothing but the placement changed",
        f"aws cloudformation get-template --stack-name {source} --query TemplateBody > {source}.json",
        f"jq --slurp '{keep}' {source}.json {' '.join(files)} > {left}",
        f"aws s3 cp {left} s3://BUCKET/{source}.json",
        *(f"aws s3 cp {file} s3://BUCKET/{name}.json" for file, name in zip(files, destinations, strict=True)),
        f"aws cloudformation create-stack-refactor --enable-stack-creation --stack-definitions {definitions}",
        "aws cloudformation describe-stack-refactor --stack-refactor-id ID  # CREATE_COMPLETE, or why not",
        "aws cloudformation list-stack-refactor-actions --stack-refactor-id ID  # moves, and nothing else",
        "aws cloudformation execute-stack-refactor --stack-refactor-id ID",
    )


def _used_elsewhere(old: Account, new: Account) -> Iterator[Consequence]:
    """What cannot go in one deployment: its stack comes before those that use it, and IAM keeps what is in use."""
    groups, policies = {g.name for g in new.groups}, {p.name for p in new.policies}
    homes = {("group", g.name): g.stack for g in old.groups if g.name not in groups}
    homes |= {("policy", p.name): p.stack for p in old.policies if p.name not in policies}
    left = {(kind, r.name) for kind, all_ in _holders(new) for r in all_}
    users: dict[tuple[str, str], set[str]] = {}
    for user in old.users:
        for used in (*(("group", g) for g in user.groups), ("policy", str(user.permissions_boundary))):
            if ("user", user.name) in left and homes.get(used, user.stack) != user.stack:
                users.setdefault(used, set()).add(user.stack)
    for kind, held in _holders(old):
        for holder in held:
            for used in (("policy", p) for p in _policies_of(holder)):
                if (kind, holder.name) in left and homes.get(used, holder.stack) != holder.stack:
                    users.setdefault(used, set()).add(holder.stack)
    for (kind, name), stacks in users.items():
        why = f"the {_counted(stacks)} that use it are deployed after its own, and IAM deletes nothing that is in use: "
        why += "CloudFormation would give up on it and leave it in the account"
        command = f"npx cdk deploy --exclusively {' '.join(sorted(stacks))}"
        yield Consequence("left behind", kind, name, homes[kind, name], why, (f"{command}  # before all others",))


def _holders(account: Account) -> tuple[tuple[str, Sequence[Group | Role | User]], ...]:
    return (("group", account.groups), ("role", account.roles), ("user", account.users))


def _policies_of(holder: Group | Role | User) -> tuple[str, ...]:
    if isinstance(holder, User):
        return ()
    bound = holder.permissions_boundary if isinstance(holder, Role) else None
    return (*holder.policies, *((bound,) if bound else ()))


def _counted(stacks: Iterable[str]) -> str:
    names = sorted(stacks)
    return f"stack{'s' if len(names) > 1 else ''} {', '.join(names)}"


def _left(stack: Stack, before: Iterable[Resource]) -> Consequence:
    held = sum((r.region, r.stack) == (stack.region, stack.name) for r in before)
    why = (
        f"it is not in the app any more, and the CDK leaves it alone with the {held:,} named resources that it holds, "
    )
    why += f"and the access that they give: delete it in {stack.region} once nothing needs it"
    return Consequence("left behind", "stack", stack.name, stack.name, why)


def _made(resource: Resource, was: Resource | None, holder: Resource | None) -> Iterator[Consequence]:
    """What becomes of a resource of the new side: `was` stood in its place, `holder` in its stack had its name."""
    kind, name, stack = resource.kind, resource.name, resource.stack
    if was is not None and was.fixed == resource.fixed:
        return
    change = f"{_changed(was, resource)} cannot change in place" if was is not None else ""
    if holder is None:
        if was is not None:
            yield Consequence("replaced", kind, name, stack, change)
    elif holder == was:
        why = f"{change}, and CloudFormation makes the new one first: the name is taken until the old one is gone"
        yield Consequence("fails", kind, name, stack, f"{why}. Deploy once without it, then with it")
    else:
        name_of = f"the name {holder.name}, which is the same to IAM," if holder.name != name else "the name"
        why = f"{name_of} is taken by {holder.logical_id} until that is deleted: deploy once without it, then with it"
        yield Consequence("fails", kind, name, stack, why)


def _changed(was: Resource, now: Resource) -> str:
    names = FIXED[now.type]
    pairs = [
        f"{name} ({one} → {other})"
        for name, one, other in zip(names, was.fixed, now.fixed, strict=True)
        if one != other
    ]
    return " and ".join(pairs)


def _gone(resource: Resource, stack: Stack) -> Consequence:
    kind, name, where = resource.kind, resource.name, resource.stack
    steps = user_steps(shlex.quote(name)) if resource.type == "AWS::IAM::User" else ()
    if stack.retained:
        why = "its stack keeps what it made: it stays in the account, and nothing looks after it any more"
        delete = (f"aws iam delete-user --user-name {shlex.quote(name)}",) if steps else ()
        return Consequence("kept", kind, name, where, why, (*steps, *delete))
    return Consequence("deleted", kind, name, where, "", steps)


def user_steps(user: str) -> tuple[str, ...]:
    """What must be gone before IAM deletes a user, as commands (IAM API Reference, DeleteUser).

    Devices, keys and passwords that people have are not CloudFormation's, and the deletion fails while they are there.
    `user` stands in the commands as it is.
    """
    return (
        f"aws iam list-mfa-devices --user-name {user}",
        f"aws iam deactivate-mfa-device --user-name {user} --serial-number ARN  # each",
        "aws iam delete-virtual-mfa-device --serial-number ARN  # each virtual one",
        f"aws iam list-access-keys --user-name {user}",
        f"aws iam delete-access-key --user-name {user} --access-key-id ID  # each",
        f"aws iam delete-login-profile --user-name {user}",
    )
