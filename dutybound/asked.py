"""What a grant's texts stand for: parameters, placeholders and policy variables, with the place that each came from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from math import prod

from dutybound import catalog
from dutybound.config import PARAMETER, parameters_in
from dutybound.diagnostic import Diagnostic, Severity, Span, Text, did_you_mean, quoted
from dutybound.policy import ACCOUNT, PARTITION, Origin

MOST_RESOURCES = 1000
"""Resources that one text of a grant may give: far more than policies can hold."""
BOUNDARY_ARN = f"arn:{PARTITION}:iam::{ACCOUNT}:policy/baseline/workload-boundary"
_IAM_TAKES = frozenset(
    {"foreign-resource", "open-set-condition", "unsupported-condition", "weak-mfa-condition", "wrong-operator"}
)
_VARIABLE = re.compile(r"\$\{([^}]*)\}")


@dataclass(frozen=True, slots=True)
class Scope:
    """What a configuration says that a duty may refer to: its roles and its boundary.

    The default has a boundary, so that duties of the library can be shown and tested on their own; without one,
    `boundary_path` is None.
    """

    roles: frozenset[str] = frozenset()
    boundary_path: str | None = "app/"
    boundary_services: tuple[str, ...] = ("ec2", "ecs-tasks", "lambda")

    def placeholders(self) -> Mapping[str, tuple[str, ...]]:
        """What stands for each name of `config.PLACEHOLDERS`; the boundary's are left out where there is none."""
        always = {"account": (ACCOUNT,), "partition": (PARTITION,)}
        if self.boundary_path is None:
            return always
        boundary = {"boundary": (BOUNDARY_ARN,), "boundary_path": (self.boundary_path,)}
        return {**always, **boundary, "boundary_services": self.boundary_services}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that may be accepted by a waiver; a name of `config.FINDINGS`. `duty` is empty where it is in none."""

    name: str
    duty: str
    message: str
    span: Span | None = field(default=None, compare=False)
    hint: str = ""
    severity: Severity = "error"


@dataclass(frozen=True, slots=True)
class Asked:
    """One grant with what its errors must name."""

    duty: str
    values: Mapping[str, tuple[Text, ...]]
    """The parameters' values."""
    origin: Origin
    found: list[Diagnostic]
    scope: Scope = field(default_factory=Scope)
    findings: list[Finding] = field(default_factory=list)
    lenient: bool = False
    """Whether what IAM takes, though it means something else than it seems to, is a warning: for raw statements."""

    def report(self, name: str, message: str, span: Span | None, hint: str = "") -> None:
        """Add a diagnostic of the duty; the same one at the same place only once."""
        # A text that stands in several resources of a grant is wrong once.
        if not any(d.name == name and d.span == span and span is not None for d in self.found):
            severity: Severity = "warning" if self.lenient and name in _IAM_TAKES else "error"
            message = f"duty {quoted(self.duty)}: {message}"
            self.found.append(Diagnostic(name, message, span, hint, severity=severity))

    def substituted(self, text: Text) -> Iterator[Text]:
        """The text with its parameters and placeholders filled in, once for each combination of their values."""
        values: dict[str, tuple[str, ...]] = {**self.scope.placeholders(), **self.values}
        names = [n for n in dict.fromkeys(parameters_in(text)) if n in values]
        for written in (text, *(v for n in names for v in self.values.get(n, ()))):
            if "${AWS::" in written:  # only placeholders stand for what CloudFormation fills in
                name = written[written.index("${AWS::") :].partition("}")[0]
                hint = "write {account} or {partition}"
                self.report("unknown-variable", f"{quoted(name + '}')} is no policy variable", written.span, hint)
                return
        bounded = any(n.startswith("boundary") for n in parameters_in(text) if n not in values)
        if bounded and self.scope.boundary_path is None:
            self._no_boundary()
            return
        count = prod(len(values[n]) for n in names)
        if count > MOST_RESOURCES:
            message = f"{quoted(text)} gives {count:,} resources with these values; {MOST_RESOURCES:,} is the limit"
            self.report("too-many-resources", message, text.span, "use wildcards, or several duties")
            return
        for chosen in product(*(values[n] for n in names)):
            span = next((s for v in chosen if (s := getattr(v, "span", None))), text.span)
            yield Text(_replaced(text, dict(zip(names, chosen, strict=True))), span)

    def _no_boundary(self) -> None:
        message = "it makes roles within the boundary, and the configuration declares none"
        self.report("no-boundary", message, self.origin.asked, "add 'guardrails: {boundary: {path: /app/, …}}'")

    def all_substituted(self, texts: Iterable[Text]) -> list[Text]:
        """All texts with parameters and placeholders filled in."""
        return [filled for text in texts for filled in self.substituted(text)]

    def variables_known(self, text: Text) -> bool:
        """Whether every `${…}` of a text is a policy variable, and nothing else is left in braces."""
        plain = text.replace(PARTITION, "").replace(ACCOUNT, "")
        for name in _VARIABLE.findall(plain):
            if not _is_variable(name):
                hint = did_you_mean(name, _variable_names())
                message = f"{quoted('${' + name + '}')} is no policy variable"
                self.report("unknown-variable", message, text.span, hint)
                return False
        rest = _VARIABLE.sub("", plain)
        if parameters_in(rest):
            return False  # an unknown parameter, which `read` has reported
        if any(c in rest for c in "${}"):
            message = f"{quoted(text)} holds a '$', '{{' or '}}' that is neither a parameter nor a policy variable"
            self.report("wrong-resource", message, text.span, "write '{parameter}' or '${aws:username}'")
            return False
        return True


def _replaced(text: str, values: Mapping[str, str]) -> str:
    """Each parameter by its value, in one pass: what a value holds is not looked at again."""
    return PARAMETER.sub(lambda found: values.get(found[1], found[0]), text)


def _is_variable(text: str) -> bool:
    """IAM User Guide, "IAM policy elements: Variables and tags": a key with one value, perhaps with a default."""
    name, comma, default = text.partition(",")
    if text in ("*", "?", "$"):
        return True
    if comma and not re.fullmatch(r"\s*'[^']*'\s*", default):
        return False
    kind = catalog.global_key(name.strip())
    return kind is not None and not kind.startswith("ArrayOf")


def _variable_names() -> list[str]:
    return [k.replace("${TagKey}", "team") for k, kind in catalog.global_keys().items() if kind[:5] != "Array"]
