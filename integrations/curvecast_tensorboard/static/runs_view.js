// Every run in a table: how far, where it will end, what to do.

import { count, factor, make, number } from "./dom.js";
import { STATE_SHORT, chip, forecastWords, hasEnded, kindOf, notice, range, skeleton, spark, stateWords, sureness } from "./parts.js";
import { change, state } from "./state.js";

const MOST_PICKED = 12;
const FIRST = 120; // rows that are there at once; the others while nobody waits
const COLUMNS = [
  ["run", "run", (r) => r.run, "name"],
  ["spark", "loss", null, "spark"],
  ["step", "step", (r) => r.step],
  ["points", "points", (r) => (r.points ? r.points.train + r.points.val : null), "low"],
  ["loss", "now", (r) => r.loss?.value],
  ["forecast", "forecast, 90 %", (r) => r.forecast?.median],
  ["width", "interval", (r) => (r.forecast ? r.forecast.upper - r.forecast.lower : null), "glyph"],
  ["verdict", "verdict", (r) => r.verdict?.reason, "word"],
  ["probability", "prob.", (r) => (r.verdict?.should_stop ? r.verdict.probability : 0)],
  ["compute_excess", "compute", (r) => r.compute_excess, "low"],
];
const KINDS = [
  ["", "all"],
  ["go", "on track"],
  ["stop", "stop"],
  ["wrong", "diverged"],
  ["wait", "waiting"],
];

export function runsView(app) {
  const nodes = new Map(); // run -> {row, key, node}
  const told = make("span.soft.num", { id: "count", role: "status" });
  const filter = make("input", {
    id: "filter",
    type: "search",
    placeholder: "filter by regular expression  ( / )",
    "aria-label": "filter runs by regular expression",
    value: state.q,
    spellcheck: "false",
    oninput: () => (change({ q: filter.value }), list()),
  });
  const kinds = make("div.choice", { role: "group", "aria-label": "verdict" });
  const compare = make("button.primary", { type: "button", id: "compare", onclick: () => app.go("Compare") });
  const all = make("input", {
    type: "checkbox",
    "aria-label": "pick the runs that are shown",
    onchange: () => pickShown(all.checked),
  });
  const head = make("tr");
  const body = make("tbody");
  const tableNode = make("table.runs", { id: "runs" }, make("thead", {}, head), body);
  const box = make("div.scroll.tall", {}, tableNode);
  const place = make("div");
  const endless = make("span");
  const give = make("button.link", { type: "button", onclick: () => app.plan() }, "Give the planned steps under Plan");
  const hint = make("p.soft.small", { id: "endless", hidden: true }, endless, " ", give);
  const bar = make("div.bar", {}, filter, kinds, told, make("span.grow"), compare);
  const node = make("section.view", {}, bar, hint, place);
  let shown = [];
  let listing = 0;

  head.append(make("th.box", {}, all), ...COLUMNS.map(([key, title, value, cls]) => heading(key, title, value, cls)));
  body.addEventListener("keydown", walk);

  function heading(key, title, value, cls) {
    if (!value) return make(`th.${cls}`, { scope: "col" }, title);
    const button = make("button.sort", { type: "button", "data-sort": key, onclick: () => sort(key) }, title);
    return make(`th${cls ? `.${cls}` : ""}`, { scope: "col", "data-key": key }, button);
  }

  function sort(key) {
    change({ sort: key, down: state.sort === key ? !state.down : false });
    list();
  }

  /** The rows that the filters let through, in order. */
  function chosen() {
    let wanted;
    try {
      wanted = new RegExp(state.q, "i");
      filter.removeAttribute("aria-invalid");
    } catch {
      wanted = { test: () => true };
      filter.setAttribute("aria-invalid", "true");
    }
    const value = COLUMNS.find(([key]) => key === state.sort)?.[2] ?? ((r) => r.run);
    const way = state.down ? -1 : 1;
    const names = new Intl.Collator("en", { numeric: true });
    return [...app.rows.values()]
      .filter((row) => wanted.test(row.run) && (!state.only || kindOf(row.verdict) === state.only))
      .map((row) => [value(row), row])
      .sort(([a, first], [b, second]) => {
        if (a == null || b == null) return (a == null) - (b == null) || names.compare(first.run, second.run);
        const apart = typeof a === "string" ? names.compare(a, b) : a - b;
        return way * apart || names.compare(first.run, second.run);
      })
      .map(([, row]) => row);
  }

  function list() {
    shown = chosen();
    const [low, high] = span(shown);
    const mine = (listing += 1);
    place.replaceChildren(...(shown.length ? [box] : [nothing()]));
    body.replaceChildren(...shown.slice(0, FIRST).map((row) => line(row, low, high)));
    if (shown.length > FIRST) {
      setTimeout(() => mine === listing && body.append(...shown.slice(FIRST).map((row) => line(row, low, high))), 30);
    }
    for (const th of head.querySelectorAll("[data-key]")) {
      if (th.dataset.key === state.sort) th.setAttribute("aria-sort", state.down ? "descending" : "ascending");
      else th.removeAttribute("aria-sort");
    }
    tell();
  }

  function nothing() {
    if (!app.loaded) return skeleton(8);
    if (app.rows.size) {
      const fresh = () => ((filter.value = ""), change({ q: "", only: "" }), list());
      return notice(
        {
          headline: "No run fits the filter",
          advice: "The filter is a regular expression over the names; case does not matter.",
        },
        { actions: [["Show all runs", fresh]] },
      );
    }
    return notice({
      headline: "No runs with scalars",
      advice:
        "Log a loss into the folder that TensorBoard watches (tensorboard --logdir FOLDER). Runs appear here by themselves.",
    });
  }

  /** The losses between which the small intervals are drawn; a run far off does not flatten the others. */
  function span(rows) {
    const lows = rows
      .flatMap((r) => (r.forecast ? [r.forecast.lower, r.loss?.value ?? r.forecast.lower] : []))
      .sort((a, b) => a - b);
    const highs = rows
      .flatMap((r) => (r.forecast ? [r.forecast.upper, r.loss?.value ?? r.forecast.upper] : []))
      .sort((a, b) => a - b);
    const at = (values, q) => values[Math.round(q * (values.length - 1))] ?? 0;
    return [at(lows, 0.02), at(highs, 0.92)];
  }

  function line(row, low, high) {
    const key = `${low} ${high} ${state.picked.includes(row.run)}`;
    const known = nodes.get(row.run);
    if (known && known.row === row && known.key === key) return known.node;
    const made = rowNode(row, low, high);
    if (known?.node.contains(document.activeElement)) queueMicrotask(() => made.focus());
    nodes.set(row.run, { row, key, node: made });
    return made;
  }

  function rowNode(row, low, high) {
    const { median, interval } = forecastWords(row.forecast);
    const pick = make("input", {
      type: "checkbox",
      checked: state.picked.includes(row.run),
      "aria-label": `compare ${row.run}`,
      tabindex: "-1",
      onchange: () => toggle(row.run, pick.checked),
      onclick: (e) => e.stopPropagation(),
    });
    const share = row.horizon ? Math.min(1, row.step / row.horizon) : 0;
    const progress =
      row.step == null
        ? null
        : [
            make("span", {}, count(row.step), make("span.soft", {}, row.horizon ? ` / ${count(row.horizon)}` : " / ?")),
            row.horizon &&
              make(
                "span.progress",
                { "aria-hidden": "true" },
                make("i", { style: `width:${(100 * share).toFixed(1)}%` }),
              ),
          ];
    const sampled = row.points?.sampled ? { title: "TensorBoard holds a sample of this run's points" } : {};
    const verdict = row.state === "ok" || row.verdict ? chip(row.verdict, hasEnded(row)) : odd(row);
    return make(
      "tr",
      { tabindex: "0", "data-run": row.run, onclick: () => app.open(row.run) },
      make("td.box", { onclick: (e) => e.stopPropagation() }, pick),
      make("td.name", {}, row.run),
      make("td.spark", {}, spark(row.spark)),
      make("td.num", {}, progress),
      make(
        "td.num.low",
        sampled,
        row.points ? `${row.points.sampled ? "~" : ""}${count(row.points.train + row.points.val)}` : "",
      ),
      make("td.num", { "data-cell": "loss" }, row.loss ? number(row.loss.value) : ""),
      make(
        "td.num.forecast",
        {},
        make("span", { "data-cell": "median" }, row.forecast ? median : ""),
        make("span.soft", { "data-cell": "interval" }, interval),
      ),
      make("td.glyph", {}, row.forecast && range(row, low, high)),
      make("td.word", {}, verdict),
      make("td.num", { "data-cell": "probability" }, sureness(row.verdict)),
      make("td.num.low", { "data-cell": "excess" }, row.compute_excess == null ? "" : factor(row.compute_excess)),
    );
  }

  function odd(row) {
    const { headline, advice } = stateWords(row.state, row.missing);
    return make(
      "span.chip.wait",
      { title: `${headline}. ${advice}` },
      make("span.mark", { "aria-hidden": "true" }, "\u25CB"),
      STATE_SHORT[row.state] ?? row.state,
    );
  }

  function toggle(run, on) {
    const others = state.picked.filter((name) => name !== run);
    change({ picked: on ? [...others, run].slice(-MOST_PICKED) : others });
    list();
  }

  function pickShown(on) {
    const names = shown.map((row) => row.run);
    change({ picked: on ? names.slice(0, MOST_PICKED) : state.picked.filter((name) => !names.includes(name)) });
    list();
  }

  function walk(event) {
    const row = event.target.closest("tr");
    if (!row || event.target !== row) return;
    const beside = { ArrowDown: row.nextElementSibling, ArrowUp: row.previousElementSibling }[event.key];
    if (beside) beside.focus();
    else if (event.key === "Enter") app.open(row.dataset.run);
    else if (event.key === " ") toggle(row.dataset.run, !state.picked.includes(row.dataset.run));
    else return;
    event.preventDefault();
  }

  function tell() {
    const { total, pending, left_out } = app.counts;
    const parts = [
      shown.length === app.rows.size
        ? `${count(shown.length)} ${shown.length === 1 ? "run" : "runs"}`
        : `${count(shown.length)} of ${count(app.rows.size)} runs`,
    ];
    if (pending) parts.push(`${count(pending)} being fitted`);
    if (left_out) parts.push(`${count(left_out)} of ${count(total)} not listed`);
    told.textContent = parts.join(" \u00B7 ");
    const many = shown.filter((row) => row.forecast && !row.horizon).length;
    hint.hidden = !many;
    endless.textContent = `${count(many)} ${many === 1 ? "run" : "runs"} without a known horizon: forecasts there are of the loss now.`;
    const picked = state.picked.filter((run) => app.rows.has(run)).length;
    compare.hidden = picked < 2;
    compare.textContent = `Compare ${picked}`;
    all.checked = picked > 0 && shown.every((row) => state.picked.includes(row.run));
    all.indeterminate = picked > 0 && !all.checked;
    const held = kinds.contains(document.activeElement) ? document.activeElement.dataset.kind : null;
    kinds.replaceChildren(...KINDS.map(([key, name]) => kind(key, name)));
    if (held != null) kinds.querySelector(`[data-kind="${held}"]`)?.focus();
  }

  function kind(key, name) {
    const many = [...app.rows.values()].filter((row) => !key || kindOf(row.verdict) === key).length;
    if (key && !many && state.only !== key) return "";
    const press = () => (change({ only: key }), list());
    return make(
      "button.pill",
      { type: "button", "data-kind": key, "aria-pressed": String(state.only === key), onclick: press },
      name,
      make("span.soft", {}, ` ${count(many)}`),
    );
  }

  return { node, show: list, rowsChanged: list, focusFilter: () => filter.focus() };
}
