"""The table of a reproduction, for people."""

from typing import Any

from milp_lth.report.markdown import markdown_table

COLUMNS = {
    "row": "row",
    "accuracy": "accuracy",
    "agreement": "agreement",
    "source_dense": "edges drawn",
    "kept_u": "kept U",
    "kept_v": "kept V",
    "alive": "alive",
    "per_weight": "kept per weight",
    "worst_error": "worst error",
    "median_error": "median error",
    "optimal_share": "optimal",
    "seconds": "seconds",
    "core_seconds": "core seconds",
    "verified": "verified",
}


def cells(row: dict[str, Any]) -> list[str]:
    """Return a row's values as text, in the order of `COLUMNS`."""
    return [_text(row, name) for name in COLUMNS]


BRIEFLY = ("row", "accuracy", "agreement", "per_weight", "worst_error", "seconds", "verified")
"""The columns that fit a terminal."""


def brief_cells(row: dict[str, Any]) -> list[str]:
    """Return a row's values as text, in the order of `BRIEFLY`; spreads on a line of their own."""
    spread = [_text(row, name).replace(" (", "\n").rstrip(")") for name in BRIEFLY[1:]]
    return [row["row"], *spread]


def notes(rows: list[dict[str, Any]]) -> list[str]:
    """Return what the columns do not say, a sentence each."""
    sentences = []
    for row in rows:
        if row.get("beyond_tolerance"):
            weights = sum(seed["num_weights"] for seed in row["seeds"])
            beyond, proven = row["beyond_tolerance"], row["beyond_proven"]
            share = "each" if proven == beyond else f"{proven:,} of them"
            sentences.append(
                f"{row['row']}: {beyond:,} of {weights:,} weights are beyond 0.01, {share} with a "
                "proof that no subset of its candidates comes closer."
            )
        if "theory_width" in row:
            sentences.append(
                f"{row['row']}: theory's median reaches the same median error at width "
                f"{row['theory_width']}."
            )
    return sentences


def markdown(rows: list[dict[str, Any]]) -> str:
    """Return the table in Markdown."""
    table = markdown_table(list(COLUMNS.values()), map(cells, rows))
    return table + "".join(f"\n- {sentence}" for sentence in notes(rows)) + "\n"


def _text(row: dict[str, Any], name: str) -> str:
    value = row[name]
    if value is None:
        return "–"
    seeds = row.get("seeds", ())
    if name in ("accuracy", "agreement"):
        spread = [seed[name] for seed in seeds]
        some = f" ({100 * min(spread):.2f}–{100 * max(spread):.2f})" if len(seeds) > 1 else ""
        return f"{100 * value:.2f} %{some}"
    if name == "optimal_share":
        return "100 %" if value == 1 else f"{100 * value:.4f} %"
    if name in ("worst_error", "median_error"):
        return f"{value:.1e}"
    if name == "per_weight":
        return f"{value:.2f}"
    if name in ("seconds", "core_seconds"):
        return f"{value:,.1f}" if value < 1000 else f"{value:,.0f}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else f"{value:,.0f}"
