"""The page access.html in a real browser: what it shows, what it answers, who can use it, and that names stay text."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Dialog, Page, sync_playwright

from dutybound.case import Question
from dutybound.compiler import compile_reading, read_path
from dutybound.explain import who_can
from dutybound.policy import overlap
from dutybound.report.facts import Control, Facts, Finding, Membership, Person, from_json, to_json
from dutybound.report.gather import facts
from dutybound.report.history import NoHistory
from dutybound.report.page import render
from tests.conftest import ROOT

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
PATIENCE = 30_000
"""Milliseconds after which a page that does not come is broken, however slow the machine is."""
COMPANY = ROOT / "examples" / "company"
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "a\u2028b\u2029c",
    "\u202eevil\u202c אבג",
    "{{script}} ${1+1} %2F/?#&amp;",
)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium, chromium-browser or google-chrome on this machine"
)


@cache
def company() -> Facts:
    """The facts of the example with two environments, with a finding and controls besides."""
    reading = read_path(COMPANY)
    made = compile_reading(reading)
    assert reading.value is not None
    baselines = {name: one.value for name, one in made.items() if one.value is not None}
    found = {name: one.diagnostics for name, one in made.items()}
    finding = Finding("wide-resource", "warning", "reaches every queue", "examples/company/duties.yaml:44", "name some")
    controls = (
        Control("CIS 1.10", "CIS", "MFA for everybody with a password", "1", "met", ("organization.yaml:17",)),
        Control("CIS 1.16", "CIS", "No policy with all rights", "1", "not met", ("teams.yaml:6",)),
        Control("CIS 1.1", "CIS", "Contact details", "1", "not ours", ("ask whoever owns the account",)),
    )
    made_of = facts(reading.value, baselines, found, NoHistory(), "examples/company", "2026-11-25", "0123456789ab")
    return replace(made_of, findings=(finding,), compliance=controls)


@cache
def large() -> Facts:
    """The same with 5,000 people in 300 teams of three sorts."""
    some = [team for team in company().teams if team.name in ("developers", "platform", "support")]
    members: dict[str, list[str]] = {f"team-{i:03}": [] for i in range(300)}
    people = []
    for i in range(5000):
        name = f"person.{i:04}"
        teams = sorted({f"team-{i % 300:03}", f"team-{i * 7 % 300:03}"})
        for team in teams:
            members[team].append(name)
        people.append(
            Person(name, f"people.yaml:{i + 1}", tuple(Membership(t, "teams.yaml:1") for t in teams), f"Person {i}")
        )
    teams_ = tuple(
        replace(some[i % 3], name=name, people=tuple(names)) for i, (name, names) in enumerate(sorted(members.items()))
    )
    return replace(company(), teams=teams_, people=tuple(people), becoming=())


@dataclass
class Seen:
    """What a page did besides showing something."""

    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield running
        running.close()


Opener = Callable[..., Page]


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Opener]:
    """Open facts (or a text) as a page at a route. Afterwards: no error, no dialog, and no request but for the file."""
    seen = Seen()
    contexts = []

    def dismissed(dialog: Dialog) -> None:
        seen.dialogs.append(dialog.message)
        dialog.dismiss()

    def open_(shown: Facts | str, route: str = "#/", **settings: Any) -> Page:
        path = tmp_path / "access.html"
        path.write_text(shown if isinstance(shown, str) else render(shown), encoding="utf-8")
        context = browser.new_context(**settings)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda message: seen.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: seen.errors.append(str(error)))
        page.on("dialog", dismissed)
        page.on("request", lambda request: seen.requests.append(request.url))
        page.goto(path.as_uri() + route)
        page.wait_for_selector("h1")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert seen.errors == []
    assert seen.dialogs == []
    assert {url.partition("#")[0] for url in seen.requests} <= {(tmp_path / "access.html").as_uri()}


def go(page: Page, route: str) -> None:
    """To another view of the page that is open."""
    page.evaluate(
        """route => new Promise(done => {
            if (location.hash === route) return done();
            addEventListener("hashchange", () => done(), { once: true });
            location.hash = route;
        })""",
        route,
    )


def quoted(*parts: str) -> str:
    """A route, as the page writes it."""
    return "#/" + "/".join(
        re.sub(r"[^A-Za-z0-9_.!~*'()-]", lambda m: "".join(f"%{b:02X}" for b in m[0].encode()), p) for p in parts
    )


VIEWS = (
    *("#/", "#/matrix", "#/teams", "#/people", "#/roles", "#/who", "#/become", "#/compliance", "#/findings"),
    *("#/team/developers", "#/person/maria", "#/role/operator", "#/duty/use-storage", "#/break-glass"),
    *("#/cell/team/developers/s3", "#/who?action=s3%3AGetObject", "#/who?action=s3%3AGetObjct", "#/person/nobody"),
)


# --- the file -------------------------------------------------------------------------------------------------------


def test_the_policy_names_what_the_page_holds() -> None:
    """Style and script by digest, nothing else, before anything that could load; and nothing asks the network."""
    text = render(company())
    policy = re.search(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', text)
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    script = re.search(r"<script>(.*?)</script>", text, re.DOTALL)
    assert policy
    assert style
    assert script
    digests = [base64.b64encode(hashlib.sha256(m[1].encode()).digest()).decode() for m in (script, style)]
    assert policy[1] == (
        f"default-src 'none'; script-src 'sha256-{digests[0]}'; style-src 'sha256-{digests[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )
    assert text.index("Content-Security-Policy") < min(text.index("<style"), text.index("<script"))
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|new Function", text)
    assert set(re.findall(r"https?://[^\"'\s]+", script[1] + style[1])) == {"http://www.w3.org/2000/svg"}


def test_the_same_facts_give_the_same_bytes() -> None:
    assert render(company()) == render(from_json(to_json(company())))


# --- views ----------------------------------------------------------------------------------------------------------


def test_the_overview(opened: Opener) -> None:
    page = opened(company())
    assert page.title() == "Who may do what at acme · acme"
    tiles = page.locator(".tiles li").all_inner_texts()
    assert [" ".join(t.split()) for t in tiles] == [
        *("11 people", "6 teams", "7 roles", "1 finding", "1 of 2 controls met", "2 break-glass users"),
    ]
    text = page.inner_text("main")
    assert "Quota use" in text
    assert "8 of 300" in text
    assert "reaches every queue" in text
    assert page.locator(".top nav a[aria-current]").all_inner_texts() == ["Overview"]


def test_every_view_opens(opened: Opener) -> None:
    """With a heading of its own, a title that says it, and one place in the menu; what is not there is said."""
    page = opened(company())
    for route in VIEWS:
        go(page, route)
        heading = page.inner_text("h1")
        assert page.title() == f"{heading} · acme"
        assert page.locator("h1").count() == 1
    assert "no person called" in page.inner_text("main")


def test_the_matrix_filters_and_leads_to_the_line(opened: Opener) -> None:
    page = opened(company(), "#/matrix")
    cell = page.get_by_role("link", name="developers, s3: write", exact=False)
    assert cell.inner_text() == "W*"
    page.get_by_label("Service holds").fill("s3")
    page.get_by_label("At least").select_option("write")
    assert page.locator(".matrix tbody th").all_inner_texts() == ["administrators", "developers"]
    page.get_by_label("Account").select_option("production")
    assert page.locator(".matrix tbody th").all_inner_texts() == ["administrators"]
    page.get_by_label("Account").select_option("development")
    cell.click()
    page.wait_for_selector("h1:has-text('developers in s3')")
    text = page.inner_text("main")
    assert "examples/company/teams.yaml:18" in text  # the line that gives the duty
    assert "dutybound/duties/use-storage.yaml:14" in text  # the line that grants
    assert "arn:aws:s3:::acme-dev-*/*" in text  # the statement
    page.go_back()
    page.wait_for_selector(".matrix")
    assert page.get_by_label("Service holds").input_value() == "s3"
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#/cell/team/developers/s3"


def test_enrolling_ones_own_device_is_no_access_to_permissions(opened: Opener) -> None:
    """Everybody may enrol MFA for themselves, which IAM calls permissions; the matrix would be red with it."""
    page = opened(company(), "#/matrix")
    iam = page.locator(".matrix a[href$='/iam']").evaluate_all("cells => cells.map(c => c.getAttribute('aria-label'))")
    assert [label.partition(",")[0] for label in iam] == ["administrators", "auditors", "platform"]


def test_a_person_in_plain_words(opened: Opener) -> None:
    page = opened(company(), "#/person/maria")
    headings = page.locator("h2").all_inner_texts()
    assert "maria can, in development, with MFA:" in headings
    assert "maria can, in production, with MFA:" in headings
    text = page.inner_text("main")
    assert "read, write and delete files in named S3 buckets · buckets: acme-dev-*" in text
    assert "examples/company/teams.yaml:18" in text
    assert "Nothing in a Region other than eu-west-1, us-east-1" in text
    page.get_by_text("16 statements").click()
    assert "A new server is put together from all of these" in page.inner_text("main")


def test_a_team_and_a_role(opened: Opener) -> None:
    page = opened(company(), "#/team/platform")
    assert "Keep network, servers and databases running" in page.inner_text(".lead")
    page.get_by_role("link", name="operator").first.click()
    page.wait_for_selector("h1:has-text('operator')")
    text = page.inner_text("main")
    assert "Who can become it" in text
    assert "platform team by taking it in production" in " ".join(text.split())
    assert "operator can, in production:" in text


def test_who_becomes_whom_is_drawn_and_listed(opened: Opener) -> None:
    """The drawing names itself and has an arrow for each pair; the table has a row for each way."""
    page = opened(company(), "#/become")
    ways = {(b.kind, b.name, b.role, b.how, b.service, b.when, b.people, b.at, b.doubt) for b in company().becoming}
    assert page.locator("main tbody tr").count() == len(ways)
    pairs = {(b.kind, b.name, b.role, b.how) for b in company().becoming}
    assert page.locator("svg .edge").count() == len(pairs)
    assert "The table below says the same" in (page.locator("svg").get_attribute("aria-label") or "")
    page.get_by_label("Filter").fill("partner")
    assert page.locator("svg .node").count() == 2
    assert page.locator("main tbody tr").count() == 1


def test_themes(browser: Browser, opened: Opener) -> None:
    """Colours follow the system, and then the reader, who is remembered."""
    background = "getComputedStyle(document.documentElement).backgroundColor"
    page = opened(company(), color_scheme="dark")
    dark = page.evaluate(background)
    page.get_by_role("button", name="Change to light colours").click()
    light = page.evaluate(background)
    assert light != dark
    page.reload()
    assert page.evaluate(background) == light
    assert opened(company(), color_scheme="light").evaluate(background) == light


# --- who can --------------------------------------------------------------------------------------------------------

QUESTIONS = (
    *(("s3:GetObject", ""), ("s3:GetObject", "arn:aws:s3:::acme-dev-site/index.html"), ("s3:DeleteBucket", "")),
    *(("s3:PutObject", "arn:aws:s3:::acme-shop-web/a"), ("s3:PutObject", "arn:aws:s3:::elsewhere/a")),
    *(("iam:CreateUser", ""), ("iam:PassRole", ""), ("iam:CreateRole", ""), ("ec2:RunInstances", "")),
    *(("dynamodb:GetItem", "arn:aws:dynamodb:eu-west-1:111122223333:table/acme-orders"), ("dynamodb:Scan", "")),
    *(("sts:AssumeRole", ""), ("sqs:SendMessage", ""), ("support:CreateCase", ""), ("ce:GetCostAndUsage", "")),
    *(("rds:RebootDBInstance", "arn:aws:rds:eu-west-1:111122223333:db:shop"), ("rds:DeleteDBInstance", "")),
    *(("aws-portal:ModifyBilling", ""), ("iam:CreateVirtualMFADevice", ""), ("kms:Decrypt", "")),
)


def test_who_can_answers_as_the_judge_does(opened: Opener) -> None:
    """For each environment and question: the people and roles that `dutybound who-can` names."""
    page = opened(company(), "#/who")
    baselines = {name: one.value for name, one in compile_reading(read_path(COMPANY)).items()}
    asked = """([action, resource, account]) => {
        const answer = whoCan(action, resource, account);
        const of = kind => answer.found.filter(f => f.kind === kind).map(f => f.one.name);
        const roles = [...of("role"), ...of("break-glass role")].map(name => "role " + name);
        const users = of("break-glass").flatMap(() => FACTS.break_glass.users);
        return [...roles, ...[...users, ...answer.people.map(p => p.one.name)].map(name => "user " + name)].sort();
    }"""
    for at, account in enumerate(company().accounts):
        baseline = baselines[account.environment]
        assert baseline is not None
        for action, resource in QUESTIONS:
            (answer,) = who_can(baseline, Question("", action, resource))
            assert not answer.unknown
            roles = {role.name for role in baseline.accounts[0].roles}
            named = sorted(f"{'role' if name in roles else 'user'} {name}" for name in answer.names)
            assert page.evaluate(asked, [action, resource, at]) == named, (
                account.environment,
                action,
                resource,
            )


def test_who_can_says_how_and_under_what(opened: Opener) -> None:
    page = opened(company(), "#/who")
    page.get_by_label("Action").fill("s3:getobject")
    page.get_by_label("Resource").fill("acme-dev-site/index.html")
    page.wait_for_selector("output:has-text('index.html')")
    assert page.inner_text("output").startswith("s3:GetObject on acme-dev-site/index.html: 5 of 11 people and 1 role")
    row = " ".join(page.locator("tr", has_text="use-storage").inner_text().split())
    assert "arn:aws:s3:::acme-dev-*/*" in row
    assert "in development" in row
    assert "examples/company/teams.yaml:18" in row
    assert "dutybound/duties/use-storage.yaml:14" in row
    assert "aws:RequestedRegion is not eu-west-1 or us-east-1 (guardrails.regions), for teams" in page.inner_text(
        "main"
    )
    assert page.evaluate("location.hash") == "#/who?action=s3%3Agetobject&resource=acme-dev-site%2Findex.html"
    page.reload()
    page.wait_for_selector("output:has-text('5 of 11 people')")
    page.locator("select[name=kind]").select_option("role")
    page.wait_for_selector("output:has-text('index.html: 1 role')")
    assert page.locator("main tbody th").all_inner_texts() == ["break-glass\nbreak-glass role"]


def test_who_can_names_conditions(opened: Opener) -> None:
    page = opened(company(), "#/who?action=dynamodb%3AGetItem&resource=acme-orders&account=1")
    row = page.locator("tr", has_text="look-up-orders").inner_text()
    assert "only if with MFA in the last 8 hours in production" in " ".join(row.split())


def test_who_can_suggests(opened: Opener) -> None:
    """An action that nothing names can be done only by whoever can do everything; the nearest ones are offered."""
    page = opened(company(), "#/who?action=s3%3AGetObjct")
    assert "No policy of this configuration names this action" in page.inner_text("main")
    page.get_by_role("link", name="s3:GetObject", exact=True).click()
    page.wait_for_selector("output:has-text('s3:GetObject on something: 5 of 11')")
    page.get_by_label("Action").fill("nonsense*")
    page.wait_for_selector("output:has-text('No action matches nonsense*')")


def test_a_question_does_not_call_one_back(opened: Opener) -> None:
    """An answer that was still to come does not replace the view that was opened meanwhile."""
    page = opened(company(), "#/who")
    page.evaluate("""() => {
        const field = document.querySelector("input[name=action]");
        field.value = "s3:GetObject";
        field.dispatchEvent(new Event("input", { bubbles: true }));
        location.hash = "#/people";
        draw();
    }""")
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert page.evaluate("location.hash") == "#/people"
    assert page.inner_text("h1") == "People"


def test_patterns_overlap_as_the_judge_says(opened: Opener) -> None:
    """The page's reading of `*` and `?` is the compiler's, over some thousands of short patterns."""
    page = opened(company())
    dice = random.Random(5)  # noqa: S311
    texts = ["".join(dice.choice("ab*?") for _ in range(dice.randrange(7))) for _ in range(6000)]
    pairs = [list(pair) for pair in zip(texts[::2], texts[1::2], strict=True)]
    assert page.evaluate("pairs => pairs.map(([a, b]) => overlap(a, b))", pairs) == [overlap(a, b) for a, b in pairs]


@pytest.mark.parametrize(
    ("asked", "pattern", "reached"),
    [
        ("acme-dev-logs", "arn:aws:s3:::acme-dev-*", True),
        ("acme-dev-logs", "arn:aws:s3:::acme-dev-*/*", False),
        ("orders", "arn:aws:dynamodb:*:ACCOUNT:table/orders", True),
        ("table/orders", "arn:aws:dynamodb:*:ACCOUNT:table/orders", True),
        ("orders", "arn:aws:dynamodb:*:ACCOUNT:table/orders/index/*", False),
        ("acme-*", "arn:aws:s3:::acme", False),
        ("acme-dev-site/index.html", "arn:aws:s3:::acme-shop-web/*", False),
        ("acme-dev-site/index.html", "arn:aws:s3:::acme-dev-*/*", True),
        ("web", "*:autoScalingGroupName/shop-*", False),
        ("shop-web", "*:autoScalingGroupName/shop-*", True),
        ("autoScalingGroupName/shop-web", "*:autoScalingGroupName/shop-*", True),
        ("arn:aws:iam::111122223333:user/x", "arn:aws:iam::ACCOUNT:user/*", True),
        ("arn:aws:iam::1111:user/x", "arn:aws:iam::ACCOUNT:user/*", False),
        ("arn:aws:iam::111122223333:user/maria", "arn:aws:iam::ACCOUNT:user/${aws:username}", True),
        ("arn:aws:s3:::A", "arn:aws:s3:::a", False),
    ],
)
def test_resources(browser: Browser, asked: str, pattern: str, reached: bool) -> None:
    """A bare name is a whole name, never part of one; an ARN is compared as a whole."""
    script = (ROOT / "dutybound" / "report" / "page.js").read_text(encoding="utf-8")
    functions = script[script.index("const WILD") : script.index("/** How many letters")]
    page = browser.new_page()
    try:
        assert page.evaluate(f"([a, b]) => {{ {functions} return reaches(a, b); }}", [asked, pattern]) is reached
    finally:
        page.close()


# --- for everybody --------------------------------------------------------------------------------------------------


def test_by_keyboard_alone(opened: Opener) -> None:
    """Past the menu, through it, into a filter, to somebody, and back where one was."""
    page = opened(company())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#/people"
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:has-text('People')")
    assert page.evaluate("document.activeElement.tagName") == "H1"
    page.keyboard.press("Tab")
    page.keyboard.type("mar")
    assert page.locator("main tbody tr").count() == 1
    assert page.inner_text("output") == "1 of 11 people"
    reached: list[str] = []
    while "#/person/maria" not in reached:
        assert len(reached) < 5, reached
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.getAttribute('href')"))
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:has-text('maria')")
    assert page.evaluate("document.activeElement.tagName") == "H1"
    page.go_back()
    page.wait_for_selector("h1:has-text('People')")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#/person/maria"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(opened: Opener, scheme: str) -> None:
    """No violation in any view; the dark theme differs in its colours alone."""
    page = opened(company(), color_scheme=scheme)
    options = None if scheme == "light" else {"runOnly": ["color-contrast"], "resultTypes": ["violations"]}
    axe, found = Axe(), {}
    for route in VIEWS:
        go(page, route)
        page.evaluate("for (const one of document.querySelectorAll('main li:first-child > details')) one.open = true")
        for violation in axe.run(page, options=options).response["violations"]:
            found[f"{route} {violation['id']}"] = [node["html"] for node in violation["nodes"]][:3]
    assert found == {}


def test_prints(opened: Opener) -> None:
    """On paper: light, statements open, every row there, and wide views across the page."""
    page = opened(company(), "#/team/platform", color_scheme="dark")
    pdf = page.pdf(outline=True, tagged=True)
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) > 1
    assert b"/Title (Members of platform can, in development, with MFA:)" in pdf
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(27, 30, 34)"
    assert not page.locator("nav, button:visible").first.is_visible()
    assert page.locator("main details:not(.actions):not([open])").count() == 0
    go(page, "#/matrix")
    pdf = page.pdf()
    boxes = re.findall(rb"/MediaBox \[\s*0 0 ([\d.]+) ([\d.]+)", pdf)
    assert boxes
    assert all(float(width) > float(height) for width, height in boxes)


# --- names that mean harm -------------------------------------------------------------------------------------------


def hostile() -> Facts:
    """The example with harm in names, purposes, tags, mails, conditions, patterns and messages."""
    text = to_json(company())
    renamed = {
        *(("developers", HOSTILE[0]), ("maria", HOSTILE[1]), ("operator", HOSTILE[2]), ("support", HOSTILE[3])),
        *(("kim", HOSTILE[4]), ("web-server", HOSTILE[5]), ("finance", HOSTILE[6]), ("acme", HOSTILE[0])),
        *(("development", HOSTILE[1]), ("Look after the accounts", HOSTILE[2]), ("reaches every queue", HOSTILE[0])),
        *(("arn:aws:s3:::acme-dev-*", HOSTILE[1]), ("with MFA", HOSTILE[2]), ("use-storage", HOSTILE[6])),
    }
    for name, harm in renamed:
        text = text.replace(json.dumps(name), json.dumps(harm))
    return from_json(text)


def test_names_stay_text(opened: Opener) -> None:
    """In every view: the names are there, letter by letter, and no element, dialog or request came of them."""
    shown = hostile()
    text = render(shown)
    assert text.count("</script>") == 2
    assert text.count("<script") == 2
    page = opened(text)
    routes = [*VIEWS, *(quoted("team", team.name) for team in shown.teams), quoted("cell", "team", HOSTILE[0], "s3")]
    routes += [quoted("person", person.name) for person in shown.people] + [quoted("role", r.name) for r in shown.roles]
    routes += [quoted("duty", HOSTILE[6]), "#/who?" + "action=" + quoted(HOSTILE[1])[2:], "#/%E0%A4%A/<img src=x>"]
    for route in routes:
        go(page, route)
        assert page.locator("img, iframe, main script, main style").count() == 0, route
    go(page, quoted("team", HOSTILE[0]))
    assert page.evaluate("document.querySelector('h1').textContent") == HOSTILE[0]
    go(page, "#/people")
    names = page.locator("main tbody th").evaluate_all("cells => cells.map(cell => cell.textContent)")
    assert {HOSTILE[1], HOSTILE[4]} <= set(names)
    page.get_by_role("link", name=HOSTILE[1]).first.click()
    page.wait_for_function("name => document.querySelector('h1').textContent === name", arg=HOSTILE[1])
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("img, iframe, main script").count() == 0


def test_no_other_script_runs(browser: Browser, tmp_path: Path) -> None:
    """A script, a handler or a request that got into the page by whatever way is stopped by the page's own policy."""
    text = render(company()).replace('<main id="main"', '<script>window.harm = "inline"</script><main id="main"')
    path = tmp_path / "access.html"
    path.write_text(text, encoding="utf-8")
    page = browser.new_page()
    try:
        page.goto(path.as_uri())
        page.wait_for_selector("h1")
        stopped = page.evaluate("""async () => {
            const stopped = [];
            document.addEventListener("securitypolicyviolation", event => stopped.push(event.effectiveDirective));
            const script = document.createElement("script");
            script.textContent = "window.harm = 'added'";
            document.body.append(script);
            const button = document.createElement("button");
            button.setAttribute("onclick", "window.harm = 'handler'");
            document.body.append(button);
            button.click();
            const image = new Image();
            image.src = "https://example.org/x.png";
            await fetch("https://example.org/").catch(() => 0);
            await new Promise(done => setTimeout(done, 100));
            return stopped;
        }""")
        assert page.evaluate("window.harm") is None
        assert {"script-src-elem", "script-src-attr", "img-src", "connect-src"} <= set(stopped)
    finally:
        page.close()


# --- many people ----------------------------------------------------------------------------------------------------


def test_five_thousand_people(opened: Opener, record_property: Callable[[str, object], None]) -> None:
    """The lists stay short until one asks for more, and the search answers for everybody."""
    page = opened(large())
    record_property("open", page.evaluate("performance.getEntriesByType('navigation')[0].duration"))
    go(page, "#/people")
    assert page.locator("main tbody tr").count() == 200
    page.get_by_role("button", name="Show 200 more of 4,800 left").click()
    assert page.locator("main tbody tr").count() == 400
    assert page.evaluate("document.activeElement.textContent") == "person.0200"
    page.get_by_label("Filter by name").fill("person.4321")
    assert page.locator("main tbody tr").count() == 1
    go(page, "#/matrix")
    assert page.locator(".matrix tbody tr").count() < 300
    go(page, "#/who?action=dynamodb%3AGetItem")
    expected = {p.name for p in large().people if any(int(m.team[-3:]) % 3 != 1 for m in p.memberships)}
    assert page.inner_text("output").startswith(f"dynamodb:GetItem on something: {len(expected):,} of 5,000 people")
    assert page.locator("table").nth(1).locator("tbody tr").count() == 100
    record_property("search", page.evaluate("document.querySelector('[data-milliseconds]').dataset.milliseconds"))
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("table").nth(1).locator("tbody tr").count() == len(expected)
