"""What README and docs show runs, as plain scripts without a main guard."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(language: str) -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        fence = rf"^```(?:{{code-block}} )?{language}\n(.*?)^```$"
        for k, match in enumerate(re.finditer(fence, text, re.MULTILINE | re.DOTALL)):
            found.append((f"{page.name}-{k}", match[1]))
    return found


SCRIPTS = [(name, code) for name, code in blocks("python") if "milp_lth" in code]


@pytest.mark.parametrize(("name", "code"), SCRIPTS, ids=[name for name, _ in SCRIPTS])
def test_examples_run_as_plain_scripts(tmp_path: Path, name: str, code: str) -> None:
    script = tmp_path / "example.py"
    script.write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
    for line, promised in re.findall(r"^(print\(.*\)) +# (\S+)", code, re.MULTILINE):
        assert promised in done.stdout.split(), line


def test_the_readme_shows_ten_lines_and_what_they_give(tmp_path: Path) -> None:
    name, code = SCRIPTS[0]
    assert name == "README.md-0"
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    match = re.fullmatch(
        r"accuracy (0\.\d+), agreement (\d\.\d+)\nkept (\d+\.\d) edges per weight\n", done.stdout
    )
    assert match is not None
    assert float(match[1]) > 0.95
    assert float(match[2]) == 1
    assert (tmp_path / "folded.pt").is_file()


def test_the_readme_table_has_the_rows_that_are_printed(finished_run: Path) -> None:
    from milp_lth.cli.figures import figure_rows
    from milp_lth.ledger import Ledger

    with Ledger(finished_run) as ledger:
        rows = figure_rows(ledger.figures())
    (table,) = (code for name, code in blocks("text") if name == "README.md-0")
    assert [re.split(r"  +", line)[0] for line in table.splitlines()[:-1]] == [r[0] for r in rows]


def test_examples_use_the_public_face_alone() -> None:
    for name, code in blocks("python"):
        assert not re.search(r"(?:from|import) (?:instances|solvers|milp_lth\.)", code), name


def test_links_and_pictures_are_there() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_false_optima_are_still_false(tmp_path: Path) -> None:
    (code,) = (code for name, code in SCRIPTS if name == "when_optimal_is_not.md-0")
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    lines = [line.split() for line in done.stdout.splitlines()[1:]]
    assert [line[0] for line in lines] == ["cbc-default", "highs-default", "scip-default"]
    for _, claimed, falsely, believed in lines:
        assert (int(claimed), int(believed)) == (20, 0)
        assert int(falsely) > 0
