// One picture, large: its details, its versions, a before/after slider, and its actions.

import { post } from "./api.js";
import { Editor } from "./editor.js";
import { report, run } from "./job.js";
import { fileName, imageOf } from "./pictures.js";
import { Sheet } from "./sheet.js";
import { Timeline } from "./timeline.js";
import { currentLanguage, tell } from "./words.js";

const $ = (id) => document.getElementById(id);

export class Look {
  /**
   * @param {object} info of the model.
   * @param {(picture: object) => Promise<void>} keep stores a new version.
   * @param {() => object} settings the settings.
   */
  constructor(info, { keep, settings }) {
    this.sheet = new Sheet(info.patch);
    this.timeline = null;
    this.keep = keep;
    $("large-sheet").append(this.sheet.element);
    this.editor = new Editor(this.sheet, info, {
      picture: () => this.picture,
      onChanged: (picture) => this.changed(picture),
      restore: () => this.show(),
      settings,
    });
    $("undo").addEventListener("click", () => this.step("undo"));
    $("redo").addEventListener("click", () => this.step("redo"));
    $("show-codes").addEventListener("change", () => this.view());
    $("show-pixels").addEventListener("change", () => this.view());
    $("compare").addEventListener("input", () => this.compare());
    $("caption").addEventListener("click", () => this.caption());
    document.addEventListener("keydown", (event) => this.key(event));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.compare());
  }

  get picture() {
    return this.timeline?.current ?? null;
  }

  /** Show an empty sheet. */
  prepare(rows, columns) {
    $("large").hidden = false;
    $("compare-line").hidden = true;
    this.sheet.open(rows, columns);
    this.view();
    this.editor.begin();
    plate(null, this.sheet);
    return this.sheet;
  }

  /** Show another picture, without earlier versions. */
  async open(picture) {
    this.timeline = new Timeline(picture);
    $("large").hidden = false;
    this.editor.begin();
    await this.show();
  }

  /** Add a new version of the picture. */
  async changed(picture) {
    this.timeline.push(picture);
    await this.show();
    await this.keep(picture);
  }

  step(way) {
    if (!this.timeline || this.editor.busy) return;
    this.timeline[way]();
    this.show();
  }

  /** Show the current version, if there is one. */
  async show() {
    const { picture } = this;
    if (!picture) return;
    const before = this.timeline.before?.png ?? picture.source ?? null;
    const [image, earlier] = await Promise.all([imageOf(picture.png), before && imageOf(before)]);
    this.before = earlier;
    this.sheet.fill(picture.codes, image);
    this.editor.refresh();
    $("panel").hidden = false;
    $("compare-line").hidden = !earlier;
    $("compare").value = 0;
    $("undo").disabled = !this.timeline.canUndo;
    $("redo").disabled = !this.timeline.canRedo;
    $("caption-text").textContent = "";
    title($("panel-title"), picture);
    plate(picture, this.sheet);
    this.offer(picture);
    this.view();
  }

  offer(picture) {
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = URL.createObjectURL(picture.png);
    $("download").href = this.url;
    $("download").download = fileName(picture);
  }

  view() {
    this.sheet.element.dataset.codes = String($("show-codes").checked);
    this.sheet.pixelated = $("show-pixels").checked;
    this.sheet.element.dataset.pixels = String(this.sheet.pixelated);
    this.compare();
  }

  compare() {
    this.sheet.paint(this.before && { image: this.before, share: $("compare").value / 100 });
  }

  caption() {
    const { codes, kind } = this.picture;
    run("captioning", async (signal) => {
      const language = currentLanguage();
      const { caption } = await post("/v1/lantu/caption", { codes, language, encoded: kind === "read" }, signal);
      $("caption-text").lang = language;
      $("caption-text").textContent = caption;
      report("");
    }, true);
  }

  key(event) {
    if (event.key.toLowerCase() !== "z" || !(event.ctrlKey || event.metaKey)) return;
    if (event.target.matches("textarea, input[type=text], input[type=number]")) return;
    event.preventDefault();
    this.step(event.shiftKey ? "redo" : "undo");
  }
}

/** A picture's title: its prompt, or that it was opened. */
export function title(element, picture) {
  const words = picture.title || picture.prompt;
  if (words) {
    delete element.dataset.say;
    element.textContent = words;
  } else tell(element, "uploaded");
}

/** The title block of a blueprint. */
function plate(picture, sheet) {
  const facts = [["plate_codes", { rows: sheet.rows, columns: sheet.columns }]];
  if (picture) facts.unshift(["plate_seed", { seed: picture.seed }]);
  if (picture?.timings) facts.push(["plate_ms", { ms: Math.round(picture.timings.total) }]);
  const cells = facts.map(([key, values]) => {
    const cell = document.createElement("span");
    tell(cell, key, values);
    return cell;
  });
  const model = document.createElement("span");
  model.textContent = picture?.model ?? "";
  $("plate").replaceChildren(...cells, ...(picture?.model ? [model] : []));
}
