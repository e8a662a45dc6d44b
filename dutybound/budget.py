"""Budgets: what the account may cost in a month -> a budget that mails people before it does."""

from __future__ import annotations

import hashlib

from dutybound.baseline import Budget, Stack, logical_id
from dutybound.config import Budget as BudgetEntry
from dutybound.diagnostic import Diagnostic, Text, quoted
from dutybound.policy import minified

ALERTS = 10
"""Notifications of a budget (Cost Management API Reference, CreateBudget)."""
ADDRESSES = 10
"""E-mail subscribers of a notification (Cost Management API Reference, NotificationWithSubscribers)."""
_HOMES = (("cn-", "cn-north-1", "CNY"), ("us-gov-", "us-gov-west-1", None), ("", "us-east-1", "USD"))
"""Where budgets stand and what they count in, by the prefix of the home Region.

CloudFormation has AWS::Budgets::Budget in some Regions only (not in eu-north-1, for one), in these for certain.
GovCloud has none: its costs are those of the commercial account behind it. AWS takes no other unit there ("is not in
the supported unit set: [USD]"); China's is from experience.
"""


def budgets_stack(prefix: str, region: str) -> Stack:
    """The stack of all budgets, for an account whose stacks are named from `prefix` and whose home is `region`."""
    home = next(home for start, home, _ in _HOMES if region.startswith(start))
    return Stack(f"{prefix}-budgets", home, "What the account may cost")


def budget(name: Text, wanted: BudgetEntry, prefix: str, region: str, found: list[Diagnostic]) -> Budget:
    """Decide one budget. Errors are added to `found`."""
    alerts = tuple(sorted(set(wanted.alert_at)))
    addresses = tuple(sorted(set(map(str, wanted.notify))))
    found += _errors(name, wanted, region, len(alerts), len(addresses))
    return Budget(
        logical_id("Budget", name),
        budgets_stack(prefix, region).name,
        f"{prefix}-{name}-{_digest(wanted.currency, alerts, addresses)}",
        wanted.limit,
        wanted.currency,
        alerts,
        addresses,
    )


def _digest(*replaced: object) -> str:
    """What CloudFormation can only replace, as a part of the name.

    It makes the new budget before it deletes the old one, and two of one name cannot be: without this, a deployment
    that changes an alert or an address ends in "the budget already exists". A changed limit keeps the budget.
    """
    return hashlib.sha256(minified(replaced).encode()).hexdigest()[:6]


def _errors(name: Text, wanted: BudgetEntry, region: str, alerts: int, addresses: int) -> list[Diagnostic]:
    who = f"budget {quoted(name)}"
    unit = next(unit for start, _, unit in _HOMES if region.startswith(start))
    out = []
    if unit is None:
        message = f"{who}: AWS GovCloud has no budgets"
        out.append(Diagnostic("no-budgets-here", message, name.span, "make it in the commercial account that pays"))
    elif wanted.currency != unit:
        message = f"{who} is in {wanted.currency}, but an account at home in {region} has budgets in {unit}"
        out.append(Diagnostic("wrong-currency", message, name.span, f"write 'currency: {unit}'"))
    if alerts > ALERTS:
        message = f"{who} has {alerts} alerts; AWS allows {ALERTS}"
        out.append(Diagnostic("budget-quota", message, name.span, "leave some out"))
    if addresses > ADDRESSES:
        message = f"{who} has {addresses} addresses; AWS allows {ADDRESSES} for each alert"
        out.append(Diagnostic("budget-quota", message, wanted.notify[0].span, "write to a mailing list"))
    return out
