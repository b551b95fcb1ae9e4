// Pieces that several views show.

import { DASH, alike, count, draw, factor, make, number, percent, short } from "./dom.js";

const MARKS = { go: "\u25CF", stop: "\u25A0", wrong: "\u25B2", wait: "\u25CB" };
const WAITING = new Set(["not_enough_data"]);

/** The kind of a verdict: "go", "stop", "wrong" (diverged) or "wait". */
export function kindOf(verdict) {
  if (!verdict || WAITING.has(verdict.reason)) return "wait";
  if (verdict.reason === "diverged") return "wrong";
  return verdict.should_stop ? "stop" : "go";
}

/** A run on track whose plan is over is finished. */
function isFinished(verdict, ended) {
  return ended && verdict?.reason === "on_track";
}

/** The kind of a row of the table: that of its verdict, or "over" of one that is finished. */
export function kindOfRow(row) {
  return isFinished(row.verdict, hasEnded(row)) ? "over" : kindOf(row.verdict);
}

function words(verdict, ended) {
  if (!verdict) return "no verdict yet";
  if (isFinished(verdict, ended)) return "finished";
  const reason = verdict.reason.replaceAll("_", " ");
  return verdict.should_stop ? `stop: ${reason}` : reason;
}

/** A verdict in words, with a mark of its own shape: never told by its colour alone. */
export function chip(verdict, ended = false) {
  const kind = kindOf(verdict);
  return make(`span.chip.${kind}`, {}, make("span.mark", { "aria-hidden": "true" }, MARKS[kind]), words(verdict, ended));
}

/** Whether a run has done all that was planned. */
export function hasEnded(row) {
  return row.horizon != null && row.step >= row.horizon;
}

const STATES = {
  pending: ["Fitting", "The forecast comes in a moment."],
  no_scalars: [
    "No scalars in this run",
    'Log its loss, for example with SummaryWriter.add_scalar("train/loss", loss, step).',
  ],
  no_loss: ["No tag looks like a loss", "Choose the tag that is the loss."],
  ambiguous: ["Several tags may be the loss", "Choose the one that is meant."],
  few_points: ["Too few points for a forecast", "It comes by itself as training goes on."],
  not_finite: [
    "Every loss is NaN or infinite",
    "The run has diverged, or its loss is logged wrongly. Look at its first steps.",
  ],
  bad_settings: ["The plan does not fit this run", "Mend the plan."],
};

/** What to say of a state other than "ok": a headline, and what to do. */
export function stateWords(state, missing) {
  const [headline, advice] = STATES[state] ?? [state, ""];
  return { headline: missing?.what ?? headline, got: missing?.got ?? null, advice: missing?.do ?? advice };
}

/** In a cell of a table: the state in two words. */
export const STATE_SHORT = {
  pending: "fitting\u2026",
  no_scalars: "no scalars",
  no_loss: "no loss found",
  ambiguous: "which loss?",
  few_points: "too few points",
  not_finite: "no finite loss",
  bad_settings: "plan does not fit",
};

/** A calm box in place of what cannot be shown: what, got, do; and buttons that do it. */
export function notice({ headline, got, advice }, { kind = "info", actions = [] } = {}) {
  const buttons = actions.map(([label, act]) => make("button", { type: "button", onclick: act }, label));
  return make(
    `div.notice.${kind}`,
    { role: kind === "error" ? "alert" : "status" },
    make("strong", {}, headline),
    got != null && got !== "" && make("p.got", {}, `Got: ${got}`),
    advice && make("p", {}, advice),
    buttons.length > 0 && make("div.actions", {}, buttons),
  );
}

/** The notice of something thrown. */
export function failure(error, actions = []) {
  const refused = "advice" in error;
  const told = refused
    ? { headline: error.message, got: error.got, advice: error.advice }
    : {
        headline: "TensorBoard does not answer",
        got: error.message,
        advice: "Look whether it still runs. This page asks again by itself.",
      };
  return notice(told, { kind: "error", actions });
}

/** Grey bars where something is on its way. */
export function skeleton(lines = 3) {
  return make(
    "div.skeleton",
    { role: "status", "aria-label": "loading" },
    Array.from({ length: lines }, () => make("i")),
  );
}

/** A label above a number, and soft words below. */
export function fact(label, value, below = null, name = null) {
  return make(
    "div.fact",
    {},
    make("span.label", {}, label),
    make("span.value", { "data-fact": name }, value),
    below && make("span.below", {}, below),
  );
}

/** A forecast in words: `2.731` and `[2.713, 2.750]`. */
export function forecastWords(forecast) {
  if (!forecast || forecast.median == null) return { median: DASH, interval: "" };
  const text = alike(forecast.lower, forecast.upper);
  return { median: text(forecast.median), interval: `[${text(forecast.lower)}, ${text(forecast.upper)}]` };
}

export const LOSS_NAMES = { val: "validation loss", train: "training loss" };

/** How probable a reason to stop is; of a run on track the number is what the likeliest one leaves, and tells nothing. */
export function sureness(verdict) {
  return verdict?.should_stop ? percent(verdict.probability) : "";
}

/** The last loss of a run, as the command line has it. */
export function lossWords({ loss }) {
  return loss && !Number.isFinite(loss.value) ? "not finite" : number(loss?.value);
}

/** What stands beside a curve: the verdict, the numbers, the points that the fit used. */
export function summary(row, { ontags, onplan }) {
  const { median, interval } = forecastWords(row.forecast);
  const kind = LOSS_NAMES[row.loss?.of] ?? "loss";
  return [
    make(
      `section.card.verdict.${kindOf(row.verdict)}`,
      {},
      make(
        "div.line",
        {},
        chip(row.verdict, hasEnded(row)),
        make("span.soft.num", {}, sureness(row.verdict)),
      ),
      row.verdict && make("p", { "data-fact": "message" }, row.verdict.message),
    ),
    make(
      "section.facts",
      {},
      kindOf(row.verdict) === "wrong" && row.loss // it may have been logged before the run diverged, or after
        ? fact(`last ${kind}`, lossWords(row), null, "loss")
        : fact(`${kind} now`, lossWords(row), row.step == null ? null : `step ${count(row.step)}`, "loss"),
      fact(row.horizon == null ? "forecast of now" : "forecast", median, row.forecast ? `${interval} at ${count(row.forecast.step)}` : whyNone(row), "forecast"),
      row.compute_excess != null && fact("compute", factor(row.compute_excess), "of the least for this loss", "excess"),
      row.num_params != null &&
        fact("parameters", short(row.num_params), row.batch_tokens ? `${short(row.batch_tokens)} tokens a step` : null),
    ),
    row.horizon == null &&
      row.forecast &&
      make(
        "p.small",
        {},
        "No horizon is known, so the forecast is for now. ",
        make("button.link", { type: "button", onclick: onplan }, "Give the plan"),
      ),
    make("p.soft.small", { "data-fact": "points" }, pointsWords(row.points)),
    make(
      "p.soft.small",
      { "data-fact": "tags" },
      tagWords(row.tags),
      " ",
      make("button.link", { type: "button", onclick: ontags }, "change"),
    ),
  ].filter(Boolean);
}

/** Why there is no forecast: more losses bring one, or none is to be had any more. */
function whyNone(row) {
  return row.verdict?.reason === "diverged" ? "none: it diverged" : "not yet";
}

function tagWords(tags) {
  const used = ["train", "val", "lr"].map((of) => tags?.[of]).filter(Boolean);
  return used.length ? `Read from ${used.join(", ")}.` : "No tag is read.";
}

/** How many points the fit used. */
export function pointsWords(points) {
  if (!points) return "";
  const kinds = [
    ["train", "training"],
    ["val", "validation"],
  ].filter(([name]) => points[name] > 0);
  if (!kinds.length) return "The fit has no points yet.";
  const used = kinds.map(([name, word]) => `${count(points[name])} ${word}`).join(" and ");
  const note = points.sampled
    ? " TensorBoard holds a sample of them: start it with --samples_per_plugin\u00a0scalars=1000000 for all."
    : "";
  return `The fit used ${used} losses.${note}`;
}

/** The last losses in a small line. */
export function spark(values) {
  const width = 72,
    height = 18;
  const known = (values ?? []).filter(Number.isFinite);
  if (known.length < 2) return null;
  const low = Math.min(...known),
    span = Math.max(...known) - low || 1;
  const points = known.map(
    (v, i) =>
      `${((i * width) / (known.length - 1)).toFixed(1)},${(height - 2 - ((height - 4) * (v - low)) / span).toFixed(1)}`,
  );
  return draw(
    "svg",
    { class: "spark", viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" },
    draw("polyline", { points: points.join(" ") }),
  );
}

/** Where a forecast lies among those of the table: the interval as a bar, its median, and the loss now. */
export function range(row, low, high) {
  const width = 96,
    height = 18,
    middle = height / 2;
  const at = (v) => (3 + (width - 6) * Math.min(1, Math.max(0, (v - low) / (high - low || 1)))).toFixed(1);
  const { forecast } = row;
  const marks = [draw("line", { class: "base", x1: 0, x2: width, y1: middle, y2: middle })];
  if (forecast?.median != null) {
    const from = at(forecast.lower),
      to = at(forecast.upper);
    marks.push(
      draw("rect", {
        class: "band",
        x: from,
        y: middle - 4,
        width: Math.max(1.5, to - from).toFixed(1),
        height: 8,
        rx: 2,
      }),
    );
    marks.push(
      draw("line", {
        class: "median",
        x1: at(forecast.median),
        x2: at(forecast.median),
        y1: middle - 6,
        y2: middle + 6,
      }),
    );
  }
  if (row.loss?.value != null) marks.push(draw("circle", { class: "now", cx: at(row.loss.value), cy: middle, r: 2.4 }));
  return draw("svg", { class: "range", viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" }, marks);
}

/** A table from heads and rows of cells; a cell may be an element. */
export function table(heads, rows, { name = null } = {}) {
  const head =
    heads.some(Boolean) &&
    make(
      "thead",
      {},
      make(
        "tr",
        {},
        heads.map((text) => make("th", { scope: "col" }, text)),
      ),
    );
  const body = rows.map((cells) =>
    make(
      "tr",
      {},
      cells.map((cell) => make("td", {}, cell)),
    ),
  );
  return make("div.scroll", {}, make("table.small", { "data-table": name }, head, make("tbody", {}, body)));
}

/** A checkbox with its words. */
export function tick(label, checked, onchange) {
  return make(
    "label.tick",
    {},
    make("input", { type: "checkbox", checked, onchange: (e) => onchange(e.target.checked) }),
    label,
  );
}

let groups = 0; // radio buttons of one name belong together, wherever they stand

/** One of few: a row of radio buttons; `why` says of each why it cannot be had. */
export function choice(label, options, value, onchange, why = {}) {
  const name = `choice-${(groups += 1)}`;
  const radios = options.map(([key, text]) =>
    make(
      "label",
      { title: why[key] ?? null },
      make("input", {
        type: "radio",
        name,
        value: key,
        checked: key === value,
        disabled: Boolean(why[key]),
        onchange: () => onchange(key),
      }),
      make("span", {}, text),
    ),
  );
  return make("div.choice", { role: "radiogroup", "aria-label": label }, radios);
}
