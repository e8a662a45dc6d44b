"""What `make audit` says of the tools' answers; the tools themselves are asked on the network only."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tools import audit

CLEAN = {"dependencies": [{"name": "click", "version": "8.5.1", "vulns": []}], "fixes": []}
WEAK = {
    "dependencies": [
        {"name": "click", "version": "8.5.1", "vulns": []},
        {
            "name": "pyyaml",
            "version": "5.3",
            "vulns": [{"id": "PYSEC-2020-96", "aliases": ["CVE-2020-1747"], "fix_versions": ["5.3.1"]}],
        },
    ]
}
SKIPPED = {"dependencies": [{"name": "click", "skip_reason": "Dependency not found on PyPI"}]}
NPM = {"auditReportVersion": 2, "vulnerabilities": {}}
NPM_WEAK = {
    "vulnerabilities": {
        "aws-cdk": {
            "range": "<2.2",
            "via": [{"title": "It leaks", "url": "https://github.com/advisories/GHSA-0000"}],
            "fixAvailable": True,
        }
    }
}


@pytest.mark.parametrize(
    ("python", "node", "words", "code", "says"),
    [
        (CLEAN, NPM, [], 0, ["Python packages: no known weaknesses", "the CDK command line: no known weaknesses"]),
        (WEAK, NPM, [], 1, ["pyyaml 5.3: PYSEC-2020-96, CVE-2020-1747; mended in 5.3.1", "1 known weakness\n"]),
        (WEAK, NPM, ["--accept", "CVE-2020-1747"], 0, ["no known weaknesses"]),
        (WEAK, NPM, ["--accept", "CVE-1"], 1, ["pyyaml"]),
        (CLEAN, NPM_WEAK, [], 1, ["aws-cdk <2.2: GHSA-0000; npm knows a version that mends it"]),
        (SKIPPED, NPM, [], 0, ["not checked: 1 of which the index keeps no record (click)"]),
        (SKIPPED, NPM, ["--strict"], 1, ["not checked"]),
        ("requests.exceptions.ConnectionError: Max retries exceeded", NPM, [], 0, ["not checked: no network"]),
        ("requests.exceptions.ConnectionError: Max retries exceeded", NPM, ["--strict"], 1, ["not checked"]),
        (CLEAN, "npm error code ENOTFOUND", [], 0, ["the CDK command line: not checked: no network"]),
        (CLEAN, {"message": "405 Method Not Allowed"}, [], 0, ["not checked: 405 Method Not Allowed"]),
        (CLEAN, [], ["--strict"], 1, ["not checked: no answer"]),
    ],
)
def test_findings_fail_and_what_is_not_known_is_not_called_clean(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    python: Any,
    node: Any,
    words: list[str],
    code: int,
    says: list[str],
) -> None:
    """A text stands for an answer on stderr alone, anything else for JSON on stdout."""

    def told(answer: Any) -> tuple[str, str]:
        return ("", answer) if isinstance(answer, str) else (json.dumps(answer), "")

    monkeypatch.setattr(audit, "_python", lambda: audit.of_pip_audit(*told(python)))
    monkeypatch.setattr(audit, "_node", lambda: audit.of_npm(*told(node)))
    assert audit.main(words) == code
    printed = capsys.readouterr().out
    for words_said in says:
        assert words_said in printed
