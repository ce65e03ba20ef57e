"""Each forward pass against transformers', cached against uncached, in company against alone."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from lantu.engine.backends import huggingface, native, pytorch
from lantu.engine.drafting import draft
from lantu.engine.engine import Engine
from lantu.engine.request import Request
from lantu.errors import ModelError

IDS = [5, 17, 3, 99, 42, 7, 60]
EVERY = (range(100),)
BACKENDS = ("kernels", "torch", "transformers")


def pair(architecture: str, backend: str, tied: bool = True, dtype: torch.dtype = torch.float32):
    """The same random weights, in transformers and in ours. Norms are random too, that their use may show."""
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(
        architecture,
        vocab_size=100,
        hidden_size=48,
        intermediate_size=80,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        rope_parameters={"rope_type": "default", "rope_theta": 500.0},
        tie_word_embeddings=tied,
    )
    torch.manual_seed(0)
    theirs = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.uniform_(-0.3, 0.3) if parameter.ndim > 1 else parameter.uniform_(0.5, 1.5)
    theirs = theirs.to(dtype)
    if backend == "transformers":
        return theirs, huggingface.Language(theirs)
    if backend == "torch":
        return theirs, pytorch.Language(config.to_dict(), theirs.state_dict(), dtype)
    state = {name: value.float().numpy() for name, value in theirs.state_dict().items()}
    return theirs, native.Language(config.to_dict(), state, precise=dtype == torch.float32)


def after(language, row, ids, ranges=EVERY) -> np.ndarray:
    """Logits after some more ids."""
    language.read([row], [ids])
    return np.asarray(language.logits([row], ranges)[0])


def anew(language, ids, ranges=EVERY) -> np.ndarray:
    """Logits after ids read at once."""
    return after(language, language.open(len(ids)), ids, ranges)


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.inference_mode():
        yield


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("architecture", ["qwen3", "llama"])
@pytest.mark.parametrize("tied", [True, False])
def test_it_computes_what_transformers_computes(architecture, tied, backend):
    theirs, ours = pair(architecture, backend, tied)
    wanted = theirs(torch.tensor([IDS])).logits[0].numpy()
    assert wanted.std() > 0.1
    for length in range(1, 8):
        np.testing.assert_allclose(anew(ours, IDS[:length]), wanted[length - 1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("architecture", ["qwen3", "llama"])
def test_in_bfloat16_it_computes_nearly_that(architecture, backend):
    theirs, ours = pair(architecture, backend, dtype=torch.bfloat16)
    wanted = theirs.float()(torch.tensor([IDS])).logits[0, -1].numpy()
    assert np.abs(anew(ours, IDS) - wanted).max() < 0.05 * np.abs(wanted).max()


@pytest.mark.parametrize("backend", BACKENDS)
def test_reading_in_pieces_is_reading_at_once(backend):
    _, model = pair("qwen3", backend)
    for sizes in ([1] * 7, [3, 1, 1, 2], [6, 1]):
        row, done = model.open(7), 0
        for size in sizes:
            told = after(model, row, IDS[done : done + size])
            done += size
            np.testing.assert_allclose(told, anew(model, IDS[:done]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_shared_prefix_is_as_good_as_ones_own(backend):
    _, model = pair("qwen3", backend)
    prefix = model.open(3)
    model.read([prefix], [IDS[:3]])
    rows = [model.open(4, prefix) for _ in range(3)]
    assert [row.length for row in rows] == [3, 3, 3]
    np.testing.assert_allclose(np.asarray(model.logits(rows[:1], EVERY)[0]), anew(model, IDS[:3]), rtol=1e-5, atol=1e-5)
    for row, rest in zip(rows, ([99], [42, 7], [7, 60, 1]), strict=True):
        np.testing.assert_allclose(after(model, row, rest), anew(model, IDS[:3] + rest), rtol=1e-5, atol=1e-5)
    for row in rows:
        model.close(row)


@pytest.mark.parametrize("backend", BACKENDS)
def test_rows_of_any_lengths_go_together(backend):
    _, model = pair("qwen3", backend)
    starts, steps = [[5, 17], [3], [99, 42, 7, 60], [1, 2, 3]], [[7], [8], [9], [10]]
    rows = [model.open(6) for _ in starts]
    model.read(rows, starts)
    model.read([rows[3], rows[0]], [[50], [51]])  # some step, others wait
    starts[3], starts[0] = [*starts[3], 50], [*starts[0], 51]
    model.close(rows[1])
    kept = [0, 2, 3]
    model.read([rows[at] for at in kept], [steps[at] for at in kept])
    together = np.asarray(model.logits([rows[at] for at in kept], EVERY))
    for place, at in enumerate(kept):
        np.testing.assert_allclose(together[place], anew(model, starts[at] + steps[at]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_was_read_can_be_looked_at_and_forgotten(backend):
    """Guesses: logits at each id of the last read, and another end in place of the wrong one."""
    _, model = pair("qwen3", backend)
    prefix = model.open(2)
    model.read([prefix], [IDS[:2]])
    rows = [model.open(5, prefix) for _ in range(2)]
    for row in rows:
        model.read([row], [IDS[2:3]])
    model.read(rows, [IDS[3:6], [1, 2, 3]])
    told = np.asarray(model.logits([rows[0]] * 3, EVERY, [0, 1, 2]))
    for back in range(3):
        np.testing.assert_allclose(told[back], anew(model, IDS[: 6 - back]), rtol=1e-5, atol=1e-5)
    for row in rows:
        model.rewind(row, 4)
        assert row.length == 4
    np.testing.assert_allclose(after(model, rows[0], [8, 9]), anew(model, [*IDS[:4], 8, 9]), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(after(model, rows[1], [8]), anew(model, [*IDS[:3], 1, 8]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_backend_drafts_the_same_guessing_ahead(backend):
    _, model = pair("qwen3", backend)
    for guidance in (1.0, 2.0):
        plain = Request([1, 2], (range(20, 80),), limit=12, unconditional=[3], guidance=guidance, seed=5)
        ahead = replace(plain, num_draft_tokens=4)
        assert draft(Engine(model), [plain, ahead]) == draft(Engine(model), [plain]) * 2


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("settings", [{}, {"unconditional": [1, 5], "guidance": 2.0}])
def test_a_bias_is_added_to_what_the_prompt_makes_of_each_place(backend, settings):
    _, language = pair("qwen3", backend)
    request = Request([1, 2, 3], (range(10, 30),), limit=4, seed=3, **settings)
    free = draft(Engine(language), [request])[0]
    assert draft(Engine(language), [replace(request, bias=lambda ids: np.zeros(20, np.float32))])[0] == free
    one = np.zeros((4, 20), np.float32)
    one[range(4), [7, 0, 19, 3]] = 60
    steered = replace(request, bias=lambda ids: one[len(ids)])
    assert draft(Engine(language), [steered])[0] == [17, 10, 29, 13]
    assert draft(Engine(language), [replace(steered, num_draft_tokens=3)])[0] == [17, 10, 29, 13]
    # As much on every id is nothing; company is not touched.
    both = [steered, replace(request, bias=lambda ids: np.full(20, 5, np.float32)), request]
    assert draft(Engine(language, max_jobs=3), both)[1:] == [free, free]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_bias_knows_the_ids_before_guesses_among_them(backend):
    _, language = pair("qwen3", backend)

    asked = []

    def up(ids):  # each id is the one before it and one
        asked.append(ids)
        return 60 * np.eye(20, dtype=np.float32)[ids[-1] - 9 if ids else 0]

    request = Request([1, 2, 3], (range(10, 30),), limit=6, seed=3, bias=up)
    assert draft(Engine(language), [request, replace(request, num_draft_tokens=4)]) == [[10, 11, 12, 13, 14, 15]] * 2
    asked.clear()
    assert draft(Engine(language), [replace(request, num_draft_tokens=4, stride=3)]) == [[10, 11, 12, 13, 14, 15]]
    # Nothing in the second half is asked for behind wrong guesses in the first.
    assert all(ids[:3] == [10, 11, 12] for ids in asked if len(ids) >= 3)


@pytest.mark.parametrize("precise", [True, False])
def test_on_compiled_kernels_company_changes_not_one_bit(precise):
    _, model = pair("qwen3", "kernels", dtype=torch.float32 if precise else torch.bfloat16)
    if not model.exact:
        pytest.skip("NumPy's sums depend on the number of rows")
    alone = [anew(model, IDS[:length]) for length in range(1, 8)]
    rows = [model.open(length) for length in range(1, 8)]
    model.read(rows, [IDS[:length] for length in range(1, 8)])
    assert all(np.array_equal(one, each) for one, each in zip(alone, model.logits(rows, EVERY), strict=True))


@pytest.mark.parametrize("backend", BACKENDS)
def test_logits_of_some_ids_are_a_part_of_all(backend):
    _, model = pair("qwen3", backend, tied=False)
    every = anew(model, IDS)
    some = anew(model, IDS, (range(10, 20), range(50, 51)))
    np.testing.assert_allclose(some, every[[*range(10, 20), 50]], rtol=1e-5, atol=1e-6)
    for number in range(20):  # more than are kept
        np.testing.assert_allclose(anew(model, IDS, (range(number, 30),)), every[number:30], rtol=1e-5, atol=1e-6)


def test_other_architectures_are_refused():
    from transformers import GPT2Config, LlamaConfig

    scaled = {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}
    for config in (GPT2Config(), LlamaConfig(attention_bias=True), LlamaConfig(rope_parameters=scaled)):
        for home in (native, pytorch):
            with pytest.raises(ModelError):
                home.Language(config.to_dict(), {})


@pytest.mark.parametrize("home", [native, pytorch])
def test_what_is_missing_is_told(home, tmp_path):
    from transformers import Qwen3Config

    with pytest.raises(ModelError, match=r"embed_tokens|layernorm"):
        home.Language(Qwen3Config().to_dict(), {})
    with pytest.raises(ModelError, match="num_hidden_layers"):
        home.Language({"model_type": "qwen3", "hidden_act": "silu", "num_attention_heads": 2}, {})
    with pytest.raises(ModelError, match=r"config\.json"):
        home.Language.load(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError):
        home.Language.load(tmp_path)


def test_drafting_starts_without_the_heavy_libraries():
    look = (
        "import sys, lantu.pipeline, lantu.engine.backends.native; print({'torch', 'transformers'} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_prompt_may_be_embeddings(backend):
    _, language = pair("llama", backend)
    of_ids = Request([1, 2, 3], (range(20, 80),), limit=8, unconditional=[4, 5], guidance=2.0, seed=5)
    of_vectors = replace(of_ids, prefix=language.vectors([1, 2, 3]), unconditional=language.vectors([4, 5]))
    engine = Engine(language)
    assert draft(engine, [of_ids, of_vectors]) == draft(Engine(language), [of_ids]) * 2
    assert len(engine.prefixes) == 4
    draft(engine, [replace(of_vectors, prefix=language.vectors([1, 2, 3]))])
    assert len(engine.prefixes) == 4  # equal vectors are found in the prefix cache
    draft(engine, [replace(of_vectors, prefix=language.vectors([1, 2, 9]))])
    assert len(engine.prefixes) == 5


class OtherTable:
    """Ids with an embedding and a head of their own: those of the text, shifted and scaled."""

    size = 10

    def __init__(self, text):
        self.text = text

    def embed(self, ids_T):
        return 2 * self.text.embed(ids_T + 5)

    def logits(self, hidden_RD, ranges):
        return -self.text.logits(hidden_RD, tuple(range(ids.start + 5, ids.stop + 5) for ids in ranges))


@pytest.mark.parametrize("backend", ["kernels", "torch"])
def test_a_family_may_bring_an_embedding_and_a_head_of_its_own(backend):
    _, plain = pair("llama", backend, tied=False)
    _, language = pair("llama", backend, tied=False)
    language.add(OtherTable(language.text))
    vectors = np.concatenate([plain.vectors([7, 99]), 2 * plain.vectors([5, 14]), plain.vectors([3])])
    np.testing.assert_array_equal(language.vectors([7, 99, 100, 109, 3]), vectors)
    wanted = anew(plain, [7, 99])
    got = anew(language, [7, 99], (range(90, 104), range(2, 4), range(105, 110)))
    np.testing.assert_allclose(got, [*wanted[90:100], *-wanted[5:9], *wanted[2:4], *-wanted[10:15]], rtol=1e-5)
    with pytest.raises(IndexError):
        anew(language, [7], (range(105, 111),))


@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16])
def test_weights_are_computed_in_the_dtype_in_which_they_are_stored(stored, tmp_path):
    theirs, exact = pair("llama", "kernels")
    theirs.to(stored).save_pretrained(tmp_path)
    language = native.Language.load(tmp_path)
    assert pytorch.Language.load(tmp_path, dtype=None).dtype == stored
    near = np.abs(anew(language, IDS) - anew(exact, IDS)).max()
    assert (near == 0) == (stored == torch.float32)


@pytest.mark.parametrize("contrast", [1, 4])
def test_contrastive_decoding_drafts_the_same_on_every_backend(contrast):
    drafts = {}
    for backend in BACKENDS:
        engine = Engine(pair("qwen3", backend)[1])
        asked = Request(IDS, EVERY, 10, unconditional=IDS[-2:], guidance=1.5, contrast=contrast, temperature=1.0)
        drafts[backend] = [draft(engine, [replace(asked, seed=seed)])[0] for seed in range(3)]
        plain = [draft(engine, [replace(asked, seed=seed, contrast=0)])[0] for seed in range(3)]
        assert drafts[backend] != plain
    assert drafts["kernels"] == drafts["torch"] == drafts["transformers"]
