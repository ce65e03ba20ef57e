// The dials of a drawing: a slider over the range that makes sense, and a number over all that the server takes.

import { label, say, tell } from "./words.js";

const $ = (id) => document.getElementById(id);

// Least and most of the slider, and its step. What is not named here has no dial; the first three stand open.
const RANGES = {
  guidance: [1, 5, 0.25],
  temperature: [0, 1.5, 0.05],
  steps: [1, 16, 1],
  top_k: [0, 400, 10],
  top_p: [0.1, 1, 0.05],
  render_guidance: [0.5, 3, 0.1],
};
const MAIN = ["guidance", "temperature", "steps"];

export class Dials {
  /** @param {{dials: object}} info @param {() => void} onTurn a dial came to rest at another value. */
  constructor(info, onTurn) {
    this.info = info;
    this.onTurn = onTurn;
    this.names = Object.keys(RANGES).filter((name) => name in info.dials);
    this.inputs = Object.fromEntries(this.names.map((name) => [name, this.build(name)]));
    tell($("times"), "times_none");
    $("reset-dials").addEventListener("click", () => {
      this.set(Object.fromEntries(this.names.map((name) => [name, info.dials[name].default])));
      this.onTurn();
    });
    this.set({});
  }

  build(name) {
    const { minimum, maximum } = this.info.dials[name];
    const [least, most, step] = RANGES[name];
    const row = document.createElement("div");
    row.className = "dial";
    const caption = document.createElement("label");
    const slider = document.createElement("input");
    const number = document.createElement("input");
    Object.assign(slider, { type: "range", id: `dial-${name}`, min: Math.max(least, minimum), step });
    slider.max = Math.min(most, maximum);
    Object.assign(number, { type: "number", id: `number-${name}`, min: minimum, max: maximum, step: "any" });
    if (Number.isInteger(step)) number.step = 1;
    caption.htmlFor = slider.id;
    tell(caption, `dial_${name}`);
    if (MAIN.includes(name)) tell(caption, `dial_hint_${name}`, {}, "sayTitle");
    label(number, "dial_number", { name: () => say(`dial_${name}`) });
    slider.addEventListener("input", () => {
      number.value = Number(slider.value);
      this.changed();
    });
    number.addEventListener("input", () => {
      slider.value = number.value;
      this.changed();
    });
    for (const input of [slider, number]) input.addEventListener("change", () => this.onTurn());
    row.append(caption, slider, number);
    $(MAIN.includes(name) ? "dial-list" : "more-dial-list").append(row);
    return { slider, number };
  }

  /** The values that differ from the model's own. */
  get values() {
    const turned = this.names.filter((name) => this.value(name) !== this.info.dials[name].default);
    return Object.fromEntries(turned.map((name) => [name, this.value(name)]));
  }

  value(name) {
    const { number } = this.inputs[name];
    return number.value === "" ? this.info.dials[name].default : Number(number.value);
  }

  /** Turn dials; those that are not named go back to the model's own. */
  set(values) {
    for (const name of this.names) {
      const { slider, number } = this.inputs[name];
      number.value = values[name] ?? this.info.dials[name].default;
      slider.value = number.value;
    }
    this.changed();
  }

  changed() {
    $("reset-dials").disabled = Object.keys(this.values).length === 0;
  }

  /** How long the last picture took. */
  time({ plan, render }) {
    tell($("times"), "times", { plan: plan.toFixed(0), render: render.toFixed(0) });
  }
}
