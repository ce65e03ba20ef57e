// The middle of the page: an empty sheet with examples, one picture, or several.

import { currentLanguage, tell } from "./words.js";

const $ = (id) => document.getElementById(id);

// In both languages, because the model draws equally well from either.
const EXAMPLES = [
  ["en", "a cat on the left and a dog on the right"],
  ["zh", "三个苹果"],
  ["en", "a rocket"],
  ["zh", "左边一只熊猫，右边一把雨伞"],
  ["en", "two bananas"],
  ["zh", "一辆汽车"],
];

export class Stage {
  /** @param {object} info of the model. @param {(prompt: string) => void} onExample called when one is chosen. */
  constructor(info, onExample) {
    const [rows, columns] = info.grid;
    tell(document.querySelector("[data-say=empty_note]"), "empty_note", { cells: rows * columns });
    this.onExample = onExample;
    this.examples();
    this.show("empty");
  }

  /** Examples in the page's language come first. */
  examples() {
    const own = ([language]) => (language === currentLanguage() ? 0 : 1);
    const items = [...EXAMPLES].sort((one, other) => own(one) - own(other)).map(([language, words]) => {
      const item = document.createElement("li");
      const button = document.createElement("button");
      button.type = "button";
      button.lang = language;
      button.textContent = words;
      button.addEventListener("click", () => this.onExample(words));
      item.append(button);
      return item;
    });
    $("examples").replaceChildren(...items);
  }

  /** @param {"empty" | "one" | "many"} what */
  show(what, siblings = false) {
    document.body.dataset.stage = what;
    $("empty").hidden = what !== "empty";
    $("variations").hidden = what !== "many";
    $("large").hidden = what !== "one";
    $("siblings").hidden = !(what === "one" && siblings);
    if (what !== "one") $("panel").hidden = true;
  }
}
