"""A deployment of Dutybound without an AWS account: the real CDK CLI against an emulator on this machine.

`python -m demo` deploys a configuration, shows what the account then holds and lets some of its people try things.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

MINISTACK = "1.5.33"
"""The one version of the emulator that `demo.emulator` knows the inside of."""


class DemoError(Exception):
    """Something that stops the demo, in one sentence for its user."""


def require_ministack() -> None:
    """Raise DemoError, with what to do, unless exactly the pinned ministack is installed."""
    try:
        found = version("ministack")
    except PackageNotFoundError:
        raise DemoError("the AWS emulator ministack is not installed: run `make demo`") from None
    if found != MINISTACK:
        raise DemoError(
            f"ministack {found} is installed, but demo/emulator.py changes the inside of ministack {MINISTACK}: "
            "run `make demo`, or read demo/emulator.py again before you raise the version"
        )
