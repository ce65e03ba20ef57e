"""The engines whose drafting is timed, on the same weights: each function takes the task and returns a ``Draft``.

All but the last two guide with a pair of rows per picture. All sample from the ``TOP_K`` likeliest codes, in the
precision in which each is fastest on this processor.
Shapes: R rows (B with the prompt, then B without), N ids, L layers, G heads of keys and values, P places, K head width.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lantu.bench import machine
from lantu.bench.peers import Peer
from lantu.bench.task import GUIDANCE, TOP_K, Drafting
from lantu.engine.request import Request
from lantu.kernels import usable_cores

# (number of pictures, codes to draft of each) → their ids, (pictures, codes).
Draft = Callable[[int, int], Any]
SILENT: dict[str, Any] = {}  # keeps loggers alive that C code calls


def requests(task: Drafting, pictures: int, codes: int, learnt: bool = False) -> list[Request]:
    """Pictures of which so many codes are drafted."""
    return [replace(task.request(seed, learnt), limit=codes) for seed in range(pictures)]


def lantu_kernels(task: Drafting) -> Draft:
    """What ``lantu draw`` does on a CPU."""
    from lantu.engine.backends.native import Language
    from lantu.engine.drafting import draft
    from lantu.engine.engine import Engine

    # No prefix cache between drafts, or the same prompt would cost nothing the second time.
    engine = Engine(Language.load(task.folder), cached_prefixes=0)
    return lambda pictures, codes: draft(engine, requests(task, pictures, codes))


def lantu_learnt(task: Drafting) -> Draft:
    """The same with a model that has learnt guidance: one row a picture."""
    from lantu.engine.backends.native import Language
    from lantu.engine.drafting import draft
    from lantu.engine.engine import Engine

    engine = Engine(Language.load(task.folder), cached_prefixes=0)
    return lambda pictures, codes: draft(engine, requests(task, pictures, codes, learnt=True))


def lantu_torch(task: Drafting) -> Draft:
    """What ``lantu draw --device cuda`` does, here on the CPU."""
    from lantu.engine.backends.pytorch import Language
    from lantu.engine.drafting import draft
    from lantu.engine.engine import Engine

    engine = Engine(Language.load(task.folder, machine.torch_dtype()), cached_prefixes=0, max_jobs=64)
    return lambda pictures, codes: draft(engine, requests(task, pictures, codes))


def load_transformers(task: Drafting) -> Any:
    """The task's model on transformers."""
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    return AutoModelForCausalLM.from_pretrained(task.folder, dtype=machine.torch_dtype()).eval()


def transformers_generate(task: Drafting) -> Draft:
    """As a user would write it: ``generate`` with its own guidance, whose unconditional row is a separate pass."""
    import torch
    from transformers import LogitsProcessor, LogitsProcessorList

    model = load_transformers(task)

    class OnlyCodes(LogitsProcessor):
        def __call__(self, ids: Any, scores: Any) -> Any:
            hidden = torch.full_like(scores, -torch.inf)
            hidden[:, task.first : task.first + task.count] = scores[:, task.first : task.first + task.count]
            return hidden

    def draft(pictures: int, codes: int) -> Any:
        return model.generate(
            torch.tensor([task.prefix] * pictures),
            attention_mask=torch.ones(pictures, len(task.prefix), dtype=torch.long),
            negative_prompt_ids=torch.tensor([task.unconditional] * pictures),
            guidance_scale=GUIDANCE,
            do_sample=True,
            top_k=TOP_K,
            min_new_tokens=codes,
            max_new_tokens=codes,
            logits_processor=LogitsProcessorList([OnlyCodes()]),
            pad_token_id=0,
        )[:, len(task.prefix) :]

    return draft


def transformers_by_hand(task: Drafting) -> Draft:
    """Both rows of the pair in one pass, and a head for the codes alone: what a careful user would write."""
    import torch
    from transformers import DynamicCache

    model = load_transformers(task)
    head = model.get_output_embeddings().weight[task.first : task.first + task.count].detach().clone()

    @torch.inference_mode()
    def draft(pictures: int, codes: int) -> Any:
        cache, ids_RN, drafted = DynamicCache(), rows(task, pictures), []
        for _ in range(codes):
            hidden = model.model(input_ids=ids_RN, cache=cache, use_cache=True).last_hidden_state[:, -1]
            ids_RN = pick(hidden @ head.T, task, pictures)
            drafted.append(ids_RN[:pictures])
        return torch.cat(drafted, 1)

    return draft


def transformers_compiled(task: Drafting) -> Draft:
    """The same with a static cache and ``torch.compile``; compiling, half a minute, is not counted."""
    import torch
    from transformers import StaticCache

    model = load_transformers(task)
    head = model.get_output_embeddings().weight[task.first : task.first + task.count].detach().clone()
    step = torch.compile(
        lambda ids_RN, cache, places_N: (
            model.model(
                input_ids=ids_RN,
                cache=cache,
                position_ids=places_N[None],
                cache_position=places_N,
                use_cache=True,
            ).last_hidden_state[:, -1]
            @ head.T
        ),
        dynamic=False,
    )

    @torch.inference_mode()
    def draft(pictures: int, codes: int) -> Any:
        start = len(task.prefix)
        cache = StaticCache(config=model.config, max_cache_len=start + task.limit)
        ids_RN, places_N, drafted = rows(task, pictures), torch.arange(start), []
        for place in range(start, start + codes):
            ids_RN = pick(step(ids_RN, cache, places_N), task, pictures)
            drafted.append(ids_RN[:pictures])
            places_N = torch.tensor([place])
        return torch.cat(drafted, 1)

    return draft


def openvino(task: Drafting) -> Draft:
    """OpenVINO's CPU runtime, cache in and out by hand, a head for the codes alone."""
    import numpy as np
    import openvino as ov
    import torch

    from lantu.bench.exported import Step
    from lantu.engine.backends.pytorch import Language

    language = Language.load(task.folder)
    sizes = language.sizes
    places = len(task.prefix) + task.limit
    compiled: dict[int, Any] = {}

    def request(count: int) -> Any:
        if count not in compiled:
            step = Step(language, (range(task.first, task.first + task.count),))
            memory = torch.zeros(sizes.layers, 2, count, sizes.key_value_heads, places, sizes.head_width)
            example = (
                torch.zeros(count, 1, dtype=torch.long),
                torch.zeros(1, dtype=torch.long),
                memory,
                torch.zeros(1, places + 1),
            )
            shapes = [[count, -1], [-1], list(memory.shape), [-1, -1]]
            model = ov.convert_model(step, example_input=example, input=shapes)
            hints = {"INFERENCE_PRECISION_HINT": machine.precision(), "PERFORMANCE_HINT": "LATENCY"}
            compiled[count] = ov.Core().compile_model(model, "CPU", hints).create_infer_request(), memory.numpy()
        return compiled[count]

    def draft(pictures: int, codes: int) -> Any:
        infer, memory = request(2 * pictures)
        ids_RN, used, drafted = rows(task, pictures), 0, []
        for _ in range(codes):
            new = ids_RN.shape[1]
            mask = np.full((new, places + new), -np.inf, np.float32)
            mask[:, :used] = 0
            mask[:, places:] = np.triu(mask[:, places:], 1)
            outputs = infer.infer([ids_RN.numpy(), np.arange(used, used + new), memory, mask], share_inputs=True)
            memory[:, :, :, :, used : used + new] = outputs[1]
            used += new
            ids_RN = pick(torch.from_numpy(outputs[0]), task, pictures)
            drafted.append(ids_RN[:pictures])
        return torch.cat(drafted, 1)

    return draft


def vllm_learnt(task: Drafting) -> Draft:
    """vLLM on the unmodified directory, for a model that has learnt guidance, as vLLM has no guided pairs."""
    from lantu.engine.backends.vllm_engine import Engine
    from lantu.engine.drafting import draft

    engine = Engine(task.folder)
    return lambda pictures, codes: draft(engine, requests(task, pictures, codes, learnt=True))


def llama_cpp(task: Drafting) -> Draft:
    """llama.cpp on the exported file, both rows of all pictures in one batch; its head computes logits of all ids."""
    import ctypes

    import llama_cpp as cpp
    import numpy as np
    import torch

    from lantu.models.lantu.language.gguf import export

    cpp.llama_backend_init()
    cpp.llama_log_set(SILENT.setdefault("llama.cpp", cpp.llama_log_callback(lambda *_: None)), ctypes.c_void_p(0))
    path = str(export(task.folder, task.folder / "model.gguf")).encode()
    model = cpp.llama_model_load_from_file(path, cpp.llama_model_default_params())
    size = cpp.llama_vocab_n_tokens(cpp.llama_model_get_vocab(model))
    threads = usable_cores()

    def draft(pictures: int, codes: int) -> Any:
        settings = cpp.llama_context_default_params()
        count, places = 2 * pictures, len(task.prefix) + task.limit
        settings.n_ctx, settings.n_seq_max = count * (places + 32), count
        settings.n_batch = settings.n_ubatch = count * len(task.prefix)
        settings.n_threads = settings.n_threads_batch = threads
        context = cpp.llama_init_from_model(model, settings)
        batch = cpp.llama_batch_init(count * len(task.prefix), 0, 1)
        ids_RN, used, drafted = rows(task, pictures), 0, []
        for _ in range(codes):
            new = ids_RN.shape[1]
            batch.n_tokens = count * new
            for at, id_ in enumerate(ids_RN.flatten().tolist()):
                row, place = divmod(at, new)
                batch.token[at], batch.pos[at] = id_, used + place
                batch.n_seq_id[at], batch.seq_id[at][0] = 1, row
                batch.logits[at] = place == new - 1
            if cpp.llama_decode(context, batch):
                raise RuntimeError("llama.cpp could not decode")
            logits_RV = np.ctypeslib.as_array(cpp.llama_get_logits(context), (count, size))
            logits_RK = torch.from_numpy(logits_RV[:, task.first : task.first + task.count])
            used += new
            ids_RN = pick(logits_RK, task, pictures)
            drafted.append(ids_RN[:pictures])
        cpp.llama_batch_free(batch)
        cpp.llama_free(context)
        return torch.cat(drafted, 1)

    return draft


def rows(task: Drafting, pictures: int) -> Any:
    """The prefixes: the conditional rows of all pictures, then the unconditional ones; (R, N) int64."""
    import torch

    return torch.tensor([task.prefix] * pictures + [task.unconditional] * pictures)


def pick(logits_RV: Any, task: Drafting, pictures: int) -> Any:
    """The next ids of both rows of each picture, (R, 1) int64."""
    import torch

    with_prompt, without = logits_RV.float().split(pictures)
    best = (without + GUIDANCE * (with_prompt - without)).topk(TOP_K)
    drawn = best.indices.gather(-1, torch.multinomial(best.values.softmax(-1), 1)) + task.first
    return drawn.repeat(2, 1)


# Guesses are of small models on two cores, from docs/speed.md.
PEERS: dict[str, Peer[Drafting, Draft]] = {
    "lantu": Peer(lantu_kernels),
    "lantu on torch": Peer(lantu_torch, ("torch",), warming=5, slower=9),
    "transformers generate": Peer(transformers_generate, ("transformers",), warming=10, slower=20),
    "transformers (rows by hand)": Peer(transformers_by_hand, ("transformers",), warming=10, slower=10),
    "transformers (compiled)": Peer(transformers_compiled, ("transformers",), warming=60, slower=8),
    "OpenVINO": Peer(openvino, ("openvino", "torch"), warming=10, slower=7),
    "llama.cpp": Peer(llama_cpp, ("llama_cpp", "gguf", "torch"), warming=5, slower=8),
    "lantu (guidance learnt)": Peer(lantu_learnt),
    "vLLM (guidance learnt)": Peer(vllm_learnt, ("vllm",), warming=60, slower=10),
}
