"""vLLM behind the engine's interface: its scheduler, its PagedAttention and its prefix cache.

None of lantu's code runs inside vLLM, and the model directory is read unchanged. So there are no guided pairs of rows:
only a model that has learnt guidance (``train language --recipe guidance_distillation``) is guided. The ids that may
come next are ``allowed_token_ids``, and the length of a picture is ``max_tokens``.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lantu.engine.request import Embeddings, Request
from lantu.errors import LantuError

OnStep = Callable[[Sequence[int]], None]
BLOCK = 32  # ids of a page; prefixes are shared by whole pages, and on a CPU it must be a multiple of 32


class Job:
    """A request on its way: see ``engine.Job``."""

    def __init__(self, request: Request, on_step: OnStep | None, key: str):
        self.request, self.on_step, self.key = request, on_step, key
        self.ids: list[int] = []
        self.state = "running"
        self.shared = 0  # ids of the prefix that vLLM had already read for another

    @property
    def ended(self) -> bool:
        return self.state in ("done", "cancelled")


class Engine:
    """Drafts whatever is submitted: the members of ``engine.Engine`` that others use.

    Args:
        folder: an unmodified transformers directory.
        options: vLLM's ``EngineArgs``, e.g. ``gpu_memory_utilization=0.5``.

    Raises:
        LantuError: vLLM can't run here.
    """

    exact = False  # what shares a batch may change last digits

    def __init__(self, folder: str | Path, **options: Any):
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")  # in this process: it ends when this one does
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB, on a CPU; a GPU's is gpu_memory_utilization
        from vllm import EngineArgs, LLMEngine

        settings: dict[str, Any] = {"skip_tokenizer_init": True, "enable_prefix_caching": True, "block_size": BLOCK}
        settings |= {"disable_log_stats": True} | options
        try:
            self.llm = LLMEngine.from_engine_args(EngineArgs(model=str(folder), **settings))
        except (OSError, ValueError, RuntimeError) as problem:
            raise LantuError(f"vLLM did not start: {problem}", "choose --backend native") from problem
        self.jobs: dict[str, Job] = {}
        self.count = 0

    @property
    def busy(self) -> bool:
        return bool(self.jobs)

    def submit(self, request: Request, on_step: OnStep | None = None) -> Job:
        """Add a request.

        Args:
            on_step: called with the ids so far, after each.

        Raises:
            LantuError: it takes a pair of rows, or a bias of its own at each place.
        """
        check(request)
        self.count += 1
        job = Job(request, on_step, str(self.count))
        if not request.after(()):
            job.state = "done"
            return job
        self.llm.add_request(job.key, {"prompt_token_ids": list(request.prefix_ids)}, parameters(request))
        self.jobs[job.key] = job
        return job

    def cancel(self, job: Job) -> None:
        """End a job now, whatever it has drawn."""
        if not job.ended:
            self.llm.abort_request([job.key])
            del self.jobs[job.key]
            job.state = "cancelled"

    def step(self) -> bool:
        """Let vLLM draw ids; False when there is nothing left to do."""
        for output in self.llm.step() if self.jobs else ():
            job = self.jobs.get(output.request_id)
            if not job:  # cancelled by another's callback
                continue
            job.shared = max(job.shared, output.num_cached_tokens or 0)
            for id_ in output.outputs[0].token_ids[len(job.ids) :]:
                job.ids.append(int(id_))
                if job.on_step and not job.ended:
                    job.on_step(job.ids)
            if output.finished and not job.ended:
                job.state = "done"
                del self.jobs[job.key]
        return self.busy


def check(request: Request) -> None:
    """Whether vLLM can draft it: asked before vLLM starts, which takes half a minute.

    Raises:
        LantuError: it takes a pair of rows, or a bias of its own at each place.
    """
    if request.guided:
        raise LantuError(
            f"vLLM has no pairs of rows, and the model has not learnt a guidance of {request.guidance:g}",
            "choose a guidance that it has learnt (lantu info), or --guidance 1",
        )
    if request.bias is not None:
        raise LantuError("vLLM drafts nothing by a picture of control", "choose another backend, or no control")
    if isinstance(request.prefix, Embeddings):
        raise LantuError("vLLM reads prompts of ids alone, not embeddings", "choose another backend")
    if request.row_end:
        raise LantuError("vLLM drafts no rows that end with an id of their own", "choose another backend")
    if request.positions is not None:
        raise LantuError("vLLM counts positions itself, this model's have three axes", "choose another backend")
    if request.given:
        raise ValueError("vLLM drafts behind a prefix, not around given ids")
    if callable(request.allowed):
        raise LantuError(
            "vLLM takes the allowed ids once, and here they change from step to step", "choose another backend"
        )


def parameters(request: Request) -> Any:
    """vLLM's ``SamplingParams`` for a request."""
    from vllm import SamplingParams

    assert not callable(request.allowed)
    return SamplingParams(
        max_tokens=request.limit,
        min_tokens=0 if request.stop is not None else request.limit,
        stop_token_ids=None if request.stop is None else [request.stop],
        allowed_token_ids=[id_ for allowed in request.allowed for id_ in allowed],
        ignore_eos=True,
        seed=request.seed,
        temperature=request.temperature,
        top_k=request.top_k,
        top_p=request.top_p,
        detokenize=False,
    )
