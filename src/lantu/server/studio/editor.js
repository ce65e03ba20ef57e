// Editing a picture: redraw marked cells, stamp codes, or follow an instruction.

import { post, stream } from "./api.js";
import { Cells } from "./cells.js";
import { follow, received } from "./follow.js";
import { report, reportDrawn, run, SUPERSEDED } from "./job.js";
import { dataUrl } from "./pictures.js";
import { tell } from "./words.js";

const $ = (id) => document.getElementById(id);

export class Editor {
  /**
   * @param {import("./sheet.js").Sheet} sheet the large sheet.
   * @param {{learnt: string[]}} info
   * @param {() => object} picture the edited picture.
   * @param {(picture: object) => Promise<void>} onChanged called with a new version.
   * @param {() => void} restore shows the current version again.
   * @param {() => object} settings the settings, with the seed if one is given, and `pace`.
   */
  constructor(sheet, info, { picture, onChanged, restore, settings }) {
    Object.assign(this, { sheet, info, picture, onChanged, restore, settings, tool: "look", held: null, marks: new Set() });
    this.cells = new Cells(sheet, {
      onPoint: (place) => this.readOut(place),
      onStroke: (place, first) => this.stroke(place, first),
      onStrokeEnd: () => this.strokeEnd(),
    });
    for (const radio of document.querySelectorAll("input[name=tool]")) {
      radio.addEventListener("change", () => this.choose(radio.value));
    }
    $("redraw").addEventListener("submit", (event) => this.redraw(event));
    $("instruct").addEventListener("submit", (event) => this.instruct(event));
    $("mark-all").addEventListener("click", () => this.markAll());
    $("unmark").addEventListener("click", () => this.unmark());
    $("release").addEventListener("click", () => this.hold(null));
    this.choose("look");
  }

  get busy() {
    return document.body.dataset.busy === "true";
  }

  /** Switch to another picture. */
  begin() {
    this.hold(null);
    this.unmark();
    this.readOut(null);
  }

  choose(tool) {
    this.tool = tool;
    this.held = null;
    this.sheet.element.dataset.tool = tool;
    for (const part of document.querySelectorAll("[data-tool]:not(.sheet)")) part.hidden = part.dataset.tool !== tool;
    this.refresh();
  }

  readOut(place) {
    const code = place && this.sheet.codes[place[0]]?.[place[1]];
    if (code === null || code === undefined || code < 0) tell($("readout"), "readout_none");
    else tell($("readout"), "readout", { row: place[0] + 1, column: place[1] + 1, code });
  }

  /** Update cells, marks and notes. */
  refresh() {
    this.sheet.element.dataset.marks = this.drawn ? "done" : "new";
    if (this.sheet.rows) this.cells.refresh((row, column) => this.marks.has(`${row},${column}`));
    const holding = this.tool === "stamp" && this.held !== null;
    const n = this.marks.size;
    tell($("tool-note"), holding ? "tool_note_holding" : `tool_note_${this.tool}`, { n, code: this.held });
    $("release").hidden = !holding;
    $("redraw").querySelector("button[type=submit]").disabled = !n || !this.info.learnt.includes("filling");
    $("unmark").disabled = !n;
  }

  stroke([row, column], first) {
    if (this.busy) return;
    if (this.tool === "mark") this.mark(`${row},${column}`, first);
    else if (this.tool === "stamp" && this.held === null) this.hold(this.sheet.codes[row][column], true);
    else if (this.tool === "stamp") this.stamp(row, column);
  }

  strokeEnd() {
    this.justTaken = false;
    if (this.stamped) this.renderStamped();
  }

  mark(place, first) {
    // The first cell decides whether a stroke marks or unmarks.
    if (first) this.marking = this.drawn || !this.marks.has(place);
    if (first && this.drawn) this.marks.clear();
    this.drawn = false;
    if (this.marking ?? true) this.marks.add(place);
    else this.marks.delete(place);
    this.refresh();
  }

  markAll() {
    this.drawn = false;
    for (const [row, line] of this.sheet.codes.entries()) {
      for (const column of line.keys()) this.marks.add(`${row},${column}`);
    }
    this.refresh();
  }

  unmark() {
    this.drawn = false;
    this.marks.clear();
    this.refresh();
  }

  hold(code, taken = false) {
    this.held = code;
    this.justTaken = taken; // the stroke that picks a code doesn't paint
    this.refresh();
  }

  stamp(row, column) {
    if (this.justTaken || this.sheet.codes[row][column] === this.held) return;
    this.stamped ??= this.sheet.codes.map((line) => [...line]);
    this.stamped[row][column] = this.held;
    this.sheet.empty([[row, column]]);
    this.sheet.ink(this.stamped, async () => {});
  }

  renderStamped() {
    const [codes, before] = [this.stamped, this.picture()];
    this.stamped = null;
    this.change("stamping", async (signal) => {
      const { steps, render_guidance } = before.settings ?? {};
      const body = { codes, seed: before.seed, prompt: before.prompt, steps, render_guidance };
      const picture = received(await post("/v1/lantu/render", body, signal));
      report("rendered", { ms: Math.round(picture.timings.render) });
      return { ...picture, prompt: before.prompt, title: before.title, kind: "stamped" };
    });
  }

  redraw(event) {
    event.preventDefault();
    if (!this.marks.size) return;
    const cells = [...this.marks].map((place) => place.split(",").map(Number));
    const { codes, prompt: drawn, title = drawn, png } = this.picture();
    const prompt = $("redraw-prompt").value.trim();
    this.change("redrawing", async (signal) => {
      tell($("status"), "redrawing", { n: cells.length });
      this.sheet.empty(cells);
      const { pace, ...settings } = this.settings();
      const body = { codes, cells, prompt, picture: await dataUrl(png), ...settings };
      const events = stream("/v1/lantu/redraw", body, signal);
      const picture = await follow(events, this.sheet, pace, signal);
      reportDrawn("drawn", { ms: Math.round(picture.timings.total) }, picture);
      this.drawn = true; // cells stay marked, to try again with another prompt
      return { ...picture, kind: "redrawn", title: `${title} → ${prompt}` };
    });
  }

  instruct(event) {
    event.preventDefault();
    const { codes, prompt, title = prompt } = this.picture();
    const instruction = $("instruction").value.trim();
    this.change("drawing", async (signal) => {
      this.sheet.empty(codes.flatMap((line, row) => line.map((_, column) => [row, column])));
      const { pace, ...settings } = this.settings();
      const events = stream("/v1/lantu/instruct", { codes, instruction, ...settings }, signal);
      const picture = await follow(events, this.sheet, pace, signal);
      reportDrawn("drawn", { ms: Math.round(picture.timings.total) }, picture);
      return { ...picture, kind: "changed", title: `${title} → ${instruction}` };
    });
  }

  /** Create a new version; if that fails or is stopped, show the old one again. */
  change(what, make) {
    return run(what, async (signal) => {
      try {
        const picture = await make(signal);
        signal.throwIfAborted(); // another picture may be large by now
        await this.onChanged(picture);
      } catch (problem) {
        if (signal.reason !== SUPERSEDED) this.restore();
        throw problem;
      }
    }, true);
  }
}
