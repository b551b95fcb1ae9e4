// The forecast under another plan: a longer run, a cooldown, another size.

import { debounced } from "./api.js";
import { count, flop, make, number, short } from "./dom.js";
import { choice, fact, forecastWords, table, tick } from "./parts.js";
import { ask, plot, runView } from "./run_view.js";
import { change, state } from "./state.js";

const DIVERGED = "The run has diverged. These are forecasts of the run as it was before: go back to a checkpoint first.";
const PAUSE = 40;
const TICKS = 200; // places of a slider
const SHAPES = [
  ["linear", "linear"],
  ["cosine", "cosine"],
  ["sqrt", "1 \u2212 sqrt"],
];

export function whatIfView(app) {
  const figure = make("div.figure", { id: "whatif" });
  const aside = make("div.stack");
  const rest = debounced(() => (change({}), view.refresh()), PAUSE);
  const move = (values) => {
    state.asked = { ...state.asked, ...values };
    rest();
  };
  const sliders = {
    new_horizon: slider("new_horizon", "train to step", count, true),
    cooldown_steps: slider("cooldown_steps", "cool down over", (v) => (v ? `${count(v)} steps` : "none"), false),
    cooldown_start: slider("cooldown_start", "cooldown begins at", count, false),
    new_params: slider("new_params", "the same compute on", (v) => `${short(v)} parameters`, true),
  };
  const shape = choice("shape", SHAPES, "linear", (value) => move({ cooldown_shape: value }));
  const reset = make("button", { type: "button", onclick: () => (change({ asked: {} }), view.refresh()) }, "Back to the plan");
  const panel = make(
    "section.card.sliders",
    { id: "sliders" },
    sliders.new_horizon.node,
    sliders.cooldown_steps.node,
    sliders.cooldown_start.node,
    make("div.slider", {}, make("span", {}, "shape of the cooldown"), shape),
    sliders.new_params.node,
    reset,
  );
  const view = runView(app, {
    controls: [tick("log x", state.log_x, (on) => (change({ log_x: on }), view.refresh()))],
    main: [figure],
    aside: [panel, aside],
    load: (run, common) => ask("whatif", { ...common, ...state.asked, log_x: state.log_x }),
    fill,
  });

  /** A slider over limits that the server gives; large spans move by ratio. */
  function slider(name, label, text, byRatio) {
    let limits = null;
    let now = 0; // what is asked for, or stands
    const out = make("input.exact", {
      type: "text",
      inputmode: "numeric",
      "aria-label": `${label}: exactly`,
      onfocus: () => out.select(),
      onchange: () => typed(),
    });
    const input = make("input", {
      type: "range",
      name,
      min: 0,
      max: TICKS,
      "aria-label": label,
      oninput: () => slid(),
    });
    const node = make("div.slider", {}, make("span", {}, label), input, out);
    const value = () => {
      const [low, high] = limits;
      const share = Number(input.value) / TICKS;
      return Math.round(byRatio ? low * (high / low) ** share : low + (high - low) * share);
    };
    const say = (v) => {
      now = v;
      out.value = text(v);
      input.setAttribute("aria-valuetext", text(v));
    };
    const typed = () => {
      const [low, high] = limits;
      const wanted = amount(out.value);
      if (wanted == null) return say(now);
      place(wanted);
      move({ [name]: Math.min(high, Math.max(low, wanted)) });
    };
    const place = (wanted) => {
      const [low, high] = limits;
      const at = Math.min(high, Math.max(low, wanted));
      const share = high <= low ? 0 : byRatio ? Math.log(at / low) / Math.log(high / low) : (at - low) / (high - low);
      input.value = Math.round(TICKS * share);
      input.disabled = out.disabled = high <= low;
      say(at);
    };
    const slid = () => {
      say(value());
      move({ [name]: value() });
    };
    const set = (found, stands) => {
      limits = found;
      node.hidden = !found;
      if (found && document.activeElement !== input && document.activeElement !== out) place(stands ?? found[0]);
    };
    return { node, set };
  }

  async function fill(answer) {
    const { limits, ended, size, row } = answer;
    panel.hidden = !limits;
    if (limits) {
      sliders.new_horizon.set(limits.new_horizon, ended?.new_horizon);
      sliders.cooldown_steps.set(limits.cooldown_steps, ended?.cooldown_steps ?? 0);
      sliders.cooldown_start.set(ended?.cooldown_steps ? limits.cooldown_start : null, ended?.cooldown_start);
      sliders.new_params.set(
        limits.new_params,
        size?.new_params ?? row?.num_params ?? app.rows.get(answer.run)?.num_params,
      );
      shape.parentElement.hidden = !ended?.cooldown_steps;
      for (const radio of shape.querySelectorAll("input"))
        radio.checked = radio.value === (ended?.cooldown_shape ?? "linear");
    }
    reset.hidden = !Object.keys(state.asked).length;
    const shown = row ?? app.rows.get(answer.run);
    const give = shown?.horizon == null && (() => app.plan());
    aside.replaceChildren(
      ...(shown?.verdict?.reason === "diverged" ? [make("p.small", { "data-fact": "diverged" }, DIVERGED)] : []),
      ...outcome(answer, Object.keys(state.asked).length > 0, give),
    );
    await plot(figure, answer.figure);
  }
  return view;
}

/** From the plan as it stands to the plan that is asked about; where there is none, `give` leads to it. */
function outcome({ base, forecast, change: by, cost, size, notes, limits }, moved, give) {
  const [was, is] = [forecastWords(base), forecastWords(forecast)];
  const parts = [];
  if (base) {
    parts.push(
      make(
        "section.facts",
        {},
        fact(give ? "now" : "as planned", was.median, `${was.interval} at ${count(base.step)}`, "base"),
        fact("what if", is.median, forecast && `${is.interval} at ${count(forecast.step)}`, "whatif"),
        moved && by != null && fact("change", signed(by), cost && `${count(cost.steps)} steps to go`, "change"),
        cost?.flops != null &&
          fact("compute", flop(cost.flops), cost.base_flops ? `planned: ${flop(cost.base_flops)}` : null),
      ),
    );
  }
  if (base && give)
    parts.push(
      make(
        "p.small",
        { "data-fact": "endless" },
        "No horizon is known, so nothing is planned yet: move the slider to the step that you would train to, or ",
        make("button.link", { type: "button", onclick: give }, "give the plan"),
        ".",
      ),
    );
  if (size) {
    const asked = [
      `${short(size.new_params)} parameters`,
      `${count(size.steps)} steps`,
      make("span", { "data-fact": "size" }, number(size.loss)),
    ];
    const rows = [
      ["this size", "", number(size.base_loss)],
      ...(size.loss === size.base_loss ? [] : [asked]),
      [`best: ${short(size.best_params)}`, "", number(size.best_loss)],
    ];
    parts.push(
      make(
        "section",
        {},
        make("h3", {}, "The same compute on another size"),
        table(["", "", "loss"], rows, { name: "size" }),
        make("p.soft.small", {}, `By the law ${String(size.law).replaceAll("_", " ")}.`),
      ),
    );
  } else if (limits) {
    parts.push(
      make("p.soft.small", {}, "Other sizes need the run's parameters and tokens a step: give them under Plan."),
    );
  }
  if (notes?.length)
    parts.push(
      make(
        "ul.soft.small",
        {},
        notes.map((text) => make("li", {}, text)),
      ),
    );
  return parts;
}

/** What somebody typed: 20000, 20,000 or 20k; `null` where that is no number. */
function amount(text) {
  if (text.trim() === "none") return 0;
  const found = text.replaceAll(",", "").match(/^\s*(\d+\.?\d*(?:e\d+)?)\s*([kMBT]?)/i);
  return found && Math.round(Number(found[1]) * { "": 1, K: 1e3, M: 1e6, B: 1e9, T: 1e12 }[found[2].toUpperCase()]);
}

function signed(value) {
  return `${value > 0 ? "+" : value < 0 ? "\u2212" : ""}${Math.abs(value).toPrecision(3)}`;
}
