// The page: its tabs, the runs that all views share, and the clock that keeps them fresh.

import { address, ask, latest } from "./api.js";
import { compareView } from "./compare_view.js";
import { curveView } from "./curve_view.js";
import { byName, make } from "./dom.js";
import { familyView } from "./family_view.js";
import { hindsightView } from "./hindsight_view.js";
import { failure } from "./parts.js";
import { openPlan } from "./plan.js";
import { runsView } from "./runs_view.js";
import { VIEWS, change, changeRun, isFresh, onAddress, state } from "./state.js";
import { followTheme, onTheme } from "./theme.js";
import { whatIfView } from "./whatif_view.js";

const EVERY = 4000; // milliseconds between questions for what is new
const SLOWEST = 60_000; // where nobody answers
const MAKERS = {
  Runs: runsView,
  Curve: curveView,
  Hindsight: hindsightView,
  "What if": whatIfView,
  Compare: compareView,
  Family: familyView,
};
const OF_ONE_RUN = new Set(["Curve", "Hindsight", "What if"]);
const KEYS = [
  ["1 \u2026 6", "the six views"],
  ["/", "filter the runs"],
  ["\u2191 \u2193", "walk through the table"],
  ["Enter", "open the curve of a run"],
  ["Space", "pick a run to compare"],
  ["[  ]", "previous and next run"],
  ["p", "plan"],
  ["?", "these keys"],
];

class App {
  constructor() {
    this.rows = new Map();
    this.counts = { total: 0, pending: 0, left_out: 0 };
    this.loaded = false;
    this.views = {};
    this.cursor = null;
    this.failures = 0;
    this.poll = latest(() => this.#poll());
  }

  start(root) {
    this.banner = make("div", { id: "banner" });
    this.main = make("main", { id: "view", role: "tabpanel", tabindex: "-1" });
    this.live = make(
      "span.live",
      { role: "status" },
      make("i", { "aria-hidden": "true" }),
      make("span", {}, "loading"),
    );
    this.tabs = Object.fromEntries(VIEWS.map((name) => [name, this.#tab(name)]));
    const bar = make(
      "div.tabs",
      { role: "tablist", "aria-label": "views", onkeydown: (event) => this.#along(event) },
      Object.values(this.tabs),
    );
    const plan = make(
      "button",
      { type: "button", id: "plan", title: "horizon, schedule, size, tags ( p )", onclick: () => this.plan() },
      "Plan",
    );
    const help = make(
      "button.round",
      { type: "button", title: "keys ( ? )", "aria-label": "keys", onclick: () => this.keys() },
      "?",
    );
    root.append(
      make(
        "div",
        { id: "app", "data-busy": "0" },
        make("header", {}, bar, make("span.grow"), this.live, plan, help),
        this.banner,
        this.main,
      ),
    );
    followTheme();
    onTheme(() => this.#current().show());
    onAddress(() => this.#restart());
    document.addEventListener("keydown", (event) => this.#key(event));
    document.addEventListener("visibilitychange", () => document.hidden || this.poll());
    this.go(state.view);
    this.#tick();
  }

  /** Show a view. */
  go(name) {
    change({ view: name });
    this.views[name] ??= MAKERS[name](this);
    for (const [each, tab] of Object.entries(this.tabs)) {
      tab.setAttribute("aria-selected", String(each === name));
      tab.tabIndex = each === name ? 0 : -1;
    }
    this.main.setAttribute("aria-label", name);
    this.main.replaceChildren(this.views[name].node);
    this.#chooseRun();
    this.views[name].show();
  }

  /** Show a run, in its curve or where one is already looking at runs. */
  open(run, view = "Curve") {
    changeRun(run);
    this.go(view);
  }

  /** The run before or after. */
  beside(way) {
    const names = this.names();
    if (!names.length) return;
    const at = (names.indexOf(state.run) + way + names.length) % names.length;
    this.open(names[at], OF_ONE_RUN.has(state.view) ? state.view : "Curve");
  }

  names() {
    return [...this.rows.keys()].sort(byName);
  }

  plan({ tags = false } = {}) {
    const one = OF_ONE_RUN.has(state.view) && this.rows.has(state.run);
    openPlan(one ? state.run : null, () => this.replanned(), { tags, row: one ? this.rows.get(state.run) : null });
  }

  /** Another state came with the address: every view is made anew. */
  #restart() {
    this.views = {};
    this.go(state.view);
    this.poll();
  }

  /** The settings have changed: everything is asked for again. */
  replanned() {
    this.#current().show();
    this.poll();
  }

  keys() {
    const dialog = make("dialog", { "aria-label": "keys" });
    const lines = KEYS.map(([key, does]) => [make("dt", {}, make("kbd", {}, key)), make("dd", {}, does)]);
    dialog.append(
      make(
        "form",
        { method: "dialog" },
        make("h2", {}, "Keys"),
        make("dl.keys", {}, lines),
        make("button.primary", {}, "Close"),
      ),
    );
    dialog.addEventListener("close", () => dialog.remove());
    document.getElementById("app").append(dialog);
    dialog.showModal();
  }

  #current() {
    return this.views[state.view];
  }

  #tab(name) {
    return make("button", { type: "button", role: "tab", "aria-controls": "view", onclick: () => this.go(name) }, name);
  }

  #along(event) {
    const way = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!way) return;
    const at = (VIEWS.indexOf(state.view) + way + VIEWS.length) % VIEWS.length;
    this.go(VIEWS[at]);
    this.tabs[VIEWS[at]].focus();
    event.preventDefault();
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog")) return;
    if (event.target.matches?.("input:not([type=checkbox],[type=radio],[type=range]), select, textarea")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const acts = {
      "/": () => (this.go("Runs"), this.views.Runs.focusFilter()),
      "[": () => this.beside(-1),
      "]": () => this.beside(+1),
      p: () => this.plan(),
      "?": () => this.keys(),
    };
    const act = acts[event.key] ?? (VIEWS[event.key - 1] && (() => this.go(VIEWS[event.key - 1])));
    if (!act) return;
    event.preventDefault();
    act();
  }

  #chooseRun() {
    if (state.run == null && this.rows.size) change({ run: this.names()[0] });
  }

  async #poll() {
    const own = Object.keys(state.own).length ? state.own : null;
    try {
      const answer = await ask("runs", { cursor: this.cursor, ...state.settings, own }, { quiet: this.loaded });
      this.#take(answer);
      this.#say("live", `live \u00B7 ${this.counts.total} ${this.counts.total === 1 ? "run" : "runs"}`);
      if (this.failures) this.banner.replaceChildren();
      this.failures = 0;
    } catch (error) {
      this.failures += 1;
      this.banner.replaceChildren(
        failure(
          error,
          error.status === 400 ? [["Change the plan", () => this.plan()]] : [["Try again", () => this.poll()]],
        ),
      );
      this.#say("lost", error.status ? "refused" : "no answer");
      if (!this.loaded) this.#ready();
    }
  }

  #take({ cursor, rows, gone, pending, total, left_out }) {
    const before = this.rows.size;
    const changed = new Set([...rows.map((row) => row.run), ...gone]);
    for (const row of rows) this.rows.set(row.run, row);
    for (const run of gone) this.rows.delete(run);
    const told = pending !== this.counts.pending || total !== this.counts.total;
    this.cursor = cursor;
    this.counts = { total, pending, left_out };
    const first = !this.loaded;
    this.loaded = true;
    this.#chooseRun();
    const alone = first && isFresh && total === 1 && state.view === "Runs"; // a table of one row says less
    if (alone && this.rows.size) this.go("Curve");
    else if (first) this.#current().show();
    else if (changed.size || told || before !== this.rows.size) this.#current().rowsChanged(changed);
    if (first) this.#ready();
  }

  #ready() {
    document.getElementById("app").setAttribute("data-ready", "");
  }

  #say(kind, words) {
    this.live.className = `live ${kind}`;
    this.live.lastChild.textContent = words;
  }

  /** Ask again: at once while runs are being fitted, else now and then, and not while nobody looks. */
  async #tick() {
    const seen = !document.hidden && (window.innerWidth > 0 || !this.loaded);
    if (seen) await this.poll();
    const pause = this.failures
      ? Math.min(SLOWEST, EVERY * 2 ** (this.failures - 1))
      : this.counts.pending && seen
        ? 0
        : EVERY;
    setTimeout(() => this.#tick(), pause);
  }
}

/** Build the page in a node. */
export function start(root) {
  const sheet = make("link", { rel: "stylesheet", href: address("static/style.css") });
  sheet.addEventListener("load", () => new App().start(root), { once: true });
  document.documentElement.lang = "en";
  document.head.append(sheet);
}
