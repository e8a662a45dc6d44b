"""What CloudFormation cannot do for an account -> a shell script that does it, or says what a person has to do.

The password policy has no CloudFormation type, and a custom resource for it would put a function with rights over IAM
into the account for the sake of one call: so it is a step. Mails have to be confirmed, passwords handed over and
devices enrolled by people; of those the script says which are missing. What it does is in `data/steps.sh`; this module
says with which facts. It reads before it writes, and running it twice changes nothing more.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources

from dutybound.baseline import Account, PasswordPolicy
from dutybound.config import Configuration
from dutybound.identity_center import home, people_here

_PEOPLE = "/people/"
_CLASSES = {
    "lowercase": "RequireLowercaseCharacters",
    "numbers": "RequireNumbers",
    "symbols": "RequireSymbols",
    "uppercase": "RequireUppercaseCharacters",
}


@dataclass(frozen=True, slots=True)
class Instance:
    """The instance of Identity Center that a configuration names, and where it should be."""

    region: str
    arn: str
    store: str


def instance(configuration: Configuration, account: Account) -> Instance | None:
    """The instance of Identity Center if it stands in this account, which manages the organization; else None."""
    wanted, managing = configuration.organization, configuration.organization.management
    if not people_here(configuration) or wanted.identity_center is None or managing is None:
        return None
    if managing not in {target.name for target in account.targets}:
        return None
    return Instance(home(configuration), str(wanted.identity_center.instance), str(wanted.identity_center.store))


def steps(account: Account, organization: str, instance: Instance | None = None) -> str:
    """The script for an account, for `sh`: POSIX, with the AWS CLI version 2 and python3 at hand.

    `instance` is that of Identity Center, if it stands in this account.
    """
    library = (resources.files("dutybound") / "data" / "steps.sh").read_text(encoding="utf-8")
    return "\n".join([_HEAD.format(organization=organization), library, *_calls(account, instance), ""])


_HEAD = """\
#!/bin/sh
# What CloudFormation cannot do for {organization}: run this after each deployment, with the rights of an administrator.
# It needs the AWS CLI (version 2) and python3. It changes nothing but the account's password policy, and that only
# where the configuration asks for it; the rest it looks at, and says what is left to do. Safe to run again.
# Written by `dutybound steps`."""


def _calls(account: Account, center: Instance | None) -> Iterator[str]:
    yield _call("who_am_i", *(target.id for target in account.targets))
    if center is not None:
        yield _call("instance", center.region, center.arn, center.store)
    if named := named_settings(account.passwords):
        yield _call("password_policy", json.dumps(named, sort_keys=True))
    if account.alarm is not None:
        yield _call("trail", account.home_region)
    if account.alarm is not None and (topic := account.alarm.topic) is not None:
        yield _call("alarm", account.home_region, topic.name, *topic.addresses)
    for user in account.users:
        if user.path != _PEOPLE:
            yield _call("break_glass_user", "secret" if user.secret else "runbook", user.name)
    for user in account.users:
        if user.path == _PEOPLE:
            yield _call("person", user.name)
    if any(role.permission_set is not None for role in account.roles):
        yield _call("identity_center")
    yield "finish"


def named_settings(wanted: PasswordPolicy) -> dict[str, int | bool]:
    """The settings of IAM's UpdateAccountPasswordPolicy that a configuration names; 0 stands for "none"."""
    named: dict[str, int | bool] = {}
    if wanted.minimum_length is not None:
        named["MinimumPasswordLength"] = wanted.minimum_length
    if wanted.remember is not None:
        named["PasswordReusePrevention"] = wanted.remember
    if wanted.max_age_days is not None:
        named["MaxPasswordAge"] = wanted.max_age_days
    if wanted.require is not None:
        named |= {setting: word in wanted.require for word, setting in _CLASSES.items()}
    return named


def _call(*words: str) -> str:
    return shlex.join(words)
