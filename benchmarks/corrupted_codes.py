"""How much does a picture suffer when some of its codes are wrong?

    python benchmarks/corrupted_codes.py --model NAME --data DIR [--count 64]

Renders validation pictures from their codes, a share of which is replaced (half by any code, half by one from elsewhere
in the batch), and prints PSNR and LPIPS against the true pictures.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from lantu import images
from lantu.data.shards import Shards
from lantu.diffusion.flow import replace
from lantu.diffusion.sample import sample
from lantu.evaluation.metrics import psnr
from lantu.features.lpips import load_lpips
from lantu.pipeline import Model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="lantu-emoji")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--steps", type=int, default=8)
    arguments = parser.parse_args()
    model, distance = Model.load(arguments.model, "cpu"), load_lpips("alex")
    val = Shards(arguments.data, "val")
    real = val.images(np.arange(min(arguments.count, len(val))))
    codes = torch.from_numpy(model.parts.encode(real))
    print("| wrong codes | PSNR, dB | LPIPS |\n|---|---|---|")
    for share in (0.0, 0.05, 0.1, 0.2, 0.4):
        wrong = replace(codes, share, model.folder.codebook_size, torch.Generator().manual_seed(0))
        changed = (wrong != codes).float().mean()
        made = sample(model.parts.decoder, wrong.numpy(), list(range(len(real))), arguments.steps)
        with torch.inference_mode():
            far = distance(torch.from_numpy(made), images.to_tensor(real)).mean()
        print(f"| {changed:.1%} | {psnr(images.to_bytes(made), real).mean():.2f} | {far:.3f} |", flush=True)


if __name__ == "__main__":
    main()
