"""What is there: an organization and its accounts, as AWS describes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

ContactKind = Literal["BILLING", "OPERATIONS", "SECURITY"]


@dataclass(frozen=True, slots=True)
class FoundAccount:
    """A member of the organization, or its management account. `parent` is the id of its unit or of the root."""

    id: str
    name: str
    email: str
    status: str
    parent: str


@dataclass(frozen=True, slots=True)
class FoundContact:
    """An alternate contact."""

    name: str
    title: str
    email: str
    phone: str


@dataclass(frozen=True, slots=True)
class FoundPolicy:
    """A customer managed policy: the document that holds, and how many versions IAM keeps of it."""

    document: Mapping[str, Any]
    versions: int


@dataclass(frozen=True, slots=True)
class Inside:
    """What was read with credentials of an account itself.

    `passwords` is the password policy as UpdateAccountPasswordPolicy takes it, None where there is none.
    """

    passwords: Mapping[str, int | bool] | None = None
    policies: Mapping[str, FoundPolicy] = field(default_factory=dict)
    """By ARN; what is asked for and not there is absent."""


@dataclass(frozen=True, slots=True)
class FoundOrganization:
    """An organization with all features."""

    id: str
    root: str
    policy_types: frozenset[str] = frozenset()
    """Those that are on, or being turned on."""
    units: Mapping[str, str] = field(default_factory=dict)
    """Ids of the units, by their names from the root down."""
    accounts: Mapping[str, FoundAccount] = field(default_factory=dict)
    """By id."""
    making: Mapping[str, str] = field(default_factory=dict)
    """Accounts that AWS is making: the id of the request, by the name of the account."""
    trusted: frozenset[str] = frozenset()
    """The services that may act in the organization, by their principals."""
    stack_sets: bool = False
    """Whether CloudFormation StackSets may."""
    root_access: frozenset[str] = frozenset()
    """What IAM does with the members' root users: `RootCredentialsManagement`, `RootSessions`."""
    delegated: frozenset[tuple[str, str]] = frozenset()
    """Which account administers a service: its principal and the account's id."""


@dataclass(frozen=True, slots=True)
class Found:
    """Everything that a plan is made from. `account` is the account of the credentials, `caller` their ARN."""

    account: str
    caller: str
    organization: FoundOrganization | None = None
    contacts: Mapping[tuple[str, ContactKind], FoundContact | None] = field(default_factory=dict)
    """By account and kind; what could not be asked for yet is absent."""
    inside: Mapping[str, Inside | None] = field(default_factory=dict)
    """By account; None where the credentials get no way in."""

    @property
    def partition(self) -> str:
        """The partition of the caller, such as `aws`."""
        return self.caller.split(":")[1]
