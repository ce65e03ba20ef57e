"""Native code against NumPy on every instruction set that runs here, and NumPy against torch's own operations."""

import contextlib
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lantu import kernels
from lantu.errors import LantuError
from lantu.kernels import Choice, Layer, Segment, Shape, plain, to_float

native = pytest.importorskip("lantu.kernels.native") if not kernels.reason() else None
needs_native = pytest.mark.skipif(native is None, reason=f"no native code: {kernels.reason()}")

SHAPES = [
    Shape(3, 256, 4, 4, 64, 704),
    Shape(2, 64, 2, 1, 32, 100),  # shared keys, an inner width that fills no panel
    Shape(2, 48, 3, 3, 16, 40),
    Shape(1, 32, 1, 1, 128, 64),  # heads wider than what is summed at once
]


def random_layers(shape: Shape, normed: bool = True) -> list[Layer]:
    random = np.random.default_rng(3)

    def matrix(rows: int, columns: int) -> np.ndarray:
        return (random.standard_normal((rows, columns)) / np.sqrt(columns)).astype(np.float32)

    def norm(width: int) -> np.ndarray:
        return (1 + 0.2 * random.standard_normal(width)).astype(np.float32)

    D, K, inner = shape.width, shape.head_width, shape.inner
    H, G = shape.heads * K, shape.key_value_heads * K
    return [
        Layer(
            norm(D),
            norm(K) if normed else None,
            norm(K) if normed else None,
            matrix(H, D),
            matrix(G, D),
            matrix(G, D),
            matrix(D, H),
            norm(D),
            matrix(inner, D),
            matrix(inner, D),
            matrix(D, inner),
        )
        for _ in range(shape.layers)
    ]


def adorned(shape: Shape) -> tuple[Shape, list[Layer]]:
    """A stack with a bias of queries, keys and values, post norms and a GELU gate."""
    random = np.random.default_rng(4)

    def vector(width: int) -> np.ndarray:
        return (0.5 * random.standard_normal(width)).astype(np.float32)

    D, H, G = shape.width, shape.heads * shape.head_width, shape.key_value_heads * shape.head_width
    biases = {"query_bias": vector(H), "key_bias": vector(G), "value_bias": vector(G)}
    posts = {"attention_post_norm": vector(D), "feed_forward_post_norm": vector(D)}
    layers = [replace(layer, **biases, **posts) for layer in random_layers(shape, normed=False)]
    return replace(shape, activation="gelu"), layers


def halves(layers: list[Layer]) -> list[Layer]:
    """The same in bfloat16, as a file holds it."""

    def half(value: np.ndarray | None) -> np.ndarray | None:
        return None if value is None else (value.view(np.uint32) >> 16).astype(np.uint16)

    return [Layer(**{name: half(value) for name, value in vars(layer).items()}) for layer in layers]


def inputs(shape: Shape, tokens: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(tokens)
    angles = random.standard_normal((tokens, shape.head_width // 2))
    x = random.standard_normal((tokens, shape.width)).astype(np.float32)
    return x, np.stack([np.cos(angles), np.sin(angles)]).astype(np.float32)


def both_passes(shape, layers, precise, tokens=(20, 1, 16), causal=True, modulated=False):
    """What NumPy and native code make of the same sequences."""
    x, turn = inputs(shape, sum(tokens))
    modulation = None
    if modulated:
        modulation = 0.3 * np.random.default_rng(1).standard_normal((shape.layers, 6, shape.width)).astype(np.float32)
    results = []
    for stack in (plain.TransformerStack(shape, layers), native.TransformerStack(shape, layers, precise)):
        spans = [Segment(stack.cache(count + 3), count, causal=causal) for count in tokens]
        results.append(stack.forward(x, turn, spans, modulation))
        assert [span.cache.used for span in spans] == list(tokens)
    return results


@needs_native
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("modulated", [True, False])
def test_native_code_computes_what_numpy_does(shape, causal, modulated):
    wanted, got = both_passes(shape, random_layers(shape), True, causal=causal, modulated=modulated)
    np.testing.assert_allclose(got, wanted, atol=3e-5, rtol=1e-4)
    wanted, got = both_passes(shape, halves(random_layers(shape)), False, causal=causal, modulated=modulated)
    assert np.abs(got - wanted).max() < 0.02 * np.abs(wanted).max()
    assert np.abs(got - wanted).max() > 0  # it is another precision


@needs_native
@pytest.mark.parametrize("shape", SHAPES[1:], ids=str)
def test_biases_post_norms_and_gelu(shape):
    shape, layers = adorned(shape)
    for part in (layers, [replace(layer, attention_post_norm=None, feed_forward_post_norm=None) for layer in layers]):
        wanted, got = both_passes(shape, part, True)
        np.testing.assert_allclose(got, wanted, atol=3e-5, rtol=2e-4)
        wanted, got = both_passes(shape, halves(part), False)
        assert np.abs(got - wanted).max() < 0.02 * np.abs(wanted).max()
    with pytest.raises(ValueError, match="the native code got"):
        native.TransformerStack(shape, [replace(layer, key_bias=None) for layer in layers])
    with pytest.raises(ValueError, match="the native code got"):
        both_passes(shape, layers, True, modulated=True)


@needs_native
def test_queries_need_no_norm():
    shape = SHAPES[0]
    wanted, got = both_passes(shape, random_layers(shape, normed=False), True)
    np.testing.assert_allclose(got, wanted, atol=3e-5, rtol=1e-4)


@needs_native
@pytest.mark.parametrize("precise", [True, False])
@pytest.mark.parametrize("with_all", [True, False])
def test_a_row_is_the_same_bit_for_bit_in_any_company_and_on_any_threads(precise, with_all):
    shape, layers = adorned(SHAPES[0]) if with_all else (SHAPES[0], random_layers(SHAPES[0]))
    stack = native.TransformerStack(shape, layers, precise)
    head = native.Linear(np.random.default_rng(0).standard_normal((100, 256)).astype(np.float32), precise=precise)
    x, turn = inputs(shape, 40)
    try:
        alone = []
        kernels.use_threads(1)
        for start in range(0, 40, 4):
            part = slice(start, start + 4)
            alone.append(stack.forward(x[part], turn[:, part], [Segment(stack.cache(9), 4)]))
        for threads in (1, 2, 3):
            kernels.use_threads(threads)
            together = stack.forward(x, turn, [Segment(stack.cache(4 + at), 4) for at in range(10)])
            assert np.array_equal(together, np.concatenate(alone))
            assert np.array_equal(head(together), np.concatenate([head(part) for part in alone]))
    finally:
        kernels.use_threads(0)


@pytest.mark.parametrize("home", ["plain", pytest.param("native", marks=needs_native)])
def test_pieces_behind_a_shared_prefix_are_what_is_read_at_once(home):
    shape = SHAPES[1]
    stack = getattr(kernels, home).TransformerStack(shape, random_layers(shape), True)
    x, turn = inputs(shape, 30)
    wanted = stack.forward(x, turn, [Segment(stack.cache(30), 30)])
    prefix = stack.cache(17)
    stack.forward(x[:17], turn[:, :17], [Segment(prefix, 17)])
    for _ in range(2):  # two sequences behind the same prefix
        own, pieces = stack.cache(13), []
        for start, end in ((17, 19), (19, 20), (20, 30)):
            part = slice(start, end)
            pieces.append(stack.forward(x[part], turn[:, part], [Segment(own, end - start, prefix)]))
        np.testing.assert_allclose(np.concatenate(pieces), wanted[17:], atol=2e-5, rtol=1e-4)
    with pytest.raises(ValueError, match="cache"):
        Segment(own, 1, prefix)


def test_numpy_computes_what_torch_does():
    """One block against torch's own operations."""
    torch = pytest.importorskip("torch")
    from lantu.kernels import blocks
    from lantu.models.lantu.layers import Block, rotation

    torch.manual_seed(0)
    block = Block(64, 2, conditioned=True)
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.copy_(torch.randn_like(parameter) / 8 + (parameter.ndim == 1))
    state = {f"blocks.0.{name}": value.detach().numpy() for name, value in block.state_dict().items()}
    layers = blocks.layers(state, "blocks.", 1)
    stack = plain.TransformerStack(blocks.shape_of(layers, 64, 2), layers)
    x, modulation = torch.randn(2, 12, 64), torch.randn(1, 6, 64) / 4
    with torch.inference_mode():
        wanted = block(x, rotation(3, 4, 32), modulation.expand(2, 6, 64))
    turn = blocks.rotation(3, 4, 32)
    np.testing.assert_allclose(turn, rotation(3, 4, 32).numpy(), atol=1e-6)
    both = (modulation.numpy() + state["blocks.0.table"])[None, 0]
    spans = [Segment(stack.cache(12), 12, causal=False) for _ in range(2)]
    got = stack.forward(x.reshape(24, 64).numpy(), np.tile(turn, (1, 2, 1)), spans, both)
    np.testing.assert_allclose(got, wanted.reshape(24, 64).numpy(), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("patch", [4, 7])
def test_patches_go_in_and_out_as_in_torch(patch):
    torch = pytest.importorskip("torch")
    from lantu.kernels import blocks
    from lantu.models.lantu.layers import OverlapPatches, to_patches

    pixels = torch.randn(2, 3, 3 * patch, 2 * patch)
    assert np.array_equal(blocks.to_patches(pixels.numpy(), patch), to_patches(pixels, patch).numpy())
    out = OverlapPatches(16, patch)
    x = torch.randn(2, 6, 16)
    with torch.no_grad():
        wanted, patches = out(x, 3, 2), out.linear(x)
    got = blocks.add_up(patches.numpy().reshape(12, -1) * blocks.window(patch), 3, 2, patch)
    np.testing.assert_allclose(got, wanted.numpy(), atol=1e-6)


@needs_native
@pytest.mark.parametrize("rows", [1, 5, 64, 100])
@pytest.mark.parametrize("tokens", [1, 2, 3, 7, 40])
def test_matrices(rows, tokens):
    random = np.random.default_rng(0)
    weight, x = (random.standard_normal(shape).astype(np.float32) for shape in ((rows, 48), (tokens, 48)))
    bias, norm = random.standard_normal(rows).astype(np.float32), random.standard_normal(48).astype(np.float32)
    for extras in ({}, {"bias": bias}, {"norm": norm, "eps": 1e-5}, {"bias": bias, "norm": norm, "eps": 1e-5}):
        wanted = plain.Linear(weight, **extras)(x)
        np.testing.assert_allclose(native.Linear(weight, precise=True, **extras)(x), wanted, atol=2e-5, rtol=1e-4)
        half = native.Linear(weight, **extras)(x)
        assert np.abs(half - wanted).max() < 0.1
    with pytest.raises(ValueError, match="rows of shape"):
        native.Linear(weight)(x[:, :32])
    with pytest.raises(LantuError, match="native code can't multiply"):
        native.Linear(weight[:, :40])


@st.composite
def choices(draw):
    return Choice(
        row=draw(st.integers(0, 2)),
        unconditional=draw(st.integers(-1, 2)),
        guidance=draw(st.floats(0, 5)),
        temperature=draw(st.sampled_from([0.0, 0.3, 1.0, 2.5])),
        top_k=draw(st.sampled_from([0, 1, 5, 50, 99, 1000])),
        top_p=draw(st.sampled_from([0.01, 0.5, 0.9, 1.0])),
        uniform=draw(st.floats(0, 1, exclude_max=True)),
        contrast=draw(st.sampled_from([0, 0, 1, 3, 1000])),
    )


@pytest.mark.parametrize("home", [plain, pytest.param(native, marks=needs_native)])
def test_the_largest_uniform_number_takes_the_last_kept_column(home):
    """Also where sums in another order, or the product, are rounded."""
    for seed in range(50):
        logits = (3 * np.random.default_rng(seed).standard_normal((1, 60))).astype(np.float32)
        shares = np.exp(logits[0].astype(np.float64) - logits[0].max())
        order = np.argsort(-shares, kind="stable")
        before = np.cumsum(shares[order]) - shares[order]
        kept = order[before < 0.9 * shares.sum()]
        (column,) = home.choose(logits, [Choice(0, -1, 1.0, 1.0, 0, 0.9, 1 - 2**-53)])
        assert column == max(kept)


@needs_native
@given(st.lists(choices(), min_size=1, max_size=5), st.integers(0, 1000))
def test_native_code_chooses_what_numpy_does(asked, seed):
    logits = (3 * np.random.default_rng(seed).standard_normal((3, 60))).astype(np.float32)
    logits[:, 7] = logits[:, 11]  # ties
    assert native.choose(logits, asked) == plain.choose(logits, asked)


@pytest.mark.parametrize("home", ["plain", pytest.param("native", marks=needs_native)])
def test_choices_follow_the_probabilities(home):
    """Over a grid of uniform numbers each id comes as often as softmax, top-k and top-p say."""
    choose = getattr(kernels, home).choose
    logits = np.log(np.array([[0.5, 0.25, 0.15, 0.07, 0.03]], np.float32))
    grid = (np.arange(2000) + 0.5) / 2000

    def shares(**settings) -> np.ndarray:
        drawn = choose(logits, [Choice(0, uniform=float(u), **settings) for u in grid])
        return np.bincount(drawn, minlength=5) / len(grid)

    np.testing.assert_allclose(shares(), [0.5, 0.25, 0.15, 0.07, 0.03], atol=1e-3)
    np.testing.assert_allclose(shares(top_k=2), [2 / 3, 1 / 3, 0, 0, 0], atol=1e-3)
    np.testing.assert_allclose(shares(top_p=0.8), [5 / 9, 2.5 / 9, 1.5 / 9, 0, 0], atol=1e-3)
    np.testing.assert_allclose(shares(temperature=0.0), [1, 0, 0, 0, 0])
    hot = np.array([0.5, 0.25, 0.15, 0.07, 0.03]) ** 0.5
    np.testing.assert_allclose(shares(temperature=2.0), hot / hot.sum(), atol=1e-3)


@needs_native
def test_guidance_moves_from_one_row_to_the_other():
    logits = np.array([[0, 1, 0, 0], [0, 0, 2, 0]], np.float32)
    choice = Choice(0, 1, temperature=0.0)
    for guidance, wanted in ((0.0, 2), (1.0, 1), (2.0, 1)):
        for home in (plain, native):
            assert home.choose(logits, [replace(choice, guidance=guidance)]) == [wanted]


@pytest.mark.parametrize("home", ["plain", pytest.param("native", marks=needs_native)])
@pytest.mark.parametrize("contrast", [0, 3])
def test_guidance_of_logits_is_guidance_of_log_probabilities(home, contrast):
    """A constant added to a row changes no choice. So one way serves families that guide logits (Janus) and those that
    guide log-probabilities, of all ids (Emu3) or of the allowed ones."""
    choose = getattr(kernels, home).choose
    random = np.random.default_rng(0)
    logits = 3 * random.standard_normal((2, 90))
    normalised = logits - np.log(np.exp(logits).sum(-1, keepdims=True))  # of all ids
    slices = [(each[:, 20:70]).astype(np.float32) for each in (logits, normalised)]
    for uniform in (0.02, 0.3, 0.6, 0.97):
        for settings in ({"temperature": 0.0}, {"top_k": 7}, {"top_p": 0.8}, {"temperature": 2.0, "top_k": 20}):
            choice = Choice(0, 1, guidance=3.0, uniform=uniform, contrast=contrast, **settings)
            assert choose(slices[0], [choice]) == choose(slices[1], [choice])
    # what transformers' UnbatchedClassifierFreeGuidanceLogitsProcessor computes
    guided = normalised[1] + 3.0 * (normalised[0] - normalised[1])
    assert choose(slices[0], [Choice(0, 1, guidance=3.0, temperature=0.0)]) == [int(guided[20:70].argmax())]


@pytest.mark.parametrize("home", ["plain", pytest.param("native", marks=needs_native)])
def test_contrast_takes_what_the_prompt_adds_among_what_is_likely(home):
    prompted = np.log(np.array([0.5, 0.3, 0.15, 0.04, 0.01], np.float32))
    bare = np.log(np.array([0.8, 0.1, 0.05, 0.04, 0.01], np.float32))
    choose = getattr(kernels, home).choose
    grid = (np.arange(2000) + 0.5) / 2000
    drawn = choose(np.stack([prompted, bare]), [Choice(0, 1, uniform=float(u), contrast=1) for u in grid])
    # 0.04 and 0.01 are less than a tenth of 0.5; the others by what the prompt makes of them: 0.625, 3 and 3
    shares = np.bincount(drawn, minlength=5) / len(grid)
    np.testing.assert_allclose(shares, np.array([0.625, 3, 3, 0, 0]) / 6.625, atol=1e-3)
    second = choose(np.stack([prompted, bare]), [Choice(0, 1, uniform=float(u), contrast=2) for u in grid])
    assert set(second) == {0, 1, 2, 3}


@needs_native
@pytest.mark.parametrize("instructions", ["avx512bf16", "avx512", "avx2", "plain"])
def test_older_instruction_sets_compute_the_same(instructions):
    """In a process of its own: the set is chosen once."""
    script = """
import numpy as np, sys
sys.path.insert(0, "tests/kernels")
from test_kernels import SHAPES, adorned, both_passes, halves, random_layers
from lantu import kernels
print(kernels.name())
for shape, exact in [(shape, random_layers(shape)) for shape in SHAPES] + [adorned(shape) for shape in SHAPES]:
    for precise, layers in ((True, exact), (False, halves(exact))):
        wanted, got = both_passes(shape, layers, precise)
        assert np.abs(got - wanted).max() < (1e-4 if precise else 0.02) * np.abs(wanted).max()
"""
    environment = os.environ | {"LANTU_INSTRUCTIONS": instructions}
    told = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    assert told.stdout.strip() in (f"native ({instructions})", "native (plain)")  # where the set is missing


@needs_native
@pytest.mark.parametrize("columns", [16, 48, 256])  # half a tile's inputs, one and a half, whole ones
def test_a_row_is_computed_alike_in_any_number_of_rows(columns):
    random = np.random.default_rng(0)
    linear = kernels.linear(random.standard_normal((100, columns)).astype(np.float32))
    x = random.standard_normal((70, columns)).astype(np.float32)
    alone = np.concatenate([linear(row[None]) for row in x])
    for rows in (*range(2, 36), 70):
        assert np.array_equal(linear(x[:rows]), alone[:rows])


def test_without_native_code_numpy_draws_and_says_so(tiny_model):
    script = f"""
from lantu import kernels, load
picture = load({str(tiny_model)!r}, "cpu").draw("a cat", seed=1)
print(kernels.name(), picture.image.size, kernels.reason())
"""
    environment = os.environ | {"LANTU_KERNELS": "numpy"}
    told = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "NumPy (32, 32) LANTU_KERNELS=numpy"


def test_bfloat16_is_read_exactly():
    values = np.array([1.0, -2.5, 3.0e-5, 1e30], np.float32)
    cut = (values.view(np.uint32) >> 16).astype(np.uint16)
    assert np.array_equal(to_float(cut).view(np.uint32), values.view(np.uint32) & 0xFFFF0000)


def test_lanes_compute_at_the_same_time_and_the_same():
    """Two threads in lanes of their own, a third in the shared one: nobody disturbs the others."""
    from concurrent.futures import ThreadPoolExecutor

    if kernels.reason():
        pytest.skip("NumPy has no lanes")
    random = np.random.default_rng(0)
    linear = kernels.linear(random.standard_normal((64, 48)).astype(np.float32), precise=True)
    inputs = [random.standard_normal((9, 48)).astype(np.float32) for _ in range(3)]
    expected = [linear(x) for x in inputs]
    lanes = [kernels.ThreadGroup(1), kernels.ThreadGroup(2), contextlib.nullcontext()]

    def work(which):
        with lanes[which]:
            threads = kernels.threads()
            return threads, all(np.array_equal(linear(inputs[which]), expected[which]) for _ in range(300))

    with ThreadPoolExecutor(3) as pool:
        told = list(pool.map(work, range(3)))
    assert all(same for _, same in told)
    assert [threads for threads, _ in told[:2]] == [1, 2]
    assert told[2][0] == kernels.threads()


def test_groups_of_threads_may_be_nested():
    if kernels.reason():
        pytest.skip("NumPy has no groups")
    before = kernels.threads()
    with kernels.ThreadGroup(3):
        with kernels.ThreadGroup(1):
            assert kernels.threads() == 1
        assert kernels.threads() == 3
    assert kernels.threads() == before


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system keeps no process to some cores")
def test_threads_are_those_cores_that_the_process_may_use():
    """Of two threads on one core each would wait for the other's turn at every barrier."""
    core = min(os.sched_getaffinity(0))
    code = f"import os; os.sched_setaffinity(0, [{core}]); from lantu import kernels; print(kernels.threads())"
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout == "1\n"


@needs_native
def test_code_of_another_machine_beside_this_ones_is_passed_over(tmp_path):
    from lantu.kernels import library

    own = next(library.Path(library.__file__).parent.glob("_native*.so"))
    shutil.copy(own, tmp_path / "_native.cpython-311-x86_64-linux-gnu.so")
    (tmp_path / "_native.cpython-312-aarch64-linux-gnu.so").write_bytes(b"of another machine")
    assert library.compiled(tmp_path).lantu_threads() >= 1
    (tmp_path / "_native.cpython-311-x86_64-linux-gnu.so").unlink()
    assert "aarch64-linux-gnu.so can't be loaded" in library.compiled(tmp_path)
    assert "no C++17 compiler" in library.compiled(tmp_path / "none")


FEW_THREADS = """
import resource
from lantu.kernels.library import ThreadGroup, threads
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + 100_000_000, -1))
with ThreadGroup(64):
    print(threads())
"""


@needs_native
@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_a_system_that_allows_few_threads_is_no_crash():
    done = subprocess.run([sys.executable, "-c", FEW_THREADS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 1 <= int(done.stdout) < 64
