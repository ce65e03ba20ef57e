"""How captions put things. The first phrase of each list is the plainest and the most frequent.

{a} {b} {c} {d} are the objects in the order of the layout's slots, with article or measure word (a cat, 一只猫);
{A} {B} {C} {D} the bare names (cat, 猫); {n} the objects of a "count", with their number (three cats, 三只猫);
{big a} the first object with an adjective (a big cat, 一只很大的猫): one of ``ADJECTIVES``.
"""

from collections.abc import Mapping

Phrases = Mapping[str, tuple[str, ...]]

ENGLISH: Phrases = {
    "one": (
        "{a}",
        "{A}",
        "a picture of {a}",
        "a drawing of {a}",
        "{a} in the middle",
        "an image of {a}",
        "there is {a}",
        "{a} alone",
    ),
    "big": ("{big a}", "{large a}", "{a}, very large", "a close-up of {a}", "{a} that fills the picture"),
    "small": ("{small a}", "{little a}", "{a}, small", "{tiny a} in the middle"),
    "top left": (
        "{a} in the top left corner",
        "{a} at the top left",
        "in the top left corner, {a}",
        "{a} in the upper left",
    ),
    "top right": (
        "{a} in the top right corner",
        "{a} at the top right",
        "in the top right corner, {a}",
        "{a} in the upper right",
    ),
    "bottom left": (
        "{a} in the bottom left corner",
        "{a} at the bottom left",
        "in the bottom left corner, {a}",
        "{a} in the lower left",
    ),
    "bottom right": (
        "{a} in the bottom right corner",
        "{a} at the bottom right",
        "in the bottom right corner, {a}",
        "{a} in the lower right",
    ),
    "beside": (
        "{a} on the left and {b} on the right",
        "{a} to the left of {b}",
        "{b} to the right of {a}",
        "{b} on the right and {a} on the left",
        "{a} on the left, {b} on the right",
        "on the left {a}, on the right {b}",
        "on the right {b}, on the left {a}",
        "left: {A}, right: {B}",
        "{a} and {b}",
        "{a} next to {b}",
        "{a} beside {b}",
        "{A} left, {B} right",
        "{a} is on the left, {b} is on the right",
        "there is {a} on the left and {b} on the right",
        "there is {b} on the right and {a} on the left",
        "on the left side is {a}, on the right side is {b}",
        "the left side has {a} and the right side has {b}",
        "{b} is to the right of {a}",
        "{a} is to the left of {b}",
        "{a} with {b} to its right",
        "{b} with {a} to its left",
        "{a} at the left and {b} at the right",
        "to the right of {a} is {b}",
        "to the left of {b} is {a}",
        "side by side, {a} and {b}",
        "first {a}, then {b}",
    ),
    "above": (
        "{a} above {b}",
        "{b} below {a}",
        "{a} at the top and {b} at the bottom",
        "{a} on top of {b}",
        "{b} under {a}",
        "{b} at the bottom, {a} at the top",
        "top: {A}, bottom: {B}",
        "at the top {a}, at the bottom {b}",
        "{a} is above {b}",
        "{b} is below {a}",
        "there is {a} at the top and {b} at the bottom",
        "{a} with {b} below it",
        "{b} with {a} above it",
        "{a} over {b}",
        "the upper half has {a}, the lower half {b}",
    ),
    "diagonal": (
        "{a} in the top left corner and {b} in the bottom right corner",
        "{b} at the bottom right, {a} at the top left",
        "{a} in the upper left, {b} in the lower right",
    ),
    "between": (
        "{b} between {a} and {c}",
        "{a} on the left, {b} in the middle and {c} on the right",
        "{a}, {b} and {c} in a row",
        "{a}, {b} and {c}",
        "{a} to the left and {c} to the right of {b}",
    ),
    "roof": (
        "{a} above {b} and {c}",
        "{a} at the top, {b} at the bottom left and {c} at the bottom right",
        "{b} and {c} below {a}",
        "{a}, {b} and {c}",
    ),
    "corners": (
        "{a}, {b}, {c} and {d}",
        "{a} and {b} above {c} and {d}",
        "{a} top left, {b} top right, {c} bottom left, {d} bottom right",
        "in the four corners {a}, {b}, {c} and {d}",
    ),
    "count": ("{n}", "a picture of {n}", "{n} together", "there are {n}", "exactly {n}"),
}

CHINESE: Phrases = {
    "one": ("{a}", "{A}", "一张{A}的图片", "画{a}", "{a}在中间", "一幅{A}的画", "{A}的图片", "有{a}", "这是{a}"),
    "big": ("{很大的 a}", "大大的{A}", "{a}，很大", "{A}的特写", "{大大的 a}"),
    "small": ("{很小的 a}", "小小的{A}", "{a}，很小", "中间{小小的 a}"),
    "top left": ("左上角{a}", "{a}在左上角", "左上角有{a}", "{A}在左上方"),
    "top right": ("右上角{a}", "{a}在右上角", "右上角有{a}", "{A}在右上方"),
    "bottom left": ("左下角{a}", "{a}在左下角", "左下角有{a}", "{A}在左下方"),
    "bottom right": ("右下角{a}", "{a}在右下角", "右下角有{a}", "{A}在右下方"),
    "beside": (
        "左边{a}，右边{b}",
        "{A}在左边，{B}在右边",
        "{B}在右边，{A}在左边",
        "左边是{a}，右边是{b}",
        "左边有{a}，右边有{b}",
        "右边{b}，左边{a}",
        "{A}在{B}的左边",
        "{B}在{A}的右边",
        "{a}在左，{b}在右",
        "{a}和{b}",
        "左{A}右{B}",
        "{A}旁边是{B}",
        "左侧{a}，右侧{b}",
        "{a}在左边，{b}在右边",
        "{b}在右边，{a}在左边",
        "{A}在左侧，{B}在右侧",
        "左面是{A}，右面是{B}",
        "{A}左边，{B}右边",
        "右边是{b}，左边是{a}",
        "{A}的右边是{B}",
        "{B}的左边是{A}",
        "{A}的右边有{b}",
        "左边画{a}，右边画{b}",
        "{a}，它的右边是{b}",
        "{A}和{B}并排",
        "从左到右：{A}、{B}",
    ),
    "above": (
        "上面{a}，下面{b}",
        "{A}在{B}的上面",
        "{B}在{A}的下面",
        "{A}在上面，{B}在下面",
        "上面是{a}，下面是{b}",
        "{a}在上，{b}在下",
        "上边{a}，下边{b}",
        "{B}在下面，{A}在上面",
        "上面有{a}，下面有{b}",
        "{A}的下面是{B}",
        "{B}的上面是{A}",
        "上方{a}，下方{b}",
        "{A}在上方，{B}在下方",
        "上半部分是{A}，下半部分是{B}",
        "从上到下：{A}、{B}",
    ),
    "diagonal": ("左上角{a}，右下角{b}", "{A}在左上角，{B}在右下角", "右下角{b}，左上角{a}"),
    "between": (
        "{A}和{C}之间有{b}",
        "左边{a}，中间{b}，右边{c}",
        "{B}在{A}和{C}中间",
        "{a}、{b}和{c}排成一排",
        "{a}、{b}和{c}",
    ),
    "roof": (
        "上面{a}，下面{b}和{c}",
        "上面{a}，左下{b}，右下{c}",
        "{B}和{C}在{A}的下面",
        "{a}、{b}和{c}",
    ),
    "corners": (
        "{a}、{b}、{c}和{d}",
        "上面{a}和{b}，下面{c}和{d}",
        "左上{A}，右上{B}，左下{C}，右下{D}",
        "四个角上是{a}、{b}、{c}和{d}",
    ),
    "count": ("{n}", "{n}的图片", "有{n}", "画{n}", "一共{n}"),
}

PHRASES = {"en": ENGLISH, "zh": CHINESE}

ADJECTIVES: Phrases = {
    "en": ("big", "large", "small", "little", "tiny"),
    "zh": ("很大的", "大大的", "很小的", "小小的"),
}

# {x} is the phrase so far, {w} the word for the background or the style, {aw} the same with its English article
ON_BACKGROUND: Phrases = {
    "en": (
        "{x} on a {w} background",
        "{x}, {w} background",
        "on a {w} background, {x}",
        "{x} against a {w} background",
    ),
    "zh": ("{w}背景上，{x}", "{x}，{w}背景", "{w}背景，{x}", "{x}，背景为{w}"),
}
IN_STYLE: Phrases = {
    "en": ("{x} in {w} style", "{x}, {w} style", "{w} style: {x}", "{x}, drawn in the {w} style"),
    "zh": ("{x}，{w}风格", "{w}风格：{x}", "{w}风格，{x}"),
}
# fits a thing by itself only
THING_IN_STYLE: Phrases = {"en": ("{x} in {w} style", "{aw} style picture of {x}"), "zh": ("{w}风格的{x}",)}
