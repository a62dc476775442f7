"""``milp-lth``: finds the command, and turns errors into one line and an exit code."""

import io
import signal
import sys
from importlib import import_module
from typing import Any

import click

from milp_lth import __version__

OK, UNVERIFIED, BAD_INPUT, OUT_OF_TOLERANCE, UNAVAILABLE, INTERRUPTED = 0, 1, 2, 3, 4, 130

COMMANDS = (
    "run",
    "check",
    "certify",
    "resume",
    "report",
    "explain",
    "solve",
    "solvers",
    "instances",
    "export",
    "compare",
    "reproduce",
    "bounds",
    "rivals",
    "bench",
)


class _Commands(click.Group):
    """Loads a command's file when the command is called for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"milp_lth.cli.{cmd_name}").command
        return command


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 ok, 1 a claim was not verified, 2 bad input, 3 finished with targets out "
    "of tolerance, 4 solver unavailable, 130 interrupted.",
)
@click.version_option(__version__, prog_name="milp-lth")
def cli() -> None:
    """Find winning lottery tickets by solving for them."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit.

    Errors become one line on standard error; a traceback is a bug of ours.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal may lack a letter that others have
    try:
        code = _run(arguments)
    except KeyboardInterrupt:  # pressed again while it was told
        code = INTERRUPTED
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # all is done: it need not be told any more
    sys.exit(code)


def _run(arguments: list[str] | None) -> int:
    try:
        code: Any = cli.main(args=arguments, prog_name="milp-lth", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return BAD_INPUT
    except click.ClickException as error:
        return _fail(error.format_message(), BAD_INPUT)
    except (KeyboardInterrupt, click.Abort):
        return _fail("interrupted", INTERRUPTED)
    except ImportError as error:
        return _fail(str(error), UNAVAILABLE)
    except (ValueError, OSError) as error:
        return _fail(str(error), BAD_INPUT)
    except MemoryError as error:
        words = str(error) or "not enough memory"
        return _fail(f"{words}: ask for less, such as a smaller width", BAD_INPUT)
    return code if isinstance(code, int) else OK


def _fail(message: str, code: int) -> int:
    shown = "".join(c if c.isprintable() else " " for c in message)  # a name may hold anything
    click.echo(f"milp-lth: {' '.join(shown.split())}", err=True)
    return code
