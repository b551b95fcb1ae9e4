// One run: what was seen, where it will end, what can be done now.

import { DASH, alike, count, flop, make, number, unfolding } from "./dom.js";
import { choice, summary, table, tick } from "./parts.js";
import { ask, plot, runView } from "./run_view.js";
import { change, state } from "./state.js";

export const AXES = [
  ["step", "steps"],
  ["token", "tokens"],
  ["flop", "FLOP"],
  ["time", "time"],
];

export function curveView(app) {
  const figure = make("div.figure", { id: "curve" });
  const aside = make("div.stack");
  const axis = make("div.slot");
  const view = runView(app, {
    controls: [
      axis,
      tick("log x", state.log_x, (on) => (change({ log_x: on }), view.refresh())),
      tick("log y", state.log_y, (on) => (change({ log_y: on }), view.refresh())),
    ],
    main: [figure],
    aside: [aside],
    load: (run, common) => ask("curve", { ...common, x: state.x, log_x: state.log_x, log_y: state.log_y }),
    fill,
  });

  async function fill(answer) {
    const pick = (x) => (change({ x }), view.refresh());
    if (!axis.contains(document.activeElement))
      axis.replaceChildren(choice("x axis", AXES, answer.x, pick, answer.axes ?? {}));
    aside.replaceChildren(
      ...(answer.row ? summary(answer.row, { ontags: () => app.plan({ tags: true }), onplan: () => app.plan() }) : []),
      ...choices(answer.choices),
      ...marks(answer.details),
      ...notes(answer.notes),
    );
    await plot(figure, answer.figure);
  }
  return view;
}

/** What can be done now, each with what it brings and costs. */
function choices(found) {
  if (!found?.length) return [];
  const rows = found.map((each) => {
    const text = alike(each.lower, each.upper);
    const span = `[${text(each.lower)}, ${text(each.upper)}]`;
    return [
      make("span", { title: each.text }, each.name.replaceAll("_", " ")),
      twoLines(text(each.loss), each.lower < each.upper && span),
      costs(each),
    ];
  });
  return [
    make(
      "section",
      {},
      make("h3", {}, "What can be done now"),
      table(["", "loss", "costs"], rows, { name: "choices" }),
    ),
  ];
}

/** Time first, which is what a night or a bill is counted in; then steps and compute. */
function costs(each) {
  if (!each.steps) return twoLines(DASH);
  const [first, ...others] = [each.takes, `${count(each.steps)} steps`, each.flops && flop(each.flops)].filter(Boolean);
  return twoLines(first, others.join(" \u00B7 "));
}

/** A number, and below it softly what belongs to it: side by side they would be cut off beside a figure. */
function twoLines(first, below) {
  return make("span.num", {}, first, below && make("div.soft.small", {}, below));
}

const DETAILS = {
  efficient_step_median: ["compute-efficient step", count],
  best_step: ["best validation step", count],
  best_loss: ["best validation loss", number],
};

/** The numbers behind the marks in the figure, with their intervals where there are. */
function marks(details = {}) {
  const rows = Object.entries(DETAILS)
    .filter(([key]) => details[key] != null)
    .map(([key, [name, text]]) => {
      const stem = key.replace(/_median$/, "");
      const [low, high] = [details[`${stem}_lower`], details[`${stem}_upper`]];
      return [
        name,
        make(
          "span.num",
          {},
          text(details[key]),
          low != null && high != null && make("span.soft", {}, ` [${text(low)}, ${text(high)}]`),
        ),
      ];
    });
  return rows.length ? [make("section", {}, make("h3", {}, "Marks"), table(["", ""], rows, { name: "marks" }))] : [];
}

function notes(found) {
  if (!found?.length) return [];
  const lines = found.map((text) => make("li", {}, text));
  return [unfolding("notes", "How the log was read", make("ul", {}, lines))];
}
