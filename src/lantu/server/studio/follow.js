// Shows a drawing in progress: inks the codes of the server's events on a sheet, at the chosen pace.

import { ApiError } from "./api.js";
import { report } from "./job.js";
import { fromBase64, imageOf } from "./pictures.js";

const WHOLE_MS = { once: 0, gently: 1100, slowly: 5000 }; // duration of inking a whole sheet

/**
 * @param {AsyncIterable} events of a drawing.
 * @param {import("./sheet.js").Sheet} sheet
 * @param {string} pace one of WHOLE_MS.
 * @returns the finished picture.
 */
export async function follow(events, sheet, pace, signal) {
  const pause = pauses(WHOLE_MS[pace] / (sheet.rows * sheet.columns), signal);
  let sketch = null;
  for await (const event of events) {
    if (event.type === "queued") report("queued", { place: event.place, wait: Math.ceil(event.wait_s) });
    if (event.type === "codes") {
      report("drawing_cells", { done: event.done, total: event.total });
      await sheet.ink(event.codes, pause);
      // A preview is shown one event after its codes, so that some ink is always visible.
      if (sketch) sheet.show(sketch.image, sketch.codes);
      sketch = event.preview ? { image: await imageOf(fromBase64(event.preview)), codes: event.codes } : sketch;
    }
    if (event.type === "completed") {
      const picture = received(event.picture);
      await sheet.ink(picture.codes, pause);
      const image = await imageOf(picture.png);
      signal.throwIfAborted();
      sheet.fill(picture.codes, image);
      return picture;
    }
  }
  throw new ApiError("cut off", { code: "cut_off" });
}

/** The server's picture, with its pixels as a file. */
export function received({ b64_json, ...told }) {
  return { ...told, png: fromBase64(b64_json) };
}

/** Waits of a given average duration; timers shorter than a frame are inexact, so they are batched. */
function pauses(each_ms, signal) {
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  let due = performance.now();
  return async () => {
    signal.throwIfAborted();
    // Browsers slow down timers of hidden pages.
    if (!each_ms || still.matches || document.hidden) return;
    due = Math.max(due + each_ms, performance.now() - 100);
    const wait_ms = due - performance.now();
    if (wait_ms > 8) await new Promise((resolve) => setTimeout(resolve, wait_ms));
    signal.throwIfAborted();
  };
}
