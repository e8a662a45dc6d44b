"""What AWS says: messages of denied requests as they stand on somebody's screen, and events of CloudTrail.

A message is made from known fields, so whatever is read in it can be held against them.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import yaml

from dutybound import answers
from dutybound.case import Question, WrongQuestion
from dutybound.denial import TYPES, Denial, NotADenial, denial
from dutybound.explain import explain_denial
from fuzz.engine import Subject, check
from fuzz.inputs import example
from fuzz.mutations import ROOT, Twister, mutated

_READ = ("principal", "action", "resource", "effect", "type", "policy", "encoded")
_PRINCIPALS = (
    "arn:aws:iam::111122223333:user/people/maria",
    "arn:aws:iam::111122223333:user/somebody+else@acme.example",
    "arn:aws:sts::111122223333:assumed-role/web-server/i-0123456789abcdef0",
    "arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_developers_0123456789abcdef/maria@acme.example",
    "arn:aws-cn:iam::111122223333:root",
    "arn:aws:sts::111122223333:federated-user/tom",
    "AIDACKCEVSQ6C2EXAMPLE:session",
    "lambda.amazonaws.com",
)
_ACTIONS = (
    *("s3:PutObject", "ec2:RunInstances", "iam:PassRole", "sts:AssumeRole", "kms:Decrypt", "iam:CreateUser"),
    *("dynamodb:GetItem", "lambda:InvokeFunction", "codecommit:ListRepositories", "bedrock:InvokeModel"),
)
_RESOURCES = (
    "",
    "*",
    "arn:aws:s3:::acme-dev-data/index.html",
    'arn:aws:s3:::acme-dev-data/my "own" file, 2026; (new).txt',
    "arn:aws:s3:::acme-dev-data/because no reason/with an explicit plan.txt",
    "arn:aws:iam::111122223333:role/app/web",
    "arn:aws:ec2:eu-west-1:111122223333:instance/*",
    "arn:aws:dynamodb:eu-west-1:111122223333:table/acme-dev/index/by-name",
    "user bob",
    "arn:aws:logs:eu-west-1:111122223333:log-group:/acme/web:log-stream:",
    "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
)
_POLICIES = (
    "",
    "",
    "arn:aws:iam::111122223333:policy/baseline/require-mfa",
    "arn:aws:organizations::111122223333:policy/o-a1b2c3d4e5/service_control_policy/p-0123abcd",
)
_BOTO = "botocore.exceptions.ClientError: An error occurred (AccessDenied) when calling the {call} operation: {said}"
_WRAPPERS = (
    "{said}",
    "An error occurred (AccessDenied) when calling the {call} operation: {said}",
    "\n\naws: [ERROR]: An error occurred (UnauthorizedOperation) when calling the {call} operation: {said}\n",
    f'Traceback (most recent call last):\n  File "deploy.py", line 7, in <module>\n    main()\n{_BOTO}\n',
    "│ Error: operation error: {call}, https response error StatusCode: 403, RequestID: 0f2c, "
    "api error AccessDenied: {said}\n│ \n│   with aws_s3_object.web,\n│   on main.tf line 3, in resource\n",
    "❌  acme-teams failed: AccessDenied: {said}\n    at throwDefaultError (/usr/lib/aws-cdk/index.js:1:2)\n",
    '<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>{said}</Message><RequestId>1</RequestId></Error>',
    '{{"__type":"AccessDeniedException","Message":"{said}"}}',
    'Resource handler returned message: "{said} (Service: S3, Status Code: 403, Request ID: 0F2C)" '
    "(RequestToken: 1f, HandlerErrorCode: AccessDenied)",
    "software.amazon.awssdk.services.s3.model.S3Exception: {said} (Service: S3, Status Code: 403, Request ID: 1)",
    "2026-11-24T10:00:00Z ERROR [main] {said}",
)


def message(dice: random.Random) -> tuple[str, dict[str, str]]:
    """A message of AWS, and what it says."""
    effect = dice.choice(["explicit", "implicit", ""])
    said = {
        "principal": dice.choice(_PRINCIPALS),
        "action": dice.choice(_ACTIONS),
        "resource": dice.choice(_RESOURCES),
        "effect": effect,
        "type": dice.choice(TYPES) if effect == "implicit" or (effect and dice.random() < 0.8) else "",
    }
    said["policy"] = dice.choice(_POLICIES) if said["type"] and effect == "explicit" else ""
    said["encoded"] = "".join(dice.choices("ABCdef012_-", k=200)) if dice.random() < 0.2 else ""
    lead = dice.choice(["User: ", "User: ", "Principal: ", "Caller: ", ""])
    text = f"{lead}{said['principal']} is not {dice.choice(['authorized', 'authorised'])} to perform: {said['action']}"
    if said["resource"]:
        quote = dice.choice(["", "", '"']) if '"' not in said["resource"] else ""
        text += f" on resource: {quote}{said['resource']}{quote}"
    article = "an" if said["type"][:1] == "i" else "a"
    if effect == "explicit":
        text += " with an explicit deny" + (f" in {article} {said['type']}" if said["type"] else "")
        text += f": {said['policy']}" if said["policy"] else ""
    elif effect == "implicit":
        text += f" because no {said['type']} allows the {said['action']} action"
    if said["encoded"]:
        text += f". Encoded authorization failure message: {said['encoded']}"
    return text, said


def pasted(dice: random.Random) -> str:
    """A message in what a tool put around it, as JSON with the fields that it was made from; `whole` if uncut."""
    text, said = message(dice)
    call = said["action"].partition(":")[2]
    wrapper = dice.choice(_WRAPPERS)
    if wrapper.startswith("{{"):
        text = json.dumps(text)[1:-1]
    elif dice.random() < 0.3:
        # A name is kept in one line: cut at a blank it would be another name.
        kept = text.replace(said["resource"], said["resource"].replace(" ", "\0")) if said["resource"] else text
        text = _wrapped(kept, dice.choice([60, 80, 100])).replace("\0", " ")
    text = wrapper.format(said=text, call=call)
    if dice.random() < 0.3 and not wrapper.startswith("{{"):
        paint = dice.choice(["\x1b[31m", "\x1b[1;31m", "\x1b[38;5;9m", "\x1b[91m"])
        text = f"{paint}{text}\x1b[0m" if dice.random() < 0.5 else _painted(text, said, paint)
    whole = True
    if dice.random() < 0.3 and "\\" not in text:  # half an escaped text is another text
        at, end = sorted(_outside(text, dice.randrange(len(text) + 1)) for _ in range(2))
        text, whole = text[at:end], False
    elif dice.random() < 0.2:
        text, whole = mutated(text, dice, dice.randint(1, 3)), False
        said = {}
    return json.dumps({"text": text, "said": said, "whole": whole})


def _outside(text: str, at: int) -> int:
    """A place, or the start of the control sequence that it is in."""
    start = text.rfind("\x1b", 0, at)
    return start if start >= 0 and at <= text.find("m", start) else at


def _wrapped(text: str, width: int) -> str:
    """Lines broken between words, as a terminal's pager and a chat do."""
    lines, line = [], ""
    for word in text.split(" "):
        if line and len(line) + len(word) >= width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return "\n".join([*lines, line])


def _painted(text: str, said: Mapping[str, str], paint: str) -> str:
    """Each part in a colour of its own."""
    for part in filter(None, {said["principal"], said["action"], said["resource"]}):
        text = text.replace(part, f"{paint}{part}\x1b[0m")
    return text


def understands(text: str) -> bool:
    """Read a message: what is read is what it was made from, and what was cut off is at least its beginning."""
    try:
        given = json.loads(text)
        pasted_, said, whole = str(given["text"]), dict(given["said"]), bool(given["whole"])
    except (ValueError, TypeError, KeyError):
        return False
    try:
        found = denial(pasted_)
    except NotADenial as error:
        check(str(error).isprintable(), "a text that cannot be printed")
        check(not whole, "a whole message is refused", pasted_)
        return False
    for name in _READ if said else ():
        mine, theirs = str(getattr(found, name)), str(said.get(name, ""))
        if whole:
            check(mine == theirs, f"another {name} than the message's", f"{mine!r} for {theirs!r}\n{pasted_}")
        elif name not in ("effect", "type"):
            mine = re.sub(r" \([^()]*$", "", mine)  # half of what a tool put behind it
            check(mine in theirs, f"a {name} that the cut message has not", f"{mine!r} for {theirs!r}\n{pasted_}")
    _explained(found)
    return True


def _explained(found: Denial) -> None:
    if not found.principal:
        spoken = [answers.encoded_text(found), answers.encoded_json(found)]
    else:
        try:
            why = explain_denial(example(), found, Question("", ""))
        except WrongQuestion as error:
            check(str(error).isprintable(), "a text that cannot be printed", str(error))
            return
        check(why.question.resource in (found.resource, "") or " " in found.resource, "another resource is explained")
        spoken = [answers.explanation_text(why), answers.explanation_json(why)]
    check(all(c.isprintable() or c == "\n" for c in spoken[0]), "an answer that cannot be printed", spoken[0])
    json.loads(spoken[1])


# --- decoded messages -----------------------------------------------------------------------------------------------


def decoded(dice: random.Random) -> str:
    """A decoded authorization message, twisted: the document alone, or STS's answer."""
    conditions = [{"key": "ec2:Tenancy", "values": {"items": [{"value": "default"}]}}]
    document = {
        "allowed": False,
        "explicitDeny": dice.random() < 0.5,
        "matchedStatements": {"items": []},
        "context": {
            "principal": {"id": "AIDA", "arn": dice.choice(_PRINCIPALS)},
            "action": dice.choice(_ACTIONS),
            "resource": dice.choice(_RESOURCES),
            "conditions": {"items": conditions},
        },
    }
    tree = Twister([document]).twisted(dice, dice.randrange(3))
    try:
        text = json.dumps(tree, default=str)
    except (ValueError, TypeError, RecursionError):
        text = "{}"
    if dice.random() < 0.4:
        text = json.dumps({"DecodedMessage": text})
    return mutated(text, dice, 1) if dice.random() < 0.2 else text


def decodes(text: str) -> bool:
    """Read a decoded message; what it says stands in it."""
    try:
        found = denial(text)
    except NotADenial as error:
        check(str(error).isprintable(), "a text that cannot be printed")
        return False
    plain = text.replace("\\", "")
    for name in ("principal", "resource"):
        mine = str(getattr(found, name))
        written = {json.dumps(mine, ensure_ascii=ascii_).replace("\\", "").strip('"') for ascii_ in (True, False)}
        check(any(one in plain for one in written), f"a {name} from nowhere", f"{mine}\n{text}")
    _explained(found)
    return True


# --- events ---------------------------------------------------------------------------------------------------------

_NAMES = re.compile(r"break-glass[a-z0-9-]*")


@cache
def _events() -> tuple[dict[str, Any], ...]:
    """The events of the tests: what must be heard in the home Region, and what must not."""
    text = (ROOT / "tests" / "cases" / "alarm.yaml").read_text(encoding="utf-8")
    return tuple(case for case in yaml.safe_load(text) if case.get("in") != "member" and "with" not in case)


def event(dice: random.Random) -> str:
    """An event of CloudTrail with what no rule may look at put in, and the rules that must fire."""
    case = json.loads(json.dumps(dice.choice(_events())))
    detail = case["detail"]
    more: dict[str, Any] = {
        "eventVersion": "1.11",
        "eventTime": f"2026-11-24T{dice.randrange(24):02}:00:00Z",
        "eventID": f"{dice.getrandbits(64):x}",
        "requestID": f"{dice.getrandbits(64):x}",
        "sourceIPAddress": dice.choice(["203.0.113.7", "2001:db8::1", "AWS Internal", "cloudformation.amazonaws.com"]),
        "userAgent": dice.choice(["aws-cli/2.30", "console.amazonaws.com", "", "[Boto3/1.43]"]),
        "eventType": "AwsConsoleSignIn" if "Sign" in case["detail-type"] else "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": "111122223333",
        "errorCode": "AccessDenied",
        "errorMessage": "User: x is not authorized",
        "tlsDetails": {"tlsVersion": "TLSv1.3", "cipherSuite": "TLS_AES_128_GCM_SHA256"},
        "additionalEventData": {"MFAUsed": dice.choice(["Yes", "No"]), "LoginTo": "https://console.aws.amazon.com/"},
        "responseElements": None,
        "resources": [{"ARN": "arn:aws:s3:::x", "type": "AWS::S3::Bucket"}],
    }
    for key in dice.sample(list(more), dice.randrange(len(more))):
        detail.setdefault(key, more[key])
    if dice.random() < 0.3 and isinstance(detail.get("requestParameters"), dict):
        detail["requestParameters"].setdefault("clientToken", f"{dice.getrandbits(32):x}")
    identity = detail.get("userIdentity")
    if isinstance(identity, dict) and dice.random() < 0.5:
        identity.setdefault("accountId", "111122223333")
        identity.setdefault("accessKeyId", "ASIAEXAMPLE")
    if dice.random() < 0.3:
        detail = case["detail"] = dict(dice.sample(list(detail.items()), len(detail)))
    if dice.random() < 0.3:
        # Somebody of a similar name: nothing that names break-glass is left.
        renamed = _NAMES.sub(lambda found: f"x{found[0]}x".replace("glass", "gloss"), json.dumps(detail))
        if renamed != json.dumps(detail):
            # Whoever calls as root is heard, whomever it is about.
            case["detail"] = json.loads(renamed)
            case["fires"] = [rule for rule in case["fires"] if rule == "break-glass-root"]
    return json.dumps({key: case[key] for key in ("detail-type", "detail", "fires")})


def heard(text: str) -> bool:
    """Ask the emulator's EventBridge which rules of the alarm match an event: exactly those that must."""
    from ministack.services import eventbridge  # it takes a second

    try:
        case = json.loads(text)
        source = f"aws.{str(case['detail']['eventSource']).split('.')[0]}"
        detail = json.dumps({**case["detail"], "awsRegion": "eu-west-1"})
        fires, kind = list(case["fires"]), str(case["detail-type"])
    except (ValueError, TypeError, KeyError, AttributeError):
        return False
    view = eventbridge._pattern_event_view({"Source": source, "DetailType": kind, "Detail": detail})
    mine = [name for name, pattern in _rules() if eventbridge._matches_pattern_view(pattern, view)]
    check(mine == fires, "other rules fire than must", f"{mine} for {fires}")
    return True


@cache
def _rules() -> tuple[tuple[str, str], ...]:
    alarm = example().accounts[0].alarm
    if alarm is None:
        raise ValueError("the example has no alarm")
    return tuple((r.name, r.pattern) for r in alarm.rules if r.stack == alarm.forwarder.stack)


SUBJECTS: Mapping[str, Subject] = {
    "message": Subject(pasted, understands, "json", share=4, seconds=10, whole_lines=True),
    "decoded": Subject(decoded, decodes, "json", share=1, seconds=10),
    "event": Subject(event, heard, "json", share=1, whole_lines=True),
}
