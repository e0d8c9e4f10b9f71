from __future__ import annotations

import re

from tests.docs import README, updated


def test_the_tables_of_readme_are_what_the_code_says() -> None:
    text = README.read_text(encoding="utf-8")
    assert updated(text) == text, "README's tables are old: run `python -m tests.docs`"


def test_every_file_that_readme_links_to_exists() -> None:
    text = README.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#:]+)\)", text)
    assert links
    missing = [link for link in links if not (README.parent / link).exists()]
    assert missing == []
