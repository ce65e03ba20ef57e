"""The fields of request bodies: OpenAI's, and the sampling parameters. A null means that the field is not given.

Unknown fields are refused, because a misspelt one would silently give another picture.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from lantu.engine.sampling_params import MAX_SHOTS, MIN_REFINE, renamed

MAX_TEXT = 32_000  # characters
MAX_PICTURES = 16  # in one request


def check_unicode(text: str) -> str:
    """Refuse lone surrogates, which JSON can express and UTF-8 can't."""
    try:
        text.encode()
    except UnicodeEncodeError as problem:
        raise ValueError("is not valid Unicode text") from problem
    return text


Text = Annotated[str, Field(max_length=MAX_TEXT), AfterValidator(check_unicode)]
NonEmptyText = Annotated[str, Field(min_length=1, max_length=MAX_TEXT), AfterValidator(check_unicode)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Count = Annotated[int, Field(ge=1, le=10)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
Cell = int | list[int]
Codes = Annotated[
    list[list[Cell]],
    Field(min_length=1, description="Rows of codes, from top to bottom; lists of levels for models of vectors."),
]
Size = Annotated[str, Field(max_length=20, description='"auto", or width x height in pixels, e.g. "128x128".')]


class Body(BaseModel):
    """A request's body."""

    model_config = ConfigDict(extra="forbid")


class SamplingFields(Body):
    """The sampling parameters that a client may set; the model's defaults apply to the others."""

    guidance: Annotated[float, Field(ge=0, le=20)] | None = None
    contrast: Annotated[int, Field(ge=0, le=1000)] | None = None
    temperature: Annotated[float, Field(ge=0, le=10)] | None = None
    top_k: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    top_p: Annotated[float, Field(ge=0.001, le=1)] | None = None
    num_draft_tokens: Annotated[int, Field(ge=0, le=16)] | None = None
    min_accepted: Annotated[int, Field(ge=1, le=16)] | None = None
    passes: Annotated[int, Field(ge=0, le=100)] | None = None
    shots: Annotated[int, Field(ge=0, le=MAX_SHOTS)] | None = None
    num_codes: Annotated[int, Field(ge=0, le=4096)] | None = None
    steps: Annotated[int, Field(ge=1, le=50)] | None = None
    render_guidance: Annotated[float, Field(ge=0, le=20)] | None = None
    sampler: Annotated[str, Field(max_length=40)] | None = None
    refine: Annotated[float, Field(ge=MIN_REFINE, le=1)] | Literal[0] | None = None
    refine_steps: Annotated[int, Field(ge=1, le=50)] | None = None

    @model_validator(mode="before")
    @classmethod
    def rename(cls, values: Any) -> Any:
        """Accept the names of lantu 0.1."""
        return renamed(values) if isinstance(values, dict) else values

    def sampling_fields(self) -> dict[str, Any]:
        """The sampling parameters that were given."""
        return self.model_dump(include=set(SamplingFields.model_fields), exclude_none=True)


def ranges() -> dict[str, dict[str, float]]:
    """The minimum and maximum of each numeric sampling parameter."""
    found = {}
    for name, field in SamplingFields.model_json_schema()["properties"].items():
        number = field["anyOf"][0]
        if "minimum" in number:
            found[name] = {limit: number[limit] for limit in ("minimum", "maximum")}
    return found


class Images(SamplingFields):
    """The fields that OpenAI's generations and edits share.

    ``quality`` and ``style`` have no effect, and the answer says so in ``warnings``. ``moderation``, ``user`` and
    ``safety_identifier`` are accepted without a warning, because the operator configures the content filter.
    """

    prompt: NonEmptyText
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
    """The fields of POST /v1/images/edits other than its pictures."""

    input_fidelity: Literal["high", "low"] | None = None
    fit: Annotated[bool, Field(description="Scale and crop pictures of another size.")] | None = None


class Reference(Body):
    """A picture in a JSON body."""

    image_url: Annotated[str, Field(description="data:image/png;base64,…")] | None = None
    file_id: str | None = None


class JsonEdit(Edit):
    """The body of POST /v1/images/edits as JSON."""

    images: Annotated[list[Reference], Field(min_length=1, max_length=MAX_PICTURES)]
    mask: Reference | None = None


class ControlPart(Body):
    """A control picture, whose edges, layout or colours a drawing follows."""

    picture: Annotated[str, Field(description="base64, or a data: URL")]
    kind: Literal["edges", "layout", "colour"] = "edges"
    scale: Annotated[float, Field(ge=0, le=10)] = 1.0


class ExamplePart(Body):
    """A picture and its caption, which the model reads before the prompt."""

    caption: NonEmptyText
    picture: Annotated[str, Field(description="base64, or a data: URL")]


class ChangePart(Body):
    """A picture before and after a change."""

    before: Annotated[str, Field(description="base64, or a data: URL")]
    after: Annotated[str, Field(description="base64, or a data: URL")]


class Draw(SamplingFields):
    """The body of POST /v1/lantu/draw."""

    prompt: NonEmptyText
    seed: Seed | None = None
    size: Size | None = None
    previews: bool | None = None
    control: ControlPart | None = None
    examples: Annotated[list[ExamplePart], Field(max_length=MAX_PICTURES)] | None = None
    fit: Annotated[bool, Field(description="Scale and crop examples of another size.")] | None = None


class Redraw(SamplingFields):
    """The body of POST /v1/lantu/redraw."""

    codes: Codes
    cells: Annotated[
        list[tuple[int, int]], Field(min_length=1, max_length=4096, description="Row and column of each cell.")
    ]
    prompt: NonEmptyText
    seed: Seed | None = None
    previews: bool | None = None
    picture: (
        Annotated[str, Field(description="The picture of these codes; its pixels are kept outside the cells.")] | None
    ) = None


class Instruct(SamplingFields):
    """The body of POST /v1/lantu/instruct."""

    codes: Codes
    instruction: NonEmptyText
    seed: Seed | None = None
    previews: bool | None = None
    examples: Annotated[list[ChangePart], Field(max_length=MAX_PICTURES // 2)] | None = None
    fit: Annotated[bool, Field(description="Scale and crop examples of another size.")] | None = None


class Render(SamplingFields):
    """The body of POST /v1/lantu/render."""

    codes: Codes
    seed: Seed | None = None
    prompt: Annotated[Text, Field(description="Written into the PNG.")] | None = None


class Caption(Body):
    """The body of POST /v1/lantu/caption."""

    codes: Codes
    language: Literal["en", "zh"] = "en"
    encoded: Annotated[
        bool, Field(description="Set this when the codes were encoded from a picture that this model did not draw.")
    ] = False


class ImageUrl(BaseModel):
    """A picture in a message."""

    url: Annotated[str, Field(description="data:image/png;base64,…")]
    detail: str | None = None


class TextPart(BaseModel):
    """A part of a message that is text."""

    type: Literal["text"]
    text: Text


class ImagePart(BaseModel):
    """A part of a message that is a picture."""

    type: Literal["image_url"]
    image_url: ImageUrl


def kind_of(content: Any) -> str | None:
    """Which of its two forms a message's content has: a list of parts, or text."""
    return "parts" if isinstance(content, list) else "text"


class Message(BaseModel):
    """One message of a conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: (
        Annotated[
            Annotated[Text, Tag("text")]
            | Annotated[list[Annotated[TextPart | ImagePart, Field(discriminator="type")]], Tag("parts")],
            Discriminator(kind_of),
        ]
        | None
    ) = None
    images: list[ImagePart] | None = None  # in this server's own answers, which clients send back
    name: str | None = None


class StreamOptions(Body):
    """Options of a streamed answer."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class Chat(SamplingFields):
    """The body of POST /v1/chat/completions. ``unsupported.py`` refuses fields that have no effect here."""

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
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class Error(BaseModel):
    """The body of every error."""

    error: ErrorDetail
