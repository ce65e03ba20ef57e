// Runs one job at a time and shows its status, its duration, a way to stop it, and its errors.

import { say, tell } from "./words.js";

const status = document.getElementById("status");
const clock = document.getElementById("clock");
const problem = document.getElementById("problem");
const problemText = document.getElementById("problem-text");
const notice = document.getElementById("notice");
const retry = document.getElementById("retry");
export const SUPERSEDED = new DOMException("a newer job runs", "AbortError"); // why a job was stopped
let current = null;
let bound = false; // whether the current job works on the picture that is large
let again = null;

retry.addEventListener("click", () => again?.());

/**
 * Run a job; a job that is still running is stopped.
 *
 * @param {string} what key of the status text.
 * @param {(signal: AbortSignal) => Promise<void>} task
 * @param {boolean} ofLarge whether it works on the picture that is large, see `leaveLarge`.
 */
export async function run(what, task, ofLarge = false) {
  current?.abort(SUPERSEDED);
  const control = new AbortController();
  current = control;
  bound = ofLarge;
  problem.hidden = true;
  notice.hidden = true;
  document.body.dataset.busy = "true";
  tell(status, what);
  const ticking = startClock();
  try {
    await task(control.signal);
    if (current === control && !control.signal.aborted && status.dataset.say === what) tell(status, "");
  } catch (wrong) {
    if (current !== control && control.signal.aborted) return;
    if (control.signal.aborted) tell(status, "stopped");
    else complain(wrong, () => run(what, task, ofLarge));
  } finally {
    clearInterval(ticking);
    if (current === control) {
      current = null;
      clock.textContent = "";
      delete document.body.dataset.busy;
    }
  }
}

export function stop() {
  current?.abort();
  return Boolean(current);
}

/** Stop a job whose result would land on the picture that takes the place of the large one. */
export function leaveLarge() {
  if (bound) current?.abort(SUPERSEDED);
}

/** Show an error, with a button to retry where that may help. */
export function complain(wrong, tryAgain = null) {
  const known = ["unreachable", "cut_off", "not_a_picture"].includes(wrong.code);
  tell(status, "");
  tell(problemText, known ? `problem_${wrong.code}` : "problem_told", { message: wrong.message });
  if (!wrong.code && !wrong.status) console.error(wrong);
  again = tryAgain;
  retry.hidden = !(tryAgain && (wrong.passing ?? true));
  problem.hidden = false;
}

/**
 * Report a finished picture, and its warnings: words that the model doesn't know, and the server's own.
 *
 * @param {object} picture from the server.
 */
export function reportDrawn(key, values, { unknown_words = [], warnings = [] }) {
  report(key, values);
  const words = unknown_words.map(({ word, nearest }) => `“${word}”${nearest.length ? ` (${nearest.join(", ")})` : ""}`);
  const others = warnings.filter((warning) => !unknown_words.some(({ word }) => warning.includes(`"${word}"`)));
  if (!words.length && !others.length) return;
  tell(notice, words.length ? "unknown_words" : "warned", { words: words.join("; "), message: others.join(". ") });
  notice.hidden = false;
}

/** Show a status while no job runs. */
export function report(key, values) {
  tell(status, key, values);
}

function startClock() {
  const started = performance.now();
  const tick = () => {
    clock.textContent = say("seconds", { n: ((performance.now() - started) / 1000).toFixed(1) });
  };
  tick();
  return setInterval(tick, 100);
}
