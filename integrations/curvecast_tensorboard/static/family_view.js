// A law across runs of different sizes, and the next size that it foretells.

import { ask, latest } from "./api.js";
import { alike, count, flop, formula, make, number, percent, short, symbol, unfolding } from "./dom.js";
import { choice, fact, failure, forecastWords, notice, skeleton, stateWords, table } from "./parts.js";
import { plot } from "./plot.js";
import { change, state } from "./state.js";
import { theme } from "./theme.js";

const MOST_NAMED = 3; // runs far off the law
const REFIT_EVERY = 20_000; // milliseconds, at most
const LAWS = [
  ["best", "the best of both"],
  ["chinchilla", "Chinchilla"],
  ["coupled", "coupled"],
];
const FORMULAS = {
  chinchilla: "L = E + A_N/N^alpha_N + A_D/D^alpha_D",
  coupled: "L = E + [(A_N/N^alpha_N)^(1/kappa) + (A_D/D^alpha_D)^(1/kappa)]^kappa",
};

export function familyView(app) {
  const budget = make("input.budget", {
    name: "flops",
    value: state.flops,
    placeholder: "ten times the largest",
    "aria-label": "compute of the next size in FLOP",
    onchange: () => (change({ flops: budget.value.trim() }), refresh()),
  });
  const told = make("div.told");
  const law = make("div.figure", { id: "family" });
  const isoflop = make("div.figure", { id: "isoflop" });
  const aside = make("div.stack");
  const below = make("div.below");
  const figures = make("div.main", {}, law, isoflop);
  const content = make("div.split", { hidden: true }, figures, make("aside", {}, aside));
  const pick = choice("law", LAWS, state.law, (value) => (change({ law: value }), refresh()));
  const node = make(
    "section.view",
    {},
    make("div.bar", {}, pick, make("label.inline", {}, "next size: compute [FLOP]", budget)),
    told,
    content,
    below,
  );
  let shown = false;
  let asked = 0; // when, in milliseconds
  let waiting = 0;

  const refresh = latest(async () => {
    asked = Date.now();
    if (!shown)
      told.replaceChildren(
        make("p.soft", {}, "Fitting one law to all runs: a few seconds the first time."),
        skeleton(6),
      );
    else content.classList.add("stale");
    try {
      const own = Object.keys(state.own).length ? state.own : null;
      await fill(await ask("family", { law: state.law, flops: state.flops, theme: theme(), own, ...state.settings }));
    } catch (error) {
      told.replaceChildren(failure(error, [["Try again", () => refresh()]]));
    } finally {
      content.classList.remove("stale");
    }
  });

  /** A fit takes seconds, so that runs that grow do not ask for one at every step. */
  function later() {
    if (waiting || app.counts.pending) return;
    waiting = setTimeout(
      () => {
        waiting = 0;
        if (node.isConnected) refresh();
      },
      Math.max(0, asked + REFIT_EVERY - Date.now()),
    );
  }

  async function fill(answer) {
    const fits = answer.state === "ok";
    shown = fits;
    content.hidden = !fits;
    told.replaceChildren(...(fits ? [] : [sizesNeeded(answer)]));
    below.replaceChildren(...leftOut(answer.left_out));
    if (!fits) return;
    aside.replaceChildren(...(answer.next ? nextSize(answer.next) : [noNext(answer.no_next)]), ...lawCard(answer.law, answer.runs));
    isoflop.hidden = !answer.isoflop;
    below.prepend(runsTable(app, answer.runs ?? []));
    await Promise.all([plot(law, answer.figure), plot(isoflop, answer.isoflop)]);
  }

  function sizesNeeded({ state: found, missing }) {
    const known = stateWords(found, missing);
    const advice =
      missing?.do ?? "A law needs runs of two sizes or more, each with its parameters and its tokens a step.";
    const headline = found === "few_points" && !missing ? "Too few sizes for a law" : known.headline;
    return notice(
      { ...known, headline, advice },
      {
        actions: [
          ["Give sizes under Plan", () => app.plan()],
          ["All runs", () => app.go("Runs")],
        ],
      },
    );
  }

  return {
    node,
    show: refresh,
    refresh,
    rowsChanged: (changed) => changed.size && later(),
  };
}

function noNext({ what, got, do: advice }) {
  return notice({ headline: `No next size. ${what}`, got, advice });
}

function nextSize(next) {
  const { median, interval } = forecastWords({ ...next, median: next.loss });
  return [
    make("h3", {}, "The next size"),
    make(
      "section.facts",
      {},
      fact("loss", median, interval, "next"),
      fact("parameters", short(next.num_params), flop(next.flops)),
      fact("tokens", short(next.num_tokens), next.steps == null ? null : `${count(next.steps)} steps`),
    ),
  ];
}

function lawCard(law, runs) {
  if (!law) return [];
  const rows = law.parameters.map((each) => {
    const text = alike(each.lower, each.upper);
    return [
      make("span.formula", {}, symbol(each.name)),
      text(each.value),
      `[${text(each.lower)}, ${text(each.upper)}]`,
    ];
  });
  return [
    make("h3", {}, "The law"),
    FORMULAS[law.name] && make("p.formula", {}, formula(FORMULAS[law.name])),
    table(["", "value", "90 %"], rows, { name: "law" }),
    law.scatter != null && make("p.soft.small", { id: "scatter" }, scattered(law.scatter, runs ?? [])),
    law.held_out && make("p.small", {}, heldOut(law.held_out)),
    law.notes?.length > 0 &&
      make(
        "ul.soft.small",
        {},
        law.notes.map((text) => make("li", {}, text)),
      ),
    make("p.soft.small", {}, law.source),
  ].filter(Boolean);
}

/** How far the runs lie about the law; those that were left out of that figure are named, for it is not theirs. */
function scattered(scatter, runs) {
  const far = runs.filter((each) => each.far_off).map((each) => `${each.run} (${percent(each.residual, 1)})`);
  const named = far.length > MOST_NAMED ? [...far.slice(0, MOST_NAMED), `${far.length - MOST_NAMED} more`] : far;
  return `The runs lie ${percent(scatter, 2)} about it${far.length ? `, but for some far off: ${named.join(", ")}` : ""}.`;
}

/** How well the largest runs were foretold by a fit of the smaller ones. */
function heldOut({ trained_up_to, num_params, runs, error, covered }) {
  const check = `A check: fitted up to ${short(trained_up_to)} parameters, the law foretells the last`;
  const size = short(num_params);
  if (runs === 1) {
    const where = covered ? "inside" : "outside";
    return `${check} loss of a run of ${size} ${percent(error, 2)} off, which is ${where} its 90 % interval.`;
  }
  return (
    `${check} losses of ${count(runs)} runs of up to ${size} ${percent(error, 2)} off at the median; ` +
    `${percent(covered)} of them lie inside its 90 % interval.`
  );
}

function runsTable(app, runs) {
  const rows = runs.map((each) => [
    make("button.link", { type: "button", onclick: () => app.open(each.run) }, each.run),
    short(each.num_params),
    short(each.num_tokens),
    number(each.loss),
    each.residual == null ? "" : percent(each.residual, 2),
  ]);
  return make(
    "section",
    {},
    make("h3", {}, "What it was fitted to"),
    table(["run", "parameters", "tokens", "loss", "off the law"], rows, { name: "fitted" }),
  );
}

function leftOut(runs = []) {
  if (!runs.length) return [];
  const lines = runs
    .slice(0, 50)
    .map((each) =>
      make("li", {}, make("b", {}, each.run), `: ${each.missing?.what ?? "no size"}. ${each.missing?.do ?? ""}`),
    );
  const more = runs.length > 50 ? [make("li", {}, `and ${count(runs.length - 50)} more`)] : [];
  return [unfolding("left out", `${count(runs.length)} left out`, make("ul", {}, lines, more))];
}
