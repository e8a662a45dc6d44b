"""Calls of AWS, one by one: retried where AWS is busy, logged, and failing in one line. The only importer of boto3.

Throttling is retried by botocore, in its adaptive mode. What it does not retry is that Organizations is busy with
another change, which passes (Organizations API Reference, ConcurrentModificationException and others in `BUSY`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dutybound.diagnostic import visible

BUSY = frozenset(
    {
        "ConcurrentModification",
        "ConcurrentModificationException",
        "FinalizingOrganizationException",
        "PolicyChangesInProgressException",
        "ServiceException",
    }
)
TRIES = 8
DENIED = frozenset({"AccessDenied", "AccessDeniedException", "AccessDeniedForDependencyException"})
SESSION = "dutybound-bootstrap"
_INSTALL = "boto3 is missing: pip install 'dutybound[operate]' (in a clone: pip install -e '.[operate]')"


class Failed(Exception):
    """A call, or all of them, cannot be done. The text is one line that says what is wrong and what to do."""


class Refused(Failed):
    """AWS answered a call with an error; `code` is its name."""

    def __init__(self, call: str, code: str, message: str) -> None:
        super().__init__(f"{call} failed: {code}: {visible(' '.join(message.split()))}")
        self.call, self.code = call, code

    @property
    def denied(self) -> bool:
        """Whether a permission is missing."""
        return self.code in DENIED


class Aws:
    """The calls of one run, with the credentials that boto3 finds: for their own account, or as a role in another."""

    def __init__(
        self,
        region: str,
        log: Callable[[Mapping[str, object]], None] = lambda _: None,
        sleep: Callable[[float], None] = time.sleep,
        session: Any = None,
    ) -> None:
        """`log` gets every call, before and after; `session` is a boto3 session. Raises Failed without boto3."""
        try:
            import boto3
            import botocore.config
            import botocore.exceptions
        except ImportError:
            raise Failed(_INSTALL) from None
        self.region, self.log, self.sleep = region, log, sleep
        self._errors = botocore.exceptions
        self._config = botocore.config.Config(
            retries={"mode": "adaptive", "total_max_attempts": 10}, user_agent_extra="dutybound"
        )
        self._clients: dict[tuple[str, str | None], Any] = {}
        self._keys: dict[str | None, dict[str, str]] = {None: {}}
        try:
            self._session = session or boto3.session.Session()
        except botocore.exceptions.BotoCoreError as error:
            raise Failed(_one_line(error)) from None

    def call(
        self, service: str, operation: str, parameters: Mapping[str, Any] | None = None, account: str | None = None
    ) -> dict[str, Any]:
        """One call, and its answer. `account` is one that `enter` was called for. Raises Refused, or Failed."""
        asked = dict(parameters or {})
        for tries in range(1, TRIES + 1):
            try:
                return self._once(service, operation, asked, account)
            except Refused as refused:
                if refused.code not in BUSY or tries == TRIES:
                    raise
                self.sleep(min(2.0**tries, 30.0))
        raise AssertionError("unreachable")

    def pages(
        self, service: str, operation: str, key: str, parameters: Mapping[str, Any] | None = None
    ) -> Iterator[Any]:
        """Whatever a listing of Organizations holds under a key, page after page. Raises as `call` does."""
        asked = dict(parameters or {})
        while True:
            answer = self.call(service, operation, asked)
            yield from answer.get(key, ())
            if not answer.get("NextToken"):
                return
            asked["NextToken"] = answer["NextToken"]

    def enter(self, account: str, role: str) -> None:
        """Take a role of another account, for calls in it, anew each time: a session lasts an hour.

        Raises Refused, or Failed.
        """
        keys = self.call("sts", "AssumeRole", {"RoleArn": role, "RoleSessionName": SESSION})["Credentials"]
        self._keys[account] = {
            "aws_access_key_id": keys["AccessKeyId"],
            "aws_secret_access_key": keys["SecretAccessKey"],
            "aws_session_token": keys["SessionToken"],
        }
        self._clients = {key: client for key, client in self._clients.items() if key[1] != account}

    def _once(self, service: str, operation: str, asked: dict[str, Any], account: str | None) -> dict[str, Any]:
        call = f"{service}:{operation}"
        line: dict[str, object] = {"call": call, "parameters": asked, **({"account": account} if account else {})}
        self.log({**line, "outcome": "sent"})
        try:
            answer: dict[str, Any] = self._client(service, account)._make_api_call(operation, asked)
        except self._errors.ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            self.log({**line, "outcome": code})
            where = f" in account {account}" if account else ""
            raise Refused(call + where, code, str(error.response.get("Error", {}).get("Message", ""))) from None
        except self._errors.NoCredentialsError:
            hint = "sign in to the management account, as in 'aws sso login', or set AWS_PROFILE"
            raise Failed(f"no AWS credentials were found: {hint}") from None
        except self._errors.BotoCoreError as error:
            self.log({**line, "outcome": type(error).__name__})
            raise Failed(f"{call} failed: {_one_line(error)}") from None
        self.log({**line, "outcome": "ok"})
        answer.pop("ResponseMetadata", None)
        return answer

    def _client(self, service: str, account: str | None) -> Any:
        key = (service, account)
        if key not in self._clients:
            self._clients[key] = self._session.client(
                service, region_name=self.region, config=self._config, **self._keys[account]
            )
        return self._clients[key]


def as_line(call: Mapping[str, object], at: str) -> str:
    """A call as a line of the log."""
    return json.dumps({"at": at, **call}, sort_keys=True, ensure_ascii=False, default=str) + "\n"


def _one_line(error: Exception) -> str:
    return visible(" ".join(str(error).split()))
