// A drawing on its way: events of the server become ink on a sheet, at a pace that an eye can follow.

import { ApiError } from "./api.js";
import { report } from "./job.js";
import { fromBase64, imageOf } from "./pictures.js";

const WHOLE_MS = { once: 0, gently: 1100, slowly: 5000 }; // how long the inking of a whole sheet takes

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
      // A sketch shows one event later than its codes, so that there is always fresh ink to be seen.
      if (sketch) sheet.show(sketch.image, sketch.codes);
      sketch = event.preview ? { image: await imageOf(fromBase64(event.preview)), codes: event.codes } : sketch;
    }
    if (event.type === "completed") {
      const picture = received(event.picture);
      await sheet.ink(picture.codes, pause);
      sheet.fill(picture.codes, await imageOf(picture.png));
      return picture;
    }
  }
  throw new ApiError("cut off", { code: "cut_off" });
}

/** A picture as the server tells it, its pixels as a file. */
export function received({ b64_json, ...told }) {
  return { ...told, png: fromBase64(b64_json) };
}

/** Waits so long on average: a timer that is shorter than a frame would not be kept. */
function pauses(each_ms, signal) {
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  let due = performance.now();
  return async () => {
    signal.throwIfAborted();
    // Timers of a hidden page may take a second each.
    if (!each_ms || still.matches || document.hidden) return;
    due = Math.max(due + each_ms, performance.now() - 100);
    const wait_ms = due - performance.now();
    if (wait_ms > 8) await new Promise((resolve) => setTimeout(resolve, wait_ms));
    signal.throwIfAborted();
  };
}
