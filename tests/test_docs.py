"""What README and docs show runs, and what they link to is there.

A ```python block is run as a plain script without a main guard, a ```py block is not: it needs
something of the user's. A ```sh block is run in an empty folder unless it names a file that the
user supplies, or stands in `NOT_RUN` with a reason. Notebooks are executed when the documentation
is built.
"""

import ast
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from launching import Warm, start

ROOT = Path(__file__).parents[1]
README, DOCS = ROOT / "README.md", ROOT / "docs"
NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.md"))
PAGES = [README, *sorted(DOCS.glob("*.md")), *NOTEBOOKS]
USERS = re.compile(r"\b(?:model\.pt|fc2\.pt|FILE|DIR)\b")
FEW_THREADS = {"OMP_NUM_THREADS": "1"}  # torch's threads wait busily where tests share cores
NOT_RUN = {  # the beginning of the block, and why
    "make ": "is what runs these tests, or takes minutes",
    "pip install ": "installs",
    "python docs/measurements/": "measures for minutes",
    "milp-lth bench speed": "measures for minutes",
    "milp-lth bench workers": "measures for a minute",
    "milp-lth compare\n": "takes eight minutes",
    "milp-lth compare --instances uniform-21": "takes half a minute",
    "milp-lth instances show uniform-21\n": "verifies the library, for half a minute",
    "milp-lth reproduce claims": "takes twenty minutes",
    "milp-lth reproduce constructions": "takes eight minutes",
    "milp-lth reproduce log-width": "takes minutes",
    "milp-lth reproduce lower-bound": "takes a minute",
    "milp-lth reproduce phase-transition": "takes minutes",
    "milp-lth reproduce planted": "takes minutes",
    "milp-lth reproduce smallest-source": "takes two minutes",
    "milp-lth reproduce structures": "takes minutes",
    "milp-lth rivals": "takes minutes",
    "ls -l runs/pensia2020/": "needs the paper's network",
}


def blocks(language: str) -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        fence = rf"^```(?:{{code-block}} )?{language}\n(.*?)^```$"
        for k, match in enumerate(re.finditer(fence, text, re.MULTILINE | re.DOTALL)):
            found.append((f"{page.name}-{k}", match[1]))
    return found


def cells(page: Path) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return re.findall(r"^```\{code-cell\}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def prose(page: Path) -> str:
    """The page without code."""
    text = page.read_text(encoding="utf-8")
    text = re.sub(r"^(`{3,}|:{3,}).*?^\1$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"(\{\w+\}`[^`]*`)|`[^`\n]*`", r"\1", text)


def anchors(page: Path) -> set[str]:
    """What GitHub and Sphinx call the headings of a page."""
    headings = re.findall(r"^#{1,3} (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in headings}


SCRIPTS = blocks("python")


def commands() -> dict[str, str]:
    """What is run of every page, each line once."""
    found, seen = {}, set()
    for name, code in blocks("sh"):
        code = code.replace(".venv/bin/", "")
        if USERS.search(code) or code.startswith(tuple(NOT_RUN)) or seen >= set(code.splitlines()):
            continue
        seen |= set(code.splitlines())
        found[name] = code
    return found


COMMANDS = commands()


@pytest.mark.parametrize(("name", "code"), SCRIPTS, ids=[name for name, _ in SCRIPTS])
def test_examples_run_as_plain_scripts(tmp_path: Path, name: str, code: str) -> None:
    script = tmp_path / "example.py"
    script.write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | FEW_THREADS,
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


def test_the_readme_table_is_part_of_what_its_command_printed() -> None:
    def rows(page: Path, first: str) -> dict[str, dict[str, str]]:
        text = page.read_text(encoding="utf-8")
        (table,) = re.findall(rf"^\| {first} \|.*?\n\n", text, re.MULTILINE | re.DOTALL)
        names, _, *lines = [
            [cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line
        ]
        return {line[0]: dict(zip(names[1:], line[1:], strict=True)) for line in lines}

    whole = rows(DOCS / "pensia2020.md", "row")
    shown = rows(README, "row")
    assert len(shown) == 5
    for name, row in shown.items():
        assert row.items() <= whole[name.removesuffix(", 36 cores")].items(), name


def test_examples_use_the_public_face_alone() -> None:
    shown = [*blocks("python"), *((page.name, code) for page in PAGES for code in cells(page))]
    for name, code in shown:
        assert not re.search(r"(?:from|import) (?:instances|solvers|milp_lth\.)", code), name


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    with Warm() as process:
        yield process


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_run(tmp_path: Path, name: str, warm: Warm) -> None:
    from milp_lth import FixedSize, SubsetSum, save_instance

    instance = SubsetSum([[0.5, 0.25], [0.3, 0.7]], [0.4, 0.75], FixedSize(1))
    save_instance(instance, tmp_path / "instance.json")  # the one that files.md makes
    lines = [
        shlex.split(line, comments=True)
        for line in COMMANDS[name].replace("\\\n", "").splitlines()
        if line
    ]
    if all(words[0] == "milp-lth" and not {*words} & {"|", ">", "&&"} for words in lines):
        for words in lines:
            command = start(words[1:], tmp_path, warm=warm)
            assert command.wait() == 0, command.said()
        return
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    done = subprocess.run(
        ["sh", "-e", "-c", COMMANDS[name]],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"PATH": path} | FEW_THREADS,
    )
    assert done.returncode == 0, done.stderr


def test_start_here_leads_to_a_verified_ticket_of_a_network_of_ones_own(tmp_path: Path) -> None:
    page = (DOCS / "start.md").read_text(encoding="utf-8").split("## A network of your own\n")[1]
    save, *_ = re.findall(r"^```py\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    commands, *_ = re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    made = "import torch\nfrom torch import nn\n"
    made += "model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))\n"
    subprocess.run([sys.executable, "-c", made + save], check=True, cwd=tmp_path)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    done = subprocess.run(
        ["sh", "-e", "-c", commands],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"PATH": path} | FEW_THREADS,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("runs/model-1: verified\n")


def test_built_pages_fetch_nothing() -> None:
    """Fonts, scripts, styles and pictures lie beside the pages, or are in them."""
    built = sorted((DOCS / "_build" / "html").rglob("*.html"))
    if not built:
        pytest.skip("the documentation is not built: make docs")
    for page in built:
        text = page.read_text(encoding="utf-8")
        for tag in re.findall(r"<(?:script|link|img|iframe|source|object|embed)\b[^>]*>", text):
            used = re.findall(r"\b(?:src|srcset|data|href)=[\"']?((?:https?:)?//[^\"'\s>]+)", tag)
            assert not used, f"{page.name}: {used[0]}"
    for sheet in (DOCS / "_build" / "html").rglob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        assert not re.search(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", text), sheet.name


def test_reasons_not_to_run_a_block_are_still_needed() -> None:
    shown = [code.replace(".venv/bin/", "") for _, code in blocks("sh")]
    for beginning in NOT_RUN:
        assert any(code.startswith(beginning) for code in shown), beginning


def test_links_and_pictures_are_there() -> None:
    for page in PAGES:
        text = prose(page)
        targets = re.findall(r"\]\(([^)\s]+)\)", text)
        for role in re.findall(r"\{doc\}`([^`]+)`", text):
            targets.append(re.sub(r".*<(.*)>$", r"\1", role, flags=re.DOTALL) + ".md")
        for target in targets:
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            place = (page.parent / path).resolve() if path else page
            assert place.exists(), f"{page.name}: {target}"
            assert not anchor or anchor in anchors(place), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_below_every_figure_stands_what_to_see(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    figures = [f"{cell}```\n" for cell in cells(page) if "plt.subplots" in cell]
    figures += re.findall(r"^!\[.*?\]\(\S+\)\n", text, re.MULTILINE)
    for figure in figures:
        assert text.split(figure)[1].startswith("\n*What to see:*"), figure


@pytest.mark.parametrize("page", NOTEBOOKS, ids=lambda page: page.stem)
def test_notebooks_are_what_a_class_can_use(page: Path) -> None:
    code, text = cells(page), page.read_text(encoding="utf-8")
    assert text.startswith("---\njupytext:\n")
    assert len(code) <= 12
    modules = set()
    for cell in code:
        for node in ast.walk(ast.parse(re.sub(r"\A(?::.*\n)+", "", cell))):
            if isinstance(node, ast.Import):
                modules |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                modules.add(str(node.module).split(".")[0])
    assert modules <= {"milp_lth", "numpy", "matplotlib", "torch", *sys.stdlib_module_names}
    assert 2 <= len([cell for cell in code if "plt.subplots" in cell]) <= 4
    assert set(re.findall(r"load_named_target\(([^)]*)\)", text)) <= {'"digits-mlp"'}
    exercises = text.split("## Exercises\n")[1]
    assert len(re.findall(r"^\d\. ", exercises, re.MULTILINE)) == 3
    assert exercises.count(":tags: [hide-cell]\n\n# ") == 3


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
