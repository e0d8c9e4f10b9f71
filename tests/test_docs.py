from __future__ import annotations

import re

import pytest

from inkling.service.settings import Settings
from tests.docs import README, updated
from tests.service.conftest import running


def test_the_tables_of_readme_are_what_the_code_says() -> None:
    text = README.read_text(encoding="utf-8")
    assert updated(text) == text, "README's tables are old: run `python -m tests.docs`"


def test_every_file_that_readme_links_to_exists() -> None:
    text = README.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#:]+)\)", text)
    assert links
    missing = [link for link in links if not (README.parent / link).exists()]
    assert missing == []


def test_the_twenty_line_client_runs_as_printed_and_sees_the_squat(capsys: pytest.CaptureFixture[str]) -> None:
    text = README.read_text(encoding="utf-8")
    program = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)[0]
    assert "8000" in program
    with running(Settings(port=0, load=("body-actions",))) as server:
        exec(compile(program.replace("http://127.0.0.1:8000", server.url), "README.md", "exec"), {})  # noqa: S102
    printed = capsys.readouterr().out.splitlines()
    assert printed[-2].split()[2] == "squat"
    assert "received=90" in printed[-1]
