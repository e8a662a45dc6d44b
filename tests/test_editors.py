"""What docs/editors.md promises, asked of the language server that VS Code's YAML extension and others run."""

from __future__ import annotations

import json
import queue
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dutybound.read import library
from tests.conftest import ROOT

SERVER = ROOT / "node_modules" / "yaml-language-server" / "bin" / "yaml-language-server"
MODELINE = "# yaml-language-server: $schema=../config.schema.json\n"
PATIENCE = 30.0
SETTINGS = {"schemaStore": {"enable": False}, "validate": True, "completion": True, "hover": True}
pytestmark = pytest.mark.skipif(
    not SERVER.exists(), reason="npm install --no-save yaml-language-server@1.25.0 brings it"
)


class Editor:
    """A client of the language server: it opens files and asks (Language Server Protocol 3.17, over stdio)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.opened = self.asked = 0
        self.messages: queue.Queue[dict[str, Any]] = queue.Queue()
        self.problems: dict[str, list[dict[str, Any]]] = {}
        self.process = subprocess.Popen(["node", SERVER, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.reader = threading.Thread(target=self._read)
        self.reader.start()
        able = {"workspace": {"configuration": True}, "textDocument": {"completion": {}, "hover": {}}}
        self.ask("initialize", {"processId": None, "rootUri": folder.as_uri(), "capabilities": able})
        self._send({"method": "initialized", "params": {}})

    def __enter__(self) -> Editor:
        return self

    def __exit__(self, *_error: object) -> None:
        self.process.kill()
        self.process.wait()
        self.reader.join()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        while head := self.process.stdout.readline():
            length = int(head.split(b":")[1])
            while self.process.stdout.readline().strip():
                pass
            self.messages.put(json.loads(self.process.stdout.read(length)))

    def _send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self.process.stdin.flush()

    def _receive(self) -> dict[str, Any]:
        """The next message; the server's own questions are answered."""
        message = self.messages.get(timeout=PATIENCE)
        if message.get("method") == "textDocument/publishDiagnostics":
            self.problems[message["params"]["uri"]] = message["params"]["diagnostics"]
        elif "method" in message and "id" in message:
            items = message["params"].get("items", []) if message["method"] == "workspace/configuration" else []
            answer = [SETTINGS if item["section"] == "yaml" else {} for item in items]
            self._send({"id": message["id"], "result": answer or None})
        return message

    def ask(self, method: str, params: dict[str, Any]) -> Any:
        """The result of a request."""
        self.asked += 1
        number = self.asked
        self._send({"id": number, "method": method, "params": params})
        while (answer := self._receive()).get("id") != number or "method" in answer:
            pass
        return answer["result"]

    def open(self, text: str) -> str:
        """Open a file of that text; its address."""
        self.opened += 1
        file = self.folder / "config" / f"{self.opened}.yaml"
        file.write_text(text, encoding="utf-8")
        document = {"uri": file.as_uri(), "languageId": "yaml", "version": 1, "text": text}
        self._send({"method": "textDocument/didOpen", "params": {"textDocument": document}})
        return file.as_uri()

    def problems_of(self, text: str) -> list[tuple[int, str]]:
        """What the editor underlines: line, from 1, and message."""
        uri = self.open(text)
        while uri not in self.problems:
            self._receive()
        return [(p["range"]["start"]["line"] + 1, p["message"]) for p in self.problems[uri]]

    def at_bar(self, method: str, text: str) -> Any:
        """Ask about the place where `|` stands in the text."""
        before, _, after = text.partition("|")
        position = {"line": before.count("\n"), "character": len(before) - before.rfind("\n") - 1}
        return self.ask(method, {"textDocument": {"uri": self.open(before + after)}, "position": position})


@pytest.fixture(scope="module")
def editor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Editor]:
    """An editor on a folder with the shipped schema."""
    folder = tmp_path_factory.mktemp("workspace")
    (folder / "config").mkdir()
    shutil.copy(ROOT / "config.schema.json", folder)
    with Editor(folder) as running:
        yield running


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("|", {"version", "organization", "teams", "roles", "duties", "break_glass", "mfa"}),
        ("teams:\n  a:\n    |", {"purpose", "members", "duties", "never"}),
        ("teams:\n  a:\n    purpose: x\n    duties:\n      - |", set(library())),
        ("roles:\n  a:\n    purpose: x\n    trusts:\n      |", {"service", "account"}),
        ("duties:\n  a:\n    summary: x\n    grants:\n      - |", {"service", "access", "actions", "resources", "why"}),
        ("duties:\n  a:\n    grants:\n      - service: s3\n        access: [|]", {"list", "read", "write"}),
    ],
)
def test_completion_from_the_modeline(editor: Editor, text: str, offered: set[str]) -> None:
    """Keys, built-in duties and access levels are offered where they may stand."""
    items = editor.at_bar("textDocument/completion", MODELINE + text)["items"]
    assert offered <= {item["label"] for item in items}


def test_a_key_is_explained(editor: Editor) -> None:
    """Pointing at a key says what it is."""
    hover = editor.at_bar("textDocument/hover", MODELINE + "teams:\n  a:\n    pur|pose: x\n")
    assert "Why the team has access" in json.dumps(hover["contents"])


def test_a_wrong_shape_is_underlined(editor: Editor) -> None:
    """Unknown keys, missing ones and wrong types, at their lines; no schema, no problem."""
    wrong = "teams:\n  a:\n    purpos: x\n  b:\n    purpose: x\n    members: john\n"
    found = editor.problems_of(MODELINE + wrong)
    assert {line for line, _ in found} == {3, 4, 7}
    assert editor.problems_of(wrong) == []


@pytest.mark.parametrize("file", sorted((ROOT / "config").glob("*.yaml")), ids=lambda p: p.name)
def test_the_shipped_example_is_not_underlined(editor: Editor, file: Path) -> None:
    """Each file of the example, with the modeline, has no problem."""
    text = file.read_text(encoding="utf-8")
    assert editor.problems_of(text if text.startswith(MODELINE) else MODELINE + text) == []
