"""Tables as Markdown: what stands beside a page, and in the documentation."""

from collections.abc import Iterable, Sequence


def markdown_table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    r"""Return a table as text, a line for each line.

    >>> markdown_table(["n", "error"], [["8", "0.1"]])
    '| n | error |\n| --- | --- |\n| 8 | 0.1 |\n'
    """
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, ["---"] * len(head), *lines))
