"""``lantu make``: data, tokenizer, language model and decoder, model directory, scores, report."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from lantu.errors import LantuError
from lantu.files import expand, locked, writing
from lantu.kernels import usable_cores
from lantu.models import hub
from lantu.models.lantu.components import is_pretrained
from lantu.models.lantu.directory import CONTROL, INDEX
from lantu.models.lantu.folder import LantuFolder
from lantu.models.loader import choose_device
from lantu.pipeline import Model
from lantu.recipes.make import card, drawings, plan, report, stages
from lantu.recipes.make.look import FEW, look
from lantu.recipes.make.places import changes, check_moved, check_new, check_places
from lantu.recipes.make.plan import Sources
from lantu.recipes.make.stages import Ledger, Tell
from lantu.recipes.make.timing import Time
from lantu.recipes.make.training import Training
from lantu.recipes.pictures import Album
from lantu.training.progress import duration
from lantu.weights.names import MASKED

SCORED = 256  # pictures of each suite, where there is time
REHEARSED = 160  # drawings of the model that another one begins with
SIZE = 128  # pixels a side, unless another is asked for
TUNING, SCORING = 0.35, 0.6  # shares of the time that is left, for the settings and then for the scores
LEAST_MINUTES = 0.2
LATER = ("out", "minutes", "device")  # settings that the import doesn't depend on
SCORES = ("scores", "before", "kept", "kept-before")  # stages
KEPT = "codes,drawing"  # suites that say whether a model still draws what it drew
BEFORE = "codes,reconstruction,drawing"
NOW = {  # what a stage does, for a person who waits
    "data": "importing the pictures",
    "rehearsal": "drawing what the model knows, to be rehearsed",
    "model": "assembling the model, choosing its settings",
    "scores": "scoring",
}


@dataclass(frozen=True)
class Wanted:
    """What was asked for.

    Attributes:
        pictures: a folder, a table or tars, see ``lantu data build folder``.
        out: the model directory.
        work: folder of the data, the runs and the report; kept, so that training can go on.
        minutes: for everything.
        size: pixels a side; None for those of the model or decoder that it begins with, or ``SIZE``.
        labels, captions: see ``lantu data build folder``.
        start: a model of lantu's own that goes on learning: a folder, a name or a hub id; "" for none.
        language, decoder: a pretrained language model, a pretrained diffusion model: a folder or a hub id; "" for none.
        importing: more options of ``lantu data build folder``, as words.
    """

    pictures: Path
    out: Path
    work: Path
    minutes: float
    size: int | None
    labels: str
    device: str
    seed: int
    captions: bool = True
    start: str = ""
    language: str = ""
    decoder: str = ""
    importing: Sequence[str] = ()

    def asked(self, size: int) -> dict[str, Any]:
        """The settings that a call must repeat to go on."""
        place = str(expand(self.pictures).resolve())
        named = {"start": self.start, "language": self.language, "decoder": self.decoder}
        named["importing"] = " ".join(self.importing)
        return {
            "pictures": place,
            "out": str(self.out.resolve()),
            "minutes": self.minutes,
            "size": size,
            "labels": self.labels,
            "device": self.device,
            "seed": self.seed,
            **({} if self.captions else {"captions": False}),  # which calls of older versions didn't say
        } | {name: value for name, value in named.items() if value}


class Made(NamedTuple):
    """What came out.

    Attributes:
        page: of the report.
        prompt: a caption of its pictures, to draw.
    """

    model: Model
    page: Path
    prompt: str


@dataclass
class Making:
    """A call of ``make``.

    Attributes:
        size: pixels a side of the data.
        say, tell: see ``make``.
    """

    wanted: Wanted
    sources: Sources
    size: int
    ledger: Ledger
    time: Time
    cores: int
    say: Callable[[str], None]
    tell: Tell

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.wanted.work / "data"

    def run(self) -> "Made":
        """Everything that is not done yet."""
        wanted = self.wanted
        if "data" in self.ledger.done and (line := changes(wanted.pictures, self.data)):
            self.say(line)
        self.stage(data=self.data_command())
        found = look(self.data)
        for line in [*found.account, *found.lines()]:
            self.say(line)
        if found.different < FEW and not self.sources.start:
            views = "more pictures help most, then more views of these: --flips, --crops 4"
            self.say(
                views if found.photographs else "of few drawings a model that draws learns more: --start lantu-emoji"
            )
        if self.sources.start:
            if (Path(self.sources.start) / CONTROL).is_dir():
                self.say("its control belongs to its decoder and is not kept: train another (lantu train control)")
            if found.photographs:
                self.say("its image tokenizer stays: the report's round trips show how it brings photographs back")
            self.stage(rehearsal=self.rehearsal_command())
        how = (self.ledger, found, self.sources, wanted.device, wanted.seed, self.time, self.cores)
        Training(*how, self.say, self.tell).run()
        if not (wanted.out / INDEX).is_file():  # it may have been deleted since an earlier call
            for name in ("model", *SCORES):
                self.ledger.done.pop(name, None)
        self.stage(model=self.model_command())
        self.stage(**self.score_commands())
        model = Model.load(wanted.out, wanted.device)
        self.now("writing the card and the report")
        prompt = drawings.example(Album(self.data, model.size))
        card.write(model, found, self.ledger, prompt)
        page = report.write(wanted.work / "report", model, found, self.ledger, self.data, self.time.left_s)
        return Made(model, page, prompt)

    def stage(self, **commands: list[str]) -> None:
        """Plan and run some commands at the same time, or one after the other on a single core."""
        for name, command in commands.items():
            self.ledger.commands.setdefault(name, command)
            if name in NOW and name not in self.ledger.done:
                self.now(NOW[name])
        self.ledger.save()
        for names in [list(commands)] if self.cores > 1 else [[name] for name in commands]:
            stages.run(self.ledger, names, self.tell, self.cores, self.say)

    def now(self, what: str) -> None:
        """Say what begins, and how much of the time is left."""
        self.say(f"{what} ({duration(self.time.left_s)} left)")

    def data_command(self) -> list[str]:
        """Import the pictures."""
        wanted = self.wanted
        words = ["--labels", wanted.labels] if wanted.labels else []
        words += [] if wanted.captions else ["--no-captions"]
        words += wanted.importing
        if self.sources.squares and "--aspect" not in words:
            words += ["--aspect", "crop"]
        where = [str(wanted.pictures), "--out", str(self.data)]
        return ["data", "build", "folder", *where, "--size", str(self.size), "--seed", str(wanted.seed), *words]

    def rehearsal_command(self) -> list[str]:
        """Draw what the model that this one begins with can draw."""
        where = ["--model", self.sources.start, "--out", str(self.wanted.work / "rehearsal")]
        return ["data", "build", "drawings", *where, "-n", str(REHEARSED), "--seed", str(self.wanted.seed)]

    def model_command(self) -> list[str]:
        """Join the parts and choose the settings."""
        where = {part: str(self.wanted.work / part) for part in self.sources.trained}
        parts = [word for part in plan.PARTS for word in (f"--{part}", where.get(part, self.sources.start))]
        command = ["assemble", *parts, "--data", str(self.data), "--out", str(self.wanted.out)]
        if self.sources.start and (licence := hub.find(self.sources.start).describe().get("license")):
            command += ["--license", str(licence)]
        if self.sources.factor > 1:
            command += ["--upscaler", self.sources.start]
        return [*command, "--minutes", self.minutes(TUNING)]

    def score_commands(self) -> dict[str, list[str]]:
        """Score the model; one that began with another is compared with it, on both its pictures."""
        out, start, work = str(self.wanted.out), self.sources.start, self.wanted.work
        minutes = self.minutes(SCORING / (3 if start and self.cores == 1 else 1))

        def scored(name: str, model: str, data: Path, *suites: str) -> list[str]:
            how = ["--limit", str(SCORED), "--minutes", minutes, "--out", str(work / name)]
            return ["eval", "--model", model, "--data", str(data), *suites, *how]

        commands = {"scores": scored("scores", out, self.data)}
        if start:
            drawn = work / "rehearsal"
            commands["before"] = scored("before", start, self.data, "--suites", BEFORE)
            commands["kept"] = scored("kept", out, drawn, "--suites", KEPT)
            commands["kept-before"] = scored("kept-before", start, drawn, "--suites", KEPT)
        return commands

    def minutes(self, share: float) -> str:
        """A share of the time that is left, without that in which a process begins, as an option has it."""
        return f"{max(LEAST_MINUTES, (share * self.time.left_s - self.time.begin_s) / 60):.2f}"


def make(wanted: Wanted, say: Callable[[str], None], tell: Tell) -> Made:
    """Make a model of pictures; a call that was stopped goes on where it was.

    Args:
        say: called with lines for a person: what there is, what is done, what was left out.
        tell: called with a stage's name and the newest line of its log, with "steps" in all, the newest "sheet" of
            samples, "warnings" so far, and "whole_left_s", seconds until everything is done.

    Raises:
        LantuError: a stage was refused, and its message says why; or another process works in the same folder.
        KeyboardInterrupt: it was interrupted; the same call goes on.
    """
    # Commands are kept, and may go on from another working directory.
    pictures, out, work = (expand(place).absolute() for place in (wanted.pictures, wanted.out, wanted.work))
    wanted = replace(wanted, pictures=pictures, out=out, work=work)
    choose_device(wanted.device)  # refused before anything is written
    check_places(wanted.pictures, wanted.out, wanted.work, only_read(wanted))
    sources, size = sources_of(wanted)
    if sources.squares and "keep" in wanted.importing:
        what = "a pretrained decoder" if sources.decoder else "a model that goes on learning"
        raise LantuError(f"{what} takes square pictures", "give --aspect crop or pad")
    earlier = Ledger.open(wanted.work, wanted.asked(size), later=LATER)  # refused before a file is written
    check_moved(wanted.work, earlier)
    check_new(wanted.out, earlier)
    with writing(wanted.work):
        wanted.work.mkdir(parents=True, exist_ok=True)
    with locked(wanted.work / "lock", wait=False):
        ledger = Ledger.open(wanted.work, wanted.asked(size), later=LATER)
        time = Time.of(wanted.minutes, ledger.spent_s, sources.reserved)

        def timed(stage: str, record: Mapping[str, Any]) -> None:
            tell(stage, {**record, "whole_left_s": time.left_s})

        return Making(wanted, sources, size, ledger, time, usable_cores(), say, timed).run()


def only_read(wanted: Wanted) -> dict[str, Path]:
    """The models that are only to be read, by what they are; ids of the hub are none of the user's folders."""
    start = getattr(hub.find(wanted.start), "path", None) if wanted.start else None
    named = {"language model": wanted.language, "decoder": wanted.decoder}
    folders = {what: expand(one) for what, one in named.items() if one and expand(one).is_dir()}
    return folders | ({"model": Path(start)} if start else {})


def sources_of(wanted: Wanted) -> tuple[Sources, int]:
    """What the model begins with, and the size of its pictures.

    Raises:
        LantuError: there is no such model, it is none of lantu's own, or it draws pictures of another size.
    """
    size = wanted.size or SIZE
    if not wanted.start:
        pixels = decoder_size(wanted) if wanted.decoder else size
        seen = size if pixels != size else 0
        return Sources(language=local(wanted.language), decoder=local(wanted.decoder), seen=seen), pixels
    folder: Any = hub.find(wanted.start)
    masked = isinstance(folder, LantuFolder) and folder.entry("language/config.json", "model_type") == MASKED
    if not isinstance(folder, LantuFolder) or masked:
        raise LantuError(f"{folder.name} can't go on learning", "give a model of lantu's own: --start MODEL")
    if all(height != width for height, width in map(folder.cells_of, folder.drawing_config.grids)):
        raise LantuError(f"{folder.name} draws no square pictures, and only such can be rehearsed", "make a new model")
    tokenizer = folder.read("tokenizer/config.json")
    side = tokenizer["size"] // tokenizer["patch"] * folder.patch  # of a square; other shapes are about as large
    if wanted.size not in (None, side):
        raise LantuError(f"{folder.name} draws {side}x{side} px", f"leave out --size, or give {side}")
    start = str(folder.path.resolve())
    pretrained = is_pretrained(folder.path / "decoder")
    factor = 1 if wanted.decoder else folder.factor  # an adopted decoder paints all pixels itself
    return Sources(start, local(wanted.language), local(wanted.decoder), pretrained, factor=factor), side


def decoder_size(wanted: Wanted) -> int:
    """The size of the pictures that a pretrained decoder was made for, or the given one."""
    from lantu.models.diffusers.sizes import native_size

    return wanted.size or native_size(hub.locate(wanted.decoder))


def local(source: str) -> str:
    """A folder by its absolute path; hub ids as they are."""
    return str(expand(source).resolve()) if source and expand(source).is_dir() else source
