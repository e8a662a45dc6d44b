"""The emulator as a child process, and everything that may speak to it.

Nothing of the caller's AWS set-up takes part: children get an environment made here, clients are made while the
caller's is out of sight, and both end at 127.0.0.1 or not at all.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

from demo import DemoError, require_ministack
from dutybound import managed

ROOT = Path(__file__).absolute().parent.parent
START_SECONDS = 60
_PASSED_ON = ("LANG", "LC_ALL", "LC_CTYPE", "TZ")


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key. With a token it belongs to a session."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Credentials:
        """From the `AccessKey` of IAM or the `Credentials` of STS."""
        return cls(answer["AccessKeyId"], answer["SecretAccessKey"], answer.get("SessionToken"))


ROOT_USER = Credentials("test", "test")
"""The emulator's root user, which may do everything: the deployment acts as it."""


@dataclass(frozen=True, slots=True)
class Emulator:
    """A running emulator: where it is, whose account it plays, and what a child process needs to reach it."""

    url: str
    account: str
    region: str
    environment: Mapping[str, str] = field(repr=False)
    log: Path
    root: Credentials = ROOT_USER

    def of(self, account: str) -> Emulator:
        """The same emulator as another account: an access key of twelve digits is that account's root user."""
        root = Credentials(account, "test")
        environment = {
            **self.environment,
            "AWS_ACCESS_KEY_ID": root.access_key,
            "CDK_DEFAULT_ACCOUNT": account,
            # The CDK CLI remembers which account a key is of.
            "CDK_HOME": f"{self.environment['CDK_HOME']}-{account}",
        }
        Path(environment["CDK_HOME"]).mkdir(exist_ok=True)
        return replace(self, account=account, environment=environment, root=root)

    def client(self, service: str, region: str | None = None, credentials: Credentials | None = None) -> Any:
        """A boto3 client for this emulator and no other place, as the root user unless told otherwise."""
        credentials = credentials or self.root
        with _bare_environment(self.environment):
            client = _session().client(
                service,
                endpoint_url=self.url,
                region_name=region or self.region,
                aws_access_key_id=credentials.access_key,
                aws_secret_access_key=credentials.secret_key,
                aws_session_token=credentials.token,
                # An empty dict, since None would mean the proxies of the environment.
                config=Config(proxies={}, retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=60),
            )
        client.meta.events.register("before-send.*.*", _refuse_elsewhere)
        return client


@functools.cache
def _session() -> Any:
    """One session for all clients, so that the description of a service is read once. It holds no credentials."""
    return boto3.session.Session()


def _refuse_elsewhere(request: Any, **_: Any) -> None:
    require_loopback(request.url)


def require_loopback(url: str) -> None:
    """Raise DemoError unless the URL points to this machine by its loopback address."""
    host = urlsplit(url).hostname or ""
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise DemoError(f"{host or url} is not this machine: the demo speaks to its own emulator only")


@contextlib.contextmanager
def _bare_environment(environment: Mapping[str, str]) -> Iterator[None]:
    """Swap this process's environment for the given one: botocore reads dozens of variables, and files they name."""
    saved = dict(os.environ)
    os.environ.clear()
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(saved)


@contextlib.contextmanager
def running(
    account: str = "123456789012", region: str = "eu-west-1", program: str = "demo.emulator"
) -> Iterator[Emulator]:
    """An emulator for as long as the block runs, its data gone afterwards, however the block ends.

    It knows the AWS managed policies that Dutybound carries, beside those that ministack brings. Raises DemoError if
    the emulator is not the pinned one or does not start. SIGTERM ends the block as SystemExit(143).
    """
    require_ministack()
    with _sigterm_as_exit(), tempfile.TemporaryDirectory(prefix="dutybound-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        port = _free_port()
        emulator = Emulator(
            url=f"http://127.0.0.1:{port}",
            account=account,
            region=region,
            environment=_environment(directory, f"http://127.0.0.1:{port}", account, region),
            log=directory / "emulator.log",
        )
        require_loopback(emulator.url)
        published = directory / "managed-policies.json"
        policies = [managed.managed_policy(name) for name in managed.names()]
        published.write_text(json.dumps({policy.arn(): policy.document for policy in policies}))
        with _serving(emulator, port, published, program):
            yield emulator


def _environment(directory: Path, url: str, account: str, region: str) -> dict[str, str]:
    """The whole environment of a child: nothing of the caller's but the language, and where programs are."""
    for child in ("home", "tmp", "cdk"):
        (directory / child).mkdir()
    empty = directory / "empty"
    empty.touch()
    programs = (str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath))
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | {
        "PATH": os.pathsep.join(programs),
        "HOME": str(directory / "home"),
        "TMPDIR": str(directory / "tmp"),
        "PYTHONUTF8": "1",
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": ROOT_USER.access_key,
        "AWS_SECRET_ACCESS_KEY": ROOT_USER.secret_key,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_CONFIG_FILE": str(empty),
        "AWS_SHARED_CREDENTIALS_FILE": str(empty),
        "AWS_EC2_METADATA_DISABLED": "true",
        "CDK_HOME": str(directory / "cdk"),
        "CDK_DEFAULT_ACCOUNT": account,
        "CDK_DEFAULT_REGION": region,
        "CDK_DISABLE_CLI_TELEMETRY": "true",
        "CDK_DISABLE_VERSION_CHECK": "true",
        "CDK_VALIDATION": "false",
        "CI": "true",
        "NO_COLOR": "1",
        "NO_PROXY": "127.0.0.1",
        # Unpacking the CDK takes ten seconds: the user's own copy serves, since it holds nothing but code.
        "JSII_RUNTIME_PACKAGE_CACHE_ROOT": str(_jsii_cache()),
    }


def _jsii_cache() -> Path:
    chosen = os.environ.get("JSII_RUNTIME_PACKAGE_CACHE_ROOT")
    if chosen:
        return Path(chosen).absolute()
    caches = "Library/Caches/com.amazonaws.jsii" if sys.platform == "darwin" else ".cache/aws/jsii"
    try:
        return Path.home() / caches / "package-cache"
    except RuntimeError:
        raise DemoError("this user has no home folder, where the CDK is unpacked: set HOME to a folder") from None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _serving(emulator: Emulator, port: int, managed_policies: Path, program: str) -> Iterator[None]:
    """The child process from start to end. Its group is killed, since it keeps nothing that is worth a farewell."""
    folder = emulator.log.parent
    environment = {
        **{k: v for k, v in emulator.environment.items() if not k.startswith(("AWS_ENDPOINT", "CDK_"))},
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "MINISTACK_HOST": "127.0.0.1",
        "MINISTACK_ACCOUNT_ID": emulator.account,
        "MINISTACK_REGION": emulator.region,
        "AUTH": "true",
        "LOG_LEVEL": "WARNING",
        # ministack would otherwise look after containers on this machine, open two more ports to every network, and
        # keep files in a folder that all its runs share.
        "DOCKER_HOST": f"unix://{folder}/no-docker.sock",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "STATE_DIR": str(folder / "tmp" / "state"),
        "S3_DATA_DIR": str(folder / "tmp" / "s3"),
        "EMULATOR_MANAGED_POLICIES": str(managed_policies),
        "EMULATOR_FOLDER": str(folder),
    }
    with emulator.log.open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", program],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait_until_healthy(child, emulator)
            yield
        finally:
            _kill_group(child)


def _wait_until_healthy(child: subprocess.Popen[bytes], emulator: Emulator) -> None:
    # No proxy takes part, whatever the environment of this process says.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if child.poll() is not None:
            break
        try:
            with opener.open(f"{emulator.url}/_ministack/health", timeout=5):
                return
        except (OSError, urllib.error.URLError):
            time.sleep(0.05)
    raise DemoError(f"the emulator did not start: {_last_line(emulator.log)}")


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1].removeprefix("error: ") if lines else "it said nothing"


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    """End a child that leads its own process group, and its children."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    for pipe in (child.stdin, child.stdout):
        if pipe:
            with contextlib.suppress(OSError):
                pipe.close()


@contextlib.contextmanager
def _sigterm_as_exit() -> Iterator[None]:
    """SIGTERM unwinds the stack like any exception, so that `finally` is reached. Main thread only."""

    def leave(*_: object) -> None:
        raise SystemExit(143)

    try:
        before = {each: signal.signal(each, leave) for each in (signal.SIGTERM, signal.SIGHUP)}
    except ValueError:  # not the main thread: whoever owns that one decides
        yield
        return
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def run(command: Sequence[str], emulator: Emulator, cwd: Path, timeout: float = 600) -> tuple[int, str]:
    """Run a program against the emulator. Returns its exit code and all it printed.

    Raises DemoError if it is missing or takes longer than `timeout` seconds; it never outlives the call.
    """
    require_loopback(emulator.environment["AWS_ENDPOINT_URL"])
    try:
        child = subprocess.Popen(
            list(command),
            cwd=cwd,
            env=dict(emulator.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise DemoError(f"cannot run {command[0]}: {error.strerror}") from None
    try:
        output, _ = child.communicate(timeout=timeout)
        return child.returncode, output.decode("utf-8", "replace")
    except subprocess.TimeoutExpired:
        raise DemoError(f"{Path(command[0]).name} did not finish within {timeout:.0f} seconds") from None
    finally:
        _kill_group(child)
