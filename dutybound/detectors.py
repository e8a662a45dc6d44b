"""Detectors: what looks at accounts and tells people, besides the alarm of break-glass.

IAM Access Analyzer finds what others reach and what nobody uses. The alarm hears changes of identities, too, and of
several accounts one may hear all. Nothing of it is there until `detectors` asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dutybound.accounts import Destination
from dutybound.baseline import Analyzer, AnalyzerType, Stack, logical_id
from dutybound.config import Configuration, Detectors
from dutybound.diagnostic import Diagnostic, Text

IDENTITY_RULE = "break-glass-identity"
BUS_RULE = "break-glass-bus"
_IDENTITY_REGIONS = (("cn-", "cn-north-1"), ("us-gov-", "us-gov-west-1"), ("", "us-east-1"))
"""Where IAM and Organizations log, by the prefix of the home Region (IAM User Guide, "Logging IAM and AWS STS API
calls with AWS CloudTrail"); China and GovCloud from experience."""


@dataclass(frozen=True, slots=True)
class Watch:
    """What the alarm of a destination does besides watching break-glass.

    `bus` is the id of the account whose alarm hears this one's events; None is this one itself. `organization` is the
    id of the organization whose accounts hand theirs to this one, if they do.
    """

    identity_changes: bool = False
    deployers: tuple[str, ...] = ()
    bus: str | None = None
    organization: str | None = None

    @property
    def hears(self) -> bool:
        """Whether other accounts hand their events to this one."""
        return self.organization is not None

    @property
    def rules(self) -> tuple[str, ...]:
        """The names of the rules that stand because of it, in whatever Region."""
        return (*([IDENTITY_RULE] if self.identity_changes else []), *([BUS_RULE] if self.hears else []))


def watch(configuration: Configuration, destination: Destination) -> Watch:
    """What the alarm of a destination does besides watching break-glass."""
    wanted = configuration.detectors or Detectors()
    deployers = tuple(sorted(set(map(str, wanted.deployers))))
    hearing, organization = _hearing(configuration), configuration.organization.id
    if not wanted.one_bus or hearing is None or organization is None:
        return Watch(wanted.identity_changes, deployers)
    if _holds(destination, str(hearing)):
        return Watch(wanted.identity_changes, deployers, organization=str(organization))
    return Watch(wanted.identity_changes, deployers, bus=str(configuration.accounts[hearing].id))


def check(configuration: Configuration) -> Iterator[Diagnostic]:
    """What is wrong with the key `detectors`."""
    wanted = configuration.detectors
    if wanted is None:
        return
    if wanted.deployers and not wanted.identity_changes:
        message = "'deployers' says nothing while no alarm hears changes of identities"
        hint = "write 'identity_changes: true', or remove it"
        yield Diagnostic("contradiction", message, wanted.deployers[0].span, hint)
    missing = _missing(configuration)
    if wanted.one_bus and missing:
        message = (
            "one bus for the alarms of all accounts needs an account that hears, and the organization to listen to"
        )
        yield Diagnostic("no-one-bus", message, wanted.span, f"give {' and '.join(missing)}")


def _missing(configuration: Configuration) -> list[str]:
    account = "hub" if configuration.organization.people_in == "iam" else "management"
    return [
        *(["accounts"] if not configuration.accounts else []),
        *([f"organization.{account}"] if _hearing(configuration) is None else []),
        *(["organization.id"] if configuration.organization.id is None else []),
    ]


def _hearing(configuration: Configuration) -> Text | None:
    """The account that hears the alarms of all: the hub, where the break-glass users are; without one, management."""
    wanted = configuration.organization
    name = wanted.hub if wanted.people_in == "iam" else wanted.management
    return name if name is not None and name in configuration.accounts else None


def _holds(destination: Destination, name: str) -> bool:
    return any(target.name == name for target in destination.targets)


# --- IAM Access Analyzer --------------------------------------------------------------------------------------------


def stacks(configuration: Configuration) -> tuple[Stack, ...]:
    """A stack for each Region that is looked at, once `detectors` is written, so that what it turns off is deleted."""
    if configuration.detectors is None:
        return ()
    home, what = str(configuration.organization.home_region), "What looks for access that should not be"
    return tuple(Stack(_stack(configuration, region), region, what) for region in _regions(configuration, home))


def analyzers(configuration: Configuration, destination: Destination) -> tuple[Analyzer, ...]:
    """The analyzers of a destination, sorted by stack.

    The account that manages the organization has those that look at all of it, and the others none.
    """
    wanted = configuration.detectors
    if wanted is None or _manager(configuration, destination) is not None:
        return ()
    prefix, home = str(configuration.organization.name), str(configuration.organization.home_region)
    management = configuration.organization.management
    whole = management is not None and _holds(destination, str(management))
    # AWS can change no type: another name lets CloudFormation make the new one before it deletes the old.
    start, scope = (f"{prefix}-organization", "organization") if whole else (prefix, "account")
    out = []
    if wanted.external_access:
        id_ = logical_id("Analyzer", f"{scope} external access")
        kind: AnalyzerType = "ORGANIZATION" if whole else "ACCOUNT"
        name = f"{start}-external-access"
        out += [Analyzer(id_, _stack(configuration, place), name, kind) for place in _regions(configuration, home)]
    if wanted.unused_access is not None:
        # It is billed by the role and user wherever it stands, and IAM is the same in every Region.
        kind = "ORGANIZATION_UNUSED_ACCESS" if whole else "ACCOUNT_UNUSED_ACCESS"
        id_, days = logical_id("Analyzer", f"{scope} unused access"), wanted.unused_access.days
        out.append(Analyzer(id_, _stack(configuration, home), f"{start}-unused-access", kind, days))
    return tuple(sorted(out, key=lambda made: (made.stack, made.name)))


def analyzed_in(configuration: Configuration, destination: Destination) -> str | None:
    """The id of the account whose analyzers look at who reaches into this destination, where that is another one."""
    wanted = configuration.detectors
    return _manager(configuration, destination) if wanted is not None and wanted.external_access else None


def _manager(configuration: Configuration, destination: Destination) -> str | None:
    """The id of the account that manages the organization, for a destination in another one."""
    name = configuration.organization.management
    if name is None or name not in configuration.accounts or _holds(destination, str(name)):
        return None
    return str(configuration.accounts[name].id)


def _regions(configuration: Configuration, home: str) -> tuple[str, ...]:
    return tuple(sorted({home, *map(str, configuration.guardrails.regions)}))


def _stack(configuration: Configuration, region: str) -> str:
    home, name = configuration.organization.home_region, f"{configuration.organization.name}-detectors"
    return name if region == home else f"{name}-{region}"


# --- changes of identities ------------------------------------------------------------------------------------------

_SERVICES = ("iam", "identitystore", "organizations", "sso", "sso-directory")
_QUIET = (
    "Authenticate",
    "ChangePassword",
    "CreateServiceLinkedRole",
    "CreateToken",
    "Federate",
    "Logout",
    "RegisterClient",
    "ResyncMFADevice",
    "StartDeviceAuthorization",
)
"""Calls that change nobody's access: one's own password and session, and roles that AWS makes for its services."""
_CLOUDFORMATION = "cloudformation.amazonaws.com"


def identity_region(home: str) -> str:
    """The Region where changes of identities land, besides the home Region."""
    return next(region for prefix, region in _IDENTITY_REGIONS if home.startswith(prefix))


def identity_pattern(deployers: tuple[str, ...]) -> tuple[str, str, object]:
    """The name, the description and the pattern of the rule that hears changes of identities.

    Every change is heard that is not known to be harmless, so that one which AWS adds tomorrow is heard as well. What
    CIS AWS Foundations Benchmark, "Ensure IAM policy changes are monitored", names is among them. A deployer's changes
    pass only where CloudFormation makes them; its own calls are heard.
    """
    spared = [
        {"userIdentity": {"invokedBy": [{"exists": False}, {"anything-but": _CLOUDFORMATION}]}},
        {"userIdentity": {"sessionContext": {"sessionIssuer": {"userName": _others(deployers)}}}},
    ]
    detail = {
        "eventSource": [f"{service}.amazonaws.com" for service in _SERVICES],
        "eventName": [{"anything-but": list(_QUIET)}],
        "readOnly": [False, {"exists": False}],
        **({"$or": spared} if deployers else {}),
    }
    pattern = {"detail-type": ["AWS API Call via CloudTrail"], "detail": detail}
    return IDENTITY_RULE, "Somebody changed users, roles, keys, policies or the organization", pattern


def _others(deployers: tuple[str, ...]) -> list[object]:
    return [{"exists": False}, {"anything-but": list(deployers)}]
