// The page's requests to the server: JSON, forms, and server-sent events over POST.

const KEY = "lantu-key";
const SENDABLE = /^[\x20-\x7e]+$/; // what a browser sends in a header; anything else would fail before it is sent
let kept = null; // the key, where the browser stores nothing
let askForKey = async () => null;

/** An error response, with the server's message. */
export class ApiError extends Error {
  constructor(message, { status = 0, code = null, wait = 0 } = {}) {
    super(message);
    Object.assign(this, { status, code, wait });
  }

  /** Whether the same request may succeed later. */
  get passing() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** Asks for an API key when the server requires one; resolves to the key or null. */
export function onKeyNeeded(ask) {
  askForKey = ask;
}

export async function info() {
  return (await send("/v1/lantu/info", { method: "GET" })).json();
}

/** Post JSON, get JSON. */
export async function post(path, body, signal) {
  return (await send(path, asJson(body, signal))).json();
}

/** Post a picture in a form, get JSON. */
export async function postImage(path, image, fields = {}, signal = undefined) {
  const form = new FormData();
  form.append("image", image, image.name ?? "picture.png");
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  return (await send(path, { method: "POST", body: form, signal })).json();
}

/** Post JSON, get the events of a stream as they come. */
export async function* stream(path, body, signal) {
  const response = await send(path, asJson(body, signal));
  for await (const data of events(response.body)) {
    if (data === "[DONE]") return;
    const event = JSON.parse(data);
    if (event.error) throw new ApiError(event.error.message, event.error);
    yield event;
  }
}

function asJson(body, signal) {
  return { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal };
}

async function send(path, options) {
  const key = stored();
  const headers = { ...options.headers, ...(key && { Authorization: `Bearer ${key}` }) };
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (problem) {
    if (problem.name === "AbortError") throw problem;
    throw new ApiError("unreachable", { code: "unreachable" });
  }
  if (response.ok) return response;
  const problem = await failure(response);
  if (response.status !== 401) throw problem;
  let given = await askForKey(Boolean(key));
  while (given && !SENDABLE.test(given)) given = await askForKey(true);
  if (!given) throw problem;
  store(given);
  return send(path, options);
}

async function failure(response) {
  const told = await response.json().catch(() => null);
  const message = told?.error?.message ?? `${response.status} ${response.statusText}`;
  const wait = Number(response.headers.get("Retry-After")) || 0;
  return new ApiError(message, { status: response.status, code: told?.error?.code ?? null, wait });
}

function store(key) {
  kept = key;
  try {
    sessionStorage.setItem(KEY, key);
  } catch (problem) {
    console.info("the key is not kept beyond this page:", problem);
  }
}

function stored() {
  try {
    return kept ?? sessionStorage.getItem(KEY);
  } catch {
    return null;
  }
}

/** The data of each event; EventSource can't post. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const blocks = (rest + value.replaceAll("\r", "")).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) {
        const lines = block.split("\n").filter((line) => line.startsWith("data:"));
        if (lines.length) yield lines.map((line) => line.slice(5).trimStart()).join("\n");
      }
    }
  } finally {
    // Closing the stream also cancels the drawing.
    reader.cancel().catch(() => {});
  }
}
