"""The group ``adopt``: pretrained parts of others become parts of a lantu model. One module a part."""

import typer

from lantu.commands.adopt_decoder import decoder
from lantu.commands.adopt_language import language

adopt = typer.Typer(help="Make a part of somebody else's pretrained model.")
adopt.command()(language)
adopt.command()(decoder)


@adopt.callback()
def parts() -> None:
    """Make a part of somebody else's pretrained model."""
