"""A run's figures, for people."""

from typing import Any


def figure_rows(figures: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what is worth knowing about a run, line by line: name and value."""
    edges, ticket, weights = figures["edges"], figures["ticket"], figures["weights"]
    rows = [
        ("accuracy, target → ticket", _accuracies(figures)),
        ("agreement with the target", f"{100 * ticket['agreement']:.2f} %"),
        (
            "change of a logit, max / mean",
            f"{ticket['max_logit_error']:.2g} / {ticket['mean_logit_error']:.2g}",
        ),
        (
            "error of a weight, max / median",
            f"{weights['max_error']:.2g} / {weights['median_error']:.2g}",
        ),
        ("SubsetSum problems", ", ".join(f"{n:,} {s}" for s, n in figures["status"].items() if n)),
        (
            "within / out of tolerance",
            f"{figures['within_tolerance']:,} / {figures['out_of_tolerance']:,}",
        ),
        (
            "edges of the source",
            f"{edges['source_dense']:,}, {edges['source_block']:,} after the blocks",
        ),
        (
            "kept in U / in V",
            f"{edges['kept_u']:,} / {edges['kept_v']:,} ({edges['per_weight']:.2f} per weight)",
        ),
        (
            "seconds, solving / in all",
            f"{figures['seconds']['solve']:.2f} / {figures['seconds']['total']:.2f}",
        ),
    ]
    if "redrawn" in figures:
        again = figures["redrawn"]
        rows.append(
            (
                "drawn again",
                f"{again['rows']:,} weights, {again['draws']:,} draws: the random "
                "network depends on the target",
            )
        )
    left = [one for one in figures.get("left_dense", ()) if not one["elementwise"]]
    if left:
        what = ", ".join(f"{one['name'] or 'itself'} ({one['kind']})" for one in left)
        rows.append(("left dense", f"{what}: {sum(one['num_weights'] for one in left):,} weights"))
    if figures.get("untraced"):
        rows.append(("both halves everywhere", figures["untraced"]))
    if "coupling" in figures:
        rows.append(("coupled problems", _counted(figures["coupling"])))
    if "beside" in figures:
        rows += _beside(**figures["beside"])
    return rows


def _counted(coupled: list[dict[str, Any]]) -> str:
    """Count the statuses of all coupled problems."""
    names = coupled[0]["status"]
    counts = {name: sum(one["status"][name] for one in coupled) for name in names}
    return ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)


def _beside(coupled: dict[str, Any], independent: dict[str, Any]) -> list[tuple[str, str]]:
    """Say what independent sums of the same source would have given."""
    ratios = [
        f"{(one / other) ** 2:.3g}" if other else "∞"
        for one, other in zip(independent["output_errors"], coupled["output_errors"], strict=True)
    ]
    accuracy = independent["accuracy"]
    reached = "" if accuracy is None else f"accuracy {100 * accuracy:.2f} %, "
    return [
        (
            "independent sums instead",
            f"{reached}agreement {100 * independent['agreement']:.2f} %, "
            f"{independent['per_weight']:.2f} per weight",
        ),
        ("their squared output errors", f"{', '.join(ratios)} times ours, by layer"),
    ]


def print_figures(figures: dict[str, Any]) -> None:
    """Print the figures of a run as a table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in figure_rows(figures):
        table.add_row(name, value)
    console = Console(markup=False)  # names of layers are what a file says they are
    console.print(table)
    console.print(f"report and ticket: {figures['out']}", soft_wrap=True, highlight=False)


def _accuracies(figures: dict[str, Any]) -> str:
    target, ticket = figures["target"]["accuracy"], figures["ticket"]["accuracy"]
    if target is None:
        return "not known: the target came without data"
    return f"{100 * target:.2f} % → {100 * ticket:.2f} %"
