// What would have been said at an earlier step, against what came.

import { debounced } from "./api.js";
import { count, make, number } from "./dom.js";
import { chip, fact, forecastWords, kindOf, skeleton, sureness, table, tick } from "./parts.js";
import { ask, plot, runView } from "./run_view.js";
import { change, settingsOf, state } from "./state.js";
import { theme } from "./theme.js";

const PAUSE = 40; // milliseconds a slider must rest

export function hindsightView(app) {
  let steps = [];
  const figure = make("div.figure", { id: "hindsight" });
  const narrowing = make("div.figure.half", { id: "narrowing" });
  const narrowingTable = make("details.notes");
  const aside = make("div.stack");
  const where = make("output.num", { for: "asof" });
  const slider = make("input", {
    id: "asof",
    type: "range",
    min: 0,
    max: 0,
    "aria-label": "as of step",
    oninput: () => slide(),
  });
  const rest = debounced(() => (change({}), view.refresh()), PAUSE);
  const view = runView(app, {
    controls: [
      make("label.slider", {}, make("span", {}, "as of step"), slider, where),
      tick("log x", state.log_x, (on) => (change({ log_x: on }), view.refresh())),
    ],
    main: [figure],
    aside: [aside],
    below: [make("h3", {}, "How the forecast narrowed"), narrowing, narrowingTable],
    load: (run, common) => ask("hindsight", { ...common, step: state.asof || null, log_x: state.log_x }),
    fill,
  });

  function slide() {
    state.asof = steps[Number(slider.value)];
    where.textContent = count(state.asof);
    slider.setAttribute("aria-valuetext", `step ${count(state.asof)}`);
    rest();
  }

  async function fill(answer) {
    steps = answer.steps ?? [];
    slider.max = Math.max(0, steps.length - 1);
    slider.disabled = steps.length < 2;
    if (document.activeElement !== slider || !state.asof) {
      slider.value = nearest(steps, answer.step);
      where.textContent = count(answer.step);
      slider.setAttribute("aria-valuetext", `step ${count(answer.step)}`);
    }
    aside.replaceChildren(...said(answer));
    await Promise.all([plot(figure, answer.figure), narrow(answer.run, answer.last_step)]);
  }

  let narrowed = "";
  /** The second figure changes with the run, not with the slider. */
  async function narrow(run, last) {
    const key = JSON.stringify([run, last, theme(), settingsOf(run)]);
    if (key === narrowed) return;
    narrowed = key;
    if (!narrowing.data) narrowing.replaceChildren(skeleton(3));
    try {
      const answer = await ask("narrowing", { run, theme: theme(), ...settingsOf(run) });
      if (key !== narrowed) return;
      if (!narrowing.data) narrowing.replaceChildren();
      await plot(narrowing, answer.figure);
      const rows = (answer.rows ?? []).map((each) => {
        const { median, interval } = forecastWords(each);
        return [count(each.step), median, interval];
      });
      narrowingTable.replaceChildren(
        make("summary", {}, "as a table"),
        table(["as of step", "forecast", "90 %"], rows, { name: "narrowing" }),
      );
    } catch (error) {
      narrowed = "";
      throw error;
    }
  }
  return view;
}

function nearest(steps, step) {
  let best = 0;
  steps.forEach((each, i) => {
    if (Math.abs(each - step) < Math.abs(steps[best] - step)) best = i;
  });
  return best;
}

/** What was said then, and what came. */
function said({ then, came, verdict, step }) {
  const { median, interval } = forecastWords(then);
  const verdictCard = make(
    `section.card.verdict.${kindOf(verdict)}`,
    {},
    make("div.line", {}, chip(verdict), make("span.soft.num", {}, sureness(verdict))),
    verdict && make("p", {}, verdict.message),
  );
  const facts = [
    fact(
      `said at ${count(step)}`,
      median,
      then ? `${interval} for ${count(then.step)}` : "too early for a forecast",
      "then",
    ),
  ];
  if (came?.value != null) facts.push(fact("what came", number(came.value), `at ${count(came.step)}`, "came"));
  const outcome =
    then &&
    came?.off != null &&
    make(
      "p.outcome",
      { "data-fact": "outcome" },
      make(
        `span.chip.${came.inside ? "go" : "stop"}`,
        {},
        make("span.mark", { "aria-hidden": "true" }, came.inside ? "\u25CF" : "\u25A0"),
        came.inside ? "inside the 90 % interval" : "outside the 90 % interval",
      ),
      make("span.num", {}, `${came.off >= 0 ? "+" : "\u2212"}${(100 * Math.abs(came.off)).toFixed(2)} % off`),
    );
  return [make("section.facts", {}, facts), outcome, verdictCard].filter(Boolean);
}
