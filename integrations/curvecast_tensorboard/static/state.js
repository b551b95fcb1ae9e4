// What the page shows, kept in the address of the window so that a reload or a link shows it again.

export const VIEWS = ["Runs", "Curve", "Hindsight", "What if", "Compare", "Family"];

const KEY = "curvecast";
const FRESH = {
  view: "Runs",
  run: null, // of Curve, Hindsight and What if
  q: "", // the filter of the table
  only: "", // the verdicts that the table shows: "", "go", "over", "stop", "wrong", "wait"
  sort: "run",
  down: false,
  picked: [], // runs to compare
  asof: 0, // the step of Hindsight; 0 for one that the server picks
  asked: {}, // what was moved in What if
  x: "step",
  align: "step",
  log_x: false,
  log_y: false,
  law: "best",
  flops: "",
  settings: {}, // for every run
  own: {}, // for single ones
};

/** The window whose address a reader sees: TensorBoard's, where it may be touched. */
function outer() {
  try {
    return window.parent.location.hash.startsWith(`#${KEY}`) ? window.parent : window;
  } catch {
    return window;
  }
}

function read() {
  const found = new URLSearchParams(
    outer()
      .location.hash.replace(/^#/, "")
      .replace(/^curvecast&?/, ""),
  ).get("page");
  try {
    const known = JSON.parse(found ?? sessionStorage.getItem(KEY) ?? "{}");
    return Object.fromEntries(
      Object.entries(known).filter(([name, value]) => name in FRESH && sameKind(value, FRESH[name])),
    );
  } catch {
    return {}; // an address that somebody cut
  }
}

function sameKind(value, like) {
  if (like === null) return value === null || typeof value === "string";
  return typeof value === typeof like && Array.isArray(value) === Array.isArray(like) && value !== null;
}

export const state = structuredClone(FRESH);

/** Whether nobody has asked for anything yet: not by a link, nor before a reload. */
export const isFresh = isUntouched();

function isUntouched() {
  try {
    return !outer().location.hash.includes("page=") && sessionStorage.getItem(KEY) === null;
  } catch {
    return false;
  }
}

function reread() {
  Object.assign(state, structuredClone(FRESH), read());
  if (!VIEWS.includes(state.view)) state.view = "Runs";
}
reread();

/** Call `listener` where somebody follows a link to another state of this page. */
export function onAddress(listener) {
  const where = outer();
  where.addEventListener("hashchange", () => {
    if (!where.location.hash.includes("page=")) return;
    reread();
    listener();
  });
}

/** Change what is shown, and note it. */
export function change(values) {
  Object.assign(state, values);
  const kept = Object.entries(state).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(FRESH[name]));
  const text = JSON.stringify(Object.fromEntries(kept));
  try {
    sessionStorage.setItem(KEY, text);
    const where = outer();
    const hash = where === window ? "#" : `#${KEY}&`;
    where.history.replaceState(where.history.state, "", hash + new URLSearchParams({ page: text }));
  } catch {
    // No storage, or an address that is too long: then it is not kept.
  }
}

/** Look at a run: what was asked about the one before is not asked about it. */
export function changeRun(run) {
  change(run === state.run ? {} : { run, asof: 0, asked: {} });
}

/** The settings of one run: its own before the common ones. */
export function settingsOf(run) {
  return { ...state.settings, ...state.own[run] };
}
