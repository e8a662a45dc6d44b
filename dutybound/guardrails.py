"""Rules that a whole configuration must keep once its access is decided: one function per rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dutybound.asked import Scope
from dutybound.config import Duty, Expectation
from dutybound.diagnostic import Diagnostic, Span, did_you_mean, quoted
from dutybound.evaluate import Decision, Judge, Request, in_account
from dutybound.grant import Access, duty_access, example_use, unknown_action_hint
from dutybound.lower import scope_of
from dutybound.managed import managed_policy
from dutybound.policy import Policy
from dutybound.read import Reading
from dutybound.when import condition_key_type, near_keys

EXAMPLE_ACCOUNT = "111122223333"
"""The account in which expectations are judged; ARNs in `expect` name it, or leave the account empty."""


_EXAMPLE = f"arn:aws:iam::{EXAMPLE_ACCOUNT}:user/people/example"


@dataclass(frozen=True, slots=True)
class Result:
    """One promise of a configuration that is tested: what it says, where, and what is wrong with it, if anything is."""

    says: str
    at: Span | None
    failure: Diagnostic | None = None


def check(reading: Reading) -> Iterator[Result]:
    """What own duties expect of themselves, over a configuration without errors."""
    scope = scope_of(reading.configuration)
    for name, duty in sorted(reading.configuration.duties.items()):
        yield from expectations(name, duty, scope)


def expectations(name: str, duty: Duty, scope: Scope | None = None) -> Iterator[Result]:
    """What a duty expects of itself holds: each allow is allowed and each deny is denied by its grants alone.

    Judged with the duty's example parameters, for a person signed in with MFA, in account 111122223333.
    """
    found: list[Diagnostic] = []
    access = duty_access(example_use(name, duty), duty, found, scope)
    if any(d.severity == "error" for d in found):
        return  # reported where the duty is compiled
    judge = judge_of(access)
    for expectation in duty.expect:
        says = f"duty {name} {'allows' if expectation.allow else 'denies'} {expectation.request}"
        yield Result(says, expectation.request.span, _expectation(name, expectation, judge))


def _expectation(name: str, expectation: Expectation, judge: Judge) -> Diagnostic | None:
    text = expectation.request
    action, _, resource = text.partition(" on ")
    if hint := unknown_action_hint(action):
        message = f"duty {quoted(name)}: there is no action {quoted(action)}"
        return Diagnostic("unknown-action", message, text.span, hint)
    wanted = "allowed" if expectation.allow else "denied"
    for key in expectation.when:
        if condition_key_type(key) is None:
            message = f"duty {quoted(name)}: there is no condition key {quoted(key)}"
            return Diagnostic("unknown-condition-key", message, key.span, did_you_mean(key, near_keys(key)))
    when = {str(k): v[0] if len(v) == 1 else tuple(map(str, v)) for k, v in expectation.when.items()}
    decision = judged(judge, action, resource, when)
    if decision.outcome == wanted:
        return None
    message = f"duty {quoted(name)} expects {quoted(text)} to be {wanted}, but it is {decision.outcome}"
    return Diagnostic("broken-expectation", message, text.span, _reason(decision))


def judge_of(access: Access) -> Judge:
    """The judge of a person with this access and nothing else. Dear to make, so it is made once for all requests."""
    policies = [in_account(Policy(access.statements), EXAMPLE_ACCOUNT)]
    return Judge([*policies, *(managed_policy(id_).policy for id_ in access.managed)])


def judged(
    judge: Judge, action: str, resource: str = "", when: Mapping[str, str | tuple[str, ...]] | None = None
) -> Decision:
    """The decision on one request of that person, signed in with MFA. `when` are condition keys of it besides.

    Without a resource the request is on everything and nothing in particular: it is denied only if no statement allows
    the action on anything at all, and allowed only if `*` is.
    """
    context: dict[str, str | tuple[str, ...]] = {
        "aws:MultiFactorAuthPresent": "true",
        "aws:MultiFactorAuthAge": "60",
        "aws:ViaAWSService": "false",
        "aws:username": "example",
        "aws:PrincipalArn": _EXAMPLE,
        **(when or {}),
    }
    decision = judge.decide(Request(_EXAMPLE, action, resource or "*", context))
    somewhere = tuple(s for s in judge.naming(action) if s.effect == "Allow")
    if decision.outcome == "denied" and not resource and somewhere:
        return Decision("unknown", somewhere, "it is allowed on some resources: add ' on ' and an ARN")
    return decision


def _reason(decision: Decision) -> str:
    if decision.outcome == "unknown":
        return decision.reason
    if decision.because:
        places = {o.granted.place for s in decision.because for o in s.origins if o.granted}
        return f"granted at {', '.join(sorted(places))}" if places else "granted by an AWS managed policy"
    return "no grant of the duty allows it"
