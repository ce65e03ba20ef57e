"""The command ``adopt language``."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from lantu.commands import terminal
from lantu.commands.options import Json


def language(
    source: Annotated[
        str, typer.Argument(help="A directory of transformers' causal LM, or a hub id.", metavar="DIR|ID")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Of the new language model.", metavar="DIR")],
    tokenizer: Annotated[
        str | None,
        typer.Option(help="Whose codes it will draw (default: the shipped model).", metavar="DIR|MODEL"),
    ] = None,
    rows: Annotated[
        Literal["mean", "codes"],
        typer.Option(help="New embeddings begin near the mean of the others, or from the codes' vectors."),
    ] = "mean",
    licence: Annotated[
        str, typer.Option("--license", help="Of the weights (default: what their card says).", show_default=False)
    ] = "",
    seed: Annotated[int, typer.Option(min=0, help="Of the new embeddings.", metavar="N")] = 0,
    json: Json = False,
) -> None:
    """Give a pretrained language model image codes, so that it can learn to draw.

    It stays a directory that transformers opens; no old id or weight changes. Then train it:
    lantu train language --start OUT --data DATA
    """
    terminal.show_warnings()
    from lantu.recipes.adopt_language import adopt_language

    facts = adopt_language(source, out, tokenizer, rows, seed, licence)
    if json:
        terminal.print_json(facts)
        return
    print(f"{out}  {facts['architecture']}, {facts['ids']:,} ids, {facts['codes']:,} of them codes")
    terminal.say(f"licence of {facts['source']}: {facts['licence']}")
    print(f"train it: lantu train language --recipe adopted --start {out} --tokenizer {facts['tokenizer']} --data DATA")
