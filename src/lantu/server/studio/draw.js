// Drawing: the form's request becomes one large picture, or several side by side.

import { stream } from "./api.js";
import { follow } from "./follow.js";
import { reportDrawn, run, SUPERSEDED } from "./job.js";

const $ = (id) => document.getElementById(id);

export class Draw {
  /**
   * @param {object} info of the model.
   * @param parts the other parts of the page: `stage`, `look`, `gallery`, `settings`, `board`, and `keep` for pictures.
   */
  constructor(info, { stage, look, gallery, settings, board, keep }) {
    Object.assign(this, { info, stage, look, gallery, settings, board, keep });
    $("ask").addEventListener("submit", (event) => {
      event.preventDefault();
      this.draw();
    });
    $("prompt").addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      $("ask").requestSubmit();
    });
  }

  /** Fill in the form with a picture's settings. */
  ask({ prompt = "", seed = "", settings = null }) {
    $("prompt").value = prompt;
    $("seed").value = Number.isSafeInteger(seed) ? seed : "";
    if (settings) this.settings.set(settings);
  }

  draw(seeds = this.seeds()) {
    const prompt = $("prompt").value.trim();
    if (!prompt) return;
    const control = this.board.control;
    const body = { prompt, previews: true, ...this.settings.values, ...(control && { control }) };
    this.seedsDrawn = seeds;
    run("drawing", (signal) => (seeds.length > 1 ? this.many(body, seeds, signal) : this.one(body, seeds[0], signal)));
  }

  /** Draw the same prompt and seed with other settings. */
  again() {
    if (this.seedsDrawn && $("live").checked) this.draw(this.seedsDrawn);
  }

  /** `{ seed }` if one is given. */
  get seed() {
    const asked = $("seed").value.trim();
    return asked && $("seed").validity.valid ? { seed: Number(asked) } : {};
  }

  /** The given seed or a random one; the others count up from it. */
  seeds() {
    const count = Number(document.querySelector("input[name=count]:checked").value);
    const first = this.seed.seed ?? crypto.getRandomValues(new Uint32Array(1))[0];
    return Array.from({ length: count }, (_, index) => first + index);
  }

  async one(body, seed, signal) {
    this.stage.show("one");
    const sheet = this.look.prepare(...this.info.grid);
    try {
      const picture = await this.follow(body, seed, sheet, signal);
      this.gallery.pictures = [];
      this.stage.show("one");
      await this.look.open(picture);
    } catch (problem) {
      await this.back(signal);
      throw problem;
    }
  }

  async many(body, seeds, signal) {
    this.stage.show("many");
    const sheets = this.gallery.prepare(seeds, ...this.info.grid);
    const drawn = await Promise.allSettled(
      seeds.map(async (seed, index) => {
        const picture = await this.follow(body, seed, sheets[index], signal);
        this.gallery.done(index, picture);
        return picture;
      }),
    );
    const failed = drawn.find((one) => one.status === "rejected");
    if (failed && !this.gallery.pictures.some(Boolean)) await this.back(signal);
    if (failed) throw failed.reason;
    const ms = drawn.reduce((sum, one) => sum + one.value.timings.total, 0) / drawn.length;
    reportDrawn("drawn_many", { n: drawn.length, ms: Math.round(ms) }, drawn[0].value);
  }

  /** Instead of blank sheets, show what was there before, unless the next drawing has begun. */
  async back(signal) {
    if (signal.reason === SUPERSEDED) return;
    if (this.look.picture) {
      this.stage.show("one");
      await this.look.show();
    } else this.stage.show(this.gallery.pictures.some(Boolean) ? "many" : "empty");
  }

  async follow(body, seed, sheet, signal) {
    const pace = $("pace").value;
    const picture = await follow(stream("/v1/lantu/draw", { ...body, seed }, signal), sheet, pace, signal);
    picture.kind = "drawn";
    this.settings.time(picture.timings);
    reportDrawn("drawn", { ms: Math.round(picture.timings.total) }, picture);
    await this.keep(picture);
    return picture;
  }
}
