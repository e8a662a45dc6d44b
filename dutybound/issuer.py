"""OpenID Connect issuers: whom their tokens speak of, and the identity providers that an account needs for them.

An account has one provider for each issuer, whoever made it; a role's trust names it by its ARN. Sources: IAM User
Guide, "Create an OpenID Connect (OIDC) identity provider in IAM", "Available keys for AWS OIDC federation",
"Identity-provider controls for shared OIDC providers"; GitHub Docs, "OpenID Connect reference"; GitLab Docs, "OpenID
Connect (OIDC) Authentication Using ID Tokens".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dutybound import catalog
from dutybound.baseline import IdentityProvider, logical_id
from dutybound.config import Configuration, GithubTrust, GithubWorkflow, GitlabTrust, OidcTrust, Role, Trust
from dutybound.diagnostic import Diagnostic, Text, did_you_mean, quoted
from dutybound.policy import ACCOUNT, PARTITION

GITHUB = "https://token.actions.githubusercontent.com"
_SHORT = {"github": GITHUB, "gitlab": "https://gitlab.com"}
_GITHUB_AUDIENCE = "sts.amazonaws.com"


@dataclass(frozen=True, slots=True)
class Identities:
    """Whose tokens a trust takes: the issuer's address, the audiences, the subjects, and perhaps a session name."""

    url: Text
    audiences: tuple[str, ...]
    subjects: tuple[Text, ...]
    session_name: str | None = None

    @property
    def name(self) -> str:
        """The issuer as IAM names it in ARNs and condition keys: its address without https://."""
        return self.url.removeprefix("https://")

    @property
    def arn(self) -> str:
        """The ARN of its provider, in whatever account and partition."""
        return f"arn:{PARTITION}:iam::{ACCOUNT}:oidc-provider/{self.name}"


def identities(trusts: Trust) -> Identities | None:
    """Whose tokens a trust takes, or None for a trust that takes no tokens of an OpenID Connect issuer."""
    match trusts:
        case GithubTrust(github=workflow):
            url = Text(GITHUB, workflow.repository.span)
            return Identities(url, (_GITHUB_AUDIENCE,), tuple(_github_subjects(workflow)))
        case GitlabTrust(gitlab=pipeline):
            ref = f"branch:ref:{pipeline.branch}" if pipeline.branch is not None else f"tag:ref:{pipeline.tag}"
            subject = Text(f"project_path:{pipeline.project}:ref_type:{ref}", pipeline.project.span)
            url = Text(f"https://{pipeline.host}", pipeline.host.span or pipeline.project.span)
            return Identities(url, (str(pipeline.audience),), (subject,))
        case OidcTrust(oidc=identity):
            audiences = tuple(sorted({str(a) for a in identity.audience}))
            subjects = tuple(sorted(set(identity.subject)))
            session_name = str(identity.session_name) if identity.session_name is not None else None
            return Identities(identity.issuer, audiences, subjects, session_name)
        case _:
            return None


def _github_subjects(workflow: GithubWorkflow) -> Iterator[Text]:
    """The subject that names owner and repository by number too, and the one that does not."""
    span = workflow.repository.span
    if workflow.environment is not None:
        event = f"environment:{workflow.environment.replace(':', '%3A')}"
    elif workflow.branch is not None:
        event = f"ref:refs/heads/{workflow.branch}"
    elif workflow.tag is not None:
        event = f"ref:refs/tags/{workflow.tag}"
    else:
        event = "pull_request"
    owner, _, name = workflow.repository.partition("/")
    if workflow.older_form:
        yield Text(f"repo:{owner}/{name}:{event}", span)
    if workflow.owner_id is not None and workflow.repository_id is not None:
        yield Text(f"repo:{owner}@{workflow.owner_id}/{name}@{workflow.repository_id}:{event}", span)


def stranger_errors(who: str, taken: Identities) -> Iterator[Diagnostic]:
    """What IAM refuses, or would let in strangers by: tokens of a shared issuer that need not be one's own."""
    known = catalog.shared_issuers()
    if taken.name in catalog.built_in_issuers():
        message = f"{who} trusts an issuer that AWS names without an identity provider: {quoted(taken.url)}"
        yield Diagnostic("unsupported-issuer", message, taken.url.span, "use an identity provider of your own")
        return
    spelt = (taken.name, taken.name.rstrip("/"), f"{taken.name}/")  # a slash more or less makes nobody one's own
    shared = next((known[name] for name in spelt if name in known), None)
    if shared is None:
        return
    if shared.claim == "sts:RoleSessionName" and taken.session_name is None:
        message = f"{who} trusts {taken.url}, which all its customers share, and names no session; IAM refuses that"
        yield Diagnostic("open-trust", message, taken.url.span, "add 'session_name' with the name that is yours alone")
    # An audience is always written in full, so that a claim 'aud' is tested as it should be.
    for subject in taken.subjects if shared.claim == "sub" else ():
        before = _before_wildcard(subject)
        if before != subject and not shared.before_wildcard.fullmatch(before):
            github = taken.name.startswith("token.actions.githubusercontent.com")
            more = "takes in pull requests or other owners" if github else "can be that of a stranger"
            message = (
                f"{who} trusts {taken.url}, which all its customers share, and the subject {quoted(subject)} {more}"
            )
            hint = "name your own part in full before the first wildcard"
            if github:
                hint = "name repository and event in full before it, or write 'github: {repository: …}'"
            yield Diagnostic("open-trust", message, subject.span, hint)


def _before_wildcard(subject: str) -> str:
    return subject[: min((i for i in map(subject.find, "*?") if i >= 0), default=len(subject))]


def identity_providers(
    configuration: Configuration, here: Mapping[Text, Role], stack: str, found: list[Diagnostic]
) -> tuple[IdentityProvider, ...]:
    """The providers to make: one for each issuer that a role of `here` trusts, without those that are there already.

    An issuer named as existing that no role trusts, wherever it is, is an error, added to `found`.
    """
    taken = _by_issuer(here)
    existing = existing_issuers(configuration)
    anywhere = _by_issuer(configuration.roles)
    for url, written in existing.items():
        if url not in anywhere:
            message = f"identity_providers: no role trusts {quoted(written)}"
            hint = did_you_mean(url, anywhere) or "remove it"
            found.append(Diagnostic("unused-provider", message, written.span, hint))
    return tuple(
        IdentityProvider(
            logical_id("IdentityProvider", ones[0].name),
            stack,
            url,
            tuple(sorted({audience for one in ones for audience in one.audiences})),
            ones[0].url.span,
        )
        for url, ones in sorted(taken.items())
        if url not in existing
    )


def _by_issuer(roles: Mapping[Text, Role]) -> dict[str, list[Identities]]:
    taken: dict[str, list[Identities]] = {}
    for _, role in sorted(roles.items()):
        if (one := identities(role.trusts)) is not None:
            taken.setdefault(str(one.url), []).append(one)
    return taken


def existing_issuers(configuration: Configuration) -> dict[str, Text]:
    """The addresses of the issuers whose provider the account has already, each with what the user wrote."""
    providers = configuration.identity_providers
    return {_SHORT.get(name, str(name)): name for name in providers.existing} if providers else {}
