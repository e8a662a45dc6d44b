"""The workflows that are ready to copy: what they may do, what they trust, and that what they call works."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
HEAD = "c0ffee" * 6 + "beef"
GRAVE = {"change": "gained", "risk": "escalation"}
"""What `dutybound diff --json` says of a gain on a way to administrator, as far as it matters here."""


def _loaded(path: Path) -> dict[str, Any]:
    # BaseLoader makes texts of everything: YAML 1.1 takes the key `on` for true.
    found: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506
    return found


def _steps(workflow: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for job in workflow["jobs"].values():
        yield from job["steps"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.stem)
def test_workflows_hold_least_permissions(path: Path) -> None:
    """Nothing by default, for each job what it needs, no secret, and an end if it hangs."""
    workflow = _loaded(path)
    assert workflow["permissions"] in ({}, "{}")
    assert "secrets." not in path.read_text(encoding="utf-8")
    for job in workflow["jobs"].values():
        assert job["permissions"].get("contents") == "read"
        assert int(job["timeout-minutes"]) <= 60
        writes = {name for name, level in job["permissions"].items() if level == "write"}
        assert len(writes) <= 1


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.stem)
def test_actions_are_pinned_to_a_commit(path: Path) -> None:
    """A tag can be moved to other code, a commit cannot; the version stands behind it for people."""
    used = re.findall(r"uses: (.+)", path.read_text(encoding="utf-8"))
    assert used
    for action in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+(/[\w-]+)?@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.stem)
def test_no_script_is_put_together_from_what_others_write(path: Path) -> None:
    """Expressions in `run` are pasted into the shell; values come in as variables instead."""
    for step in _steps(_loaded(path)):
        assert "${{" not in step.get("run", ""), step


def test_the_trusted_workflow_takes_nothing_of_the_pull_request_but_data() -> None:
    """pull_request_target has rights: it checks out the base branch only, and no other workflow has such a trigger."""
    trusted = [path for path in WORKFLOWS if "pull_request_target" in _loaded(path)["on"]]
    assert [path.stem for path in trusted] == ["access-review"]
    for step in _steps(_loaded(trusted[0])):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert not {"ref", "repository"} & set(step.get("with", {}))
        assert not re.search(r"git (checkout|switch|merge|worktree|pull|reset)", step.get("run", ""))


def test_untrusted_workflows_hold_no_right_to_write() -> None:
    """What runs the code of a pull request can read it and nothing else."""
    for path in WORKFLOWS:
        workflow = _loaded(path)
        if "pull_request" in workflow["on"]:
            for job in workflow["jobs"].values():
                assert job["permissions"] == {"contents": "read"}


def test_deployment_has_credentials_for_deployment_only() -> None:
    """Everything is installed and compiled before there are credentials, and the environment can ask for reviewers."""
    (job,) = _loaded(ROOT / ".github" / "workflows" / "deploy.yaml")["jobs"].values()
    assert job["environment"] == "production"
    at = next(i for i, step in enumerate(job["steps"]) if "configure-aws-credentials" in step.get("uses", ""))
    assert "make synth" in job["steps"][at - 1]["run"]
    assert [step.get("name") for step in job["steps"][at + 1 :]] == ["Deploy"]


def test_make_targets_and_modules_of_the_workflows_exist() -> None:
    """Every `make target` and `python -m tools.…` that a pipeline calls is there."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for path in [*WORKFLOWS, ROOT / ".gitlab-ci.yml"]:
        text = path.read_text(encoding="utf-8")
        assert set(re.findall(r"\bmake (?:--no-print-directory )?([a-z]+)", text)) <= targets
        for module in re.findall(r"python3? -m (tools\.\w+)", text):
            assert (ROOT / f"{module.replace('.', '/')}.py").is_file()


def test_gitlab_pipeline_runs_what_github_runs() -> None:
    """The same commands, but for the comment, and deployment goes by a token, not by a secret."""
    gitlab = _loaded(ROOT / ".gitlab-ci.yml")
    jobs = [job for job in gitlab.values() if isinstance(job, dict) and "script" in job]
    there = _commands(line for job in jobs for line in job["script"])
    here = _commands(step.get("run", "") for path in WORKFLOWS for step in _steps(_loaded(path)))
    assert {"make check", "make deploy", "make fuzz --minutes 2", "bash .ci/run"} < there
    assert here - there == {"python3 -m tools.review comment"}
    assert there <= here
    assert gitlab["deploy"]["id_tokens"]["AWS_ID_TOKEN"]["aud"] == "sts.amazonaws.com"
    assert "AWS_SECRET" not in (ROOT / ".gitlab-ci.yml").read_text(encoding="utf-8")


def test_gitlab_tests_the_tool_when_github_does() -> None:
    """For merge requests, on the default branch and on a schedule, within the same time; no job of deployment waits."""
    gitlab = _loaded(ROOT / ".gitlab-ci.yml")
    github = _loaded(ROOT / ".github" / "workflows" / "test.yaml")
    assert set(github["on"]) == {"push", "pull_request", "schedule"}
    for name, job in github["jobs"].items():
        assert gitlab[name]["timeout"] == f"{job['timeout-minutes']} minutes"
        assert "rules" not in gitlab[name]  # so that those of the pipeline hold: a schedule is of the default branch
    conditions = [rule["if"] for rule in gitlab["workflow"]["rules"]]
    assert conditions == ['$CI_PIPELINE_SOURCE == "merge_request_event"', "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH"]
    assert gitlab["test"]["variables"]["GIT_DEPTH"] == github["jobs"]["test"]["steps"][0]["with"]["fetch-depth"]
    assert gitlab["deploy"]["needs"] == []
    assert '$CI_PIPELINE_SOURCE != "schedule"' in gitlab["deploy"]["rules"][0]["if"]


def _commands(scripts: Iterable[str]) -> set[str]:
    """What pipelines call, without the values that each platform names differently."""
    make = r"make (?:--no-print-directory )?([a-z]+)(?: ARGS=[\"']?(--[a-z]+(?: \d+)?))?"
    found = rf"{make}|(bash \.ci/run|python3 -m tools\.\w+ \w+)"
    matches = (match for script in scripts for match in re.finditer(found, script))
    return {match[3] or " ".join(filter(None, ("make", match[1], match[2]))) for match in matches}


def test_the_hook_for_other_repositories_calls_a_command_that_exists() -> None:
    """`.pre-commit-hooks.yaml` names the installed command."""
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    run = subprocess.run(
        [Path(sys.executable).with_name(hook["entry"].split()[0]), *hook["entry"].split()[1:], "config"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr


# --- GitHub, played on loopback --------------------------------------------------------------------------------------


class _GitHub(ThreadingHTTPServer):
    """What the scripts need of GitHub's REST API, over HTTP, with what it was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.comments: list[dict[str, Any]] = []
        self.reviews: list[dict[str, Any]] = []
        self.sent: list[tuple[str, str]] = []
        self.tokens: set[str] = set()


class _Answers(BaseHTTPRequestHandler):
    server: _GitHub

    def _answer(self) -> None:
        hub, (path, _, query) = self.server, self.path.partition("?")
        hub.tokens.add(self.headers["Authorization"])
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else {}
        if self.command != "GET":
            hub.sent.append((self.command, path))
        page = int((re.search(r"page=(\d+)$", query) or ["", "1"])[1])
        found: Any
        if path.endswith("/issues/7/comments") and self.command == "POST":
            found = {"id": 900 + len(hub.comments), "user": {"type": "Bot"}, **body}
            hub.comments.append(found)
        elif path.endswith("/issues/7/comments"):
            found = hub.comments[(page - 1) * 100 : page * 100]
        elif match := re.search(r"/issues/comments/(\d+)$", path):
            found = next(c for c in hub.comments if c["id"] == int(match[1]))
            found |= body
        elif path.endswith("/pulls/7"):
            found = {"user": {"login": "john"}}
        elif path.endswith("/pulls/7/reviews"):
            found = hub.reviews[(page - 1) * 100 : page * 100]
        else:
            self.send_error(404)
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(found).encode())

    do_GET = do_POST = do_PATCH = _answer  # noqa: N815 - names of http.server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def hub() -> Iterator[_GitHub]:
    """A server of its own for each test."""
    server = _GitHub()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def _review(hub: _GitHub | None, *arguments: str, **given: str) -> subprocess.CompletedProcess[str]:
    """Run tools.review as a workflow does, with the environment of one."""
    environment = {
        "PATH": os.environ["PATH"],
        "GITHUB_API_URL": f"http://127.0.0.1:{hub.server_port}" if hub else "http://127.0.0.1:9",
        "GITHUB_REPOSITORY": "acme/baseline",
        "GITHUB_TOKEN": "of-this-run",
        "NUMBER": "7",
        "HEAD": HEAD,
        **given,
    }
    command = [sys.executable, "-m", "tools.review", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def _comment(tmp_path: Path, text: str) -> str:
    file = tmp_path / "access.md"
    file.write_text(f"<!-- dutybound diff -->\n{text}", encoding="utf-8")
    return str(file)


def test_the_comment_is_written_once_and_brought_up_to_date(hub: _GitHub, tmp_path: Path) -> None:
    """Among 250 comments, one of them a person's that begins alike, ours is found again."""
    hub.comments = [{"id": n, "user": {"type": "User"}, "body": "nice"} for n in range(249)]
    hub.comments.append({"id": 249, "user": {"type": "User"}, "body": "<!-- dutybound diff -->\nall is well"})
    first = _review(hub, "comment", _comment(tmp_path, "developers gain s3:GetObject"))
    assert (first.returncode, first.stdout) == (0, "wrote the comment\n"), first.stderr
    second = _review(hub, "comment", _comment(tmp_path, "no access changes"))
    assert (second.returncode, second.stdout) == (0, "brought the comment up to date\n"), second.stderr
    third = _review(hub, "comment", _comment(tmp_path, "no access changes"))
    assert (third.returncode, third.stdout) == (0, "the comment is up to date\n")
    assert [command for command, _ in hub.sent] == ["POST", "PATCH"]
    assert [c["body"].splitlines()[1] for c in hub.comments[249:]] == ["all is well", "no access changes"]
    assert hub.tokens == {"Bearer of-this-run"}


def _one(login: str, state: str = "APPROVED", commit: str = HEAD, association: str = "MEMBER") -> dict[str, Any]:
    return {"user": {"login": login}, "state": state, "commit_id": commit, "author_association": association}


@pytest.mark.parametrize(
    ("reviews", "approved"),
    [
        ([], False),
        ([_one("maria")], True),
        ([_one("maria", association="OWNER")], True),
        ([_one("john")], False),
        ([_one("maria", commit="0" * 40)], False),
        ([_one("maria", association="CONTRIBUTOR")], False),
        ([_one("maria", association="NONE")], False),
        ([_one("maria", state="COMMENTED")], False),
        ([_one("maria"), _one("maria", state="CHANGES_REQUESTED")], False),
        ([_one("maria"), _one("maria", state="DISMISSED")], False),
        ([_one("maria", state="CHANGES_REQUESTED"), _one("maria")], True),
        ([_one("maria"), _one("maria", state="COMMENTED")], True),
        ([_one(f"somebody-{n}", state="COMMENTED") for n in range(120)] + [_one("maria")], True),
        ([{**_one("maria"), "user": None}], False),
    ],
)
def test_escalation_waits_for_somebody_elses_approval_of_this_commit(
    hub: _GitHub, tmp_path: Path, reviews: list[dict[str, Any]], approved: bool
) -> None:
    """An approval counts if another person with write access gave it, last, and for the very commit."""
    hub.reviews = reviews
    file = tmp_path / "access.json"
    file.write_text(json.dumps({"result": "changed", "access": [GRAVE]}), encoding="utf-8")
    run = _review(hub, "approval", str(file))
    assert run.returncode == (0 if approved else 1), run.stderr
    assert hub.sent == []
    if not approved:
        assert "somebody other than john" in run.stderr
        assert HEAD in run.stderr


def test_other_gains_need_no_approval(tmp_path: Path) -> None:
    """Then GitHub is not even asked."""
    file = tmp_path / "access.json"
    harmless = [{**GRAVE, "change": "lost"}, {**GRAVE, "risk": "write"}]
    file.write_text(json.dumps({"result": "changed", "access": harmless}), encoding="utf-8")
    assert _review(None, "approval", str(file)).returncode == 0


def test_what_is_unknown_needs_an_approval(hub: _GitHub, tmp_path: Path) -> None:
    """It may be anything: also where nothing could be compared at all."""
    file = tmp_path / "access.json"
    file.write_text(json.dumps({"version": 1, "result": "unknown"}), encoding="utf-8")
    assert "unknown: somebody other than john" in _review(hub, "approval", str(file)).stderr
    hub.reviews = [_one("maria")]
    assert _review(hub, "approval", str(file)).returncode == 0


@pytest.mark.parametrize(("approved", "code"), [("true", 0), ("false", 1), ("", 1)])
def test_gitlab_tells_whether_a_merge_request_is_approved(tmp_path: Path, approved: str, code: int) -> None:
    """No request is made: the pipeline has it as a variable."""
    file = tmp_path / "access.json"
    file.write_text(json.dumps({"result": "changed", "access": [GRAVE]}), encoding="utf-8")
    run = _review(None, "approval", str(file), GITLAB_CI="true", CI_MERGE_REQUEST_APPROVED=approved)
    assert run.returncode == code


@pytest.mark.parametrize(
    ("arguments", "given", "says"),
    [
        (("approval", "missing.json"), {}, "missing.json: No such file or directory"),
        (("comment", "README.md"), {}, "is no comment of dutybound diff"),
        (("comment",), {}, "usage:"),
        (("publish", "README.md"), {}, "usage:"),
    ],
)
def test_mistakes_are_one_line(arguments: tuple[str, ...], given: dict[str, str], says: str) -> None:
    """Never a traceback."""
    run = _review(None, *arguments, **given)
    assert run.returncode in (1, 2)
    assert says in run.stderr
    assert "Traceback" not in run.stderr


def test_github_that_refuses_or_is_gone_is_one_line(hub: _GitHub, tmp_path: Path) -> None:
    """An error of the API is told with its number, a connection that fails with its reason; the token never."""
    file = _comment(tmp_path, "x")
    for run, says in (
        (_review(hub, "comment", file, NUMBER="8"), "GitHub answers 404"),
        (_review(None, "comment", file), "GitHub cannot be reached"),
        (_review(hub, "comment", file, GITHUB_TOKEN=""), "GITHUB_TOKEN is not set"),
    ):
        assert run.returncode == 1
        assert says in run.stderr
        assert "Traceback" not in run.stderr
        assert "of-this-run" not in run.stderr


# --- the review on a real repository ---------------------------------------------------------------------------------


class _Repository:
    """A remote with a configuration, a pull request as GitHub keeps it, and the clone in which the workflow runs."""

    def __init__(self, folder: Path) -> None:
        self.origin, self.clone = folder / "origin.git", folder / "clone"
        self._git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(self.origin))
        work = self.work = folder / "work"
        self._git(folder, "clone", "--quiet", str(self.origin), str(work))
        shutil.copytree(ROOT / "config", work / "config")
        shutil.copy(ROOT / "Makefile", work / "Makefile")
        self.commit("the base", "main")

    def _git(self, folder: Path, *words: str) -> str:
        who = ["-c", "user.name=john", "-c", "user.email=john@acme.example", "-c", "protocol.file.allow=always"]
        run = subprocess.run(["git", *who, *words], cwd=folder, capture_output=True, text=True, check=True)
        return run.stdout.strip()

    def commit(self, message: str, branch: str) -> str:
        """Commit whatever changed and push it; the commit."""
        self._git(self.work, "add", "--all")
        self._git(self.work, "commit", "--quiet", "--message", message)
        self._git(self.work, "push", "--quiet", "--force", "origin", f"HEAD:refs/heads/{branch}")
        return self._git(self.work, "rev-parse", "HEAD")

    def pull_request(self, head: str) -> None:
        """What GitHub makes of one: the commit that merging would make, under refs/pull."""
        self._git(self.work, "checkout", "--quiet", "--detach", "origin/main")
        self._git(self.work, "merge", "--quiet", "--no-ff", "--message", "merge", head)
        self._git(self.work, "push", "--quiet", "--force", "origin", "HEAD:refs/pull/7/merge")

    def branch(self) -> None:
        """Start from the base branch."""
        self._git(self.work, "checkout", "--quiet", "-B", "change", "origin/main")

    def run(self, head: str) -> subprocess.CompletedProcess[str]:
        """Run the step of the workflow that compares, in a fresh checkout of the base branch."""
        shutil.rmtree(self.clone, ignore_errors=True)
        self._git(self.origin.parent, "clone", "--quiet", "--depth=1", self.origin.as_uri(), str(self.clone))
        (step,) = [
            step
            for step in _loaded(ROOT / ".github" / "workflows" / "access-review.yaml")["jobs"]["compare"]["steps"]
            if "make --no-print-directory review" in step.get("run", "")
        ]
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "MAKEFLAGS": "SETUP=@env",  # dutybound is installed already
            "NUMBER": "7",
            "HEAD": head,
        }
        command = ["bash", "-e", "-c", step["run"]]
        return subprocess.run(command, cwd=self.clone, env=environment, capture_output=True, text=True, check=False)


def test_the_review_of_a_pull_request(tmp_path: Path, hub: _GitHub) -> None:
    """From two branches to the comment and the check, with the scripts of the workflow itself."""
    repository = _Repository(tmp_path)
    teams = repository.work / "config" / "teams.yaml"
    repository.branch()
    wider = teams.read_text(encoding="utf-8").replace("acme-artifacts]", "acme-artifacts, acme-drafts]")
    teams.write_text(wider, encoding="utf-8")
    harmless = repository.commit("developers keep drafts", "change")
    repository.pull_request(harmless)
    run = repository.run(harmless)
    assert run.returncode == 0, run.stderr
    review = repository.clone / "review"
    comment = (review / "access.md").read_text(encoding="utf-8")
    assert "`developers` can now" in comment
    assert "acme-drafts" in comment
    assert json.loads((review / "access.sarif").read_bytes())["version"] == "2.1.0"
    assert _review(hub, "comment", str(review / "access.md")).returncode == 0
    assert hub.comments[0]["body"] == comment
    assert _review(None, "approval", str(review / "access.json")).returncode == 0

    repository.branch()
    text = teams.read_text(encoding="utf-8")
    grave = text.replace("members: [john, maria, tom]", "members: [john, maria, tom, zoe]").replace(
        "members: [john-admin]", "members: [john-admin, zoe]"
    )
    teams.write_text(grave, encoding="utf-8")
    head = repository.commit("zoe administers", "change")
    repository.pull_request(head)
    run = repository.run(head)
    assert run.returncode == 0, run.stderr
    refused = _review(hub, "approval", str(review / "access.json"), HEAD=head)
    assert refused.returncode == 1, refused.stdout
    assert "way to administrator" in refused.stderr
    hub.reviews = [_one("maria", commit=head)]
    assert _review(hub, "approval", str(review / "access.json"), HEAD=head).returncode == 0
    assert _review(hub, "comment", str(review / "access.md")).returncode == 0
    assert len(hub.comments) == 1

    repository.branch()
    teams.write_text("teams: [\n", encoding="utf-8")
    broken = repository.commit("a typo", "change")
    repository.pull_request(broken)
    run = repository.run(broken)
    assert run.returncode == 0, run.stderr
    assert _review(hub, "approval", str(review / "access.json"), HEAD=broken).returncode == 1


def test_a_pull_request_that_moved_on_is_not_reviewed(tmp_path: Path) -> None:
    """What is approved must be what was compared; a conflict is said."""
    repository = _Repository(tmp_path)
    repository.branch()
    (repository.work / "config" / "README.md").write_text("x", encoding="utf-8")
    head = repository.commit("a note", "change")
    missing = repository.run(head)
    assert missing.returncode == 1
    assert "solve its conflicts first" in missing.stderr
    repository.pull_request(head)
    stale = repository.run("0" * 40)
    assert stale.returncode == 1
    assert "The pull request has changed since" in stale.stderr
