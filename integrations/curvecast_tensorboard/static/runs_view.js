// Every run in a table: how far, where it will end, what to do.

import { arrange, byName, count, factor, make, number } from "./dom.js";
import { saveCsv } from "./download.js";
import { STATE_SHORT, chip, forecastWords, hasEnded, kindOfRow, lossWords, notice, range, skeleton, spark, stateWords, sureness } from "./parts.js";
import { change, state } from "./state.js";

const MOST_PICKED = 12;
const FIRST = 120; // rows that are there at once; the others while nobody waits
const COLUMNS = [
  // key, title, what it sorts by, class, what it means
  ["run", "run", (r) => r.run, "name"],
  ["spark", "loss", null, "spark"],
  ["step", "step", (r) => r.step, "", "optimizer steps done, of those that are planned"],
  ["points", "points", (r) => (r.points ? r.points.train + r.points.val : null), "low", "losses that the fit used"],
  ["loss", "now", (r) => r.loss?.value, "", "the last loss: of validation where there is one"],
  ["forecast", "forecast, 90 %", (r) => r.forecast?.median, "", "the loss at the planned end, and its 90 % interval"],
  [
    "width",
    "interval",
    (r) => (r.forecast ? r.forecast.upper - r.forecast.lower : null),
    "glyph",
    "the 90 % interval on the scale of all runs that are shown, its median (line) and the loss now (dot); sorts by width",
  ],
  ["verdict", "verdict", (r) => r.verdict?.reason, "word"],
  [
    "probability",
    "prob.",
    (r) => (r.verdict?.should_stop ? r.verdict.probability : 0),
    "",
    "how probable the reason to stop is",
  ],
  [
    "compute_excess",
    "compute",
    (r) => r.compute_excess,
    "low",
    "compute spent, over the least that brings any size to this loss",
  ],
];
const SAVED = [
  ["run", (r) => r.run],
  ["state", (r) => r.state],
  ["step", (r) => r.step],
  ["horizon", (r) => r.horizon],
  ["train_points", (r) => r.points?.train],
  ["val_points", (r) => r.points?.val],
  ["loss_of", (r) => r.loss?.of],
  ["loss", (r) => r.loss?.value],
  ["forecast_step", (r) => r.forecast?.step],
  ["forecast", (r) => r.forecast?.median],
  ["lower_90", (r) => r.forecast?.lower],
  ["upper_90", (r) => r.forecast?.upper],
  ["verdict", (r) => r.verdict?.reason],
  ["should_stop", (r) => r.verdict?.should_stop],
  ["probability", (r) => r.verdict?.probability],
  ["compute_excess", (r) => r.compute_excess],
];
const KINDS = [
  ["", "all"],
  ["go", "on track"],
  ["over", "finished"],
  ["stop", "stop"],
  ["wrong", "diverged"],
  ["wait", "waiting"],
];

export function runsView(app) {
  const nodes = new Map(); // run -> what is shown of it: {node, pick, glyph, row, span}
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
  const pills = KINDS.map(([key, name]) => pill(key, name));
  const kinds = make("div.choice", { role: "group", "aria-label": "verdict" }, pills);
  const save = make(
    "button",
    { type: "button", id: "csv", title: "save the rows that are shown as a CSV file", onclick: () => saveShown() },
    "CSV",
  );
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
  const bar = make("div.bar", {}, filter, kinds, told, make("span.grow"), compare, save);
  const node = make("section.view", {}, bar, hint, place);
  let matching = []; // rows whose name fits the filter
  let shown = []; // those of them whose verdict is of the kind that is asked for, in order
  let held = null; // the one row that Tab stops at
  let top = 0; // how far the table is scrolled: a page that is taken out forgets it
  let left = false; // whether a key opened a run, to whose row a way back leads

  head.append(make("th.box", {}, all), ...COLUMNS.map((column) => heading(...column)));
  body.addEventListener("keydown", walk);
  box.addEventListener("scroll", () => box.isConnected && (top = box.scrollTop));
  body.addEventListener("focusin", (event) => hold(event.target.closest("tr")?.dataset.run));

  function heading(key, title, value, cls, meaning) {
    if (!value) return make(`th.${cls}`, { scope: "col" }, title);
    const press = () => sort(key);
    const button = make("button.sort", { type: "button", "data-sort": key, title: meaning, onclick: press }, title);
    return make(`th${cls ? `.${cls}` : ""}`, { scope: "col", "data-key": key }, button);
  }

  function sort(key) {
    change({ sort: key, down: state.sort === key ? !state.down : false });
    list();
  }

  /** The rows that the filters let through, in order. */
  function chosen() {
    let wanted; // anything, where the filter is no regular expression yet
    try {
      wanted = new RegExp(state.q, "i");
      filter.removeAttribute("aria-invalid");
    } catch {
      wanted = { test: () => true };
      filter.setAttribute("aria-invalid", "true");
    }
    const value = COLUMNS.find(([key]) => key === state.sort)?.[2] ?? ((r) => r.run);
    const way = state.down ? -1 : 1;
    matching = [...app.rows.values()].filter((row) => wanted.test(row.run));
    return matching
      .filter((row) => !state.only || kindOfRow(row) === state.only)
      .map((row) => [value(row), row])
      .sort(([a, first], [b, second]) => {
        if (a == null || b == null) return (a == null) - (b == null) || byName(first.run, second.run);
        const apart = typeof a === "string" ? byName(a, b) : a - b;
        return way * apart || byName(first.run, second.run);
      })
      .map(([, row]) => row);
  }

  /** Bring the table up to date: rows that say nothing new are left alone, and the table stays where it is scrolled to. */
  function list() {
    shown = chosen();
    for (const run of nodes.keys()) if (!app.rows.has(run)) nodes.delete(run);
    const scale = span(shown);
    const unseen = shown.findIndex((row, at) => at >= FIRST && !nodes.has(row.run));
    const ready = unseen < 0 ? shown : shown.slice(0, unseen);
    arrange(place, [shown.length ? box : nothing()]);
    arrange(
      body,
      ready.map((row) => line(row, scale)),
    );
    if (unseen >= 0) setTimeout(others, 30);
    hold(shown.some((row) => row.run === held) ? held : shown[0]?.run);
    for (const th of head.querySelectorAll("[data-key]")) {
      if (th.dataset.key === state.sort) th.setAttribute("aria-sort", state.down ? "descending" : "ascending");
      else th.removeAttribute("aria-sort");
    }
    tell();
  }

  /** The rows below those that are there at once. */
  function others() {
    for (const { run } of shown) if (!nodes.has(run)) fresh(run);
    list();
  }

  /** Tab stops at one row, the last that was walked to; the arrows go on from there. */
  function hold(run) {
    if (nodes.has(held)) nodes.get(held).node.tabIndex = -1;
    held = run ?? null;
    if (nodes.has(held)) nodes.get(held).node.tabIndex = 0;
  }

  function saveShown() {
    const heads = SAVED.map(([name]) => name);
    saveCsv("curvecast runs", [heads, ...shown.map((row) => SAVED.map(([, value]) => value(row)))]);
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
    const [low, high] = [at(lows, 0.02), at(highs, 0.92)];
    const unit = 10 ** Math.floor(Math.log10(high - low || 1)) / 20; // round ends stay as they are while runs grow
    return [unit * Math.floor(low / unit), unit * Math.ceil(high / unit)];
  }

  /** The line of a row, made at first and then kept: only what has changed in it is drawn anew. */
  function line(row, scale) {
    const known = nodes.get(row.run) ?? fresh(row.run);
    const at = scale.join(" ");
    if (known.row !== row) {
      known.glyph = make("td.glyph");
      known.node.replaceChildren(known.box, ...cells(row, known.glyph));
    }
    if (known.row !== row || known.at !== at) known.glyph.replaceChildren(row.forecast ? range(row, ...scale) : "");
    known.pick.checked = state.picked.includes(row.run);
    Object.assign(known, { row, at });
    return known.node;
  }

  function fresh(run) {
    const pick = make("input", {
      type: "checkbox",
      "aria-label": `compare ${run}`,
      tabindex: "-1",
      onchange: () => toggle(run, pick.checked),
    });
    const near = (event) => (event.stopPropagation(), event.target === pick || pick.click());
    const box = make("td.box", { onclick: near }, pick); // the whole cell ticks: the box alone is hard to hit
    const node = make("tr", { tabindex: "-1", "data-run": run, onclick: () => app.open(run) }, box);
    const made = { node, box, pick, glyph: null, row: null, at: "" };
    nodes.set(run, made);
    return made;
  }

  function cells(row, glyph) {
    const { median, interval } = forecastWords(row.forecast);
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
    const ofNow = row.forecast && !row.horizon;
    const told = ofNow ? { title: "no horizon is known: this is the loss now without its noise, not that of the end" } : {};
    return [
      make("td.name", {}, row.run),
      make("td.spark", {}, spark(row.spark)),
      make("td.num", {}, progress),
      make(
        "td.num.low",
        sampled,
        row.points && row.state !== "pending" ? `${row.points.sampled ? "~" : ""}${count(row.points.train + row.points.val)}` : "",
      ),
      make("td.num", { "data-cell": "loss" }, row.loss ? lossWords(row) : ""),
      make(
        `td.num.forecast${ofNow ? ".now" : ""}`,
        told,
        ofNow && make("span.soft", {}, "now "),
        make("span", { "data-cell": "median" }, row.forecast ? median : ""),
        make("span.soft", { "data-cell": "interval" }, interval),
      ),
      glyph,
      make("td.word", {}, verdict),
      make("td.num", { "data-cell": "probability" }, sureness(row.verdict)),
      make("td.num.low", { "data-cell": "excess" }, row.compute_excess == null ? "" : factor(row.compute_excess)),
    ];
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
    else if (event.key === "Enter") ((left = true), app.open(row.dataset.run));
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
    const picked = state.picked.filter((run) => app.rows.has(run)).length;
    if (picked === MOST_PICKED) parts.push(`${picked} picked, the most that are compared`);
    if (left_out) parts.push(`${count(left_out)} of ${count(total)} not listed`);
    told.textContent = parts.join(" \u00B7 ");
    const many = shown.filter((row) => row.forecast && !row.horizon).length;
    hint.hidden = !many;
    endless.textContent = `${count(many)} ${many === 1 ? "run" : "runs"} without a known horizon: forecasts there are of the loss now.`;
    compare.hidden = picked < 2;
    compare.textContent = `Compare ${picked}`;
    all.checked = picked > 0 && shown.every((row) => state.picked.includes(row.run));
    all.indeterminate = picked > 0 && !all.checked;
    for (const button of pills) {
      const { kind } = button.dataset;
      const many = matching.filter((row) => !kind || kindOfRow(row) === kind).length;
      button.hidden = Boolean(kind) && !many && state.only !== kind;
      button.setAttribute("aria-pressed", String(state.only === kind));
      button.lastChild.textContent = ` ${count(many)}`;
    }
    save.disabled = !shown.length;
  }

  function pill(kind, name) {
    const press = () => (change({ only: kind }), list());
    return make("button.pill", { type: "button", "data-kind": kind, onclick: press }, name, make("span.soft"));
  }

  /** Come back to where one was. */
  function show() {
    list();
    box.scrollTop = top;
    if (left) nodes.get(held)?.node.focus({ preventScroll: true });
    left = false;
  }

  return { node, show, rowsChanged: list, focusFilter: () => filter.focus() };
}
