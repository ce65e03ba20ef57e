"""The command ``adopt decoder``."""

from pathlib import Path
from typing import Annotated

import typer

from lantu.commands import terminal
from lantu.commands.options import Json


def decoder(
    source: Annotated[str, typer.Argument(help="A pipeline of diffusers: its folder, or a hub id.", metavar="DIR|ID")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Of the new decoder.", metavar="DIR")],
    tokenizer: Annotated[str, typer.Option(help="Whose codes it will render.", metavar="DIR|MODEL")],
    size: Annotated[
        int | None,
        typer.Option(min=8, help="Pixels a side of its pictures (default: the pipeline's own).", metavar="PIXELS"),
    ] = None,
    vae: Annotated[
        str | None, typer.Option(help="Another autoencoder of the same latents, e.g. a tiny one.", metavar="DIR|ID")
    ] = None,
    variant: Annotated[str, typer.Option(help="Of the weights' files, e.g. fp16.", metavar="NAME")] = "",
    width: Annotated[int, typer.Option(min=8, max=8192, help="Of the adapter.", metavar="N")] = 512,
    layers: Annotated[int, typer.Option(min=0, max=64, help="Attention layers of the adapter.", metavar="N")] = 2,
    licence: Annotated[
        str, typer.Option("--license", help="Of the weights (default: what their card says).", show_default=False)
    ] = "",
    seed: Annotated[int, typer.Option(min=0, help="Of the adapter's weights.", metavar="N")] = 0,
    json: Json = False,
) -> None:
    """Make a decoder of a pretrained diffusion model: SD 1.5 and 2.1, SDXL and its refiner, SANA, PixArt, SD 3, FLUX.1
    and Z-Image.

    Its text encoders stay behind: an adapter turns codes into what the model was told by a text. Then train it:
    lantu train decoder --recipe adopted --start OUT --data DATA
    """
    terminal.show_warnings()
    from lantu.recipes.adopt_decoder import adopt_decoder

    choices = {"variant": variant, "width": width, "layers": layers, "licence": licence, "seed": seed}
    made = adopt_decoder(source, tokenizer, out, size, vae, **choices)
    config = made.config
    if json:
        facts = {"folder": str(out), "pixels": made.size, **config.model_dump(by_alias=True)}
        terminal.print_json(facts)
        return
    print(f"{out}  {config.network}, {made.size} px, {config.codebook_size:,} codes of {config.patch} px")
    terminal.say(f"licence of {source}: {made.licence}")
    print(f"train it: lantu train decoder --recipe adopted --start {out} --tokenizer {tokenizer} --data DATA")
