"""Does a pretrained decoder save training? One that begins with a diffusion model's weights, beside one that does not.

    lantu data build emoji --world few --styles noto --train 400 --val 40 --heldout 0 -o DATA
    python benchmarks/pretrained_start.py --data DATA [--marks 0 50 200] [--rates 3e-4 1e-3] [--table-rates 1e-2]

Both must learn what the codes mean, from a random table of codes: a pretrained network has never seen them. The
pretrained one is the model's own diffusion decoder without its table; the other has random weights. Same sizes, same
batches, AdamW at each of ``--rates``. The pretrained one is also trained in its table alone, at ``--table-rates``, as
an adapter is. "PSNR" is of validation pictures rendered from their codes in one step.

It has drawn pictures of this kind before, so this is the best case of a pretrained decoder.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from measured import options, show
from torch import Tensor

from lantu.evaluation.metrics import psnr
from lantu.images import to_array
from lantu.models.lantu.decoder.network import PixelDecoder
from lantu.recipes.decoder import DecoderRecipe, Task
from lantu.recipes.sources import part_folder

BATCH, HELD, WARM = 8, 32, 10


def decoder_from(folder: Path, pretrained: bool) -> PixelDecoder:
    """A decoder with a new table of codes, and the folder's other weights or new ones."""
    torch.manual_seed(0)
    known = PixelDecoder.load(folder)
    new = PixelDecoder(known.config)
    if pretrained:
        own = {name: value for name, value in known.state_dict().items() if not name.startswith("codes.")}
        new.load_state_dict(own, strict=False)
    return new.train()


@torch.no_grad()
def quality(model: PixelDecoder, pixels_BCHW: Tensor, codes_Bhw: Tensor) -> float:
    """Mean PSNR in dB of pictures rendered in one step."""
    noise = torch.randn(pixels_BCHW.shape, generator=torch.Generator().manual_seed(0))
    made = model(noise, torch.zeros(len(noise)), codes_Bhw)
    return float(np.mean(psnr(to_array(made), to_array(pixels_BCHW))))


def trained(task: Task, model: PixelDecoder, rate: float, marks: list[int]) -> Iterator[tuple[int, float]]:
    """(steps, PSNR) at each mark."""
    held, task.model = task.source.validation(0, HELD), model
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(weights, rate, weight_decay=0.0, fused=True)
    generator = torch.Generator().manual_seed(1)
    for step in range(max(marks) + 1):
        if step in marks:
            yield step, quality(model, held.pixels, held.codes)
        optimizer.param_groups[0]["lr"] = rate * min(1.0, (step + 1) / WARM)
        loss, _ = task.loss("model", task.batch(step, BATCH), step, generator)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--marks", type=int, nargs="+", default=[0, 20, 40, 80], help="steps at which to look")
    parser.add_argument("--rates", type=float, nargs="*", default=[1e-3])
    parser.add_argument("--table-rates", type=float, nargs="*", default=[], help="of training the table alone")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    task = Task(DecoderRecipe(tokenizer=arguments.model), arguments.data)
    folder, table = part_folder(arguments.model, "decoder"), []
    alone = "pretrained, table alone"
    for name, rates in (("pretrained", arguments.rates), (alone, arguments.table_rates), ("random", arguments.rates)):
        for rate in rates:
            model = decoder_from(folder, pretrained=name != "random")
            for key, parameter in model.named_parameters():
                parameter.requires_grad = name != alone or key.startswith("codes.")
            reached = dict(trained(task, model, rate, arguments.marks))
            line = {"weights": name, "rate": rate}
            table.append(line | {f"{steps} steps": f"{found:.2f} dB" for steps, found in reached.items()})
    show({"PSNR": table}, arguments.json)


if __name__ == "__main__":
    main()
