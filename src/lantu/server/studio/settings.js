// The settings of a drawing: a slider over the useful range, and a number over the server's full range.

import { label, say, tell } from "./words.js";

const $ = (id) => document.getElementById(id);

// Minimum, maximum and step of each slider. Other settings are not shown; those of MAIN are always visible.
const RANGES = {
  num_codes: [1, 4096, 1],
  guidance: [1, 5, 0.25],
  temperature: [0, 1.5, 0.05],
  steps: [1, 16, 1],
  top_k: [0, 400, 10],
  top_p: [0.1, 1, 0.05],
  render_guidance: [0.5, 3, 0.1],
  refine: [0, 1, 0.05],
};
const MAIN = ["num_codes", "guidance", "temperature", "steps"];

/** Minimum, maximum and default of a setting; the number of codes has those of the model, where 0 means all. */
function limitsOf(name, { dials, codes }) {
  if (name !== "num_codes") return dials[name];
  const { fewest, most } = codes;
  return { minimum: fewest, maximum: most, default: dials[name].default || most };
}

export class Settings {
  /** @param {{dials: object}} info @param {() => void} onTurn called when a setting was changed. */
  constructor(info, onTurn) {
    this.onTurn = onTurn;
    this.names = Object.keys(RANGES).filter((name) => name in info.dials);
    this.limits = Object.fromEntries(this.names.map((name) => [name, limitsOf(name, info)]));
    this.inputs = Object.fromEntries(this.names.map((name) => [name, this.build(name)]));
    tell($("times"), "times_none");
    $("reset-settings").addEventListener("click", () => {
      this.set({});
      this.onTurn();
    });
    this.set({});
  }

  build(name) {
    const { minimum, maximum } = this.limits[name];
    const [least, most, step] = RANGES[name];
    const row = document.createElement("div");
    row.className = "setting";
    const caption = document.createElement("label");
    const slider = document.createElement("input");
    const number = document.createElement("input");
    Object.assign(slider, { type: "range", id: `setting-${name}`, min: Math.max(least, minimum), step });
    slider.max = Math.min(most, maximum);
    Object.assign(number, { type: "number", id: `number-${name}`, min: minimum, max: maximum, step: "any" });
    if (Number.isInteger(step)) number.step = 1;
    caption.htmlFor = slider.id;
    tell(caption, `setting_${name}`);
    if (MAIN.includes(name)) tell(caption, `setting_hint_${name}`, {}, "sayTitle");
    label(number, "setting_number", { name: () => say(`setting_${name}`) });
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
    $(MAIN.includes(name) ? "setting-list" : "more-setting-list").append(row);
    return { slider, number };
  }

  /** The values that differ from the model's defaults. */
  get values() {
    const turned = this.names.filter((name) => this.value(name) !== this.limits[name].default);
    return Object.fromEntries(turned.map((name) => [name, this.value(name)]));
  }

  value(name) {
    const { number } = this.inputs[name];
    return number.value === "" ? this.limits[name].default : Number(number.value);
  }

  /** Set values; all others go back to the model's defaults. */
  set(values) {
    for (const name of this.names) {
      const { slider, number } = this.inputs[name];
      const all = name === "num_codes" && values[name] === 0;
      number.value = all ? this.limits[name].maximum : values[name] ?? this.limits[name].default;
      slider.value = number.value;
    }
    this.changed();
  }

  changed() {
    $("reset-settings").disabled = Object.keys(this.values).length === 0;
  }

  /** Show how long the last picture took. */
  time({ plan, render }) {
    tell($("times"), "times", { plan: plan.toFixed(0), render: render.toFixed(0) });
  }
}
