"""What all methods work on: training data to search with, held-out data to be judged by."""

from dataclasses import dataclass

from milp_lth.targets.data import Data
from milp_lth.targets.named import load_data


@dataclass(frozen=True, eq=False)
class Task:
    """Labelled data in two parts.

    Attributes
    ----------
    name
        What the data are called.
    train
        All that may be looked at while a mask is searched.
    test
        What is held out: a mask is judged by it.
    """

    name: str
    train: Data
    test: Data

    @property
    def num_features(self) -> int:
        """Numbers in an input."""
        return self.train.x[0].numel()

    @property
    def num_classes(self) -> int:
        """Classes of the training part."""
        assert self.train.y is not None
        return int(self.train.y.max()) + 1


def load_task(name: str) -> Task:
    """Return the task of a data set.

    Parameters
    ----------
    name
        As for `milp_lth.targets.named.load_data`: digits, wine, mnist, or a folder of IDX files.

    Returns
    -------
    Task
        Its training part and its held-out one.

    Raises
    ------
    ValueError
        When the data are unknown or cannot be had.
    """
    return Task(name, load_data(name, training=True), load_data(name))
