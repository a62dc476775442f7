"""``milp-lth explain``: how one weight, a neuron or a layer of a target is rebuilt."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
from click.core import ParameterSource

from milp_lth.cli.options import as_json, numbers, objective_options, print_json
from milp_lth.cli.run import command as run

if TYPE_CHECKING:
    from milp_lth.explain.answers import Answers
    from milp_lth.explain.layer import LayerExplained
    from milp_lth.explain.neuron import NeuronExplained
    from milp_lth.explain.weight import WeightExplained
    from milp_lth.reduction import Reduction
    from milp_lth.run_settings import RunSettings
    from milp_lth.targets.data import Data

    Shown = WeightExplained | NeuronExplained | LayerExplained

_LIKE_RUN = (
    "target", "data", "construction", "distribution", "bits", "density", "perturbation", "redraws",
    "target_bits", "width", "assignment", "input_range", "module", "products", "input_shape",
    "normalise", "time_limit", "seed",
)  # fmt: skip
_OF_A_RUN = ({*_LIKE_RUN} - {"module"}) | {"objective", "tolerance", "size"}


@click.command(name="explain")
@click.argument("folder", type=click.Path(), required=False)
@click.option(
    "--layer",
    metavar="NAME|K",
    help="The layer's name, or its place from 0. [default: the first]",
)
@click.option("--output", metavar="J", help="A neuron of the layer, from 0. [default: all]")
@click.option(
    "--input", "input_", metavar="I|bias", help="A weight of the neuron, from 0. [default: all]"
)
@objective_options()
@click.option(
    "--out",
    type=click.Path(),
    metavar="FILE.html",
    help="Write it as a page to play with, too. [default: none]",
)
@as_json
@click.pass_context
def command(
    context: click.Context,
    /,
    folder: str | None,
    layer: str | None,
    output: str | None,
    input_: str | None,
    width: str | None,
    input_shape: str | None,
    out: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Show how a weight, a neuron or a layer is rebuilt by pruning alone.

    A layer, or with --output a neuron of it, or with --input too one weight: the random numbers
    behind it, which of them are kept, what they sum to, and what theory and greedy say. FOLDER is
    that of a finished run: its settings and its masks are explained.
    """
    from milp_lth.run_settings import RunSettings

    if input_ is not None and output is None:
        raise ValueError(f"--input {input_}: give the --output of the neuron that it belongs to")
    with ExitStack() as stack:
        if folder is None:
            shape = _whole("input-shape", input_shape, "give whole numbers, as in 1,28,28")
            widths = _whole("width", width, "give a whole number, or one per layer as in 48,24")
            one = widths[0] if widths is not None and len(widths) == 1 else widths
            asked = _of_target(RunSettings(width=one, input_shape=shape, **options))
        else:
            _refuse(context, folder)
            asked = _of_run(folder, options["module"], stack)
        place = 0 if layer is None else layer
        if out is not None:
            from milp_lth.explain.page import check_page

            check_page(asked.reduction, place)
        shown = _explain(asked, place, output, input_, as_json)
        if out is not None:
            _write(Path(out), asked, shown)
    about = asked.about
    stated = about | shown.stated() | {"objective": about["objective"], "out": out}
    if as_json:
        print_json(stated)
        return
    from milp_lth.cli.explanations import print_explanation

    print_explanation(shown, stated)


# those of a target are the same as of run: names, defaults, help
command.params[4:4] = [option for option in run.params if option.name in _LIKE_RUN]


def _refuse(context: click.Context, folder: str) -> None:
    """Refuse what a run's folder holds already."""
    for name in sorted(_OF_A_RUN):
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            option = f"--{name.replace('_', '-')}"
            raise ValueError(f"{option}: {folder} holds the settings of its run: leave it out")


def _whole(name: str, text: str | None, remedy: str) -> tuple[int, ...] | None:
    return None if text is None else numbers(name, text, int, remedy)


class _Asked(NamedTuple):
    """What is explained."""

    reduction: "Reduction"
    data: "Data"
    """Inputs of the target."""
    answers: "Answers"
    about: dict[str, Any]
    """What is printed of it."""


def _of_run(folder: str, module: str | None, stack: ExitStack) -> _Asked:
    """Read a run's folder; its ledger stays open as long as the stack is."""
    from milp_lth.explain.answers import Recorded
    from milp_lth.ledger import Ledger
    from milp_lth.run import Run

    run = Run(folder, module)
    answers = Recorded(run.reduction, stack.enter_context(Ledger(run.folder)))
    return _Asked(run.reduction, run.data, answers, _about(run.settings, run.data, folder))


def _of_target(settings: "RunSettings") -> _Asked:
    """Pose the problems of a target that is solved now."""
    from milp_lth.explain.answers import Solved
    from milp_lth.run import reduce_for
    from milp_lth.run_creation import load_asked

    network, data = load_asked(settings)
    reduction = reduce_for(settings, network, data.input_range)
    answers = Solved(reduction, settings.time_limit)
    return _Asked(reduction, data, answers, _about(settings, data, None))


def _about(settings: "RunSettings", data: "Data", folder: str | None) -> dict[str, Any]:
    return {
        "target": settings.target,
        "recorded": folder,
        "data": f"{data.name}, {data.split}",
        "objective": {
            "name": settings.objective,
            "tolerance": settings.tolerance,
            "size": settings.size,
        },
    }


def _explain(
    asked: _Asked, layer: int | str, output: str | None, input_: str | None, quiet: bool
) -> "Shown":
    reduction, data, answers, _ = asked
    if output is None:
        from milp_lth.cli.progress import Progress
        from milp_lth.explain.layer import explain_layer

        with Progress("weights", quiet=quiet) as progress:
            return explain_layer(reduction, layer, answers=answers, on_rows=progress)
    if input_ is not None:
        from milp_lth.explain.weight import explain_weight

        return explain_weight(reduction, layer, output, input_, answers=answers)
    from milp_lth.explain.inputs import layer_inputs
    from milp_lth.explain.neuron import explain_neuron
    from milp_lth.explain.place import find_layer

    x = layer_inputs(reduction.network, find_layer(reduction, layer), data.x)
    return explain_neuron(reduction, layer, output, x=x, answers=answers)


def _write(path: Path, asked: _Asked, shown: "Shown") -> None:
    from instances.files import write_atomically
    from milp_lth.explain.page import explanation_page

    page = explanation_page(asked.reduction, shown, asked.answers, asked.about["target"])
    try:
        write_atomically(path, page.encode())
    except OSError as error:
        raise ValueError(f"--out {path}: cannot be written ({error.strerror or error})") from error
