// What the views of one run have in common: which run, its states, one question at a time.

import { ask, latest } from "./api.js";
import { make } from "./dom.js";
import { failure, notice, skeleton, stateWords } from "./parts.js";
import { plot } from "./plot.js";
import { takeTag, tagPicker } from "./plan.js";
import { settingsOf, state } from "./state.js";
import { theme } from "./theme.js";

/** Buttons and a list to choose the run. */
function runBar(app) {
  const list = make("select", { id: "run", "aria-label": "run", onchange: () => app.open(list.value, state.view) });
  const by = (way, text, hint) =>
    make("button.step", { type: "button", title: hint, "aria-label": hint, onclick: () => app.beside(way) }, text);
  const bar = make("div.runbar", {}, by(-1, "\u2039", "previous run ( [ )"), list, by(+1, "\u203A", "next run ( ] )"));
  let known = "";
  const fill = () => {
    const names = app.names();
    const key = JSON.stringify(names);
    if (key !== known) {
      known = key;
      list.replaceChildren(...names.map((name) => make("option", { value: name }, name)));
    }
    list.value = state.run ?? "";
  };
  return { bar, fill };
}

const UNREAD = new Set(["no_scalars", "no_loss", "ambiguous", "bad_settings"]); // there is no curve to speak of

/**
 * A view of one run.
 *
 * `controls` stand beside the run's name, `main` and `aside` below it side by side, `below` under both: nodes.
 * `load(run, common)` asks with the parameters that all routes of a run take; `fill(answer)` shows the answer.
 */
export function runView(app, { controls = [], main, aside, below = [], load, fill }) {
  const { bar, fill: fillBar } = runBar(app);
  const told = make("div.told");
  const content = make("div.split", {}, make("div.main", {}, main), make("aside", {}, aside));
  const rest = make("div.below", {}, below);
  const node = make("section.view", {}, make("div.bar", {}, bar, controls), told, content, rest);
  let loadedFor = null;
  let shownRow = null; // the run's row of the table, as it stood in the answer

  const refresh = latest(async () => {
    const run = state.run;
    if (run == null || !app.rows.has(run)) return nobody(run);
    if (loadedFor !== run) told.replaceChildren(skeleton(6));
    if (loadedFor !== run) hide(true);
    try {
      const answer = await load(run, { run, theme: theme(), ...settingsOf(run) });
      if (run !== state.run) return;
      loadedFor = run;
      shownRow = JSON.stringify(answer.row ?? null);
      told.replaceChildren(...odd(run, answer));
      hide(UNREAD.has(answer.state));
      await fill(answer);
    } catch (error) {
      if (error.status === 404) return nobody(run);
      told.replaceChildren(failure(error, [["Try again", () => refresh()], ...mend(error)]));
      if (loadedFor !== run) hide(true);
    }
  });

  const mend = (error) => (error.status === 400 ? [["Change the plan", () => app.plan()]] : []);

  function hide(on) {
    content.hidden = on;
    rest.hidden = on;
  }

  /** What to say above a run of which not all can be shown. */
  function odd(run, { state: found, missing }) {
    if (found === "ok") return [];
    const actions = found === "bad_settings" ? [["Change the plan", () => app.plan()]] : [];
    const box = notice(stateWords(found, missing), { actions });
    if (found === "no_loss" || found === "ambiguous") {
      box.append(tagPicker(run, (of, tag) => (takeTag(run, of, tag), app.replanned())));
    }
    return [box];
  }

  function nobody(run) {
    hide(true);
    loadedFor = null;
    if (!app.loaded) return told.replaceChildren(skeleton(6));
    const words =
      run == null
        ? {
            headline: "No run yet",
            advice: "Log a loss into the folder that TensorBoard watches; it appears here by itself.",
          }
        : {
            headline: `There is no run ${run} any more`,
            advice: "It was deleted, or TensorBoard watches another folder now. Choose another one.",
          };
    return told.replaceChildren(notice(words, { actions: [["All runs", () => app.go("Runs")]] }));
  }

  const show = () => {
    fillBar();
    return refresh();
  };
  const rowsChanged = (changed) => {
    fillBar();
    const isNew = changed.has(state.run) && JSON.stringify(app.rows.get(state.run)) !== shownRow;
    if (isNew || (loadedFor !== state.run && app.rows.has(state.run))) refresh();
  };
  return { node, show, rowsChanged, refresh };
}

export { ask, plot };
