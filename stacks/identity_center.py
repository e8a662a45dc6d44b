"""Identity Center: groups, permission sets and assignments, in stacks of the account that manages the organization."""

from __future__ import annotations

from collections.abc import Iterable

import aws_cdk as cdk
from aws_cdk import aws_identitystore as identitystore
from aws_cdk import aws_sso as sso
from constructs import Construct

from dutybound.baseline import (
    Assignment,
    DirectoryGroup,
    DirectoryUser,
    IdentityCenter,
    Membership,
    PermissionSet,
    Stack,
)
from dutybound.cloudformation import filled_in
from dutybound.managed import arn
from dutybound.policy import PARTITION

from .baseline import meant_to_be_empty


class IdentityCenterStacks(Construct):
    """All stacks of Identity Center. They come after everything that makes policies which permission sets name."""

    def __init__(self, scope: Construct, center: IdentityCenter, after: Iterable[cdk.Stack] = ()) -> None:
        """Build the stacks under `scope`; `after` are stacks of the same app that have to stand first."""
        super().__init__(scope, "IdentityCenter")
        self.center = center
        self.tags = [cdk.CfnTag(key=key, value=value) for key, value in center.tags]
        self.stacks = {stack.name: self._stack(scope, stack) for stack in center.stacks}
        self.groups = {group.name: self._group(group) for group in center.groups}
        self.sets = {wanted.name: self._permission_set(wanted) for wanted in center.permission_sets}
        users = {user.name: self._user(user) for user in center.users}
        for membership in center.memberships:
            self._membership(membership, users[membership.user])
        for assignment in center.assignments:
            self._assignment(assignment)
        if center.attributes:
            self._attributes(center.stacks[0])
        for stack in self.stacks.values():
            for first in after:
                stack.add_stack_dependency(first)
            if not stack.node.children:
                meant_to_be_empty(stack)

    def _stack(self, scope: Construct, stack: Stack) -> cdk.Stack:
        made = cdk.Stack(
            scope,
            stack.name,
            stack_name=stack.name,
            description=stack.description,
            env=cdk.Environment(account=self.center.account.id, region=stack.region),
            termination_protection=stack.protected,
            synthesizer=cdk.LegacyStackSynthesizer(),
        )
        # An export cannot change or go while another stack imports it, so that a team could not be renamed. What is
        # read at the deployment can; which stack is first then is what `dutybound diff` says.
        cdk.CrossStackReferences.of(made).consume(cdk.ReferenceStrength.WEAK)
        return made

    def _group(self, group: DirectoryGroup) -> str:
        """The id of a group: that of the external directory, or of the group that is made."""
        if group.id is not None:
            return group.id
        made = identitystore.CfnGroup(
            self.stacks[group.stack],
            group.logical_id,
            identity_store_id=self.center.store,
            display_name=group.name,
            description=group.purpose,
        )
        return made.attr_group_id

    def _user(self, user: DirectoryUser) -> str:
        """The id of a user who is there, or who is made."""
        if user.id is not None:
            return user.id
        given, _, family = user.shown.rpartition(" ")
        made = identitystore.CfnUser(
            self.stacks[user.stack],
            user.logical_id,
            identity_store_id=self.center.store,
            user_name=user.name,
            display_name=user.shown,
            name=identitystore.CfnUser.NameProperty(given_name=given or family, family_name=family),
            emails=[identitystore.CfnUser.EmailsItemsProperty(value=user.email, type="work", primary=True)],
        )
        return made.attr_user_id

    def _membership(self, membership: Membership, user: str) -> None:
        identitystore.CfnGroupMembership(
            self.stacks[membership.stack],
            membership.logical_id,
            identity_store_id=self.center.store,
            group_id=self.groups[membership.group],
            member_id=identitystore.CfnGroupMembership.MemberIdProperty(user_id=user),
        )

    def _permission_set(self, wanted: PermissionSet) -> sso.CfnPermissionSet:
        name, path = wanted.boundary
        reference = sso.CfnPermissionSet.CustomerManagedPolicyReferenceProperty
        return sso.CfnPermissionSet(
            self.stacks[wanted.stack],
            wanted.logical_id,
            instance_arn=self.center.instance,
            name=wanted.name,
            description=wanted.purpose,
            session_duration=wanted.session,
            inline_policy=filled_in(wanted.inline.document()) if wanted.inline is not None else None,
            customer_managed_policy_references=[reference(name=n, path=p) for n, p in wanted.policies] or None,
            managed_policies=[cdk.Fn.sub(arn(id_, PARTITION)) for id_ in wanted.managed] or None,
            permissions_boundary=sso.CfnPermissionSet.PermissionsBoundaryProperty(
                customer_managed_policy_reference=reference(name=name, path=path)
            ),
            tags=self.tags,
        )

    def _assignment(self, assignment: Assignment) -> None:
        sso.CfnAssignment(
            self.stacks[assignment.stack],
            assignment.logical_id,
            instance_arn=self.center.instance,
            permission_set_arn=self.sets[assignment.permission_set].attr_permission_set_arn,
            principal_id=self.groups[assignment.group],
            principal_type="GROUP",
            target_id=assignment.account,
            target_type="AWS_ACCOUNT",
        )

    def _attributes(self, stack: Stack) -> None:
        kind = sso.CfnInstanceAccessControlAttributeConfiguration
        kind(
            self.stacks[stack.name],
            "AccessControlAttributes",
            instance_arn=self.center.instance,
            access_control_attributes=[
                kind.AccessControlAttributeProperty(
                    key=key, value=kind.AccessControlAttributeValueProperty(source=[source])
                )
                for key, source in self.center.attributes
            ],
        )
