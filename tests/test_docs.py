"""README and docs/: tables as the code says, blocks that run, links that lead somewhere, a site that builds."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from inkling.models.bundle import Registry, zoo_directory
from inkling.service.settings import load_settings
from tests.doc_blocks import Block, Reader, alike, blocks, included, matches, problem
from tests.docs import DOCS, MARKERS, README, ROOM_LINES, ROOT, SECTIONS, pages, updated
from tests.pictures.__main__ import DRAWN, FOLDER, MEASURED
from tests.service.conftest import Running, running
from tests.service.sources.cameras import Camera
from tests.support import skip_unless
from tests.test_architecture import ROOMS

PAGES = pages()
LONGEST_README = 140
"""Lines; a visitor reads no more."""


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


# -- tables and pictures ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("page", PAGES, ids=name)
def test_the_tables_of_a_page_are_what_the_code_says(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert updated(text) == text, "run `python -m tests.docs`"


def test_every_table_is_on_one_page() -> None:
    found = Counter(marker[1] for page in PAGES for marker in MARKERS.findall(page.read_text(encoding="utf-8")))
    assert found == Counter(list(SECTIONS))


def test_every_room_has_a_line_in_the_architecture_and_no_other_has() -> None:
    assert set(ROOM_LINES) == {(wing, room) for wing, plan in ROOMS.items() for room in plan}


@pytest.mark.parametrize("picture", DRAWN)
def test_a_picture_is_what_the_code_says(picture: str) -> None:
    drawn = (FOLDER / f"{picture}.svg").read_text(encoding="utf-8")
    assert drawn == DRAWN[picture](), f"run `python -m tests.pictures {picture}`"


def test_every_picture_has_its_script_and_is_small() -> None:
    files = {file.stem: file.stat().st_size for file in FOLDER.iterdir()}
    assert set(files) == {*DRAWN, *MEASURED}
    assert max(files.values()) < 150_000


def test_the_demos_picture_shows_the_shipped_version() -> None:
    versions = {found.name: found.version for found in Registry([zoo_directory()]).scan()}
    picture = (ROOT / "service" / "demo" / "demo.svg").read_text(encoding="utf-8")
    assert f"body-actions&#160;{versions['body-actions']}" in picture, "draw it with inkling.service.cli.picture"


# -- links --------------------------------------------------------------------------------------------------------
def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as the site and GitHub make them."""
    heads = re.findall(r"^#+ (.*)$", included(page.read_text(encoding="utf-8")), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert dead == []


def test_every_page_is_linked_from_readme_or_the_site() -> None:
    listed = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert [name(page) for page in DOCS.rglob("*.md") if f": {page.relative_to(DOCS).as_posix()}\n" not in listed] == []


def test_readme_is_as_long_as_a_visitor_reads() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= LONGEST_README


# -- the site -----------------------------------------------------------------------------------------------------
def test_the_site_builds_and_its_pages_fetch_nothing(tmp_path: Path) -> None:
    skip_unless(find_spec("material") is not None, "mkdocs-material is not installed (the extra docs)")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    fetched = set()
    for page in tmp_path.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        fetched |= set(re.findall(r"<(?:script|img|iframe)[^>]* src=\"?(https?:[^\"> ]+)", text))
        fetched |= set(
            re.findall(r"<link[^>]* rel=\"?(?:stylesheet|preconnect|icon)[^>]* href=\"?(https?:[^\"> ]+)", text)
        )
    assert fetched == set()


# -- blocks of code -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_block_is_run_or_says_why_not(page: Path) -> None:
    assert {block.where: said for block in blocks(page) if (said := problem(block))} == {}


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running(load_settings({"port": 0, "threads": 1, "source_hosts": "127.0.0.1"})) as shared:
        yield shared


@pytest.fixture(scope="module")
def camera() -> Iterator[str]:
    with Camera() as camera:
        yield camera.url


@pytest.mark.timeout(400)
@pytest.mark.parametrize("page", [page for page in PAGES if any(block.runs for block in blocks(page))], ids=name)
def test_a_page_works_as_printed(page: Path, server: Running, camera: str, tmp_path: Path) -> None:
    with Reader(tmp_path, server.url, camera) as reader:
        for block in blocks(page):
            reader.run(block)


def test_most_pages_have_something_that_runs() -> None:
    assert sum(block.runs for page in PAGES for block in blocks(page)) > 40


# -- and that the tests above would notice ------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("fence", "said"),
    [
        ("```sh\nls\n```", None),
        ("```text\nno code\n```", None),
        ("```js\nx()\n```", "no mark"),
        ("```\nls\n```", "no mark"),
        ("<!-- not run: needs a GPU -->\n```sh\nls\n```", None),
        ("<!-- not run -->\n```sh\nls\n```", "without a reason"),
        ("<!-- not run:  -->\n```sh\nls\n```", "without a reason"),
        ('```toml\nname = "x"\n```', "no title"),
        ('```toml title="x.toml"\nname = "x"\n```', None),
    ],
)
def test_a_block_without_an_honest_mark_is_found(fence: str, said: str | None, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# A page\n\n{fence}\n")
    (block,) = blocks(page)
    found = problem(block)
    assert found is None if said is None else said in str(found)


def block(language: str, text: str, title: str = "", mark: str = "") -> Block:
    return Block(Path("page.md"), 1, language, title, text, mark)


@pytest.mark.parametrize(
    "wrong",
    [
        block("sh", "false\nls\n"),
        block("sh", "cat missing | head\n"),
        block("console", "$ echo a\nb\n"),
        block("python", "raise SystemExit(1)\n"),
        block("json", '{"people": [{"track": 1, "keypoints": [[1, 2]]}]}', "clip.json"),
        block("csv", "path,label,part\n", "clips.csv"),
        block("wire", '-> {"type": "start", "bundle": "body-actions"}\n<- {"type": "ready", "credits": 9}\n'),
    ],
    ids=lambda wrong: wrong.language,
)
def test_a_block_that_does_not_do_what_it_says_fails(wrong: Block, server: Running, tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        Reader(tmp_path, server.url, "").run(wrong)


@pytest.mark.parametrize("wrong", ["[fit]\nepoch = 3\n", "max_stream = 3\n"], ids=["recipe", "settings"])
def test_a_toml_file_is_read_by_what_reads_it_for_a_user(wrong: str, server: Running, tmp_path: Path) -> None:
    title = "x.toml" if "fit" in wrong else "inkling.toml"
    with pytest.raises(Exception, match=r"epoch|max_stream"):
        Reader(tmp_path, server.url, "").run(block("toml", wrong, title))


def test_what_stands_for_anything_matches_anything_and_no_less() -> None:
    assert matches("a …% b\n  c", "a 17% b\n  c  \n")
    assert not matches("a …% b", "a 17% c")
    assert not matches("a", "a\nb")
    assert alike({"a": "…", "b": [1, "…"]}, {"a": 3, "b": [1, 2, 3]})
    assert not alike({"a": 1}, {"a": 1, "b": 2})
    assert not alike({"b": [2, "…"]}, {"b": [1, 2]})


def test_what_a_reader_types_reaches_the_server_of_the_test(server: Running, tmp_path: Path) -> None:
    reader = Reader(tmp_path, server.url, "http://camera/x")
    assert reader.replaced("inkling score x.npz") == f"inkling score --url {server.url} x.npz"
    assert reader.replaced("inkling demo --save x.npz") == "inkling demo --save x.npz"
    assert reader.replaced("curl http://127.0.0.1:8000/v1") == f"curl {server.url}/v1"
    assert reader.replaced("AsyncClient()") == f'AsyncClient("{server.url}")'
    assert reader.replaced("cv2.VideoCapture(0)") == 'cv2.VideoCapture("http://camera/x")'
