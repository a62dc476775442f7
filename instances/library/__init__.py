"""The instance library: named, versioned sets of problems, and their proven optima."""

from instances.library.sets import known_optima as known_optima
from instances.library.sets import list_sets as list_sets
from instances.library.sets import load_set as load_set
