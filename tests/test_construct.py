"""The construct for an existing CDK app: the templates of app.py beside stacks of the app's own."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest

from stacks import DutyboundBaseline, InvalidConfiguration
from tests.conftest import ROOT
from tests.test_stacks import synthesize

TODAY = date(2026, 12, 1)


def _templates(folder: Path) -> list[Any]:
    found = [json.loads(f.read_text(encoding="utf-8")) for f in folder.rglob("*.template.json")]
    return sorted(found, key=lambda t: json.dumps(t, sort_keys=True))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """The templates of app.py for the example."""
    folder = tmp_path_factory.mktemp("plain")
    assert synthesize(ROOT / "config", folder).returncode == 0
    return _templates(folder)


@pytest.mark.parametrize("staged", [False, True])
def test_an_app_of_its_own_gets_the_templates_of_app_py(tmp_path: Path, plain: list[Any], staged: bool) -> None:
    """In an App and in a Stage, beside another stack, whatever the construct is called."""
    app = cdk.App(outdir=str(tmp_path / "own"), analytics_reporting=False)
    made = DutyboundBaseline(cdk.Stage(app, "Prod") if staged else app, "Access", config=ROOT / "config", today=TODAY)
    other = cdk.Stack(app, "Shop", synthesizer=cdk.LegacyStackSynthesizer())
    cdk.CfnResource(other, "Thing", type="AWS::SNS::Topic")
    app.synth()
    own = _templates(tmp_path / "own")
    assert len(plain) == len(made.stacks) > 0
    assert all(template in own for template in plain)
    assert len(own) == len(plain) + 1


def test_a_broken_configuration_is_an_error_with_its_place(tmp_path: Path) -> None:
    """The exception says what `dutybound check` prints; nothing is built."""
    config = tmp_path / "access.yaml"
    config.write_text("version: 1\nteams: 7\n", encoding="utf-8")
    app = cdk.App(analytics_reporting=False)
    with pytest.raises(InvalidConfiguration, match=r"access\.yaml:2:") as raised:
        DutyboundBaseline(app, "Access", config=config, today=TODAY)
    assert any(found.severity == "error" for found in raised.value.diagnostics)
    assert not [one for one in app.node.find_all() if isinstance(one, cdk.Stack)]


def test_without_the_cdk_the_stacks_say_what_to_install() -> None:
    """An import of the stacks without CDK names the extra."""
    code = "import sys; sys.modules['aws_cdk'] = None; import stacks"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "dutybound[cdk]" in run.stderr.splitlines()[-1]
