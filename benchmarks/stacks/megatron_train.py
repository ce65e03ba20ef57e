"""A language directory in Megatron: its weights, its documents, some steps, and back. Nothing here knows lantu.

    python megatron_train.py LANGUAGE DOCUMENTS --out DIR [--steps 20] [--jsonl FILE]

LANGUAGE is the folder language/ of a model, DOCUMENTS the prefix of the .bin and .idx that ``lantu data export --format
megatron`` wrote, FILE the same documents as JSON lines, to compare ids. megatron-core unchanged: GPTModel,
IndexedDataset, GPTDataset and its tokenizer class. The loop and the optimizer (AdamW) are this file's; Megatron-LM's
pretrain_gpt.py, which needs GPUs, is not run. Prints one JSON object. Run it where environment.py installed Megatron.

On a machine without a GPU one name of torch is answered for Megatron: ``torch.cuda.current_device`` gives "cpu".
Letters of shapes: B rows, N ids, V vocabulary.
"""

import argparse
import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from megatron_mapping import check, from_megatron, to_megatron
from torch import Tensor

CUDA = torch.cuda.is_available()
DEVICE = "cuda" if CUDA else "cpu"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("language", type=Path)
    parser.add_argument("documents", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--jsonl", type=Path)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=4, help="rows a step")
    parser.add_argument("--row", type=int, default=256, help="ids a row, several documents in each")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--fresh", action="store_true", help="random weights in place of the directory's")
    parser.add_argument("--codes-only", action="store_true", help="the line that Megatron would have to be given")
    arguments = parser.parse_args()
    if arguments.out.is_dir() and any(arguments.out.iterdir()):
        parser.error(f"{arguments.out} is not empty: name a new folder")
    torch.manual_seed(0)
    config = json.loads((arguments.language / "config.json").read_text())
    check(config)
    start()
    reference = open_reference(arguments.language, arguments.fresh)
    model = make(config)
    state = to_megatron(reference.state_dict(), config)
    missing, unexpected = model.load_state_dict(state, strict=False)
    missing = [name for name in missing if not name.endswith("_extra_state")]
    if missing or unexpected:
        raise SystemExit(f"not the same weights: missing {missing}, unexpected {unexpected}")
    documents = read(arguments.documents)
    told = {
        "logits": compare(reference, model, documents),
        "back": same(reference.state_dict(), from_megatron(weights(model), config)),
        "documents": len(documents),
        "ids_equal": ids_equal(documents, arguments.jsonl) if arguments.jsonl else None,
    }
    told |= train(model, arguments, config)
    reference.load_state_dict(from_megatron(weights(model), config))
    told["logits_after"] = compare(reference, model, documents)
    save(reference, arguments.language, arguments.out)
    print(json.dumps(told), flush=True)
    torch.distributed.destroy_process_group()


def start() -> None:
    """One process that is all ranks."""
    from megatron.core import parallel_state
    from megatron.core.tensor_parallel.random import initialize_rng_tracker, model_parallel_cuda_manual_seed

    if not CUDA:
        torch.cuda.current_device = lambda: "cpu"  # type: ignore[assignment,return-value]
        torch.set_num_threads(1)
    store = torch.distributed.FileStore(os.path.join(tempfile.mkdtemp(), "store"), 1)
    torch.distributed.init_process_group("nccl" if CUDA else "gloo", store=store, rank=0, world_size=1)
    parallel_state.initialize_model_parallel(1, 1)
    if CUDA:
        model_parallel_cuda_manual_seed(0)
    else:
        initialize_rng_tracker(inference_rng_tracker=True)  # the tracker that keeps no states of GPUs


def open_reference(language: Path, fresh: bool) -> Any:
    """The directory as transformers opens it, in float32."""
    from transformers import AutoConfig, AutoModelForCausalLM

    if fresh:
        return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(language), dtype=torch.float32).eval()
    return AutoModelForCausalLM.from_pretrained(language, dtype=torch.float32).eval()


def make(config: dict[str, Any]) -> Any:
    """A GPTModel of the directory's sizes, of Megatron's own modules ("local")."""
    from megatron.core.models.gpt import GPTModel
    from megatron.core.models.gpt.gpt_layer_specs import get_gpt_layer_local_spec
    from megatron.core.transformer import TransformerConfig

    sizes = TransformerConfig(
        num_layers=config["num_hidden_layers"],
        hidden_size=config["hidden_size"],
        ffn_hidden_size=config["intermediate_size"],
        num_attention_heads=config["num_attention_heads"],
        num_query_groups=config["num_key_value_heads"],
        kv_channels=config["head_dim"],
        normalization="RMSNorm",
        layernorm_epsilon=config["rms_norm_eps"],
        qk_layernorm=True,
        gated_linear_unit=True,
        activation_func=torch.nn.functional.silu,
        add_bias_linear=False,
        hidden_dropout=0.0,
        attention_dropout=0.0,
        bias_dropout_fusion=False,
        bias_activation_fusion=False,
        masked_softmax_fusion=False,
        gradient_accumulation_fusion=False,
        use_cpu_initialization=True,
    )
    model = GPTModel(
        sizes,
        get_gpt_layer_local_spec(qk_layernorm=True, normalization="RMSNorm"),
        vocab_size=config["vocab_size"],
        max_sequence_length=config["max_position_embeddings"],
        share_embeddings_and_output_weights=config["tie_word_embeddings"],
        position_embedding_type="rope",
        rotary_base=int((config.get("rope_parameters") or config)["rope_theta"]),
    )
    return model.to(DEVICE)


def weights(model: Any) -> dict[str, Tensor]:
    """Its tensors on the CPU, without the empty states of modules."""
    return {name: tensor.cpu() for name, tensor in model.state_dict().items() if torch.is_tensor(tensor)}


def read(prefix: Path) -> Any:
    """The documents, by Megatron's own reader."""
    from megatron.core.datasets.indexed_dataset import IndexedDataset

    return IndexedDataset(str(prefix))


def ids_equal(documents: Any, path: Path) -> bool:
    """Whether Megatron reads exactly the ids of the JSON lines."""
    with path.open(encoding="utf-8") as file:
        lines = [json.loads(line)["ids"] for line in file]
    return len(lines) == len(documents) and all(np.array_equal(documents[i], ids) for i, ids in enumerate(lines))


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Whether two states have the same names, and every bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@torch.no_grad()
def compare(reference: Any, model: Any, documents: Any, count: int = 8) -> dict[str, float]:
    """The largest difference of the two models' logits over some documents, and of the share of equal likeliest ids."""
    model.eval()
    differences, largest, agreed = [], [], []
    for number in range(count):
        ids_BN = torch.from_numpy(documents[number].astype(np.int64))[None]
        ours_BNV = reference(input_ids=ids_BN).logits
        length = ids_BN.shape[1]
        hidden_NN = torch.ones(length, length, dtype=torch.bool, device=DEVICE).triu(1)  # what an id must not see
        places_BN = torch.arange(length, device=DEVICE)[None]
        theirs_BNV = model(ids_BN.to(DEVICE), places_BN, hidden_NN[None, None]).cpu()
        differences.append(float((ours_BNV - theirs_BNV).abs().max()))
        largest.append(float(ours_BNV.abs().max()))
        agreed.append(float((ours_BNV.argmax(-1) == theirs_BNV.argmax(-1)).double().mean()))
    return {"difference": max(differences), "largest": round(max(largest), 2), "same_choice": min(agreed)}


def train(model: Any, arguments: argparse.Namespace, config: dict[str, Any]) -> dict[str, Any]:
    """Some steps on rows of Megatron's GPTDataset, in which no document sees another."""
    rows = dataset(arguments)
    optimizer = torch.optim.AdamW(model.parameters(), lr=arguments.lr, betas=(0.9, 0.95))
    first_code = config["vocab_size"] - config["lantu"]["codebook_size"] if "lantu" in config else 0
    model.train()
    losses, counted, codes = [], 0.0, 0.0
    started = time.monotonic()
    for step in range(arguments.steps):
        numbers = range(step * arguments.batch, (step + 1) * arguments.batch)
        batch = torch.utils.data.default_collate([rows[number] for number in numbers])
        batch = {name: tensor.to(DEVICE) for name, tensor in batch.items()}
        mask_BN = batch["loss_mask"]
        if arguments.codes_only:
            mask_BN = mask_BN * (batch["labels"] >= first_code)
        loss_BN = model(batch["tokens"], batch["position_ids"], batch["attention_mask"], labels=batch["labels"])
        loss = (loss_BN * mask_BN).sum() / mask_BN.sum()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(round(float(loss.detach()), 4))
        counted += float(mask_BN.sum())
        codes += float((mask_BN * (batch["labels"] >= first_code)).sum())
    seconds = round(time.monotonic() - started, 1)
    return {"losses": losses, "seconds": seconds, "codes_of_what_has_a_loss": round(codes / max(counted, 1), 3)}


def dataset(arguments: argparse.Namespace) -> Any:
    """Megatron's GPTDataset of as many rows as are trained on, with the tokenizer of the directory."""
    from megatron.core.datasets.blended_megatron_dataset_builder import BlendedMegatronDatasetBuilder
    from megatron.core.datasets.gpt_dataset import GPTDataset, GPTDatasetConfig
    from megatron.core.tokenizers import MegatronTokenizer

    tokenizer = MegatronTokenizer.from_pretrained(str(arguments.language), {"library": "huggingface"})
    settings = GPTDatasetConfig(
        random_seed=0,
        sequence_length=arguments.row,
        blend=([str(arguments.documents)], None),
        split="1",
        path_to_cache=str(arguments.out / "index-cache"),
        tokenizer=tokenizer,
        reset_position_ids=True,
        reset_attention_mask=True,
        eod_mask_loss=False,
    )
    wanted = [arguments.steps * arguments.batch, 0, 0]
    return BlendedMegatronDatasetBuilder(GPTDataset, wanted, lambda: True, settings).build()[0]


def save(reference: Any, language: Path, out: Path) -> None:
    """The trained weights as a language directory again, with the old one's tokenizer."""
    shutil.rmtree(out / "index-cache", ignore_errors=True)
    reference.save_pretrained(out)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        if (language / name).is_file():
            shutil.copyfile(language / name, out / name)


if __name__ == "__main__":
    main()
