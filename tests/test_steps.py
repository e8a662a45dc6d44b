"""The script of `dutybound steps`, run for real by `sh` against the emulator, with a thin `aws` on its path."""

from __future__ import annotations

import functools
import json
import os
import re
import socketserver
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from botocore import xform_name
from botocore.exceptions import ClientError
from click.testing import CliRunner

from demo.server import Credentials, Emulator, running
from dutybound.baseline import Account
from dutybound.cli import cli
from dutybound.compiler import compile_everywhere, compile_text, read_path
from dutybound.diagnostic import render_all
from dutybound.steps import instance, named_settings, steps
from tests.conftest import ROOT

BASE = """\
version: 1
organization: {name: acme, owner: x, home_region: eu-west-1}
teams:
  staff: {purpose: x, members: [maria, -dash], duties: [view-metrics]}
break_glass: {users: [break-glass-1], alert: [security@acme.example, b@acme.example]}
"""
AWS = """\
#!{python} -IS
# The AWS command line as far as the script uses it: the tests make the call, since importing boto3 takes half a second.
import json, os, socket, sys

with socket.socket(socket.AF_UNIX) as tests:
    tests.connect({socket!r})
    keys = [os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]]
    tests.sendall(json.dumps([*keys, *sys.argv[1:]]).encode())
    tests.shutdown(socket.SHUT_WR)
    said, error = json.load(tests.makefile())
print(said, end="")
sys.exit(error)
"""


class Aws:
    """Makes the calls that the `aws` on the script's path is asked for, with the keys of its environment."""

    def __init__(self, emulator: Emulator) -> None:
        self._client = functools.cache(emulator.client)

    def call(
        self, access_key: str, secret_key: str, service: str, command: str, *options: str
    ) -> tuple[str, str | None]:
        """What `aws` prints, and how it fails. Options are those of the API's model, as the real one has them."""
        given, region, output = {}, None, None
        left = list(options)
        while left:
            name, equals, value = left.pop(0).partition("=")
            value = value if equals else left.pop(0)
            if name == "--region":
                region = value
            elif name == "--output":
                output = value
            elif name == "--cli-input-json":
                given.update(json.loads(value))
            else:
                given[name] = value
        client = self._client(service, region, Credentials(access_key, secret_key))
        method = command.replace("-", "_")
        shape = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[method]).input_shape
        members = {"--" + xform_name(m, "-"): m for m in (shape.members if shape else ())}
        try:
            answer = getattr(client, method)(**{members.get(k, k): v for k, v in given.items()})
        except ClientError as error:
            return "", f"\n{error}"
        answer.pop("ResponseMetadata")
        assert output in (None, "json")
        return f"{json.dumps(answer, default=str)}\n" if answer else "", None


@pytest.fixture(scope="module")
def aws(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The `aws` for the path of scripts."""
    folder = tmp_path_factory.mktemp("aws")
    made = Aws(emulator)

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            try:
                answer = made.call(*json.load(self.rfile))
            except Exception:
                answer = "", traceback.format_exc()
            self.wfile.write(json.dumps(answer).encode())

    with socketserver.UnixStreamServer(str(folder / "socket"), Handler) as server:
        (folder / "aws").write_text(AWS.format(python=sys.executable, socket=server.server_address), encoding="utf-8")
        (folder / "aws").chmod(0o755)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield folder
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with running() as started:
        yield started


@pytest.fixture
def iam(emulator: Emulator) -> Iterator[Any]:
    """IAM, in an account without a password policy."""
    client = emulator.client("iam")
    _forget(client)
    yield client
    _forget(client)


def _forget(client: Any) -> None:
    try:
        client.delete_account_password_policy()
    except client.exceptions.NoSuchEntityException:
        return


def account(more: str = "") -> Account:
    checked = compile_text(BASE + more)
    assert checked.value is not None, render_all(checked.diagnostics)
    return checked.value.accounts[0]


def run(script: str, emulator: Emulator, aws: Path) -> subprocess.CompletedProcess[str]:
    """Run a script as a person would, with `aws` and nothing of the caller's AWS set-up."""
    environment = {**emulator.environment, "PATH": f"{aws}:{emulator.environment['PATH']}"}
    return subprocess.run(
        ["sh"], input=script, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


def functions(script: str) -> str:
    """The script up to its first step."""
    return script.partition("\nwho_am_i\n")[0] + "\n"


def set_passwords(more: str, emulator: Emulator, aws: Path) -> subprocess.CompletedProcess[str]:
    """Run the step of the password policy alone."""
    whole = steps(account(f"passwords: {more}\n"), "acme")
    call = next(line for line in whole.splitlines() if line.startswith("password_policy "))
    return run(f"{functions(whole)}{call}\n", emulator, aws)


def policy(iam: Any) -> dict[str, Any]:
    found: dict[str, Any] = iam.get_account_password_policy()["PasswordPolicy"]
    return found


TOPIC = {
    "Resources": {
        "Topic": {
            "Type": "AWS::SNS::Topic",
            "Properties": {
                "TopicName": "break-glass-alarm",
                "Subscription": [{"Protocol": "email", "Endpoint": "security@acme.example"}],
            },
        }
    }
}
WHOLE = {
    "MinimumPasswordLength": 20,
    "RequireSymbols": True,
    "RequireNumbers": False,
    "RequireUppercaseCharacters": True,
    "RequireLowercaseCharacters": False,
    "AllowUsersToChangePassword": True,
    "MaxPasswordAge": 90,
    "PasswordReusePrevention": 5,
    "HardExpiry": False,
}


def test_absent_means_untouched(emulator: Emulator, iam: Any) -> None:
    """Without `passwords`, and with an empty one, the script does not speak of the password policy."""
    for more in ("", "passwords: {}\n"):
        assert "\npassword_policy " not in steps(account(more), "acme")


def test_a_partial_policy_over_none_loosens_nothing(emulator: Emulator, iam: Any, aws: Path) -> None:
    """IAM's own rules (8 characters, three of four kinds) hold on where the configuration says nothing."""
    found = set_passwords("{remember: 24}", emulator, aws)
    assert (found.returncode, found.stderr) == (0, "")
    assert policy(iam) == {
        "MinimumPasswordLength": 8,
        "RequireSymbols": False,
        "RequireNumbers": True,
        "RequireUppercaseCharacters": True,
        "RequireLowercaseCharacters": True,
        "AllowUsersToChangePassword": False,
        "ExpirePasswords": False,
        "HardExpiry": False,
        "PasswordReusePrevention": 24,
    }


@pytest.mark.parametrize(
    ("more", "changed"),
    [
        ("{remember: 24}", {"PasswordReusePrevention": 24}),
        ("{minimum_length: 14}", {"MinimumPasswordLength": 14}),
        ("{max_age_days: 30}", {"MaxPasswordAge": 30}),
        ("{max_age_days: null}", {"MaxPasswordAge": None, "ExpirePasswords": False}),
        (
            "{require: [numbers, lowercase]}",
            {
                "RequireNumbers": True,
                "RequireLowercaseCharacters": True,
                "RequireSymbols": False,
                "RequireUppercaseCharacters": False,
            },
        ),
        ("{require: []}", {"RequireSymbols": False, "RequireUppercaseCharacters": False}),
        (
            "{minimum_length: 14, remember: 24, max_age_days: null, require: [lowercase, uppercase, numbers, symbols]}",
            {
                "MinimumPasswordLength": 14,
                "PasswordReusePrevention": 24,
                "MaxPasswordAge": None,
                "ExpirePasswords": False,
                "RequireNumbers": True,
                "RequireLowercaseCharacters": True,
            },
        ),
    ],
)
def test_only_what_is_named_changes(
    more: str, changed: dict[str, Any], emulator: Emulator, iam: Any, aws: Path
) -> None:
    """A policy that is there keeps whatever the configuration does not name."""
    iam.update_account_password_policy(**WHOLE)
    before = policy(iam)
    found = set_passwords(more, emulator, aws)
    assert (found.returncode, found.stderr) == (0, "")
    wanted = {k: v for k, v in {**before, **changed}.items() if v is not None}
    assert policy(iam) == wanted
    assert "changed to" in found.stdout


def test_twice_is_once(emulator: Emulator, iam: Any, aws: Path) -> None:
    """A second run finds everything as it should be, and sends nothing."""
    more = "{minimum_length: 14, max_age_days: null, require: [symbols]}"
    assert "changed to" in set_passwords(more, emulator, aws).stdout
    once = policy(iam)
    again = set_passwords(more, emulator, aws)
    assert (again.returncode, again.stdout) == (0, "ok     password policy: as it should be\n")
    assert policy(iam) == once


def test_hard_expiry_is_kept_and_told(emulator: Emulator, iam: Any, aws: Path) -> None:
    """It is not ours to change, but it locks people out."""
    iam.update_account_password_policy(**{**WHOLE, "HardExpiry": True})
    found = set_passwords("{minimum_length: 14}", emulator, aws)
    assert found.returncode == 0
    assert policy(iam)["HardExpiry"] is True
    assert "TO DO  password policy: hard expiry is on" in found.stdout


def test_a_setting_that_is_not_known_stops_it(emulator: Emulator, iam: Any, aws: Path) -> None:
    """An update would reset it: nothing is changed."""
    whole = steps(account("passwords: {remember: 24}\n"), "acme")
    iam.update_account_password_policy(**WHOLE)
    there = json.dumps({"PasswordPolicy": {**policy(iam), "RequireEmoji": True}})
    library = functions(whole)
    found = run(f"{library}ask() {{ echo '{there}'; }}\npassword_policy '{{}}'\n", emulator, aws)
    assert found.returncode == 1
    assert "RequireEmoji" in found.stderr
    assert policy(iam)["PasswordReusePrevention"] == 5


def test_a_refused_call_is_no_absence(emulator: Emulator, iam: Any, aws: Path) -> None:
    """Without the right to look, the script stops; it does not take 'denied' for 'nothing there'."""
    iam.create_user(UserName="nobody")
    key = iam.create_access_key(UserName="nobody")["AccessKey"]
    environment = {
        **emulator.environment,
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
    }
    weak = Emulator(emulator.url, emulator.account, emulator.region, environment, emulator.log)
    for more in ("passwords: {remember: 24}\n", ""):
        found = run(steps(account(more), "acme"), weak, aws)
        assert found.returncode != 0
        assert "AccessDenied" in found.stderr
        assert "has no password" not in found.stdout
    iam.delete_access_key(UserName="nobody", AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName="nobody")


def test_the_whole_script(emulator: Emulator, iam: Any, aws: Path) -> None:
    """Before the deployment, halfway, and when everything is done."""
    script = steps(account("passwords: {minimum_length: 14}\n"), "acme")
    first = run(script, emulator, aws)
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.startswith("Account 123456789012, as arn:aws:iam::123456789012:root\n")
    topic = "arn:aws:sns:eu-west-1:123456789012:break-glass-alarm"
    assert f"TO DO  alarm: {topic} is not there: deploy first\n" in first.stdout
    assert re.search(r"^TO DO  trail: make one", first.stdout, re.MULTILINE)
    for name in ("break-glass-1", "maria", "-dash"):
        assert f"TO DO  {name}: is not there: deploy first\n" in first.stdout

    cloudtrail, cloudformation = emulator.client("cloudtrail"), emulator.client("cloudformation")
    cloudformation.create_stack(StackName="alarm", TemplateBody=json.dumps(TOPIC))
    cloudformation.get_waiter("stack_create_complete").wait(StackName="alarm", WaiterConfig={"Delay": 1})
    for name in ("break-glass-1", "maria", "-dash"):
        iam.create_user(UserName=name)
    key = iam.create_access_key(UserName="break-glass-1")["AccessKey"]["AccessKeyId"]
    emulator.client("s3").create_bucket(Bucket="trails", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    cloudtrail.create_trail(Name="main", S3BucketName="trails", IsMultiRegionTrail=True)
    second = run(script, emulator, aws)
    assert (second.returncode, second.stderr) == (0, "")
    assert "TO DO  alarm: security@acme.example has not confirmed" in second.stdout
    assert "TO DO  alarm: b@acme.example is not subscribed" in second.stdout
    assert "TO DO  break-glass-1: has no password" in second.stdout
    assert "TO DO  break-glass-1: has 0 MFA devices" in second.stdout
    assert "TO DO  break-glass-1: has an access key" in second.stdout
    assert "TO DO  -dash: has no password" in second.stdout
    assert "TO DO  trail: none of these is seen to log" in second.stdout

    iam.delete_access_key(UserName="break-glass-1", AccessKeyId=key)
    for name in ("break-glass-1", "maria", "-dash"):
        iam.create_login_profile(UserName=name, Password="Not-a-real-1-password")
    cloudtrail.start_logging(Name="main")
    cloudtrail.put_event_selectors(
        TrailName="main", EventSelectors=[{"ReadWriteType": "All", "IncludeManagementEvents": True}]
    )
    emulator.client("sns").subscribe(TopicArn=topic, Protocol="email", Endpoint="b@acme.example")
    third = run(script, emulator, aws)
    assert (third.returncode, third.stderr) == (0, "")
    assert "ok     trail: arn:aws:cloudtrail:eu-west-1:123456789012:trail/main logs\n" in third.stdout
    assert "ok     alarm: b@acme.example hears it\n" in third.stdout
    assert "ok     maria: has a password\n" in third.stdout
    assert "has an access key" not in third.stdout
    assert third.stdout.splitlines()[-1].endswith("left to do by hand.")


CENTER = """\
#!{python}
import json, sys
print(json.dumps({{"Instances": {instances}}}) if "list-instances" in sys.argv else "")
assert sys.argv[-1] == "json" and "--region=eu-west-1" in sys.argv
"""


@pytest.mark.parametrize(
    ("there", "says", "left"),
    [
        ([], "TO DO  Identity Center: not enabled in eu-west-1, and no API enables it", 1),
        (
            [("arn:aws:sso:::instance/ssoins-0000000000000000", "d-1234567890")],
            "TO DO  Identity Center: the configuration names arn:aws:sso:::instance/ssoins-1234567890abcdef with the "
            "store d-1234567890, and here is arn:aws:sso:::instance/ssoins-0000000000000000=d-1234567890",
            1,
        ),
        (
            [("arn:aws:sso:::instance/ssoins-1234567890abcdef", "d-0000000000")],
            "TO DO  Identity Center: the configuration names arn:aws:sso:::instance/ssoins-1234567890abcdef",
            1,
        ),
        (
            [("arn:aws:sso:::instance/ssoins-1234567890abcdef", "d-1234567890")],
            "ok     Identity Center: arn:aws:sso:::instance/ssoins-1234567890abcdef is enabled",
            0,
        ),
    ],
)
def test_identity_center_is_enabled_first(there: list[tuple[str, str]], says: str, left: int, tmp_path: Path) -> None:
    """In the account that manages the organization, before all else; AWS has no call for it."""
    path = ROOT / "examples" / "identity-center"
    reading = read_path(path)
    assert reading.value is not None
    for name, baseline in compile_everywhere(path, date(2026, 12, 1)).items():
        assert baseline.value is not None
        account = baseline.value.accounts[0]
        script = steps(account, "acme", instance(reading.value.configuration, account))
        calls = script.partition("\nwho_am_i ")[2].splitlines()
        assert calls[1].startswith("instance ") == (name == "management")
        if name == "management":
            whole, call = script.partition("\nwho_am_i ")[0], calls[1]
    aws = tmp_path / "aws"
    instances = [{"InstanceArn": arn, "IdentityStoreId": store} for arn, store in there]
    aws.write_text(CENTER.format(python=sys.executable, instances=json.dumps(instances)), encoding="utf-8")
    aws.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    text = f"{whole}\n{call}\necho $left\n"
    found = subprocess.run(["sh"], input=text, env=environment, capture_output=True, text=True, check=False)
    assert found.stderr == ""
    assert found.stdout.startswith(says)
    assert found.stdout.splitlines()[-1] == str(left)


def test_another_account_is_refused(emulator: Emulator, aws: Path) -> None:
    library = functions(steps(account(), "acme"))
    found = run(f"{library}who_am_i 999988887777\necho went on\n", emulator, aws)
    assert found.returncode == 1
    assert found.stderr == "error: this is account 123456789012; these steps are for 999988887777\n"
    assert "went on" not in found.stdout


def test_the_script_is_the_same_whatever_the_order() -> None:
    """Order means nothing, and no absent key is named."""
    one = account("passwords: {minimum_length: 14, require: [symbols, lowercase]}\n")
    two = account("passwords: {require: [lowercase, symbols], minimum_length: 14}\n")
    assert steps(one, "acme") == steps(two, "acme")
    assert set(named_settings(one.passwords)) == {
        "MinimumPasswordLength",
        "RequireLowercaseCharacters",
        "RequireNumbers",
        "RequireSymbols",
        "RequireUppercaseCharacters",
    }
    assert named_settings(account().passwords) == {}


def test_the_command(tmp_path: Path) -> None:
    """`dutybound steps` prints what `sh` takes; a broken configuration prints no script."""
    good = CliRunner().invoke(cli, ["steps", str(ROOT / "config")])
    assert (good.exit_code, good.stdout[:10]) == (0, "#!/bin/sh\n")
    assert subprocess.run(["sh", "-n"], input=good.stdout, text=True, check=False).returncode == 0
    broken = tmp_path / "broken.yaml"
    broken.write_text("version: 1\npasswords: {minimum_length: 5}\n", encoding="utf-8")
    bad = CliRunner().invoke(cli, ["steps", str(broken)])
    assert (bad.exit_code, bad.stdout) == (1, "")
    assert "error[invalid-value]" in bad.stderr
