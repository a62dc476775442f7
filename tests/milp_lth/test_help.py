"""What --help says of every option of every command: what it is, in which unit, and its default."""

from collections.abc import Iterator

import click
import pytest

from milp_lth.cli.main import cli


def options(command: click.Command, *path: str) -> Iterator[tuple[str, click.Option]]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            one = command.get_command(context, name)
            assert one is not None
            yield from options(one, *path, name)
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            yield " ".join((*path, parameter.opts[0])), parameter


OPTIONS = dict(options(cli))


def test_all_commands_are_looked_at() -> None:
    assert {"run --target", "reproduce claims --seeds", "bench kernels --curve"} <= OPTIONS.keys()
    assert len(OPTIONS) > 150


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_is_explained(name: str) -> None:
    option = OPTIONS[name]
    assert option.help
    assert option.help.endswith((".", "]"))
    if option.is_flag:
        return
    assert option.metavar or isinstance(option.type, click.Choice)
    shown = option.show_default and option.default not in (None, "")
    assert shown or option.required or "[default: " in option.help
    if option.name == "time_limit":
        assert "econds" in option.help
