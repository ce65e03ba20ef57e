"""A language directory trained by transformers' Trainer, alone or under DeepSpeed's ZeRO. Nothing here knows lantu.

    torchrun --nproc-per-node 2 deepspeed_train.py LANGUAGE DOCUMENTS.jsonl --out DIR --zero 3
    python deepspeed_train.py LANGUAGE DOCUMENTS.jsonl --out DIR            the same batches in one plain process

LANGUAGE is the folder language/ of a model, DOCUMENTS what ``lantu data export`` wrote; DIR becomes a language
directory that ``lantu assemble --language DIR`` takes. Prints one JSON object: the loss of every step, seconds, and
how much of the weights and of the optimizer's state a process holds. Run it in an environment that environment.py made.
"""

import argparse
import functools
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import torch
from documents import Documents, collate

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("language", type=Path)
    parser.add_argument("documents", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--zero", type=int, choices=(0, 2, 3), default=0, help="ZeRO's stage; 0 is without DeepSpeed")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=16, help="documents a step, of all processes together")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--fresh", action="store_true", help="random weights in place of the directory's")
    parser.add_argument("--answers-only", action="store_true", help="a loss on codes (and on captions) alone")
    arguments = parser.parse_args()
    if arguments.out.is_dir() and any(arguments.out.iterdir()):
        parser.error(f"{arguments.out} is not empty: name a new folder")
    if not torch.cuda.is_available():
        os.environ["DS_ACCELERATOR"] = "cpu"
        torch.set_num_threads(1)
    trainer = make(arguments)
    started = time.monotonic()
    trainer.train()
    seconds = time.monotonic() - started
    held = share_held(trainer)
    trainer.save_model(str(arguments.out))  # under ZeRO-3 every process takes part
    if trainer.is_world_process_zero():
        (arguments.out / "training_args.bin").unlink(missing_ok=True)  # a pickle; a language directory has none
        for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
            if (arguments.language / name).is_file():
                shutil.copyfile(arguments.language / name, arguments.out / name)
        losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
        told = {
            "zero": arguments.zero,
            "processes": arguments.processes,
            "losses": losses,
            "seconds": round(seconds, 1),
        }
        print(json.dumps(told | held), flush=True)
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


def make(arguments: argparse.Namespace) -> Any:
    """The Trainer. Its arguments come before the directory's weights, which ZeRO-3 shards while it reads them; random
    weights come before them, since ZeRO-3 would draw others."""
    from transformers import AutoConfig, AutoModelForCausalLM, Trainer, TrainingArguments, set_seed

    arguments.processes = int(os.environ.get("WORLD_SIZE", "1"))
    configured = bool(arguments.zero) and not torch.cuda.is_available()
    if configured:
        join_on_cpu()
    if arguments.fresh:
        set_seed(0)
        config = AutoConfig.from_pretrained(arguments.language)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    settings = TrainingArguments(
        output_dir=str(arguments.out),
        max_steps=arguments.steps,
        per_device_train_batch_size=arguments.batch // arguments.processes,
        learning_rate=arguments.lr,
        lr_scheduler_type="constant",
        optim="adamw_torch",
        max_grad_norm=1.0,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        seed=0,
        use_cpu=not torch.cuda.is_available() and not arguments.zero,  # DeepSpeed finds the device by itself
        deepspeed=str(HERE / f"zero{arguments.zero}.json") if arguments.zero else None,
        accelerator_config={"use_configured_state": configured},
    )
    if not arguments.fresh:
        model = AutoModelForCausalLM.from_pretrained(arguments.language, dtype=torch.float32)
    documents = Documents(arguments.documents, arguments.answers_only)
    batches = functools.partial(collate, pad=model.config.pad_token_id or 0)
    return Trainer(model=model, args=settings, train_dataset=documents, data_collator=batches)


def join_on_cpu() -> None:
    """Join the other processes under DeepSpeed by gloo: accelerate, left alone, finds backends of GPUs only."""
    from accelerate import PartialState

    os.environ["ACCELERATE_USE_DEEPSPEED"] = "true"
    PartialState(backend="gloo")


def share_held(trainer: Any) -> dict[str, float]:
    """Of all weights, and of Adam's two moments of each, how much this process holds itself."""
    network, optimizer = trainer.accelerator.unwrap_model(trainer.model), trainer.optimizer
    parameters = list(network.parameters())
    whole = sum(getattr(parameter, "ds_numel", parameter.numel()) for parameter in parameters)
    weights = sum(getattr(parameter, "ds_tensor", parameter).numel() for parameter in parameters)
    inner = optimizer
    while hasattr(inner, "optimizer"):
        inner = inner.optimizer
    moments = sum(
        tensor.numel()
        for state in inner.state.values()
        for tensor in state.values()
        if torch.is_tensor(tensor) and tensor.numel() > 1
    )
    return {"weights_held": round(weights / whole, 3), "moments_held": round(moments / (2 * whole), 3)}


if __name__ == "__main__":
    main()
