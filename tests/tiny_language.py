"""Pretrained language models as transformers itself saves them: random, tiny, with a text tokenizer of their class."""

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

TEXTS = ["a red cat on the left and a dog on the right", "two apples", "一只猫在左边，一只狗在右边", "三个苹果"] * 4
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,  # the native kernels take multiples of 16
    "max_position_embeddings": 512,
}
ARCHITECTURES = ("qwen2", "qwen3", "llama", "gemma", "mistral")


def write(folder, architecture="llama", tied=True, dtype=torch.bfloat16, rows=None, seed=0, **changes):
    """Write a model and its tokenizer; returns the model as it is read again, in float32.

    Args:
        rows: of the embedding; more than the tokenizer has ids where it is padded.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    tokenizer = TOKENIZERS[architecture]()
    sizes = SIZES | {"vocab_size": rows or len(tokenizer), "tie_word_embeddings": tied} | changes
    ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": None}
    config = AutoConfig.for_model(architecture, **sizes, **ids)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.data.normal_(std=0.2)
    model.to(dtype).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\nlanguage: [en, zh]\n---\n# A tiny model\n")
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def byte_level():
    """Vocabulary and merges of a byte-level BPE."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    return trained(tokenizer, trainers.BpeTrainer(vocab_size=330, initial_alphabet=alphabet, show_progress=False))


def sentence_piece():
    """Vocabulary and merges of a BPE as SentencePiece makes it: pieces with ▁, and bytes for what it lacks."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    return trained(tokenizer, trainers.BpeTrainer(vocab_size=340, special_tokens=special, show_progress=False))


def trained(tokenizer, trainer):
    import json

    tokenizer.train_from_iterator(TEXTS, trainer)
    content = json.loads(tokenizer.to_str())["model"]
    return content["vocab"], [tuple(merge) for merge in content["merges"]]


def qwen2():
    from transformers import Qwen2Tokenizer

    vocabulary, merges = byte_level()
    tokenizer = Qwen2Tokenizer(vocab=vocabulary, merges=merges)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    return tokenizer


def llama():
    from transformers import LlamaTokenizer

    vocabulary, merges = sentence_piece()
    return LlamaTokenizer(vocab=vocabulary, merges=merges)


def gemma():
    from transformers import GemmaTokenizer

    vocabulary, merges = sentence_piece()
    return GemmaTokenizer(vocab=vocabulary, merges=merges)


TOKENIZERS = {"qwen2": qwen2, "qwen3": qwen2, "llama": llama, "mistral": llama, "gemma": gemma}
