"""The files of a report: a format is a function of the facts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from dutybound.report.facts import Facts, to_json
from dutybound.report.markdown import access_md
from dutybound.report.page import render
from dutybound.report.review import access_csv

FORMATS: Mapping[str, Callable[[Facts], str]] = {"md": access_md, "html": render, "json": to_json, "csv": access_csv}


def written(facts: Facts, forms: Collection[str] = ()) -> dict[str, str]:
    """The files by name, of these formats or of all."""
    return {f"access.{form}": write(facts) for form, write in FORMATS.items() if not forms or form in forms}
