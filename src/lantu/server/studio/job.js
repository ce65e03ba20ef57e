// One thing is done at a time: what is going on, how long it has taken, how to stop it, and what went wrong.

import { say, tell } from "./words.js";

const status = document.getElementById("status");
const clock = document.getElementById("clock");
const problem = document.getElementById("problem");
const problemText = document.getElementById("problem-text");
const notice = document.getElementById("notice");
const retry = document.getElementById("retry");
export const SUPERSEDED = new DOMException("another thing is done", "AbortError"); // why a task was stopped
let current = null;
let again = null;

retry.addEventListener("click", () => again?.());

/**
 * Do something that takes a while; what is still going on is stopped for it.
 *
 * @param {string} what key of the words that say what goes on.
 * @param {(signal: AbortSignal) => Promise<void>} task
 */
export async function run(what, task) {
  current?.abort(SUPERSEDED);
  const control = new AbortController();
  current = control;
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
    else complain(wrong, () => run(what, task));
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

/** Show what went wrong, calmly, and a way to try again where that may help. */
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
 * Say that a picture was drawn, and what to know of it: words that the model doesn't know, or what the server warns of.
 *
 * @param {object} picture as the server tells it.
 */
export function reportDrawn(key, values, { unknown_words = [], warnings = [] }) {
  report(key, values);
  const words = unknown_words.map(({ word, nearest }) => `“${word}”${nearest.length ? ` (${nearest.join(", ")})` : ""}`);
  const others = warnings.filter((warning) => !unknown_words.some(({ word }) => warning.includes(`"${word}"`)));
  if (!words.length && !others.length) return;
  tell(notice, words.length ? "unknown_words" : "warned", { words: words.join("; "), message: others.join(". ") });
  notice.hidden = false;
}

/** Say how it stands, without a word on what is going on. */
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
