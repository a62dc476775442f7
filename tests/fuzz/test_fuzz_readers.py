"""Every reader, given files that were changed at random: it reads them or says why not.

``make fuzz`` makes 20,000 changes; the suite makes some.
"""

import itertools
import resource
from pathlib import Path

import pytest
from fuzzing import Case
from whole_files import READERS

CHANGES = 60


@pytest.mark.parametrize("name", READERS)
def test_changed_files_are_read_or_refused(tmp_path: Path, name: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    case = Case(READERS[name], tmp_path / "case")
    said = [case.tried(seed) for seed in range(CHANGES)]
    assert sum(text is not None for text in said) > CHANGES / 4
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**19  # kilobytes


def test_the_changes_are_those_of_their_seed(tmp_path: Path) -> None:
    one, two = (Case(READERS["net.safetensors"], tmp_path / name) for name in "ab")
    contents = []
    for case, seed in itertools.product((one, two), range(9)):
        case.tried(seed)
        contents.append(case.path.read_bytes())
    assert contents[:9] == contents[9:]
    assert len(set(contents)) > 6
