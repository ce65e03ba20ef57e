"""A pretrained language model learns to draw: its new rows, adapters or all of it, and keeps its language."""

import json

import pytest
import torch

import tiny_language
from lantu import recipes
from lantu.errors import DataError, LantuError, RecipeError
from lantu.recipes.adopt_language import adopt_language

STEPS = ["loop.steps=16", "loop.sample_every=8", "loop.log_every=4"]


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts")
    (folder / "a.txt").write_text("A fox jumps over the lazy dog.\n\n" * 40)
    (folder / "b.jsonl").write_text('{"text": "一只狐狸跳过了一只狗。"}\n' * 20)
    return folder


@pytest.fixture(scope="module")
def adopted(tiny_model, tmp_path_factory):
    """Architecture, tied → a tiny model with the codes of the tiny model's tokenizer."""
    made = {}

    def make(architecture="llama", tied=True):
        if (architecture, tied) not in made:
            place = tmp_path_factory.mktemp("adopted")
            tiny_language.write(place / "published", architecture, tied, rows=352)
            adopt_language(str(place / "published"), place / "out", tiny_model)
            made[architecture, tied] = place / "out"
        return made[architecture, tied]

    return make


def train(start, tiny_model, data, out, *changes, **options):
    given = [f"tokenizer={tiny_model}/tokenizer", f"start={start}", *STEPS, *changes]
    return recipes.train("language", "adopted-debug", data, out, given, progress=False, **options)


def weights(folder):
    from lantu.weights import tensors

    return tensors.load(folder)


@pytest.mark.parametrize(
    ("architecture", "tied", "trained"),
    [("llama", True, "rows"), ("gemma", True, "rows"), ("qwen2", False, "lora"), ("mistral", False, "all")],
)
def test_it_learns_to_draw(adopted, tiny_model, captioned_data, texts, tmp_path, architecture, tied, trained):
    start = adopted(architecture, tied)
    train(start, tiny_model, captioned_data, tmp_path / "run", f"trained={trained}", f"text={texts}")
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["codes"] < lines[0]["codes"]
    assert {"codes", "text", "plain"} <= lines[0].keys()
    seen = [json.loads(line) for line in (tmp_path / "run" / "samples" / "validation.jsonl").read_text().splitlines()]
    assert [line["step"] for line in seen] == [0, 8, 16]
    assert all({"codes", "captions", "text"} <= line.keys() for line in seen)
    assert seen[-1]["codes"] < seen[0]["codes"]
    before, after = weights(start), weights(tmp_path / "run" / "model")
    assert before.keys() == after.keys()
    tables = {name for name in before if name in ("model.embed_tokens.weight", "lm_head.weight")}
    for name, value in before.items():
        assert after[name].dtype == value.dtype
        if name in tables:
            assert torch.equal(after[name][:352], value[:352]) == (trained != "all")
            assert not torch.equal(after[name][352:], value[352:])
        elif trained == "rows" or (trained == "lora" and not name.endswith("proj.weight")):
            assert torch.equal(after[name], value)
        elif value.ndim == 2:
            assert not torch.equal(after[name], value)
    config = [json.loads((place / "config.json").read_text()) for place in (start, tmp_path / "run" / "model")]
    assert config[1]["lantu"] == config[0]["lantu"]
    for name in ("vocab_size", "bos_token_id", "eos_token_id", "tie_word_embeddings", "model_type", "dtype"):
        assert config[1][name] == config[0][name]
    for name in ("tokenizer.json", "tokenizer_config.json", "SOURCE.md"):
        assert (tmp_path / "run" / "model" / name).read_bytes() == (start / name).read_bytes()


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")  # what peft asks of transformers
def test_the_adapter_alone_is_what_peft_opens(adopted, tiny_model, captioned_data, texts, tmp_path):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    start = adopted("qwen2", False)
    train(start, tiny_model, captioned_data, tmp_path / "run", "trained=lora")
    ids = torch.tensor([[3, 40, 352, 353, 400, 500]])
    stock = AutoModelForCausalLM.from_pretrained(tmp_path / "run" / "model", dtype=torch.float32)
    base = AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32)
    with torch.inference_mode():
        merged, plain = stock(ids).logits, base(ids).logits
        adapted = PeftModel.from_pretrained(base, tmp_path / "run" / "adapter")(ids).logits
    torch.testing.assert_close(adapted, merged, atol=0.05, rtol=0.05)  # merged weights are rounded to bfloat16
    assert (merged - plain).abs().mean() > 20 * (merged - adapted).abs().mean()


@pytest.mark.parametrize("trained", ["lora", pytest.param("all", marks=pytest.mark.slow)])
def test_a_killed_run_goes_on_as_an_unbroken_one(adopted, tiny_model, captioned_data, texts, tmp_path, trained):
    given = (adopted("llama", True), tiny_model, captioned_data)
    changes = (f"trained={trained}", f"text={texts}", "rows_first=6", "loop.ema_every=2")
    train(*given, tmp_path / "whole", *changes)
    train(*given, tmp_path / "broken", *changes, "loop.minutes=0")
    for _ in range(2):
        steps = [
            json.loads(path.read_text())["step"] for path in (tmp_path / "broken").glob("checkpoints/*/state.json")
        ]
        assert max(steps) < 16
        minutes = ["loop.minutes=0"] if _ == 0 else ["loop.minutes=none"]
        recipes.train(
            "language", "adopted-debug", captioned_data, tmp_path / "broken", minutes, resume=True, progress=False
        )
    whole, broken = weights(tmp_path / "whole" / "model"), weights(tmp_path / "broken" / "model")
    assert all(torch.equal(value, broken[name]) for name, value in whole.items())
    seen = [(tmp_path / name / "samples" / "validation.jsonl").read_text() for name in ("whole", "broken")]
    assert json.loads(seen[0].splitlines()[-1]) == json.loads(seen[1].splitlines()[-1])


@pytest.mark.parametrize("trained", ["lora", "all"])
def test_a_run_that_was_killed_before_its_first_samples_has_the_losses_of_its_start(
    adopted, tiny_model, captioned_data, texts, tmp_path, trained
):
    given = (adopted("llama", True), tiny_model, captioned_data)
    changes = (f"trained={trained}", f"text={texts}", "rows_first=2", "loop.steps=8")
    train(*given, tmp_path / "whole", *changes)
    train(*given, tmp_path / "broken", *changes, "loop.minutes=0")
    path = tmp_path / "broken" / "samples" / "validation.jsonl"
    path.unlink()  # a run that is killed writes no samples at its end
    again = {"resume": True, "progress": False}
    recipes.train("language", "adopted-debug", captioned_data, tmp_path / "broken", ["loop.minutes=none"], **again)
    whole = (tmp_path / "whole" / "samples" / "validation.jsonl").read_text()
    assert path.read_text() == whole
    assert json.loads(whole.splitlines()[0])["step"] == 0


def test_frozen_weights_may_stay_as_they_were_published(adopted, tiny_model, captioned_data, tmp_path):
    start = adopted("qwen3", False)
    half = ("trained=lora", "frozen=file", "loop.precision=bf16", "loop.steps=10", "checkpointing=true")
    train(start, tiny_model, captioned_data, tmp_path / "run", *half)
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["codes"] < lines[0]["codes"]
    before, after = weights(start), weights(tmp_path / "run" / "model")
    assert {value.dtype for value in after.values()} == {torch.bfloat16}
    assert torch.equal(after["model.norm.weight"], before["model.norm.weight"])


def test_only_new_rows_learn_at_first(adopted, tiny_model, captioned_data, tmp_path):
    start = adopted("qwen3", True)
    train(start, tiny_model, captioned_data, tmp_path / "run", "trained=all", "rows_first=16")
    before, after = weights(start), weights(tmp_path / "run" / "model")
    assert not torch.equal(after["model.embed_tokens.weight"], before["model.embed_tokens.weight"])
    assert torch.equal(after["model.embed_tokens.weight"][:352], before["model.embed_tokens.weight"][:352])
    others = before.keys() - {"model.embed_tokens.weight"}
    assert all(torch.equal(after[name], before[name]) for name in others)


def test_it_draws_in_both_languages(adopted, tiny_model, captioned_data, texts, tmp_path, lantu):
    """The whole way by the command line: adopt, train, assemble, draw, caption, and other recipes after it."""
    published = tmp_path / "published"
    tiny_language.write(published, "qwen3", True, rows=352)
    code, out, err = lantu("adopt", "language", published, "-o", tmp_path / "adopted", "--rows", "codes")
    assert (code, "apache-2.0" in err) == (0, True), err
    run = ["train", "language", "--start", tmp_path / "adopted", "--tokenizer", tiny_model, "--data", captioned_data]
    run += ["--out", tmp_path / "run", "--recipe", "adopted-debug", "--set", "loop.steps=4", "--set", f"text={texts}"]
    assert lantu(*run)[0] == 0
    parts = ["--tokenizer", tiny_model, "--language", tmp_path / "run", "--decoder", tiny_model, "--no-tune"]
    code, out, err = lantu("assemble", *parts, "--out", tmp_path / "model", "--json")
    facts = json.loads(out)
    assert (code, facts["license"], facts["language_origin"]) == (0, "apache-2.0", "published, apache-2.0"), err
    pictures = []
    for number, prompt in enumerate(("a red cat", "一只猫在左边")):
        file = tmp_path / f"{number}.png"
        code, out, err = lantu("draw", prompt, "--model", tmp_path / "model", "--seed", 3, "-o", file, "--json")
        assert code == 0, err
        assert json.loads(out)["tokens"] == 16
        code, out, err = lantu("caption", file, "--model", tmp_path / "model", "--json")
        assert code == 0, err
        pictures.append(file.read_bytes())
    assert pictures[0] != pictures[1]
    more = ["--recipe", "debug", "--start", tmp_path / "run", "--tokenizer", tiny_model, "--data", captioned_data]
    code, out, err = lantu("train", "language", *more, "--out", tmp_path / "more", "--set", "loop.steps=2")
    assert code == 0, err
    assert "adopted" in json.loads((tmp_path / "more" / "model" / "config.json").read_text())["lantu"]


def test_what_can_not_be_trained_is_one_line(adopted, tiny_model, captioned_data, texts, tmp_path):
    start = adopted("llama", True)
    with pytest.raises(RecipeError, match="no adopted language model"):
        train(tiny_model / "language", tiny_model, captioned_data, tmp_path / "run")
    with pytest.raises(RecipeError, match="no language model to start from"):
        train("", tiny_model, captioned_data, tmp_path / "run")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "lines.jsonl").write_text('{"words": "no text"}\n')
    (tmp_path / "empty").mkdir()
    for source, error in (("binary.txt", DataError), ("lines.jsonl", DataError), ("empty", DataError)):
        with pytest.raises(error):
            train(start, tiny_model, captioned_data, tmp_path / "run", f"text={tmp_path / source}")
    (tmp_path / "short.txt").write_text("a b")
    with pytest.raises(LantuError, match="too short"):
        train(start, tiny_model, captioned_data, tmp_path / "run", f"text={tmp_path}/short.txt")
    for changes, said in (
        (("width=160",), "width: the model in"),
        (("added=1",), "added is of another"),
        (("trained=all", "frozen=file"), "with trained=all all do"),
    ):
        with pytest.raises(RecipeError, match=said):
            train(start, tiny_model, captioned_data, tmp_path / "run", *changes)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("architecture", tiny_language.ARCHITECTURES)
def test_an_adopted_model_draws_the_same_on_both_backends(tiny_model, tmp_path, architecture):
    """Float32, greedy: native kernels and transformers draft the same codes, for both languages."""
    from lantu.pipeline import Model
    from lantu.recipes.assemble import assemble

    tiny_language.write(tmp_path / "published", architecture, architecture != "mistral", torch.float32, rows=352)
    adopt_language(str(tmp_path / "published"), tmp_path / "adopted", tiny_model, "codes")
    folder = assemble(tiny_model, tmp_path / "adopted", tiny_model, tmp_path / "model").path
    prompts, params = ["a red cat", "一只猫在左边"], {"temperature": 0.0, "guidance": 2.0, "steps": 1}
    native, transformers = (
        [Model.load(folder, "cpu", backend).draw(prompt, seed=1, **params).codes for prompt in prompts]
        for backend in ("native", "transformers")
    )
    for ours, theirs in zip(native, transformers, strict=True):
        assert ours.tolist() == theirs.tolist()
