"""The wheel holds the three packages and nothing else, the source distribution what tests need."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
FLOORS = ("instances", "solvers", "milp_lth")
BESIDE = ("tests", "docs")
ALONE = ("CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "MANIFEST.in", "Makefile", "README.md",
         "constraints.txt", "constraints-oldest.txt", "pyproject.toml", "setup.cfg")  # fmt: skip


def files(*folders: str) -> set[str]:
    """The names of what is kept in folders; caches and built pages apart."""
    inside = (p.relative_to(ROOT) for f in folders for p in (ROOT / f).rglob("*") if p.is_file())
    left_out = (".", "_build", "__pycache__")
    return {p.as_posix() for p in inside if not any(part.startswith(left_out) for part in p.parts)}


def test_distributions_are_the_tree(tmp_path: Path) -> None:
    """The wheel is built from what the source distribution holds."""
    listed, beside = files(*FLOORS), files(*BESIDE)
    source = tmp_path / "source"
    for name in [*listed, *beside, *ALONE]:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", tmp_path, source]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {n for n in archive.namelist() if ".dist-info/" not in n}
        for name in packed:
            assert archive.read(name) == (ROOT / name).read_bytes(), name
        entry_points = next(n for n in archive.namelist() if n.endswith("entry_points.txt"))
        assert "milp-lth = milp_lth.cli.main:main" in archive.read(entry_points).decode()
    assert packed == listed
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        kept = {member.name.partition("/")[2] for member in archive if member.isfile()}
    assert kept >= listed | beside | set(ALONE)
    made = {"PKG-INFO", "setup.cfg"}
    assert all(n in made or ".egg-info/" in n for n in kept - listed - beside - set(ALONE))
