"""The wheel holds the three packages, all of their files and nothing else."""

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
FLOORS = ("instances", "solvers", "milp_lth")


def test_the_wheel_is_the_tree(tmp_path: Path) -> None:
    listed = {
        path.relative_to(ROOT).as_posix()
        for floor in FLOORS
        for path in (ROOT / floor).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    source = tmp_path / "source"
    for name in [*listed, "setup.cfg", "pyproject.toml", "README.md", "LICENSE"]:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        tmp_path,
        source,
    ]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {n for n in archive.namelist() if ".dist-info/" not in n}
        for name in packed:
            assert archive.read(name) == (ROOT / name).read_bytes(), name
        entry_points = next(n for n in archive.namelist() if n.endswith("entry_points.txt"))
        assert "milp-lth = milp_lth.cli.main:main" in archive.read(entry_points).decode()
    assert packed == listed
