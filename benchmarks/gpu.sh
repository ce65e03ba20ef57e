#!/usr/bin/env bash
# What a session with a GPU should run: drafting with and without CUDA graphs, beside the bandwidth roofline.
#
#     bash benchmarks/gpu.sh [tiny]     writes $OUT/gpu.txt ($OUT is . by default); "tiny" rehearses it on a CPU
#
# About 4 minutes. It needs torch with CUDA, transformers and the checkout (PYTHONPATH=src); no network.
set -euo pipefail
cd "$(dirname "$0")/.."
export PYTHONPATH=src
out="${OUT:-.}/gpu.txt"
sizes="100m 1b"
[ "${1:-}" = tiny ] && sizes=tiny
{
    python -c "import torch; print(torch.__version__, torch.cuda.get_device_name() if torch.cuda.is_available() else 'cpu')"
    for size in $sizes; do
        for graphs in 0 1; do
            echo "== $size, LANTU_CUDA_GRAPHS=$graphs"
            LANTU_CUDA_GRAPHS=$graphs python benchmarks/gpu_drafting.py --size "$size"
        done
    done
} 2>&1 | tee "$out"
