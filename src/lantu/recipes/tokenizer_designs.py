"""Designs of an image tokenizer beside the shipped one's: learnt encoders, and other kinds of codes.

``benchmarks/tokenizer_designs.py`` compares them at equal budgets and equal numbers of codes.
"""

from lantu.models.lantu.tokenizer.config import TokenizerConfig
from lantu.recipes.tokenizer import Task as Task
from lantu.recipes.tokenizer import TokenizerRecipe, debug, emoji
from lantu.training.config import LoopConfig


def vqvae() -> TokenizerRecipe:
    """A transformer VQ-VAE whose encoder, codebook and decoder are all trained, with vision features as a target."""
    recipe = emoji()
    recipe.model = TokenizerConfig(size=128, width=256, encoder_layers=3, decoder_layers=5)
    recipe.frozen = False
    return recipe


def vqgan() -> TokenizerRecipe:
    """The same, with PatchGAN's critic from the second third on."""
    recipe = vqvae()
    recipe.adversarial_weight, recipe.adversarial_from = 0.1, recipe.loop.steps // 3
    return recipe


def fsq() -> TokenizerRecipe:
    """The same on a fixed lattice of 8 x 8 x 8 x 8 codes, from random weights."""
    recipe = vqvae()
    recipe.start = "noise"
    recipe.model = TokenizerConfig(
        size=128, width=256, encoder_layers=3, decoder_layers=5, quantizer="fsq", code_width=4, levels=(8, 8, 8, 8)
    )
    return recipe


def anywhere() -> TokenizerRecipe:
    """For things anywhere: 100 codes of 8,192 for 160 px, each from a window of pixels alone, everything trained.

    Starts as k-means of cells; then encoder, codebook and plain decoder learn together from randomly shifted pictures,
    and unused codes start anew every so often. Mix photographs in with ``--set beside=DIR --set beside_share=0.2``. The
    rate is constant until the last fifth: stop it at any time, and end it with ``--resume --set loop.steps=N``, N a
    quarter more than the steps done.

    On one CPU core: 28 pictures/s, and 22 once the encoder learns. LPIPS of validation scenes should be 0.19 after 500
    steps, 0.178 after 1,500 and 0.162 after 3,000, of photographs 0.372 and 0.339 (``benchmarks/moved.py``).
    """
    return TokenizerRecipe(
        model=TokenizerConfig(
            size=160,
            width=256,
            reach=32,
            encoder_window=1,
            encoder_layers=3,
            decoder_layers=6,
            quantizer="following",
            codebook_size=8192,
            code_width=32,
            semantic_width=0,
        ),
        frozen=False,
        judged=0.25,
        semantic_weight=0,
        moved=16,
        tinted=0.2,
        plain=0.08,
        encoder_rate=0.05,
        encoder_from=1500,
        quantizer_weight=0.1,
        refit_every=400,
        loop=LoopConfig(
            steps=400_000,
            batch_size=16,
            lr=6e-4,
            warmup_steps=100,
            optimizer="muon",
            sample_every=1000,
        ),
    )


def convolutions() -> TokenizerRecipe:
    """For photographs: 64 codes of 4,096 for 128 px, by a convolutional stem and head around windowed attention.

    Stem and head start by adding nothing to the best linear code of patches, so that what is measured at step 0 is
    k-means; everything learns from there, from pictures that are shifted at random.
    """
    recipe = anywhere()
    recipe.model = TokenizerConfig(
        size=128,
        width=256,
        stem=48,
        head=48,
        encoder_window=4,
        encoder_layers=2,
        decoder_layers=4,
        quantizer="following",
        codebook_size=4096,
        code_width=32,
        semantic_width=0,
    )
    recipe.tinted, recipe.plain, recipe.encoder_from, recipe.encoder_rate = 0.1, 0.04, 200, 0.2
    return recipe


def residual() -> TokenizerRecipe:
    """The same with 16 cells of 32 px and four codes a cell: coarse to fine, 64 codes in all."""
    recipe = convolutions()
    recipe.model = recipe.model.model_copy(update={"patch": 32, "depth": 4, "codebook_size": 1024, "code_width": 64})
    return recipe


def residual_debug() -> TokenizerRecipe:
    """The whole story in seconds: pictures of 32 px, 4 x 4 cells of two codes each."""
    recipe = debug()
    sizes = {"depth": 2, "quantizer": "following", "encoder_layers": 1, "codebook_size": 32}
    recipe.model = recipe.model.model_copy(update=sizes)
    recipe.frozen, recipe.refit_every = False, 10
    return recipe


def lattice() -> TokenizerRecipe:
    """The same on a fixed lattice of 8 x 8 x 8 x 8 codes, whose use needs no care."""
    recipe = convolutions()
    recipe.model = recipe.model.model_copy(update={"quantizer": "fsq", "code_width": 4, "levels": (8, 8, 8, 8)})
    recipe.refit_every, recipe.encoder_rate, recipe.encoder_from = 0, 0.3, 0
    return recipe


def sequence() -> TokenizerRecipe:
    """64 codes of 4,096 that any prefix of 4 and more makes a picture of, for 128 px: causal queries, nested dropout.

    Its middle layer learns a vision network's features and what captions say, so that the first codes say what a
    picture shows, as SEED's do (arXiv:2310.01218, by a contrast with a text encoder). There is no linear
    code of a sequence to start from: expect little on a CPU.
    """
    recipe = anywhere()
    recipe.model = TokenizerConfig(
        size=128,
        width=256,
        encoder_layers=4,
        decoder_layers=5,
        queries=64,
        nested=4,
        quantizer="following",
        codebook_size=4096,
        code_width=16,
        semantic_width=112 + 64,
    )
    recipe.words = 64
    recipe.semantic_weight, recipe.encoder_from, recipe.encoder_rate = 0.2, 0, 1.0
    recipe.tinted = recipe.plain = 0
    recipe.moved = 0  # a mirrored picture would belie its caption
    recipe.refit_every = 50
    return recipe


def seed() -> TokenizerRecipe:
    """SEED's codes (arXiv:2307.08041, arXiv:2310.01218): 32 of 4,096, causal, aligned with captions.

    A contrast with a small text encoder and a vision network's features come first; pixels count for a tenth, enough
    for a plain decoder from which the diffusion decoder starts. As SEED's first stage is, the start is continuous.
    Unlike it, all learns at once from the pictures' own captions, without a pretrained vision transformer, and any
    prefix of 4 codes and more makes a picture.
    """
    recipe = sequence()
    recipe.model = recipe.model.model_copy(update={"queries": 32})
    recipe.contrast, recipe.semantic_weight, recipe.pixel_weight = 0.5, 0.5, 0.1
    recipe.perceptual, recipe.quantize_from = "", 1000
    return recipe


def sequence_debug() -> TokenizerRecipe:
    """The whole story in seconds: pictures of 32 px, 8 codes, of which any 2 and more make a picture."""
    recipe = debug()
    sizes = {"queries": 8, "nested": 2, "quantizer": "following", "encoder_layers": 1, "codebook_size": 64}
    recipe.model = recipe.model.model_copy(update=sizes)
    recipe.frozen, recipe.refit_every = False, 10
    return recipe


def seed_debug() -> TokenizerRecipe:
    """The same, aligned with captions."""
    recipe = sequence_debug()
    recipe.model = recipe.model.model_copy(update={"semantic_width": 16})
    recipe.words, recipe.contrast, recipe.quantize_from = 16, 0.5, 10
    return recipe


def latents() -> TokenizerRecipe:
    """64 codes of 4,096 for the latents of a pretrained codec: --set codec=FOLDER, with a patch that it divides.

    The codec's own decoder paints, sharper than a network that learnt in minutes can. On a CPU its encoder needs half
    a second for a picture of 128 px, once.
    """
    recipe = convolutions()
    recipe.model = recipe.model.model_copy(update={"stem": 0, "head": 0, "encoder_window": 0})
    recipe.moved, recipe.tinted, recipe.plain = 0, 0.0, 0.0
    return recipe


RECIPES = {
    "anywhere": anywhere,
    "vqvae": vqvae,
    "vqgan": vqgan,
    "fsq": fsq,
    "convolutions": convolutions,
    "residual": residual,
    "residual-debug": residual_debug,
    "lattice": lattice,
    "sequence": sequence,
    "sequence-debug": sequence_debug,
    "seed": seed,
    "seed-debug": seed_debug,
    "latents": latents,
}
