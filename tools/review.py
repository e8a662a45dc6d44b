"""What the workflow of a pull request asks of GitHub: the one comment, and whether somebody approved.

    python -m tools.review comment access.md      write the comment of `dutybound diff`, or bring it up to date
    python -m tools.review approval access.json   fail while a gain on a way to administrator is not approved

GITHUB_API_URL, GITHUB_REPOSITORY, GITHUB_TOKEN and NUMBER (of the pull request) come from the workflow; `approval`
wants HEAD besides, the commit that was compared. Approved is what somebody else with write access approved in a review
of exactly that commit: a push takes it away again. On GitLab `approval` goes by CI_MERGE_REQUEST_APPROVED.
Source: GitHub REST API, "Pull request reviews" and "Issue comments"; GitLab, "Predefined CI/CD variables".
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

MARK = "<!-- dutybound diff -->"
"""The first line of the comment, by which it is found again."""
_MAY_APPROVE = {"OWNER", "MEMBER", "COLLABORATOR"}
_PER_PAGE = 100


class Refused(Exception):
    """The one sentence to show: what is wrong and what to do."""


def call(method: str, path: str, body: object = None) -> Any:
    """One request to GitHub's REST API; the answer as JSON. Raises Refused."""
    url = f"{_given('GITHUB_API_URL')}/repos/{_given('GITHUB_REPOSITORY')}/{path}"
    text = None if body is None else json.dumps(body).encode()
    headers = {
        "Accept": "application/vnd.github+json",
        "Authorization": f"Bearer {_given('GITHUB_TOKEN')}",
        "X-GitHub-Api-Version": "2022-11-28",
    }
    request = urllib.request.Request(url, text, headers, method=method)  # noqa: S310 - the workflow's URL
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise Refused(f"GitHub answers {error.code} to {method} {path}: {error.reason}") from None
    except OSError as error:
        raise Refused(f"GitHub cannot be reached: {error}") from None


def pages(path: str) -> Iterator[dict[str, Any]]:
    """Everything in a list, page after page."""
    number = 1
    while True:
        found = call("GET", f"{path}?per_page={_PER_PAGE}&page={number}")
        yield from found
        if len(found) < _PER_PAGE:
            return
        number += 1


def comment(file: Path) -> str:
    """Write the comment, or replace what it says: there is one, however often the pull request changes."""
    body = file.read_text(encoding="utf-8")
    if not body.startswith(MARK):
        raise Refused(f"{file} is no comment of dutybound diff: it does not begin with {MARK}")
    place = f"issues/{_given('NUMBER')}/comments"
    # Anybody may write a comment that begins so; only a bot's is ours.
    ours = (c for c in pages(place) if c["body"].startswith(MARK) and c["user"]["type"] == "Bot")
    old = next(ours, None)
    if old is None:
        call("POST", place, {"body": body})
        return "wrote the comment"
    if old["body"] == body:
        return "the comment is up to date"
    call("PATCH", f"issues/comments/{old['id']}", {"body": body})
    return "brought the comment up to date"


def approval(file: Path) -> str:
    """Say whether this change may be merged. Raises Refused while it needs an approval that it does not have."""
    review = json.loads(file.read_bytes())
    gains = [a for a in review.get("access", ()) if (a["change"], a["risk"]) == ("gained", "escalation")]
    if review["result"] == "unknown":
        why = "what this changes is unknown"
    elif gains:
        why = f"{len(gains)} of the gains are on a way to administrator"
    else:
        return "no way to administrator: no approval is needed"
    if os.environ.get("GITLAB_CI"):
        if os.environ.get("CI_MERGE_REQUEST_APPROVED") == "true":
            return "the merge request is approved"
        raise Refused(f"{why}: the merge request must be approved first, and this job run again")
    number, head = _given("NUMBER"), _given("HEAD")
    author = call("GET", f"pulls/{number}")["user"]["login"]
    last: dict[str, dict[str, Any]] = {}
    for one in pages(f"pulls/{number}/reviews"):
        if one["user"] and one["state"] in ("APPROVED", "CHANGES_REQUESTED", "DISMISSED"):
            last[one["user"]["login"]] = one
    approving = sorted(
        login
        for login, one in last.items()
        if login != author
        and one["state"] == "APPROVED"
        and one["commit_id"] == head
        and one["author_association"] in _MAY_APPROVE
    )
    if approving:
        return f"approved at {head} by {', '.join(approving)}"
    raise Refused(
        f"{why}: somebody other than {author} with write access must approve {head} in a review; "
        "then run this job again"
    )


def _given(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise Refused(f"{name} is not set")
    return value


_COMMANDS: dict[str, Callable[[Path], str]] = {"comment": comment, "approval": approval}


def main(arguments: list[str]) -> int:
    """Run one command: 0 if it is done, 1 with the reason if not, 2 for wrong usage."""
    if len(arguments) != 2 or arguments[0] not in _COMMANDS:
        print(f"usage: python -m tools.review {{{','.join(_COMMANDS)}}} FILE", file=sys.stderr)
        return 2
    try:
        print(_COMMANDS[arguments[0]](Path(arguments[1])))
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    except Refused as reason:
        print(reason, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
