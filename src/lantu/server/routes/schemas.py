"""What bodies hold: OpenAI's fields and our own dials. A null is as if the field were not there.

A field that is not known is refused, for a misspelt one would silently give another picture.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from lantu.engine.sampling_params import renamed

LONGEST = 32_000  # characters of a text
MOST_PICTURES = 16  # of a request


def whole(text: str) -> str:
    """Refuse half a character: JSON can hold one, UTF-8 can't."""
    try:
        text.encode()
    except UnicodeEncodeError as problem:
        raise ValueError("is not whole Unicode text") from problem
    return text


Text = Annotated[str, Field(max_length=LONGEST), AfterValidator(whole)]
Words = Annotated[str, Field(min_length=1, max_length=LONGEST), AfterValidator(whole)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Count = Annotated[int, Field(ge=1, le=10)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
Codes = Annotated[list[list[int]], Field(min_length=1, description="Rows of codes, the top one first.")]
Size = Annotated[str, Field(max_length=20, description='"auto", or width x height in pixels, e.g. "128x128".')]


class Body(BaseModel):
    """A request's body."""

    model_config = ConfigDict(extra="forbid")


class Dials(Body):
    """The dials of a drawing that a client may turn; the model's own where not given."""

    guidance: Annotated[float, Field(ge=0, le=20)] | None = None
    contrast: Annotated[int, Field(ge=0, le=1000)] | None = None
    temperature: Annotated[float, Field(ge=0, le=10)] | None = None
    top_k: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    top_p: Annotated[float, Field(ge=0.001, le=1)] | None = None
    num_draft_tokens: Annotated[int, Field(ge=0, le=16)] | None = None
    min_accepted: Annotated[int, Field(ge=1, le=16)] | None = None
    steps: Annotated[int, Field(ge=1, le=50)] | None = None
    render_guidance: Annotated[float, Field(ge=0, le=20)] | None = None
    sampler: Annotated[str, Field(max_length=40)] | None = None

    @model_validator(mode="before")
    @classmethod
    def rename(cls, values: Any) -> Any:
        """Accept the dials' names of lantu 0.1."""
        return renamed(values) if isinstance(values, dict) else values

    def dials(self) -> dict[str, Any]:
        """Those that were given."""
        return self.model_dump(include=set(Dials.model_fields), exclude_none=True)


def ranges() -> dict[str, dict[str, float]]:
    """What each dial that is a number can be."""
    told = {}
    for name, field in Dials.model_json_schema()["properties"].items():
        number = field["anyOf"][0]
        if "minimum" in number:
            told[name] = {edge: number[edge] for edge in ("minimum", "maximum")}
    return told


class Images(Dials):
    """What OpenAI's generations and edits have in common.

    Of fields that change nothing here the answer says so in ``warnings``: there is one quality and one style. What is
    filtered is the operator's concern: ``moderation``, ``user`` and ``safety_identifier`` are taken without a word.
    """

    prompt: Words
    model: str | None = None
    n: Count | None = None
    size: Size | None = None
    quality: Literal["auto", "low", "medium", "high", "xhigh", "max", "standard", "hd"] | None = None
    response_format: Literal["b64_json", "url"] | None = None
    output_format: Literal["png", "jpeg", "webp", "gif", "svg"] | None = None
    output_compression: Annotated[int, Field(ge=0, le=100)] | None = None
    background: Literal["auto", "opaque", "transparent"] | None = None
    moderation: Literal["auto", "low"] | None = None
    complexity: Literal["low", "medium", "high"] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    stream: bool | None = None
    partial_images: Annotated[int, Field(ge=0, le=3)] | None = None
    seed: Seed | None = None
    frame_count: int | None = None
    frame_duration_ms: int | None = None
    svg: dict[str, Any] | None = None


class Generation(Images):
    """The body of POST /v1/images/generations."""

    style: Literal["vivid", "natural"] | None = None


class Edit(Images):
    """The fields of POST /v1/images/edits beside its pictures."""

    input_fidelity: Literal["high", "low"] | None = None
    fit: Annotated[bool, Field(description="Scale and crop pictures of another size.")] | None = None


class Reference(Body):
    """A picture in a body of JSON."""

    image_url: Annotated[str, Field(description="data:image/png;base64,…")] | None = None
    file_id: str | None = None


class JsonEdit(Edit):
    """The body of POST /v1/images/edits as JSON."""

    images: Annotated[list[Reference], Field(min_length=1, max_length=MOST_PICTURES)]
    mask: Reference | None = None


class ControlPart(Body):
    """A picture that a drawing follows."""

    picture: Annotated[str, Field(description="base64, or a data: URL")]
    kind: Literal["edges", "layout", "colour"] = "edges"
    scale: Annotated[float, Field(ge=0, le=10)] = 1.0


class Draw(Dials):
    """The body of POST /v1/lantu/draw."""

    prompt: Words
    seed: Seed | None = None
    size: Size | None = None
    previews: bool | None = None
    control: ControlPart | None = None


class Redraw(Dials):
    """The body of POST /v1/lantu/redraw."""

    codes: Codes
    cells: Annotated[
        list[tuple[int, int]], Field(min_length=1, max_length=4096, description="Row and column of each cell.")
    ]
    prompt: Words
    seed: Seed | None = None
    previews: bool | None = None
    picture: Annotated[str, Field(description="As it is; its pixels stay away from those cells.")] | None = None


class Instruct(Dials):
    """The body of POST /v1/lantu/instruct."""

    codes: Codes
    instruction: Words
    seed: Seed | None = None
    previews: bool | None = None


class Render(Dials):
    """The body of POST /v1/lantu/render."""

    codes: Codes
    seed: Seed | None = None
    prompt: Annotated[Text, Field(description="Written into the PNG.")] | None = None


class Caption(Body):
    """The body of POST /v1/lantu/caption."""

    codes: Codes
    language: Literal["en", "zh"] = "en"
    encoded: Annotated[bool, Field(description="The codes come from a picture that this model didn't draw.")] = False


class ImageUrl(BaseModel):
    url: Annotated[str, Field(description="data:image/png;base64,…")]
    detail: str | None = None


class TextPart(BaseModel):
    type: Literal["text"]
    text: Text


class ImagePart(BaseModel):
    type: Literal["image_url"]
    image_url: ImageUrl


def kind_of(content: Any) -> str | None:
    """Which of its two forms a message's content has."""
    return "parts" if isinstance(content, list) else "text"


class Message(BaseModel):
    """What somebody said."""

    role: Literal["system", "developer", "user", "assistant"]
    content: (
        Annotated[
            Annotated[Text, Tag("text")]
            | Annotated[list[Annotated[TextPart | ImagePart, Field(discriminator="type")]], Tag("parts")],
            Discriminator(kind_of),
        ]
        | None
    ) = None
    images: list[ImagePart] | None = None  # of our own answers, sent back
    name: str | None = None


class StreamOptions(Body):
    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class Chat(Dials):
    """The body of POST /v1/chat/completions. What it can't have is refused by ``refused.py``."""

    messages: Annotated[list[Message], Field(min_length=1)]
    model: str | None = None
    n: Count | None = None
    seed: Seed | None = None
    size: Size | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    modalities: list[str] | None = None
    audio: dict[str, Any] | None = None
    response_format: dict[str, Any] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    logit_bias: dict[str, float] | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    functions: list[dict[str, Any]] | None = None
    function_call: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    web_search_options: dict[str, Any] | None = None
    stop: str | list[str] | None = None
    store: bool | None = None
    verbosity: str | None = None
    reasoning_effort: str | None = None
    prediction: dict[str, Any] | None = None
    service_tier: str | None = None
    metadata: dict[str, Any] | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    safety_identifier: str | None = None
    user: str | None = None


class ErrorDetail(BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None


class Error(BaseModel):
    """Every answer that is an error."""

    error: ErrorDetail
