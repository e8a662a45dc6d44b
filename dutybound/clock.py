"""The day at hand: the one place where the compiler's callers read the clock."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime


def today() -> date:
    """The day on which what has ended is reported, in UTC. SOURCE_DATE_EPOCH, where it is set, stands for the clock.

    A value that is no moment counts as not set. Source: reproducible-builds.org, "SOURCE_DATE_EPOCH".
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    try:
        moment = datetime.fromtimestamp(int(epoch), UTC) if epoch.isdecimal() else datetime.now(UTC)
    except (ValueError, OverflowError, OSError):  # beyond what the calendar or the system can count
        moment = datetime.now(UTC)
    return moment.date()
