"""What CloudFormation will do to permission sets, assignments and the directory when one configuration follows another.

A permission set and a user keep the name that they are made with, and an assignment keeps everything: what else changes
there is made anew. Sources: resource schemas of AWS::SSO::* and AWS::IdentityStore::* (`createOnlyProperties`), as
carried by cfn-lint; IAM Identity Center API Reference, DeletePermissionSet (none that is assigned) and
CreateAccountAssignment; IAM Identity Center User Guide, "Delete permission sets".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dutybound.baseline import Assignment, DirectoryGroup, IdentityCenter, PermissionSet, Stack
from dutybound.deployment import EFFECTS, Consequence


def assigned(old: IdentityCenter | None, new: IdentityCenter | None) -> tuple[Consequence, ...]:
    """What the deployment of `new` over `old` replaces, deletes, leaves behind or fails at, the worst first, by name.

    None stands for a side whose people are not in Identity Center.
    """
    if old is None:
        return ()
    found = [*_stacks_left(old, new)]
    if new is not None:
        found += [*_sets(old, new), *_assignments(old, new), *_groups(old, new), *_users(old, new)]
    return tuple(sorted(found, key=lambda c: (EFFECTS.index(c.effect), c.kind, c.name, c.stack)))


def _stacks_left(old: IdentityCenter, new: IdentityCenter | None) -> Iterator[Consequence]:
    """Stacks with something in them that the app has no more."""
    there = {(s.region, s.name) for s in new.stacks} if new is not None else set()
    holding = {a.stack for a in old.assignments} | {s.stack for s in old.permission_sets}
    holding |= {m.stack for m in old.memberships} | {g.stack for g in old.groups if g.id is None}
    holding |= {user.stack for user in old.users if user.id is None}
    for stack in old.stacks:
        if (stack.region, stack.name) not in there and stack.name in holding:
            why = (
                "it is not in the app any more, and the CDK leaves it alone with the permission sets, assignments and "
            )
            why += f"groups that it holds, and the access that they give: delete it in {stack.region}"
            yield Consequence("left behind", "stack", stack.name, stack.name, why)


def _sets(old: IdentityCenter, new: IdentityCenter) -> Iterator[Consequence]:
    """Permission sets that go, alone or for another. Those whose assignments are elsewhere go after them."""
    kept = {one.name: one for one in new.permission_sets}
    stacks = {s.name: s for s in new.stacks}
    for gone in old.permission_sets:
        if gone.stack not in stacks:
            continue
        if gone.name in kept:
            if old.instance != new.instance:
                why = f"InstanceArn ({old.instance} → {new.instance}) cannot change in place"
                yield Consequence("replaced", "permission set", gone.name, gone.stack, why)
            continue
        users = {a.stack for a in old.assignments if a.permission_set == gone.name} - {gone.stack}
        yield (
            _used_elsewhere(gone, users, old, new)
            if users & stacks.keys()
            else Consequence("deleted", "permission set", gone.name, gone.stack)
        )


def _used_elsewhere(gone: PermissionSet, users: set[str], old: IdentityCenter, new: IdentityCenter) -> Consequence:
    """A permission set whose assignments stand in other stacks, which are deployed after its own."""
    why = (
        "it is still assigned when its stack is deployed, and Identity Center deletes nothing that is: CloudFormation "
    )
    why += "would give up on it and leave it"
    known = {one.name for one in old.permission_sets}
    if any(a.stack in users and a.permission_set not in known for a in new.assignments):
        # These stacks need the new sets, and cannot come first.
        why += ". It gives nobody access; make no other of its name before it is deleted by hand: "
        why += f"aws sso-admin delete-permission-set --instance-arn {new.instance} --permission-set-arn ARN"
        return Consequence("left behind", "permission set", gone.name, gone.stack, why)
    command = f"npx cdk deploy --exclusively {' '.join(sorted(users))}  # before all others"
    return Consequence("left behind", "permission set", gone.name, gone.stack, why, (command,))


def _assignments(old: IdentityCenter, new: IdentityCenter) -> Iterator[Consequence]:
    """Assignments that are replaced, since none changes, or would stand in another stack."""
    before, groups = {(a.group, a.account): a for a in old.assignments}, (_ids(old), _ids(new))
    stacks = {s.name: s for s in new.stacks}
    for now in new.assignments:
        was = before.get((now.group, now.account))
        if was is None:
            continue
        name = f"{now.group} in {now.account}"
        if was.stack != now.stack:
            yield _moved(name, was, now, stacks)
            continue
        changes = _changes(was, now, groups)
        if old.instance != new.instance:
            changes.append(f"InstanceArn ({old.instance} → {new.instance})")
        if changes:
            why = f"{' and '.join(changes)} cannot change in place"
            yield Consequence("replaced", "assignment", name, now.stack, why)


def _changes(
    was: Assignment, now: Assignment, groups: tuple[Mapping[str, str | None], Mapping[str, str | None]]
) -> list[str]:
    changes = []
    if was.permission_set != now.permission_set:
        changes.append(f"its permission set ({was.permission_set} → {now.permission_set})")
    one, other = (ids.get(now.group) for ids in groups)
    if one != other:
        changes.append(f"its group ({one or 'one that is made'} → {other or 'one that is made'})")
    return changes


def _ids(center: IdentityCenter) -> dict[str, str | None]:
    return {group.name: group.id for group in center.groups}


def _moved(name: str, was: Assignment, now: Assignment, stacks: Mapping[str, Stack]) -> Consequence:
    why = (
        f"the stack {was.stack} has it, and an assignment is there once: whoever has it would lose it when that stack "
    )
    why += "lets go of it. Deploy once without it, then with it: nobody of the group signs in there in between"
    if was.stack not in stacks:
        why = f"the stack {was.stack} has it, and an assignment is there once: delete that stack first. Nobody of the "
        why += "group signs in there in between"
    return Consequence("fails", "assignment", name, now.stack, why)


def _groups(old: IdentityCenter, new: IdentityCenter) -> Iterator[Consequence]:
    """Groups that were made and go; those of an external directory are nobody's here."""
    kept = {group.name for group in new.groups if group.id is None}
    for gone in old.groups:
        if gone.id is None and gone.name not in kept:
            yield Consequence("deleted", "directory group", gone.name, gone.stack, _then(gone, new))


def _then(gone: DirectoryGroup, new: IdentityCenter) -> str:
    taken = next((group.id for group in new.groups if group.name == gone.name), None)
    return f"the group {taken} of the directory takes its place, with those who are in it there" if taken else ""


def _users(old: IdentityCenter, new: IdentityCenter) -> Iterator[Consequence]:
    """Users that were made and go, with their devices; and those whose address changes, which makes another."""
    kept = {user.name: user for user in new.users}
    for was in old.users:
        now = kept.get(was.name)
        if was.id is not None:
            continue
        if now is None or now.id is not None:
            why = "with the password and the devices of the person" if now is None else ""
            if now is not None:
                why = f"'user: {now.id}' takes its place: give the id of another user, not its own, which goes with it"
            yield Consequence("deleted", "directory user", was.name, was.stack, why)
        elif was.email != now.email:
            why = f"Emails ({was.email} → {now.email}) cannot change in place, and CloudFormation makes the new one "
            why += "first: the name is taken until the old one is gone. Change the address in the console of Identity "
            why += "Center and leave 'email' as it was, or deploy once without the person, then with"
            yield Consequence("fails", "directory user", was.name, was.stack, why)
