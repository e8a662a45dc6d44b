"""A plan -> AWS, step by step, and again until a look finds nothing left to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dutybound.config import Configuration
from dutybound.operate.aws import Aws, Failed, Refused
from dutybound.operate.found import Found
from dutybound.operate.look import look
from dutybound.operate.plan import Later, Plan, Step, Value, plan

DONE = frozenset(
    {
        "AccountAlreadyRegisteredException",
        "AlreadyInOrganizationException",
        "DuplicateAccountException",
        "DuplicateOrganizationalUnitException",
        "EntityAlreadyExists",
        "EntityAlreadyExistsException",
        "PolicyTypeAlreadyEnabledException",
    }
)
"""Answers that say that it is there already: the answer to an earlier try was lost, or somebody else was quicker."""
ROUNDS = 6
"""Looks at most: after the first, what needs new accounts; then what AWS is slow to show."""
WAIT = 10.0
"""Seconds between two looks at what AWS is making."""
SETTLING = 6
"""Looks at an account that was just made, until there is a way into it."""
LONGEST = 90
"""Looks at an account that is being made: AWS says that it takes minutes."""
_REASONS = {
    "ACCOUNT_LIMIT_EXCEEDED": "the organization has as many accounts as it may: ask AWS Support for more",
    "ACCOUNT_NUMBER_LIMIT_EXCEEDED": "the organization has as many accounts as it may: ask AWS Support for more",
    "EMAIL_ALREADY_EXISTS": "an account with this address exists: give its id, or another address",
    "INVALID_EMAIL": "AWS does not take the address: give another",
}


def act(
    aws: Aws, configuration: Configuration, first: Found, planned: Plan, say: Callable[[str], None]
) -> tuple[Found, Plan]:
    """Do a plan, then what follows from it. Returns what is there now, and the plan that is left: without steps.

    `say` gets a line for each step. Raises Failed with where it stopped and how to go on.
    """
    found, left, done = first, planned, 0
    for round_ in range(ROUNDS):
        if not left.steps:
            return found, left
        if round_ > 1:
            aws.sleep(WAIT)
        done = _do(aws, left, done, say)
        found = _settled(aws, configuration, left)
        left = plan(configuration, found)
    if left.steps:
        raise Failed(
            f"AWS took every call, and still shows '{left.steps[0].what}' as it was: wait a minute, and run it again"
        )
    return found, left


def _settled(aws: Aws, configuration: Configuration, done: Plan) -> Found:
    """What is there. The way into an account that was just made opens a moment later."""
    made = any(step.gives is not None and step.gives.kind == "account" for step in done.steps)
    for _ in range(SETTLING if made else 0):
        found = look(aws, configuration)
        if None not in found.inside.values():
            return found
        aws.sleep(WAIT)
    return look(aws, configuration)


def _do(aws: Aws, planned: Plan, done: int, say: Callable[[str], None]) -> int:
    ids: dict[Later, str] = {}
    for at, step in enumerate(planned.steps, 1):
        say(f"{at}/{len(planned.steps)} {step.what}: {step.then}")
        try:
            if not all(value in ids for _, value in step.parameters if isinstance(value, Later)):
                break  # What it is for was there already, so its id comes with the next look.
            _one(aws, step, ids)
        except Failed as failed:
            if isinstance(failed, Refused) and failed.code in DONE:
                continue
            raise Failed(_stopped(failed, step, done, len(planned.steps) - at + 1)) from None
        done += 1
    return done


def _one(aws: Aws, step: Step, ids: dict[Later, str]) -> None:
    parameters = {key: _sent(value, ids) for key, value in step.parameters}
    answer = aws.call(step.service, step.operation, parameters, step.account)
    if step.gives is not None:
        ids[step.gives] = _given(aws, step, answer)


def _sent(value: Value, ids: dict[Later, str]) -> Any:
    if isinstance(value, Later):
        return ids[value]
    if isinstance(value, tuple):
        return [{"Key": key, "Value": text} for key, text in value]
    return value


def _given(aws: Aws, step: Step, answer: dict[str, Any]) -> str:
    """The id that an answer holds."""
    if step.operation == "CreateOrganization":
        return str(next(aws.pages("organizations", "ListRoots", "Roots"))["Id"])
    if step.operation == "CreateOrganizationalUnit":
        return str(answer["OrganizationalUnit"]["Id"])
    status = answer["CreateAccountStatus"]
    for _ in range(LONGEST):
        if status["State"] != "IN_PROGRESS":
            break
        aws.sleep(WAIT)
        wanted = {"CreateAccountRequestId": status["Id"]}
        status = aws.call("organizations", "DescribeCreateAccountStatus", wanted)["CreateAccountStatus"]
    if status["State"] == "IN_PROGRESS":
        raise Failed("AWS is still making the account: run it again later, and it goes on waiting")
    if status["State"] != "SUCCEEDED":
        reason = str(status.get("FailureReason", "no reason given"))
        raise Failed(f"AWS did not make the account: {_REASONS.get(reason, reason)}")
    return str(status["AccountId"])


def _stopped(failed: Failed, step: Step, done: int, left: int) -> str:
    hint = ""
    if isinstance(failed, Refused) and failed.denied:
        hint = "; 'dutybound bootstrap plan --permissions' prints what it needs"
    elif isinstance(failed, Refused) and "LIMIT_EXCEEDED" in str(failed):
        hint = f"; {_REASONS['ACCOUNT_LIMIT_EXCEEDED']}"
    calls = "call is" if done == 1 else "calls are"
    stay = "stays" if done == 1 else "stay"
    return (
        f"stopped at '{step.what}': {failed}{hint}. {done} {calls} done and {stay} done, {left} are left: "
        "run it again, and it goes on from here"
    )
