"""What a user may write, as types. `Configuration` is a whole configuration; the JSON Schema comes from here.

The types check the shape of each value on its own. What one name has to do with another is checked by `read`, and what
actions and resources exist by `lower`. Mappings that a user keys by name stay mappings of name to value.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeAlias, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StrictBool,
    Tag,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from dutybound.diagnostic import Span, Text


@dataclass(frozen=True)
class Word:
    """What a text must look like: a pattern (whole text), a longest length, and how to say it in a message."""

    pattern: str
    longest: int
    says: str
    digits: bool = False
    """Whether a number is taken by its text: for ids made of digits."""
    booleans: bool = False
    """Whether true and false are taken as text: for what IAM compares as text."""
    empty: bool = False
    """Whether a text without a character is one."""

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._checked)

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        shortest = 0 if self.empty else 1
        pattern = f"^(?:{self.pattern})$"
        text = {"type": "string", "pattern": pattern, "minLength": shortest, "maxLength": self.longest}
        return {"anyOf": [text, {"type": "integer"}, {"type": "boolean"}]} if self.booleans else text

    @cached_property
    def _matches(self) -> Callable[[str], object]:
        return re.compile(self.pattern).fullmatch

    def _checked(self, value: object) -> Text:
        if self.booleans and isinstance(value, bool):
            value = Text(str(value).lower())
        if self.digits and isinstance(value, int) and hasattr(value, "text"):
            value = Text(value.text, getattr(value, "span", None))
        if not isinstance(value, str):
            raise PydanticCustomError("wrong-type", "expected text")
        if not value and not self.empty:
            raise PydanticCustomError("invalid-value", "it is empty")
        if len(value) > self.longest:
            message = "it is {length} characters long; {longest} is the limit"
            raise PydanticCustomError("too-long", message, {"length": len(value), "longest": self.longest})
        if not self._matches(value):
            raise PydanticCustomError("invalid-value", "{says}", {"says": self.says})
        return value if isinstance(value, Text) else Text(value)


@dataclass(frozen=True)
class Whole:
    """A whole number from `least` to `most`; `says` is how a message names what it counts."""

    least: int
    most: int
    says: str
    null: int | None = None
    """What null stands for, where it may be written."""

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._checked)

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        number = {"type": "integer", "minimum": self.least, "maximum": self.most}
        return number if self.null is None else {"anyOf": [number, {"type": "null"}]}

    def _checked(self, value: object) -> int:
        if value is None and self.null is not None:
            return self.null
        if isinstance(value, bool) or not isinstance(value, int) or not self.least <= value <= self.most:
            message = "it takes a whole number of {says} from {least} to {most}"
            fields = {"says": self.says, "least": f"{self.least:,}", "most": f"{self.most:,}"}
            raise PydanticCustomError("invalid-value", message, fields)
        return int(value)


_NAME = "letters, digits, '-' and '_', starting with a letter"
_PRINTABLE = r"(?!.*(?:\{\{|\$\{))[^\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]+"
_IAM_TEXT = r"(?!.*(?:\{\{|\$\{))[ -~\u00a1-\u00ac\u00ae-\u00ff]+"
"""Characters of a role's description (IAM API Reference, CreateRole), without the soft hyphen. Neither kind of text
holds what CloudFormation would replace: `{{resolve:…}}` and `${…}`."""

OrganizationName = Annotated[
    Text,
    Word(r"[A-Za-z][A-Za-z0-9-]*", 40, "a stack name starts with it: letters, digits and '-', starting with a letter"),
]
Name = Annotated[Text, Word(r"[A-Za-z][A-Za-z0-9_-]*", 64, f"a name is made of {_NAME}")]
"""Teams, roles and duties. A team may become a role elsewhere, so a role's 64 characters hold for all."""
UserName = Annotated[
    Text, Word(r"[A-Za-z0-9_+=,.@-]+", 64, "an IAM user name is made of letters, digits and any of _+=,.@-")
]
ParameterName = Annotated[
    Text, Word(r"[a-z][a-z0-9_]*", 64, "a parameter is made of small letters, digits and '_', starting with a letter")
]
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
Email = Annotated[
    Text, Word(rf"[A-Za-z0-9._%+/=-]+@(?:{_LABEL}\.)+[A-Za-z0-9-]{{2,}}", 254, "it is not an e-mail address")
]
TaggedEmail = Annotated[
    Text,
    Word(
        rf"[A-Za-z0-9._+/=-]+@(?:{_LABEL}\.)+[A-Za-z0-9-]{{2,}}",
        254,
        "it is not an e-mail address, or holds a character that a tag cannot",
    ),
]
Owner = Annotated[
    Text, Word(r"[A-Za-z0-9 _.:/=+@-]+", 256, "it becomes a tag: letters, digits, spaces and any of _.:/=+@-")
]
Sentence = Annotated[Text, Word(_PRINTABLE, 1000, "it holds a character that cannot be seen, or '${' or '{{'")]
Description = Annotated[
    Text,
    Word(_IAM_TEXT, 1000, "it becomes the role's description: Latin-1 characters only, no '${', no '{{'"),
]
AccountId = Annotated[Text, Word(r"[0-9]{12}", 32, "an AWS account id is 12 digits, in quotes", digits=True)]
ExternalId = Annotated[
    Text,
    Word(
        r"[A-Za-z0-9_+=,.@:/-]{2,}",
        1224,
        "an external id has 2 or more letters, digits and any of _+=,.@:/-",
        digits=True,
    ),
]
RegionName = Annotated[
    Text, Word(r"[a-z]{2,}(-[a-z]+)+-[0-9]+[a-z]?", 32, "it is not an AWS Region, such as 'eu-west-1'")
]
ServiceName = Annotated[Text, Word(r"\*|[a-z0-9-]+", 64, "a service is written as in IAM actions, such as 's3'")]
ResourceTypeName = Annotated[
    Text,
    Word(r"[A-Za-z0-9_./ -]+", 128, "a resource type is written as in the IAM service reference, such as 'bucket'"),
]
ServicePrincipalName = Annotated[
    Text, Word(r"[a-z0-9-]+(\.[a-z0-9-]+)*", 128, "a service is written as in 'ec2' or 'ecs-tasks'")
]
Action = Annotated[Text, Word(r"[a-z0-9-]+:[A-Za-z0-9_-]+", 192, "an action is written as in 's3:GetObject'")]
ActionPattern = Annotated[
    Text, Word(r"(\*|[a-z0-9-]+):[A-Za-z0-9_*?-]+", 192, "an action pattern is written as in 's3:Get*'")
]
ResourceText = Annotated[
    Text,
    Word(
        r"[!#-\[\]-~]([ !#-\[\]-~]*[!#-\[\]-~])?",
        1024,
        "a resource is printable ASCII without quotes and backslashes",
        digits=True,
    ),
]
ValueText = Annotated[
    Text,
    Word(
        r"(?! )(?:[ !#-\[\]-z|~]|\$\{[^{}\"\\]*\})+(?<! )",
        1024,
        "a value is printable ASCII without quotes, backslashes and braces",
        digits=True,
    ),
]
"""The value of a parameter: unlike the text of a grant it names no parameter itself."""
Expected = Annotated[
    Text,
    Word(r"[a-z0-9-]+:[A-Za-z0-9_-]+( on [!-~]+)?", 2048, "it is written as in 's3:GetObject on arn:aws:s3:::acme/x'"),
]
AskedAction = Annotated[
    Text,
    Word(
        r"(\*|[a-z0-9-]+):[A-Za-z0-9_*?-]+( on [!-~]+)?",
        2048,
        "a request is written as in 's3:GetObject' or 's3:GetObject on arn:aws:s3:::acme/x'",
    ),
]
Who = Annotated[
    Text,
    Word(r"((team|person|role|user) )?[A-Za-z0-9_+=,.@-]+", 80, "a name, such as 'developers' or 'team developers'"),
]
PolicyName = Annotated[Text, Word(r"[A-Za-z0-9_+=,.@/-]+", 128, "it is not the name of an AWS managed policy")]
InstanceTypePattern = Annotated[
    Text, Word(r"[a-z0-9*?-]+\.[a-z0-9*?-]+", 64, "an instance type is written as in 't3.micro' or 't3.*'")
]
PathName = Annotated[
    Text, Word(r"/([A-Za-z0-9.,+@=_-]+/)+", 128, "a path starts and ends with '/' and names a folder, as in '/app/'")
]
_PLAIN = r"(?! )[ !#%-)+->@-\[\]-z|~]+(?<! )"
"""Printable ASCII without quotes, backslashes, wildcards, '$' and braces: what IAM compares letter by letter, and in
which CloudFormation replaces nothing."""
_HOST = r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z0-9-]{2,}"
_ISSUER = rf"https://{_HOST}(?:/[A-Za-z0-9._~/-]*)?"
_UUID = r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
RolePattern = Annotated[
    Text,
    Word(
        r"(?!/)[A-Za-z0-9_+=,.@/*?-]+",
        576,
        "a role is named without ARN, its path in front: 'deployer', 'teams/*'; '*' and '?' match",
    ),
]
SourceArn = Annotated[
    Text,
    Word(
        r"arn:(?:\*|aws|aws-cn|aws-us-gov):[a-z0-9-]+:[a-z0-9*-]*:(?:[0-9]{12}|\*)?:[!#%-\[\]-z|~]+",
        1024,
        "a source is an ARN, such as 'arn:aws:codedeploy:*:*:deploymentgroup:web/*'; '*' and '?' match",
    ),
]
OrganizationId = Annotated[Text, Word(r"o-[a-z0-9]{10,32}", 34, "an organization's id is written as in 'o-a1b2c3d4e5'")]
UnitName = Annotated[
    Text,
    Word(
        r"[^/\x00-\x1f\x7f]{1,128}(/[^/\x00-\x1f\x7f]{1,128}){0,4}",
        644,
        "a unit is written by its names from the root down, at most five, as in 'Workloads/Production'",
    ),
]
"""Organizations User Guide, "Quotas": units nest five levels deep; a name has up to 128 characters."""
UnitId = Annotated[
    Text,
    Word(r"ou-[0-9a-z]{4,32}-[a-z0-9]{8,32}", 68, "a unit's id is written as in 'ou-ab12-11112222'"),
]
Partner = Annotated[
    Text,
    Word(
        r"[0-9]{12}|o-[a-z0-9]{10,32}",
        34,
        "a partner is an account's 12 digits, in quotes, or an organization's id, such as 'o-a1b2c3d4e5'",
        digits=True,
    ),
]
RootId = Annotated[Text, Word(r"r-[0-9a-z]{4,32}", 34, "a root's id is written as in 'r-ab12'")]
ContactText = Annotated[Text, Word(_PRINTABLE, 50, "it holds a character that cannot be seen, or '${' or '{{'")]
ContactPhone = Annotated[
    Text, Word(r"[0-9+() .-]+", 25, "a telephone number is written as in '+44 20 7946 0000'", digits=True)
]
"""Account Management Reference, "PutAlternateContact"."""
AccountEmail = Annotated[
    Text, Word(rf"[A-Za-z0-9._%+/=-]+@(?:{_LABEL}\.)+[A-Za-z0-9-]{{2,}}", 64, "it is not an e-mail address")
]
"""Organizations API Reference, "CreateAccount": 64 characters."""
RoleName = Annotated[Text, Word(r"[A-Za-z0-9_+=,.@-]+", 64, "a role's name is letters, digits and any of _+=,.@-")]
InstanceArn = Annotated[
    Text,
    Word(
        r"arn:aws[a-z-]*:sso:::instance/(sso)?ins-[a-zA-Z0-9-.]{16}",
        84,
        "an instance is written as in 'arn:aws:sso:::instance/ssoins-1234567890abcdef'",
    ),
]
IdentityStoreId = Annotated[Text, Word(r"d-[0-9a-f]{10}", 12, "an identity store's id is written as in 'd-1234567890'")]
DirectoryId = Annotated[
    Text,
    Word(
        r"([0-9a-f]{10}-)?[A-Fa-f0-9]{8}(-[A-Fa-f0-9]{4}){3}-[A-Fa-f0-9]{12}",
        47,
        "an id of the directory is written as in '906712e5d1-a1b2c3d4-5678-90ab-cdef-111122223333'",
    ),
]
AttributePath = Annotated[
    Text,
    Word(
        r"\$\{path:[A-Za-z0-9_.:\[\]= \"-]+\}",
        255,
        "an attribute of the directory is written as in '${path:enterprise.costCenter}'",
    ),
]
UnitPath = Annotated[
    Text,
    Word(
        r"r-[0-9a-z]{4,32}(?:/ou-[0-9a-z]{4,32}-[a-z0-9]{8,32})*",
        512,
        "a unit is written from the root down, without the organization: 'r-ab12/ou-ab12-11112222'",
    ),
]
GithubName = Annotated[
    Text,
    Word(
        r"[A-Za-z0-9][A-Za-z0-9_-]*/[A-Za-z0-9._-]+",
        140,
        "a repository is written as 'owner/name', in full, exactly as GitHub shows it",
    ),
]
GitlabName = Annotated[
    Text,
    Word(
        r"[A-Za-z0-9_][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.-]*)+",
        512,
        "a project is written as 'group/project', in full, exactly as GitLab shows it",
    ),
]
NumberedId = Annotated[
    Text,
    Word(r"[1-9][0-9]*", 19, "an id of GitHub's is a number", digits=True),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": "^[1-9][0-9]{0,18}$"}]}),
]
RefPattern = Annotated[
    Text,
    Word(
        r"(?![-/])(?!refs/)(?!.*(?:\.\.|//))[A-Za-z0-9._/+@#=,!%&()*?-]*[A-Za-z0-9_+@#=,!%&()*?-]",
        255,
        "it is written as in 'main' or 'release/*', without 'refs/heads/' or 'refs/tags/'",
        digits=True,
    ),
]
PlainText = Annotated[
    Text,
    Word(
        _PLAIN,
        255,
        "it is printable ASCII without quotes, backslashes, '$', braces and wildcards, which would let in more",
    ),
]
HostName = Annotated[Text, Word(_HOST, 253, "a host is written as in 'gitlab.example.com', in small letters")]
Issuer = Annotated[
    Text,
    Word(_ISSUER, 255, "an issuer is its https:// address, host in small letters, without port, query and fragment"),
]
IssuerName = Annotated[
    Text, Word(rf"github|gitlab|{_ISSUER}", 255, "an issuer is 'github', 'gitlab' or its https:// address")
]
TokenSubject = Annotated[
    Text,
    Word(
        r"(?![*?]*$)(?! )[ !#%-\[\]-z|~]+(?<! )",
        1024,
        "a subject is printable ASCII and more than wildcards: '*' alone is everybody whom the issuer knows",
    ),
]
SamlName = Annotated[Text, Word(r"[A-Za-z0-9._-]+", 128, "a SAML provider's name is letters, digits and any of ._-")]
ClusterName = Annotated[
    Text, Word(r"[A-Za-z0-9][A-Za-z0-9_-]*", 100, "a cluster's name is letters, digits, '-' and '_', no wildcards")
]
KubernetesName = Annotated[
    Text,
    Word(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?", 253, "a Kubernetes name is small letters, digits, '-' and '.', in full"),
]
TrustAnchor = Annotated[
    Text,
    Word(
        rf"{_UUID}|arn:aws[a-z-]*:rolesanywhere:[a-z0-9-]+:[0-9]{{12}}:trust-anchor/{_UUID}",
        256,
        "a trust anchor is its id, such as '0a1b2c3d-1111-2222-3333-444455556666', or its ARN",
    ),
]


def _day(value: Text) -> Text:
    try:
        date.fromisoformat(value)
    except ValueError:
        raise PydanticCustomError("invalid-value", "there is no such day; a day is written as in 2027-01-31") from None
    return value


Day = Annotated[
    Text, Word(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", 10, "a day is written as in 2027-01-31"), AfterValidator(_day)
]
"""A day of the calendar, in UTC. What ends on it still holds until the day is over."""
Duration = Annotated[
    Text, Word(r"[1-9][0-9]{0,3}[mh]", 32, "a duration is written in minutes or hours, as in 15m or 8h")
]
MfaAge = Annotated[
    Text,
    Word(r"true|[1-9][0-9]{0,3}[mh]", 32, "it is true, or how long ago MFA may be, as in 15m or 8h", booleans=True),
]
Environment = Annotated[Text, Word(r"[A-Za-z][A-Za-z0-9_-]*", 64, f"an environment's name is made of {_NAME}")]
TagKey = Annotated[
    Text,
    Word(
        r"(?![aA][wW][sS]:)(?! )[A-Za-z0-9 _.:/=+@-]+(?<! )",
        128,
        "a tag's key is made of letters, digits, spaces and any of _.:/=+@-, and does not begin with 'aws:'",
        digits=True,
    ),
]
TagValue = Annotated[
    Text,
    Word(
        r"(?! )[A-Za-z0-9 _.:/=+@-]+(?<! )",
        256,
        "a tag's value is made of letters, digits, spaces and any of _.:/=+@-",
        digits=True,
    ),
]
Network = Annotated[Text, Word(r"[0-9A-Fa-f.:]+(/[0-9]{1,3})?", 43, "a network is written as in 203.0.113.0/24")]
Place = Annotated[
    Text,
    Word(
        r"vpc-([0-9a-f]{8}|[0-9a-f]{17})|[0-9A-Fa-f.:]+(/[0-9]{1,3})?",
        43,
        "a place is written as in '203.0.113.0/24', '2001:db8::/32' or 'vpc-0a1b2c3d4e5f60718'",
    ),
]
ConditionKey = Annotated[
    Text, Word(r"[A-Za-z0-9.-]+:[!#-\[\]-z|~]+", 256, "a condition key is written as in 'aws:SourceIp'")
]
ConditionOperator = Annotated[
    Text, Word(r"[A-Za-z]+(:[A-Za-z]+)?", 64, "a condition operator is written as in 'StringEquals'")
]
ConditionValue = Annotated[
    Text,
    Word(r"(?:[ !#-\[\]-z|~]|\$?\{[^{}\"\\]*\})*", 1024, "a value is printable ASCII without quotes", True, True, True),
]
RawAction = Annotated[
    Text, Word(r"\*|[A-Za-z0-9-]+:[A-Za-z0-9_*?-]+", 192, "an action is written as in 's3:GetObject' or 's3:Get*'")
]
Subject = Annotated[
    Text,
    Word(
        r"(team|role|duty) [A-Za-z][A-Za-z0-9_-]*|person [A-Za-z0-9_+=,.@-]+|organization|break-glass",
        80,
        "it is written as in 'team developers', or is 'organization' or 'break-glass'",
    ),
]
Sid = Annotated[Text, Word(r"[A-Za-z0-9]+", 64, "a Sid is made of letters and digits", digits=True)]


def seconds(duration: str) -> int:
    """A duration such as `15m` or `8h` in seconds."""
    return int(duration[:-1]) * (60 if duration.endswith("m") else 3600)


PARAMETER = re.compile(r"(?<!\$)\{([a-z][a-z0-9_]*)\}")


PLACEHOLDERS = {
    "account": "the account's id",
    "boundary": "the ARN of the boundary that `guardrails` declares",
    "boundary_path": "the path under which roles with that boundary are made, such as app/",
    "boundary_services": "the services that may get those roles",
    "partition": "the partition, such as aws",
}
"""Names in braces that every grant may use and no duty may declare, with what stands for them."""


def parameters_in(text: str) -> tuple[str, ...]:
    """The names of the parameters that a resource text mentions: `{buckets}`, but not `${aws:username}`."""
    return tuple(PARAMETER.findall(text))


class Model(BaseModel):
    """A mapping in the YAML. Its place is `span`; equality is meaning and ignores it."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())
    __slots__ = ("_span",)
    if TYPE_CHECKING:
        _span: Span | None

    @property
    def span(self) -> Span | None:
        """Where the mapping, or the text that stands for it, was written."""
        return getattr(self, "_span", None)

    @model_validator(mode="wrap")
    @classmethod
    def _keep_span(cls, value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        made = handler(value)
        if isinstance(made, Model) and made.span is None:
            _put_span(made, getattr(value, "span", None))
        return made

    def __copy__(self) -> Self:
        copied = super().__copy__()
        _put_span(copied, self.span)
        return copied

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]


_put_span = Model.__dict__["_span"].__set__
"""Past pydantic, whose own private attributes cost as much as a model."""


def _one_or_many(value: object) -> object:
    return value if isinstance(value, (list, tuple, dict)) else (value,)


@dataclass(frozen=True)
class _OneOrMany:
    """Takes a lone value as a list of one, and says so in the schema."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(_one_or_many, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        many = handler(schema)
        return {"anyOf": [many["items"], many]}


ResourceTexts = Annotated[
    tuple[ResourceText, ...], Field(min_length=1, description="One or more; '*' and '?' match"), _OneOrMany()
]
ValueTexts = Annotated[
    tuple[ValueText, ...], Field(min_length=1, description="One or more; '*' and '?' match"), _OneOrMany()
]
Networks = Annotated[tuple[Network, ...], Field(min_length=1), _OneOrMany()]
ConditionValues = Annotated[tuple[ConditionValue, ...], Field(min_length=1), _OneOrMany()]
RawActions = Annotated[tuple[RawAction, ...], Field(min_length=1), _OneOrMany()]
PassedTo = Annotated[
    tuple[
        Annotated[
            Text,
            Word(
                r"[a-z0-9-]+(\.[a-z0-9-]+)*|\{[a-z][a-z0-9_]*\}", 128, "a service is written as in 'ec2' or 'ecs-tasks'"
            ),
        ],
        ...,
    ],
    Field(min_length=1),
    _OneOrMany(),
]
ServiceNames = Annotated[tuple[ServiceName, ...], Field(min_length=1), _OneOrMany()]
SourceArns = Annotated[tuple[SourceArn, ...], Field(min_length=1), _OneOrMany()]
RolePatterns = Annotated[tuple[RolePattern, ...], Field(min_length=1), _OneOrMany()]
UnitPaths = Annotated[tuple[UnitPath, ...], Field(min_length=1), _OneOrMany()]
Audiences = Annotated[tuple[PlainText, ...], Field(min_length=1), _OneOrMany()]
Subjects = Annotated[tuple[TokenSubject, ...], Field(min_length=1), _OneOrMany()]


def _yes(value: object) -> object:
    if value is not True:
        raise PydanticCustomError("invalid-value", "write true, or leave it out")
    return value


Yes = Annotated[Literal[True], BeforeValidator(_yes)]
"""A mark that is there or is not: what 'false' would mean is what is so without it."""


def _one_of(model: Model, keys: tuple[str, ...], what: str) -> None:
    """Exactly one of the keys is given. Raises a PydanticCustomError otherwise."""
    given = [key for key in keys if getattr(model, key) is not None]
    if len(given) != 1:
        kind = "wrong-type" if given else "missing-key"
        message = "{what} takes one of {keys}" + ("; here are {given}" if given else "")
        words = {"what": what, "keys": ", ".join(keys), "given": " and ".join(given)}
        raise PydanticCustomError(kind, message, words)


def _one_of_schema(*keys: str) -> dict[str, Any]:
    return {"oneOf": [{"required": [key]} for key in keys]}


class IdentityCenter(Model):
    """The instance of IAM Identity Center that people sign in through."""

    instance: InstanceArn = Field(
        description="ARN of the instance", examples=["arn:aws:sso:::instance/ssoins-1234567890abcdef"]
    )
    store: IdentityStoreId = Field(description="Id of its identity store", examples=["d-1234567890"])
    groups: Literal["create", "lookup"] = Field(
        "create", description="Make the groups, or use those of an external directory (default: create)"
    )
    region: RegionName | None = Field(
        None, description="The Region of the instance (default: `home_region`)", examples=["eu-west-1"]
    )
    mfa: Literal["every-sign-in"] | None = Field(
        None,
        description="That its console is set to ask for MFA at every sign-in, so that duties which ask for MFA hold",
    )
    spread: bool = Field(
        False,
        description="Spread the assignments of a team over many stacks: for teams that work in more than 400 accounts",
    )
    attributes: dict[TagKey, AttributePath] = Field(
        default_factory=dict,
        description="Attributes of the directory that sessions carry as tags of the principal",
        examples=[{"cost-center": "${path:enterprise.costCenter}"}],
    )


class Contact(Model):
    """Whom AWS tells of something, besides the owner of the account."""

    name: ContactText = Field(description="Of the person or the team", examples=["Security team"])
    title: ContactText = Field(description="What they are", examples=["Security"])
    email: Email = Field(description="Where mails of AWS go", examples=["security@acme.example"])
    phone: ContactPhone = Field(description="With the country's code", examples=["+44 20 7946 0000"])


class Contacts(Model):
    """The alternate contacts of every account."""

    billing: Contact | None = Field(None, description="Told of invoices and payments")
    operations: Contact | None = Field(None, description="Told of what AWS does to resources")
    security: Contact | None = Field(None, description="Told of abuse and of leaked keys")


class Organization(Model):
    """Who the baseline is for."""

    name: OrganizationName = Field(description="In stack names and tags", examples=["acme"])
    owner: Owner = Field(description="Tag on everything that can be tagged", examples=["security@acme.example"])
    home_region: RegionName = Field(
        default_factory=lambda: Text("us-east-1"),
        description="The Region that holds the stacks; IAM itself is global (default: us-east-1)",
        examples=["eu-west-1"],
    )
    people_in: Literal["iam", "identity-center"] = Field(
        "iam", description="Where people sign in: as IAM users, or through IAM Identity Center (default: iam)"
    )
    hub: Name | None = Field(
        None, description="With several accounts and people in IAM: the account that holds them", examples=["identity"]
    )
    id: OrganizationId | None = Field(None, description="Id in AWS Organizations", examples=["o-a1b2c3d4e5"])
    root: RootId | None = Field(None, description="Id of its root in AWS Organizations", examples=["r-ab12"])
    management: Name | None = Field(
        None, description="The account that manages the organization", examples=["management"]
    )
    units: dict[UnitName, UnitId] = Field(
        default_factory=dict,
        description="Ids of the organizational units, by their names from the root down",
        examples=[{"Workloads/Production": "ou-ab12-11112222"}],
    )
    identity_center: IdentityCenter | None = Field(None, description="With people in Identity Center: its instance")
    parts: Literal[1, 4, 16, 64] = Field(
        1,
        description="How many stacks each the teams, the people and the roles are spread over, by their names; above "
        "500 resources or 1 MB in one stack it takes more than 1 (default: 1)",
        examples=[16],
    )
    contacts: Contacts | None = Field(None, description="bootstrap: the alternate contacts of every account")
    delegated: dict[ServicePrincipalName, Name] = Field(
        default_factory=dict,
        description="bootstrap: which account administers a service for the organization",
        examples=[{"access-analyzer": "security"}],
    )
    access_role: RoleName = Field(
        default_factory=lambda: Text("OrganizationAccountAccessRole"),
        description="bootstrap: the role by which the management account gets into the others "
        "(default: OrganizationAccountAccessRole)",
        examples=["AWSControlTowerExecution"],
    )
    cdk_roles: Yes | None = Field(
        None, description="bootstrap: make the policies that keep the roles of `cdk bootstrap` to the baseline"
    )


class Account(Model):
    """An AWS account of the organization. One without an id is made by `dutybound bootstrap`."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["id"]}, {"required": ["email"]}]})
    id: AccountId | None = Field(None, description="Its 12 digits, in quotes", examples=["222233334444"])
    email: AccountEmail | None = Field(
        None,
        description="Address of its root user; an account without an id is made with it",
        examples=["aws+production@acme.example"],
    )
    environment: Environment | None = Field(
        None, description="What it is for; decides what `in` gives to teams and roles", examples=["production"]
    )
    unit: UnitName | None = Field(
        None,
        description="Its organizational unit, by names from the root down (default: the root)",
        examples=["Workloads/Production"],
    )

    @model_validator(mode="after")
    def _is_there_or_to_come(self) -> Self:
        if self.id is None and self.email is None:
            message = "an account has an id, or the email that it is made with"
            raise PydanticCustomError("missing-key", "{message}", {"message": message})
        return self


class Person(Model):
    """Somebody who works with the account. With `people`, every member of a team is one of them."""

    name: Sentence | None = Field(None, description="The person's own name, for reports", examples=["Maria Rossi"])
    email: TaggedEmail | None = Field(None, description="Address; a tag on the user", examples=["maria@acme.example"])
    tags: dict[TagKey, TagValue] = Field(
        default_factory=dict, description="Tags of the user", examples=[{"cost-center": "42"}]
    )
    user: DirectoryId | None = Field(
        None,
        description="With people in Identity Center: the id of the user who is there (default: the user is made)",
        examples=["906712e5d1-a1b2c3d4-5678-90ab-cdef-444455556666"],
    )


class Member(Model):
    """A person in a team: the name of an IAM user."""

    name: UserName = Field(description="IAM user name", examples=["maria"])
    until: Day | None = Field(
        None,
        description="The last day of the membership (UTC); what the team may do ends with it by itself",
        examples=["2027-01-31"],
    )

    @model_validator(mode="wrap")
    @classmethod
    def _from_name(cls, value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        return _from_short(cls, value, handler, {"name": value} if not isinstance(value, dict) else value)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return _or_short(handler.resolve_ref_schema(handler(schema)), "name")


class DutyUse(Model):
    """A duty that somebody has: its name, or its name with its parameters."""

    name: Name = Field(description="A duty of the library or of `duties`", examples=["view-metrics"])
    parameters: dict[ParameterName, ValueTexts] = Field(default_factory=dict)

    @model_validator(mode="wrap")
    @classmethod
    def _from_name(cls, value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        if isinstance(value, dict):
            if len(value) != 1:
                message = "a duty with parameters is one name with a mapping: 'use-storage: {{buckets: [acme-*]}}'"
                raise PydanticCustomError("wrong-type", message.replace("{{", "{").replace("}}", "}"))
            name, parameters = next(iter(value.items()))
            return _from_short(
                cls, value, handler, {"name": name, "parameters": {} if parameters is None else parameters}
            )
        return _from_short(cls, value, handler, {"name": value})

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        made = handler.resolve_ref_schema(handler(schema))
        name, parameters = made["properties"]["name"], made["properties"]["parameters"]
        named = {
            "type": "object",
            "propertyNames": name,
            "additionalProperties": {"anyOf": [parameters, {"type": "null"}]},
        }
        return {
            "anyOf": [name, {**named, "minProperties": 1, "maxProperties": 1}],
            "description": "The name of a duty, or its name with its parameters",
            "examples": ["view-metrics", {"use-storage": {"buckets": ["acme-dev-*"]}}],
        }


def _from_short(cls: type[Model], value: Any, handler: ValidatorFunctionWrapHandler, whole: Any) -> Any:
    made = handler(whole)
    if isinstance(made, cls):
        _put_span(made, getattr(value, "span", None))
    return made


def _or_short(schema: dict[str, Any], key: str) -> dict[str, Any]:
    return {"anyOf": [schema["properties"][key], dict(schema)], "description": schema.get("description", "")}


class Team(Model):
    """People who do the same work, and so have the same duties. It becomes an IAM group."""

    purpose: Sentence = Field(description="Why the team has access", examples=["Build and run the product"])
    members: tuple[Member, ...] = Field((), description="The people in it", examples=[["john", "maria"]])
    duties: tuple[DutyUse, ...] = Field((), description="What the team does")
    in_: dict[Environment, tuple[DutyUse, ...]] = Field(
        default_factory=dict,
        alias="in",
        description="More duties, in the accounts of an environment",
        examples=[{"development": ["manage-servers"], "production": ["view-servers"]}],
    )
    session: Duration | None = Field(
        None, description="How long a session of a role that trusts the team may last (1h to 12h)", examples=["8h"]
    )
    never: tuple[DutyUse, ...] = Field((), description="Duties denied to the team, whatever else grants them")
    group: DirectoryId | None = Field(
        None,
        description="With the groups of an external directory: the id of the team's",
        examples=["906712e5d1-a1b2c3d4-5678-90ab-cdef-111122223333"],
    )


class ServiceTrust(Model):
    """An AWS service may take the role; `ec2` also makes the instance profile."""

    service: ServicePrincipalName = Field(description="As in 'ec2', 'lambda', 'ecs-tasks'", examples=["ec2"])
    source: SourceArns | None = Field(
        None,
        description="ARN of the service's resource that may take it; '*' and '?' match",
        examples=["arn:aws:codedeploy:*:*:deploymentgroup:web/*"],
    )


class TeamTrust(Model):
    """The people of a team may take the role, with MFA."""

    team: Name = Field(description="A team of `teams`", examples=["administrators"])


class AccountTrust(Model):
    """Principals of another AWS account may take the role, as far as that account lets them."""

    account: AccountId = Field(description="The 12 digits of the account, in quotes", examples=["999988887777"])
    external_id: ExternalId | None = Field(
        None, description="What a third party must send, unique for you; not a secret", examples=["acme-9f3c2b71"]
    )
    roles: RolePatterns | None = Field(
        None, description="Only these roles of the account; '*' and '?' match", examples=["deployer"]
    )
    mfa: Yes | None = Field(None, description="true: only its users, and only with MFA in the last hour")


class OrganizationTrust(Model):
    """Roles in other accounts of an AWS organization may take the role, as far as their account lets them."""

    organization: OrganizationId = Field(description="The organization's id", examples=["o-a1b2c3d4e5"])
    roles: RolePatterns = Field(
        description="Which roles, in whichever account; '*' is every one", examples=["deployer"]
    )
    units: UnitPaths | None = Field(
        None, description="Only accounts below these units, from the root down", examples=["r-ab12/ou-ab12-11112222"]
    )


_GITHUB_EVENTS = ("environment", "branch", "tag", "pull_request")


class GithubWorkflow(Model):
    """Which workflows of a repository on GitHub: exactly one of environment, branch, tag and pull_request."""

    model_config = ConfigDict(
        json_schema_extra={
            **_one_of_schema(*_GITHUB_EVENTS),
            "dependentRequired": {"owner_id": ["repository_id"], "repository_id": ["owner_id"]},
        }
    )
    repository: GithubName = Field(description="owner/name, as GitHub shows it", examples=["acme/web"])
    environment: PlainText | None = Field(None, description="Jobs that name this environment", examples=["production"])
    branch: RefPattern | None = Field(
        None, description="Jobs on this branch, without an environment; '*' and '?' match", examples=["main"]
    )
    tag: RefPattern | None = Field(
        None, description="Jobs on this tag, without an environment; '*' and '?' match", examples=["v*"]
    )
    pull_request: Yes | None = Field(
        None, description="true: jobs of pull requests, whose code nobody has reviewed yet"
    )
    owner_id: NumberedId | None = Field(None, description="The owner's number on GitHub", examples=["101"])
    repository_id: NumberedId | None = Field(None, description="The repository's number on GitHub", examples=["202"])
    older_form: StrictBool = Field(
        True, description="false: only the subject with the numbers, which repositories made since 15 July 2026 send"
    )

    @model_validator(mode="after")
    def _whole(self) -> GithubWorkflow:
        _one_of(self, _GITHUB_EVENTS, "a repository")
        if (self.owner_id is None) != (self.repository_id is None):
            absent = "owner_id" if self.owner_id is None else "repository_id"
            raise PydanticCustomError("missing-key", "'{absent}' is missing beside the other id", {"absent": absent})
        return self


class GithubTrust(Model):
    """Workflows of a repository on GitHub may take the role."""

    github: GithubWorkflow = Field(
        description="Which workflows", examples=[{"repository": "acme/web", "environment": "production"}]
    )


_GITLAB_REFS = ("branch", "tag")


class GitlabPipeline(Model):
    """Which pipelines of a project on GitLab: exactly one of branch and tag."""

    model_config = ConfigDict(json_schema_extra=_one_of_schema(*_GITLAB_REFS))
    project: GitlabName = Field(description="group/project, as GitLab shows it", examples=["acme/web"])
    audience: PlainText = Field(description="`aud` in the job's id_tokens", examples=["https://gitlab.com"])
    branch: RefPattern | None = Field(
        None, description="Pipelines on this branch; '*' and '?' match", examples=["main"]
    )
    tag: RefPattern | None = Field(None, description="Pipelines on this tag; '*' and '?' match", examples=["v*"])
    host: HostName = Field(
        default_factory=lambda: Text("gitlab.com"), description="Where GitLab runs", examples=["gitlab.example.com"]
    )

    @model_validator(mode="after")
    def _whole(self) -> GitlabPipeline:
        _one_of(self, _GITLAB_REFS, "a project")
        return self


class GitlabTrust(Model):
    """Pipelines of a project on GitLab may take the role."""

    gitlab: GitlabPipeline = Field(
        description="Which pipelines",
        examples=[{"project": "acme/web", "branch": "main", "audience": "https://gitlab.com"}],
    )


class OidcIdentity(Model):
    """Which identities of an OpenID Connect issuer."""

    issuer: Issuer = Field(description="Its https:// address", examples=["https://app.terraform.io"])
    audience: Audiences = Field(description="`aud` of the tokens", examples=["aws.workload.identity"])
    subject: Subjects = Field(
        description="`sub` of the tokens; '*' and '?' match",
        examples=["organization:acme:project:web:workspace:production:run_phase:apply"],
    )
    session_name: PlainText | None = Field(None, description="The only session name that may be asked for")


class OidcTrust(Model):
    """Whom an OpenID Connect issuer knows may take the role."""

    oidc: OidcIdentity = Field(
        description="Which identities",
        examples=[
            {
                "issuer": "https://app.terraform.io",
                "audience": "aws.workload.identity",
                "subject": "organization:acme:project:web:workspace:production:run_phase:apply",
            }
        ],
    )


class SamlProvider(Model):
    """A SAML provider that the account already has."""

    provider: SamlName = Field(description="Its name in IAM", examples=["acme-idp"])


class SamlTrust(Model):
    """Whom a SAML provider sends with this role may take it."""

    saml: SamlProvider = Field(description="Which provider", examples=[{"provider": "acme-idp"}])


class EksPods(Model):
    """Which pods of an EKS cluster."""

    cluster: ClusterName = Field(description="The cluster's name", examples=["production"])
    namespace: KubernetesName = Field(description="The pods' namespace", examples=["shop"])
    service_account: KubernetesName = Field(description="The pods' service account", examples=["web"])
    region: RegionName | None = Field(
        None, description="The cluster's Region, if others have a cluster of that name", examples=["eu-west-1"]
    )


class EksTrust(Model):
    """Pods of an EKS cluster may take the role, by EKS Pod Identity."""

    eks: EksPods = Field(
        description="Which pods",
        examples=[{"cluster": "production", "namespace": "shop", "service_account": "web"}],
    )


class Certificate(Model):
    """Which certificates of a trust anchor of IAM Roles Anywhere."""

    trust_anchor: TrustAnchor = Field(description="Its id or ARN", examples=["0a1b2c3d-1111-2222-3333-444455556666"])
    common_name: PlainText = Field(
        description="The subject's common name (CN); without it every certificate would do", examples=["build-1"]
    )
    organizational_unit: PlainText | None = Field(
        None, description="The subject's organizational unit (OU)", examples=["ci"]
    )


class RolesAnywhereTrust(Model):
    """Machines outside AWS with a certificate may take the role, by IAM Roles Anywhere."""

    roles_anywhere: Certificate = Field(
        description="Which certificates",
        examples=[{"trust_anchor": "0a1b2c3d-1111-2222-3333-444455556666", "common_name": "build-1"}],
    )


TRUST_KINDS: dict[str, type[Model]] = {
    "service": ServiceTrust,
    "team": TeamTrust,
    "account": AccountTrust,
    "organization": OrganizationTrust,
    "github": GithubTrust,
    "gitlab": GitlabTrust,
    "oidc": OidcTrust,
    "saml": SamlTrust,
    "eks": EksTrust,
    "roles_anywhere": RolesAnywhereTrust,
}
"""Each kind of trust by the key that says it."""


def _kind_of_trust(value: Any) -> str | None:
    if isinstance(value, Model):
        return next((f"trust-{key}" for key, model in TRUST_KINDS.items() if isinstance(value, model)), None)
    kinds = [key for key in TRUST_KINDS if isinstance(value, dict) and key in value]
    return f"trust-{kinds[0]}" if len(kinds) == 1 else None


Trust: TypeAlias = Annotated[
    Annotated[ServiceTrust, Tag("trust-service")]
    | Annotated[TeamTrust, Tag("trust-team")]
    | Annotated[AccountTrust, Tag("trust-account")]
    | Annotated[OrganizationTrust, Tag("trust-organization")]
    | Annotated[GithubTrust, Tag("trust-github")]
    | Annotated[GitlabTrust, Tag("trust-gitlab")]
    | Annotated[OidcTrust, Tag("trust-oidc")]
    | Annotated[SamlTrust, Tag("trust-saml")]
    | Annotated[EksTrust, Tag("trust-eks")]
    | Annotated[RolesAnywhereTrust, Tag("trust-roles_anywhere")],
    Discriminator(_kind_of_trust),
]


class Role(Model):
    """What software, or somebody outside, takes on to do its duties. It becomes an IAM role."""

    purpose: Description = Field(description="Why the role exists", examples=["The web servers read their assets"])
    trusts: Trust = Field(description="Who may take the role", examples=[{"service": "ec2"}])
    duties: tuple[DutyUse, ...] = Field((), description="What the role does")
    in_: tuple[Environment, ...] = Field(
        (), alias="in", description="Environments that have the role; without it, all", examples=[["production"]]
    )
    session: Duration | None = Field(
        None, description="How long a session may last, 1h to 12h (default: 1h)", examples=["1h"]
    )
    until: Day | None = Field(
        None,
        description="The last day of the role (UTC): nobody takes it, and no session of it does anything, after that",
        examples=["2027-03-31"],
    )


class Parameter(Model):
    """A value that whoever has the duty gives it."""

    example: ValueTexts = Field(description="A value for documentation and for the duty's own tests", examples=["acme"])
    description: Sentence | None = Field(None, description="What it is, for whoever fills it in")


Level = Literal["list", "read", "write", "tagging", "permissions"]


class When(Model):
    """When a grant holds: every key must be true of the request."""

    mfa: MfaAge | None = Field(
        None,
        description="true: with MFA; a duration: with MFA not longer ago than that. Sessions of roles carry no MFA",
        examples=[True, "15m"],
    )
    from_: Networks | None = Field(
        None, alias="from", description="From these public networks (CIDR)", examples=[["203.0.113.0/24"]]
    )
    since: Day | None = Field(None, description="From the start of this day on (UTC)", examples=["2026-12-01"])
    until: Day | None = Field(None, description="Until the end of this day (UTC)", examples=["2026-12-31"])
    regions: tuple[RegionName, ...] | None = Field(
        None, min_length=1, description="In these Regions", examples=[["eu-west-1"]]
    )
    resource_tags: dict[TagKey, ConditionValues] | None = Field(
        None, min_length=1, description="On resources with these tags; '*' and '?' match", examples=[{"team": "web"}]
    )
    request_tags: dict[TagKey, ConditionValues] | None = Field(
        None,
        min_length=1,
        description="Where the request sets these tags; '*' and '?' match",
        examples=[{"owner": "*"}],
    )
    conditions: dict[ConditionOperator, dict[ConditionKey, ConditionValues]] | None = Field(
        None,
        min_length=1,
        description="Conditions as IAM writes them: operator, key, values",
        examples=[{"StringEquals": {"ec2:InstanceType": ["t3.micro"]}}],
    )


_WHEN = Field(None, description="When the grant holds")
_WHY = Field(None, description="Why the duty needs it; required where a grant reaches every resource")
_RESOURCES = Field(
    None,
    description="Resource types of the IAM service reference, with names instead of ARNs",
    examples=[{"bucket": "{buckets}", "object": "{buckets}/*"}],
)
Resources: TypeAlias = dict[ResourceTypeName, ResourceTexts]


class LevelGrant(Model):
    """All actions of a service with these access levels, on these resource types."""

    service: ServiceNames = Field(description="Service prefixes as in IAM actions; '*' is every service")
    access: tuple[Level, ...] = Field(
        min_length=1, description="Access levels of the IAM service reference", examples=[["list", "read"]]
    )
    resources: Resources | None = _RESOURCES
    only: tuple[ActionPattern, ...] = Field((), description="Keep only the actions that match one of these")
    except_: tuple[ActionPattern, ...] = Field(
        (), alias="except", description="Leave out the actions that match one of these"
    )
    shorten: StrictBool = Field(
        False, description="true: actions that change something are shortened by patterns too, as reading ones are"
    )
    when: When | None = _WHEN
    wide: StrictBool | None = Field(
        None,
        description="true: also actions that have no resource-level permissions, at any level, with a why; "
        "false: none of those",
    )
    why: Sentence | None = _WHY


class ActionGrant(Model):
    """Exactly these actions."""

    actions: tuple[Action, ...] = Field(
        min_length=1, description="Actions by name", examples=[["cloudfront:CreateInvalidation"]]
    )
    resources: Resources | None = _RESOURCES
    when: When | None = _WHEN
    wide: StrictBool | None = Field(None, description="true: on every resource, at any level, with a why")
    why: Sentence | None = _WHY


class ManagedGrant(Model):
    """An AWS managed policy, attached as it is."""

    managed: PolicyName = Field(description="Name of the policy", examples=["AdministratorAccess"])
    why: Sentence = Field(description="Why nothing narrower serves")


class PassGrant(Model):
    """`iam:PassRole`: hand these roles to these services, and to no other."""

    pass_: tuple[ResourceText, ...] = Field(
        alias="pass",
        min_length=1,
        description="Roles as 'role/app/web-*', or the name of one of `roles`",
        examples=[["role/app/web-*"]],
    )
    to: PassedTo = Field(description="The services that may get them", examples=[["ec2"]])
    when: When | None = _WHEN
    why: Sentence | None = Field(None, description="Why the duty needs it")


class RawStatement(Model):
    """A statement as IAM writes it."""

    sid: Sid | None = Field(None, alias="Sid", description="Follows the duty's name in the statement's Sid")
    effect: Literal["Allow", "Deny"] = Field(alias="Effect", description="Allow or Deny", examples=["Allow"])
    action: RawActions | None = Field(
        None, alias="Action", description="The actions it is about", examples=["s3:GetObject"]
    )
    not_action: RawActions | None = Field(None, alias="NotAction", description="Every action but these")
    resource: ResourceTexts | None = Field(
        None, alias="Resource", description="'*' or ARNs", examples=["arn:aws:s3:::legacy/*"]
    )
    not_resource: ResourceTexts | None = Field(None, alias="NotResource", description="Every resource but these ARNs")
    condition: dict[ConditionOperator, dict[ConditionKey, ConditionValues]] = Field(
        default_factory=dict,
        alias="Condition",
        description="Operators, keys and values, as IAM writes them",
        examples=[{"Bool": {"aws:MultiFactorAuthPresent": "true"}}],
    )

    @model_validator(mode="after")
    def _whole(self) -> RawStatement:
        if (self.action is None) == (self.not_action is None):
            raise PydanticCustomError("wrong-type", "a statement has either 'Action' or 'NotAction'")
        if (self.resource is None) == (self.not_resource is None):
            raise PydanticCustomError("wrong-type", "a statement has either 'Resource' or 'NotResource'")
        return self


class StatementGrant(Model):
    """Statements as IAM writes them, for what is carried over from an older policy."""

    statements: tuple[RawStatement, ...] = Field(
        min_length=1,
        description="IAM statements",
        examples=[[{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::legacy/*"}]],
    )
    why: Sentence = Field(description="Why no other grant serves")


@dataclass(frozen=True)
class Kind:
    """One of several forms that a mapping can have, told by the key that only it has."""

    key: str
    tag: str
    model: type[Model]


GRANT_KINDS = (
    Kind("service", "grant-levels", LevelGrant),
    Kind("actions", "grant-actions", ActionGrant),
    Kind("managed", "grant-managed", ManagedGrant),
    Kind("pass", "grant-pass", PassGrant),
    Kind("statements", "grant-statements", StatementGrant),
)


def _kind_in(kinds: tuple[Kind, ...]) -> Callable[[Any], str | None]:
    def kind(value: Any) -> str | None:
        if isinstance(value, Model):
            return next(k.tag for k in kinds if isinstance(value, k.model))
        tags = [k.tag for k in kinds if isinstance(value, dict) and k.key in value]
        return tags[0] if len(tags) == 1 else None

    return kind


Grant: TypeAlias = Annotated[
    Annotated[LevelGrant, Tag("grant-levels")]
    | Annotated[ActionGrant, Tag("grant-actions")]
    | Annotated[ManagedGrant, Tag("grant-managed")]
    | Annotated[PassGrant, Tag("grant-pass")]
    | Annotated[StatementGrant, Tag("grant-statements")],
    Discriminator(_kind_in(GRANT_KINDS)),
]


class Expectation(Model):
    """A test of the duty: with its example parameters and nothing else, a request is allowed or denied."""

    allow: Expected | None = Field(
        None, description="A request the duty must allow", examples=["s3:PutObject on arn:aws:s3:::acme/x"]
    )
    deny: Expected | None = Field(None, description="A request the duty must not allow")
    when: dict[ConditionKey, ConditionValues] = Field(
        default_factory=dict,
        description="Condition keys of the request, beside MFA",
        examples=[{"aws:ResourceTag/team": "web"}],
    )

    @model_validator(mode="after")
    def _either(self) -> Expectation:
        if (self.allow is None) == (self.deny is None):
            raise PydanticCustomError("wrong-type", "an expectation says either 'allow' or 'deny'")
        return self

    @property
    def request(self) -> Text:
        """The request that it speaks of: `service:Action`, and ` on ARN` where it says so."""
        return self.allow or self.deny or Text("")


class AccessRequest(Model):
    """A request of a test of access: its text, or the text with condition keys."""

    action: AskedAction = Field(
        description="'service:Action', and ' on ARN' where it matters; '*' and '?' match",
        examples=["ec2:RunInstances", "s3:PutObject on arn:aws:s3:::acme-dev-data/x"],
    )
    when: dict[ConditionKey, ConditionValues] = Field(
        default_factory=dict,
        description="Condition keys of the request, beside those of who calls",
        examples=[{"ec2:InstanceType": "p5.48xlarge"}],
    )

    @model_validator(mode="wrap")
    @classmethod
    def _from_text(cls, value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        return _from_short(cls, value, handler, {"action": value} if not isinstance(value, dict) else value)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return _or_short(handler.resolve_ref_schema(handler(schema)), "action")


def _kind_of_only(value: Any) -> str:
    if isinstance(value, Model):
        return "only-request" if isinstance(value, AccessRequest) else "only-duty"
    request = "action" in value if isinstance(value, dict) else ":" in str(value)
    return "only-request" if request else "only-duty"


class AccessTest(Model):
    """A test of access, run by `dutybound check`: what somebody can and cannot do."""

    who: Who = Field(
        description="A team, a person, a role, a break-glass user, or everyone (people and roles)",
        examples=["developers", "everyone"],
    )
    in_: Environment | None = Field(
        None, alias="in", description="Run it for accounts of this environment only", examples=["development"]
    )
    without: Literal["mfa"] | None = Field(
        None, description="mfa: signed in without MFA, and with an access key alone", examples=["mfa"]
    )
    can: tuple[AccessRequest, ...] = Field((), description="Each of these is allowed", examples=[["ec2:RunInstances"]])
    cannot: tuple[AccessRequest, ...] = Field(
        (), description="None of these is allowed, on any resource and under any condition", examples=[["iam:*"]]
    )
    can_only: tuple[
        Annotated[
            Annotated[AccessRequest, Tag("only-request")] | Annotated[DutyUse, Tag("only-duty")],
            Discriminator(_kind_of_only),
        ],
        ...,
    ] = Field((), description="Nothing is allowed but what these duties and requests are", examples=[["enrol-mfa"]])

    @model_validator(mode="after")
    def _asks(self) -> AccessTest:
        if not (self.can or self.cannot or self.can_only):
            raise PydanticCustomError("missing-key", "a test of access has 'can', 'cannot' or 'can_only'")
        return self


class Duty(Model):
    """Something a person or a program does, with the access that it takes."""

    summary: Sentence = Field(description="What its holder does, in a few words", examples=["Publish the web site"])
    parameters: dict[ParameterName, Parameter] = Field(default_factory=dict, description="What its holders fill in")
    grants: tuple[Grant, ...] = Field(min_length=1, description="The access that it takes")
    never: tuple[ActionPattern, ...] = Field(
        (), description="Actions that a team's `never` denies with this duty, besides those it grants"
    )
    expect: tuple[Expectation, ...] = Field((), description="Tests of the duty: at least one allow and one deny")


class BreakGlass(Model):
    """The way in when everything else fails: users with all rights behind MFA, watched by an alarm."""

    users: tuple[UserName, ...] = Field(
        min_length=1, description="IAM users for emergencies only", examples=[["break-glass-1"]]
    )
    alert: tuple[Email, ...] = Field(
        min_length=1, description="Who is told of every use, the root user's too", examples=[["security@acme.example"]]
    )
    through: Literal["user", "role"] = Field(
        "user", description="user: the users hold all rights, behind MFA; role: a one-hour role does, behind MFA"
    )
    password: Literal["runbook", "secret"] = Field(
        "runbook",
        description="runbook: set by hand, and in no template; secret: made and sealed in Secrets Manager",
    )
    drill_every_days: Annotated[int | None, Whole(1, 365, "days")] = Field(
        None, description="Remind the addresses under `alert` to test the way in, this often", examples=[45]
    )


class IdentityProviders(Model):
    """The OpenID Connect providers that roles trust: one for each issuer in an account."""

    existing: tuple[IssuerName, ...] = Field(
        min_length=1,
        description="Issuers whose provider the account has already: it is used, not made",
        examples=[["github"]],
    )


class Mfa(Model):
    """How multi-factor authentication is enforced for people. It always is."""

    enforce_via: Literal["group", "boundary", "both"] = Field(
        "group", description="A policy on every group of people, the permissions boundary of every person, or both"
    )
    devices: Literal["any", "fido"] = Field(
        "any", description="Devices that people may enrol: any, or passkeys and security keys alone"
    )
    first_password_change: StrictBool = Field(
        False, description="Let people change their password before they have a device"
    )
    own_access_keys: StrictBool = Field(False, description="Let people manage their own access keys, with MFA")


FindingName = Literal[
    "broad-managed-policy",
    "empty-team",
    "lone-break-glass-user",
    "long-lived-keys",
    "long-session",
    "more-than-viewing",
    "person-without-team",
    "telling-name",
    "too-many-administrators",
    "unheld-duty",
    "unreviewed-code",
    "wide-action",
    "wide-parameter",
    "wide-resource",
    "wide-trust",
]
FINDINGS: tuple[str, ...] = get_args(FindingName)
"""Findings that somebody can accept on purpose."""


class Waiver(Model):
    """A finding that is accepted on purpose, by whom it concerns, with a reason and an end."""

    finding: FindingName = Field(description="The name of the finding", examples=["wide-resource"])
    for_: Subject = Field(
        alias="for",
        description="'team NAME', 'role NAME', 'duty NAME', 'person NAME', 'organization' or 'break-glass'",
        examples=["team developers"],
    )
    reason: Sentence = Field(
        description="Why it is accepted", examples=["The legacy service has no resource-level permissions"]
    )
    until: Day = Field(description="The last day of the waiver; after it the finding is back", examples=["2027-06-30"])


Class = Literal["lowercase", "uppercase", "numbers", "symbols"]
NEVER_EXPIRES = 0
"""`max_age_days: null` in the YAML; None is an absent key, which means untouched."""


class Passwords(Model):
    """What the account asks of the passwords of its IAM users. What is absent stays as it is in the account.

    IAM's "hard expiry" is not offered: with it an expired password locks its owner out until somebody else, who has to
    be able to sign in, sets a new one.
    """

    minimum_length: Annotated[int | None, Whole(6, 128, "characters")] = Field(
        None, description="How many characters a password has at least", examples=[14]
    )
    remember: Annotated[int | None, Whole(1, 24, "passwords")] = Field(
        None, description="How many earlier passwords may not be used again", examples=[24]
    )
    max_age_days: Annotated[int | None, Whole(1, 1095, "days", null=NEVER_EXPIRES)] = Field(
        None, description="After how many days a password expires; null: never", examples=[90]
    )
    require: tuple[Class, ...] | None = Field(
        None,
        description="What a password must hold; classes that are left out are not asked for",
        examples=[["lowercase", "uppercase", "numbers", "symbols"]],
    )


def _amount(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 1_000_000_000_000:
        raise PydanticCustomError("invalid-value", "it takes an amount above 0, such as 500 or 99.95")
    if round(value, 2) != value:
        raise PydanticCustomError("invalid-value", "it takes at most two digits after the point")
    return int(value) if value == int(value) else float(value)


@dataclass(frozen=True)
class _Amount:
    """A sum of money: above zero, at most two digits after the point."""

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(_amount)

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "number", "exclusiveMinimum": 0, "maximum": 1_000_000_000_000}


BudgetName = Annotated[Text, Word(r"[A-Za-z][A-Za-z0-9_-]*", 48, f"a name is made of {_NAME}")]
"""A budget's name has 100 characters (Cost Management API Reference, Budget); ours adds the organization and a digest.
"""


class Budget(Model):
    """What the account may cost in a month, and who hears when it comes near."""

    limit: Annotated[float, _Amount()] = Field(description="Per calendar month", examples=[500])
    currency: Literal["USD", "CNY"] = Field("USD", description="USD; in the Regions of China, CNY")
    alert_at: tuple[Annotated[int, Whole(1, 1000, "percent")], ...] = Field(
        min_length=1, description="Percentages of the limit at which mails go out", examples=[[50, 80, 100]]
    )
    notify: tuple[Email, ...] = Field(min_length=1, description="Who is told", examples=[["security@acme.example"]])


class UnusedAccess(Model):
    """The analyzer of access that nobody uses. AWS bills it by the role and user, each month."""

    days: Annotated[int, Whole(1, 365, "days")] = Field(
        90, description="After how many days without use access counts as unused", examples=[90]
    )


class Detectors(Model):
    """What looks at the account and tells people: IAM Access Analyzer, and alarms besides that of break-glass."""

    external_access: StrictBool = Field(
        False, description="Find what others reach, in every Region of guardrails.regions and at home; free"
    )
    unused_access: UnusedAccess | None = Field(
        None, description="Find access that nobody uses; AWS bills it", examples=[{"days": 90}]
    )
    identity_changes: StrictBool = Field(
        False, description="Mail `break_glass.alert` when users, roles, keys, policies or the organization change"
    )
    deployers: tuple[Name, ...] = Field(
        (),
        min_length=1,
        description="Roles whose identity changes set off no alarm where CloudFormation makes them",
        examples=[["deploy-baseline"]],
    )
    one_bus: StrictBool = Field(
        False, description="Take the alarms of all accounts to that of the hub, or of the management account"
    )


OrganizationRule = Literal[
    "no-root",
    "stay",
    "keep-baseline",
    "keep-trail",
    "no-users",
    "regions",
    "instance-types",
    "tags",
    "perimeter",
]


class WorkloadBoundary(Model):
    """How far the roles reach that teams create themselves."""

    path: PathName = Field(description="Where these roles and their policies stand", examples=["/app/"])
    services: tuple[ServicePrincipalName, ...] = Field(
        min_length=1, description="AWS services that may take these roles", examples=[["ec2", "lambda", "ecs-tasks"]]
    )


class RulePlace(Model):
    """Where one rule of the organization's policies is attached, other than the rest."""

    units: tuple[UnitName, ...] = Field(min_length=1, description="Units of `organization.units`")


class RuleUse(Model):
    """A rule of the organization's policies: its name, or its name with the units that it alone is attached to."""

    name: OrganizationRule = Field(examples=["no-root"])
    place: RulePlace | None = None

    @property
    def units(self) -> tuple[Text, ...]:
        """The units that the rule names itself; none where it goes where the rest goes."""
        return self.place.units if self.place is not None else ()

    @model_validator(mode="wrap")
    @classmethod
    def _from_name(cls, value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        if isinstance(value, dict):
            if len(value) != 1:
                message = "a rule with units is one name with a mapping: 'regions: {{units: [Workloads]}}'"
                raise PydanticCustomError("wrong-type", message.replace("{{", "{").replace("}}", "}"))
            name, place = next(iter(value.items()))
            return _from_short(cls, value, handler, {"name": name, "place": place})
        return _from_short(cls, value, handler, {"name": value})

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        made = handler.resolve_ref_schema(handler(schema))
        name, place = made["properties"]["name"], made["properties"]["place"]["anyOf"][0]
        named = {"type": "object", "propertyNames": name, "additionalProperties": place}
        return {
            "anyOf": [name, {**named, "minProperties": 1, "maxProperties": 1}],
            "description": "A rule, or a rule with the units that it is attached to",
            "examples": ["no-root", {"regions": {"units": ["Workloads"]}}],
        }


class OrganizationGuardrails(Model):
    """Guardrails that AWS Organizations keeps: for every principal of the accounts, administrators too."""

    rules: tuple[RuleUse, ...] = Field(
        min_length=1,
        description="What the policies say; regions, instance-types and tags take theirs from the keys beside it",
        examples=[["no-root", "stay", "keep-baseline", "keep-trail"]],
    )
    units: tuple[UnitName, ...] = Field(
        (),
        min_length=1,
        description="Where they are attached (default: the units of `accounts`, and accounts that are in none)",
        examples=[["Policy test"]],
    )
    root: Yes | None = Field(None, description="true: attached to the root, so that they are for every account")
    deployers: tuple[RolePattern, ...] = Field(
        (Text("OrganizationAccountAccessRole"),),
        min_length=1,
        description="Roles that deploy the baseline, and what else these rules spare (by their path and name)",
        examples=[["OrganizationAccountAccessRole", "roles/deploy"]],
    )
    partners: tuple[Partner, ...] = Field(
        (),
        min_length=1,
        description="perimeter: accounts and organizations outside that may still be let in",
        examples=[["999988887777"]],
    )

    @property
    def names(self) -> frozenset[str]:
        """The rules by their names."""
        return frozenset(use.name for use in self.rules)

    @model_validator(mode="wrap")
    @classmethod
    def _from_rules(cls, value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        return _from_short(cls, value, handler, {"rules": value} if isinstance(value, list) else value)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return _or_short(handler.resolve_ref_schema(handler(schema)), "rules")


class Guardrails(Model):
    """What nobody in a team and no role does, whatever a duty grants. Break-glass is outside all of it."""

    regions: tuple[RegionName, ...] = Field(
        (), min_length=1, description="The Regions to work in", examples=[["eu-west-1", "us-east-1"]]
    )
    instance_types: tuple[InstanceTypePattern, ...] = Field(
        (), min_length=1, description="The EC2 instance types to start", examples=[["t3.*", "t4g.*"]]
    )
    require_tags: tuple[TagKey, ...] = Field(
        (), min_length=1, description="Tags that whatever is created must carry", examples=[["owner", "environment"]]
    )
    from_: tuple[Place, ...] = Field(
        (),
        alias="from",
        min_length=1,
        description="Where people work from: public networks, and VPCs with endpoints",
        examples=[["203.0.113.0/24"]],
    )
    boundary: WorkloadBoundary | None = Field(None, description="What teams that create roles may create")
    organization: OrganizationGuardrails | None = Field(
        None, description="Policies of AWS Organizations, over whole accounts; absent: none"
    )
    administrators: Annotated[int, Whole(1, 5000, "people")] = Field(
        5, description="How many people may have all rights; above it is a finding", examples=[3]
    )


class Rollout(Model):
    """How member accounts get their stacks: each from the CDK command line, or all from CloudFormation StackSets."""

    by: Literal["stacks", "stack-sets"] = Field(
        description="default: stack-sets as soon as more than 20 accounts get the same", examples=["stack-sets"]
    )
    at_once: Annotated[int, Whole(1, 100, "percent")] = Field(
        10, description="stack-sets: how many of the accounts change at a time, in percent"
    )
    failures: Annotated[int, Whole(0, 100, "percent")] = Field(
        0, description="stack-sets: how many of the accounts may fail before no more are changed, in percent"
    )

    @model_validator(mode="wrap")
    @classmethod
    def _from_name(cls, value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        return _from_short(cls, value, handler, {"by": value} if isinstance(value, str) else value)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return _or_short(handler.resolve_ref_schema(handler(schema)), "by")


def _whole(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int):
        raise PydanticCustomError("invalid-value", "it is not 1")
    return value


class Configuration(Model):
    """A whole configuration."""

    version: Annotated[Literal[1], BeforeValidator(_whole)] = Field(description="Version of the language", examples=[1])
    organization: Organization = Field(examples=[{"name": "acme", "owner": "security@acme.example"}])
    accounts: dict[Name, Account] = Field(
        default_factory=dict, description="AWS accounts by name; without, whatever account it is deployed to"
    )
    rollout: Rollout | None = Field(None, description="How it gets into many accounts")
    people: dict[UserName, Person] = Field(
        default_factory=dict, description="People by IAM user name; when given, every member is one of them"
    )
    teams: dict[Name, Team] = Field(default_factory=dict, description="Teams by name")
    roles: dict[Name, Role] = Field(default_factory=dict, description="Roles for software and for others, by name")
    duties: dict[Name, Duty] = Field(default_factory=dict, description="Duties besides the built-in library, by name")
    identity_providers: IdentityProviders | None = Field(None, description="OpenID Connect providers in the account")
    break_glass: BreakGlass = Field(examples=[{"users": ["break-glass-1"], "alert": ["security@acme.example"]}])
    mfa: Mfa = Field(default_factory=Mfa)
    access: tuple[AccessTest, ...] = Field((), description="Tests of access, run by `dutybound check`")
    waivers: tuple[Waiver, ...] = Field((), description="Findings that are accepted on purpose")
    passwords: Passwords | None = Field(None, description="The account's password policy; without it, untouched")
    budgets: dict[BudgetName, Budget] = Field(default_factory=dict, description="Monthly budgets, by name")
    detectors: Detectors | None = Field(None, description="What looks at the account and tells people")
    guardrails: Guardrails = Field(default_factory=Guardrails)


def environments(configuration: Configuration) -> dict[str, Text]:
    """The environments that a configuration names, each with the place of one that names it."""
    teams = (name for team in configuration.teams.values() for name in team.in_)
    roles = (name for role in configuration.roles.values() for name in role.in_)
    found: dict[str, Text] = {}
    for name in (*teams, *roles):
        found.setdefault(str(name), name)
    return found


def schema(duties: tuple[str, ...] = ()) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a configuration. `duties` are the built-in names that editors offer.

    A folder's files merge into one configuration, so no key is required in any one of them.
    """
    made = Configuration.model_json_schema()
    made.pop("required", None)
    if duties:
        use = made["$defs"]["DutyUse"]
        use["anyOf"] = [{"enum": list(duties)}, *use["anyOf"]]
    _close(made)
    made["title"] = "Dutybound configuration"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def _close(schema: Any) -> None:
    """A mapping keyed by names takes no other keys: pydantic leaves that open."""
    if isinstance(schema, dict):
        if "patternProperties" in schema:
            schema.setdefault("additionalProperties", False)
        for inner in schema.values():
            _close(inner)
    elif isinstance(schema, list):
        for inner in schema:
            _close(inner)
