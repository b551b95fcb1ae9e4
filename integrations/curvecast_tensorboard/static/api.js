// Questions to the plugin's routes (http_api.md), and how many answers are still to come.

const BASE = new URL("../", import.meta.url); // .../data/plugin/curvecast/
const LONGEST_ADDRESS = 1500;
const TAKES_POST = new Set(["runs", "compare", "family"]);

export const address = (name) => new URL(name, BASE).href;

/** Why a question could not be answered, in the server's three words. */
export class Refusal extends Error {
  constructor({ what, got, do: advice }, status) {
    super(what);
    Object.assign(this, { what, got, advice, status });
  }
}

let waiting = 0;

/** Count what is under way, so that the page (and whoever tests it) can tell when it stands still. */
export function busy(change) {
  waiting += change;
  document.getElementById("app")?.setAttribute("data-busy", String(waiting));
}

/** Ask a route; `undefined`, `null`, `""` and `false` parameters are left out, `true` is 1, a list repeats its name. */
export async function ask(name, parameters = {}, { quiet = false } = {}) {
  const known = Object.entries(parameters).filter(([, value]) => value != null && value !== "" && value !== false);
  if (!quiet) busy(+1);
  try {
    return await answer(await request(name, known));
  } finally {
    if (!quiet) busy(-1);
  }
}

function request(name, known) {
  const url = new URL(name, BASE);
  const query = new URLSearchParams();
  for (const [key, value] of known) {
    for (const each of Array.isArray(value) ? value : [value]) query.append(key, each === true ? "1" : String(each));
  }
  const nested = known.some(([, value]) => typeof value === "object" && !Array.isArray(value));
  if (!TAKES_POST.has(name) || (!nested && query.toString().length < LONGEST_ADDRESS)) {
    url.search = query;
    return fetch(url);
  }
  const body = JSON.stringify(Object.fromEntries(known.map(([key, value]) => [key, value === true ? 1 : value])));
  return fetch(url, { method: "POST", headers: { "Content-Type": "application/json" }, body });
}

async function answer(response) {
  let content = null;
  try {
    content = await response.json();
  } catch {
    // Not ours: said below.
  }
  if (response.ok && content) return content;
  const unknown = {
    what: "TensorBoard gave an answer that is not ours",
    got: `status ${response.status}`,
    do: "See TensorBoard's own log.",
  };
  throw new Refusal(content?.error ?? unknown, response.status);
}

/** One question at a time: what is asked meanwhile waits, and only the last of it is asked. */
export function latest(work) {
  let running = false;
  let next = null;
  return async function run(...args) {
    if (running) {
      if (!next) busy(+1);
      next = args;
      return;
    }
    running = true;
    try {
      await work(...args);
    } finally {
      running = false;
      if (next) {
        const again = next;
        next = null;
        busy(-1);
        run(...again);
      }
    }
  };
}

/** `work` once it has not been asked for during `pause` milliseconds; the wait counts as busy. */
export function debounced(work, pause) {
  let timer = 0;
  return (...args) => {
    if (timer) clearTimeout(timer);
    else busy(+1);
    timer = setTimeout(() => {
      timer = 0;
      try {
        work(...args);
      } finally {
        busy(-1);
      }
    }, pause);
  };
}
