"""All sets by name: load one, checked to the last bit, and its proven optima."""

from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType

from instances.arrays import FloatArray
from instances.instance import Instance
from instances.library.checksum import checksum
from instances.library.coupled_sets import COUPLED_SETS
from instances.library.hard_sets import HARD_SETS
from instances.library.named_set import NamedSet
from instances.library.network_sets import NETWORK_SETS
from instances.library.random_sets import RANDOM_SETS
from instances.library.table import Proven, proven
from instances.library.trap_sets import TRAP_SETS

SETS: Mapping[str, NamedSet] = MappingProxyType(
    {s.name: s for s in (*RANDOM_SETS, *HARD_SETS, *TRAP_SETS, *NETWORK_SETS, *COUPLED_SETS)}
)


def list_sets() -> list[str]:
    """Return the names of the sets in the library.

    Returns
    -------
    list of str
        In the order of `milp-lth instances list`.
    """
    return list(SETS)


def load_set(name: str) -> Instance:
    """Return a set of the library; its checksum is compared with the recorded one.

    >>> load_set("uniform-21").coefficients.shape
    (20, 21)

    Parameters
    ----------
    name
        One of `list_sets`.

    Returns
    -------
    Instance
        A SubsetSum or a coupled program, bit for bit the one that the optima were proved for.

    Raises
    ------
    ValueError
        When no set has that name, or its bits are not those that the optima were proved for.
    """
    instance = find_set(name).build()
    found, recorded = checksum(instance), proven_set(name).sha256
    if found != recorded:
        raise ValueError(
            f"set {name} has the checksum {found[:12]}…, but {recorded[:12]}… is recorded: "
            "install milp_lth anew"
        )
    return instance


def known_optima(name: str) -> FloatArray:
    """Return the proven optimum of every row of a set; infinity where no mask is feasible.

    Objectives that are judged in float64 are optimal up to the instance's slack; those of neurons
    in norm 1 and inf up to the gap that the table states.

    >>> known_optima("even-odd-20").tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0]

    Parameters
    ----------
    name
        One of `list_sets`.

    Returns
    -------
    FloatArray
        Shape (b,): errors, or numbers of kept candidates, as the instance judges.

    Raises
    ------
    ValueError
        When no set has that name.
    """
    return proven_set(name).optima


def proven_set(name: str) -> Proven:
    """Return what the table of optima says of a set.

    Raises
    ------
    ValueError
        When no set has that name, or the table says nothing of this version.
    """
    entry = proven().get(find_set(name).name)
    if entry is None or entry.version != SETS[name].version:
        raise ValueError(
            f"no optima of set {name}, version {SETS[name].version}: install milp_lth anew"
        )
    return entry


def find_set(name: str) -> NamedSet:
    """Return what is known of a set without building it.

    Raises
    ------
    ValueError
        When no set has that name.
    """
    if name not in SETS:
        close = get_close_matches(name, SETS, n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else "list_sets() has the names"
        raise ValueError(f"unknown set {name!r}: {hint}")
    return SETS[name]
