"""The construct for an existing CDK app: the templates of app.py beside stacks of the app's own."""

from __future__ import annotations

import functools
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import jsii
import pytest
from aws_cdk import aws_iam as iam
from constructs import IConstruct

from dutybound import compiler
from dutybound.compiler import compile_deployment
from stacks import DutyboundBaseline, InvalidConfiguration
from tests.conftest import ROOT
from tests.test_stacks import synthesize

CONFIG = """\
version: 1
organization: {name: acme, owner: owner@acme.example, home_region: eu-west-1}
teams:
  administrators: {purpose: Run the account, members: [john-admin], duties: [administer]}
  auditors: {purpose: Look once, members: [{name: tom, until: 2030-06-30}], duties: [view-costs]}
break_glass: {users: [break-glass-1], alert: [security@acme.example]}
"""


def _templates(folder: Path) -> list[Any]:
    found = [json.loads(f.read_text(encoding="utf-8")) for f in folder.rglob("*.template.json")]
    return sorted(found, key=lambda t: json.dumps(t, sort_keys=True))


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small configuration of which something ends."""
    file = tmp_path_factory.mktemp("config") / "access.yaml"
    file.write_text(CONFIG, encoding="utf-8")
    return file


@pytest.fixture(autouse=True, scope="module")
def _compiled_once() -> Any:
    """The same input is compiled once: here it matters what is made of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiler, "compile_deployment", functools.cache(compile_deployment))
        yield


def test_an_app_and_a_stage_get_the_templates_and_the_warnings_of_app_py(
    tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside another stack, whatever the construct is called, and on the day of SOURCE_DATE_EPOCH, not the clock's."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1941000000")  # July 2031
    run = synthesize(config, tmp_path / "plain")
    assert run.returncode == 0, run.stderr
    assert "warning[ended]" in run.stderr
    plain = _templates(tmp_path / "plain")
    for place in ("App", "Stage"):
        app = cdk.App(outdir=str(tmp_path / place), analytics_reporting=False)
        made = DutyboundBaseline(app if place == "App" else cdk.Stage(app, "Prod"), "Access", config=config)
        other = cdk.Stack(app, "Shop", synthesizer=cdk.LegacyStackSynthesizer())
        cdk.CfnResource(other, "Thing", type="AWS::SNS::Topic")
        app.synth()
        own = _templates(tmp_path / place)
        assert len(plain) == len(made.stacks) > 0
        assert all(template in own for template in plain)
        assert len(own) == len(plain) + 1
        assert any("warning[ended]" in str(entry.data) for entry in made.node.metadata)


@jsii.implements(cdk.IAspect)
class _Seen:
    """Notes what an Aspect visits, and changes every role."""

    def __init__(self) -> None:
        self.roles: list[str] = []
        self.paths: list[str] = []

    def visit(self, node: IConstruct) -> None:
        """Note its path; a role stays for two hours."""
        self.paths.append(node.node.path)
        if isinstance(node, iam.CfnRole):
            self.roles.append(str(node.role_name))
            node.max_session_duration = 7200


def test_tags_and_aspects_reach_every_resource(tmp_path: Path, config: Path) -> None:
    """Each is a typed construct of the CDK, so that what it does to an app it does to the baseline."""
    app = cdk.App(outdir=str(tmp_path / "out"), analytics_reporting=False)
    made = DutyboundBaseline(app, "Access", config=config)
    seen = _Seen()
    cdk.Aspects.of(app).add(seen)
    cdk.Tags.of(app).add("cost-center", "42")
    app.synth()
    resources = {n: body for t in _templates(tmp_path / "out") for n, body in t.get("Resources", {}).items()}
    roles = [r["Properties"] for r in resources.values() if r["Type"] == "AWS::IAM::Role"]
    assert {role["RoleName"] for role in roles} == set(seen.roles) != set()
    assert {role["MaxSessionDuration"] for role in roles} == {7200}
    tagged = [r["Properties"]["Tags"] for r in resources.values() if "Tags" in r["Properties"]]
    assert len(tagged) > len(roles)
    assert all({"Key": "cost-center", "Value": "42"} in tags for tags in tagged)
    paths = {path.rpartition("/")[2]: path for path in seen.paths}
    stacks = {re.fullmatch(rf"Access/([\w-]+)/Template/{name}", paths[name])[1] for name in resources}  # type: ignore[index]
    assert stacks <= set(made.stacks)


def test_a_broken_configuration_is_an_error_with_its_place(tmp_path: Path) -> None:
    """The exception says what `dutybound check` prints; nothing is built."""
    config = tmp_path / "access.yaml"
    config.write_text("version: 1\nteams: 7\n", encoding="utf-8")
    app = cdk.App(analytics_reporting=False)
    with pytest.raises(InvalidConfiguration, match=r"access\.yaml:2:") as raised:
        DutyboundBaseline(app, "Access", config=config)
    assert any(found.severity == "error" for found in raised.value.diagnostics)
    assert not [one for one in app.node.find_all() if isinstance(one, cdk.Stack)]


def test_without_the_cdk_the_stacks_say_what_to_install() -> None:
    """An import of the stacks without CDK names the extra."""
    code = "import sys; sys.modules['aws_cdk'] = None; import stacks"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "dutybound[cdk]" in run.stderr.splitlines()[-1]
