"""The rows of the table that people read: what each shows, and what it means."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lantu.models.memory import readable

Figures = Mapping[str, Any]
UNKNOWN = "–"


@dataclass(frozen=True)
class Column:
    """One figure of every system.

    Attributes:
        show: figures → text; may raise KeyError or TypeError where there is nothing to show.
        means: what it is.
        rule: that it is checked by, see ``rule.Breach``; "" for none.
    """

    show: Callable[[Figures], str]
    means: str
    rule: str = ""


def cell(column: Column, figures: Figures) -> str:
    """The text of a figure; a dash where there is none."""
    try:
        return column.show(figures) or UNKNOWN
    except (KeyError, TypeError, IndexError):
        return UNKNOWN


def share(entry: str) -> Callable[[Figures], str]:
    """A share of trials with its interval, or that the model can't."""

    def show(figures: Figures) -> str:
        found = figures[entry]
        if "cannot" in found:
            return "can't"
        low, high = found["interval"]
        return f"{found['value']:.1%} [{low:.1%}, {high:.1%}]"

    return show


def number(entry: str) -> Callable[[Figures], str]:
    """A distance with its interval."""

    def show(figures: Figures) -> str:
        found = figures[entry]
        low, high = found["interval"]
        beside = f", true {found['ceiling']:.3g}" if "ceiling" in found else ""
        return f"{found['value']:.3g} [{low:.3g}, {high:.3g}]{beside}"

    return show


def runs(kind: str) -> Callable[[Figures], str]:
    """The share of runs that diverge, and the spread of the score."""

    def show(figures: Figures) -> str:
        found = figures["stability"][kind]
        if "cannot" in found:
            return found["cannot"]
        spread = UNKNOWN if found["spread"] is None else f"±{found['spread']:.1%}"
        return f"{found['diverged']:.0%} of {found['runs']} diverge, score {spread}"

    return show


def drawn(figures: Figures) -> str:
    """Whether a system draws recognisable things, or the operations that it would need."""
    found = figures["recognisable"]
    if found["holds"]:
        return "yes"
    return "no" if found["needed"] is None else f"no: at about {found['needed']:.1g}"


def last_flops(figures: Figures) -> str:
    """Operations of the largest budget."""
    return f"{max(figures['training_flops'].values()):.3g}" if figures["training_flops"] else ""


COLUMNS: dict[str, Column] = {
    "ids a picture": Column(
        lambda one: f"{one['picture']['sequence']:,}", "codes, pixels, vectors or numbers of a latent that are drafted"
    ),
    "settings": Column(
        lambda one: ", ".join(f"{name} {value:g}" for name, value in one["settings"]["draw"].items()),
        "by which it draws: the best of four on other prompts, at the largest budget",
    ),
    "parameters": Column(
        lambda one: f"{one['parameters'] / 1e6:.1f}M", "that are trained, in all parts of the system", "parameters"
    ),
    "training, operations": Column(
        last_flops, "of everything that is trained, at the largest budget; forward and backward", "operations"
    ),
    "scene score": Column(
        share("score"), "share of drawings that show what was asked for: half single things, half pairs", "prompts"
    ),
    "single": Column(share("single"), "the share for single things"),
    "pairs": Column(share("pairs"), "the share for two things that training never showed together, each in its half"),
    "recognisable": Column(
        drawn,
        "whether half of the single things are right at the largest budget, or the operations at which they would be "
        "if the curve goes on; of a system that doesn't draw yet, nothing is claimed",
    ),
    "true pictures": Column(
        share("ceiling"), "the score of true pictures: what it lacks of 100 % is the judge's error"
    ),
    "round trip": Column(share("round_trip"), "the score of true single things after encoding and rendering"),
    "Fréchet distance": Column(
        number("frechet"), "of the drawings from true pictures of the same prompts, by the evaluator's features"
    ),
    "variety": Column(
        number("variety"), "mean distance of drawings of one caption, beside that of true pictures; 0 is collapse"
    ),
    "captioning": Column(share("captioning"), "share of captions that name everything and nothing else"),
    "editing": Column(share("editing"), "one of two things is replaced in its box: share with both right"),
    "interleaving": Column(
        share("interleaving"),
        "a thing is asked for, drawn, asked about and named in one conversation: share of both right",
    ),
    "seeds": Column(runs("seeds"), "runs of the smallest budget that diverge; deviation of the scene score", "seeds"),
    "learning rates": Column(runs("rates"), "the same over the sweep of learning rates", "rates"),
    "weights of losses": Column(runs("weights"), "the same over the sweep of the weight between the system's losses"),
    "gradient norm": Column(
        lambda one: f"±{one['stability']['seeds']['norm_spread']:.0%}",
        "its deviation as a share of its mean, over the end of a run; mean over seeds",
    ),
    "seconds a picture": Column(lambda one: f"{one['picture']['seconds']:.3g}", "drawn alone, median of three"),
    "operations a picture": Column(
        lambda one: f"{one['picture']['flops']:.3g}", "with guidance, as it draws by default"
    ),
    "peak memory": Column(
        lambda one: readable(one["picture"]["memory"]), "that opening the model and drawing add to a process"
    ),
    "evaluator": Column(lambda one: one["evaluator"], "whose features judge", "evaluator"),
}


def rows(systems: Mapping[str, Figures]) -> list[tuple[str, ...]]:
    """The table as text, a row a figure."""
    return [
        ("", *systems),
        *((title, *(cell(column, one) for one in systems.values())) for title, column in COLUMNS.items()),
    ]
