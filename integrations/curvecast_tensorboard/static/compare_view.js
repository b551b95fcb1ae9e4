// Several runs on one axis, and which ends below which.

import { ask, latest } from "./api.js";
import { arrange, chance, count, make, number, percent } from "./dom.js";
import { saveCsv } from "./download.js";
import { AXES } from "./curve_view.js";
import { chip, choice, failure, forecastWords, hasEnded, notice, skeleton, stateWords, table, tick } from "./parts.js";
import { plot } from "./plot.js";
import { change, state } from "./state.js";
import { theme } from "./theme.js";

const MOST = 12,
  AT_FIRST = 4;

export function compareView(app) {
  const names = make("datalist", { id: "others" });
  const add = make("input", {
    id: "add",
    type: "search",
    list: "others",
    placeholder: "add a run\u2026",
    "aria-label": "add a run",
    onkeydown: (event) => event.key === "Enter" && take((name) => name.toLowerCase().includes(add.value.toLowerCase())),
    oninput: (event) => event.inputType === "insertReplacementText" && take((name) => name === add.value), // from the list
  });
  const axis = make("div.slot");
  const told = make("div.told");
  const figure = make("div.figure", { id: "comparison" });
  const best = make("p.best", { id: "best", "aria-live": "polite" });
  const lists = make("div.lists");
  const save = make("button", { type: "button", title: "save the table below as a CSV file" }, "CSV");
  const log = (name) => tick(name.replace("_", " "), state[name], (on) => (change({ [name]: on }), refresh()));
  const chips = make("div.picked");
  const node = make(
    "section.view",
    {},
    make("div.bar", {}, axis, log("log_x"), log("log_y"), make("span.grow"), add, names, save),
    chips,
    told,
    best,
    figure,
    lists,
  );
  let shownFor = "";
  let offered = "";
  let others = []; // runs that can be added

  /** The runs that were picked, or else the first of the table that have a forecast. */
  function runs() {
    const picked = state.picked.filter((run) => app.rows.has(run)).slice(0, MOST);
    if (picked.length) return picked;
    return [...app.rows.values()]
      .filter((row) => row.state === "ok")
      .slice(0, AT_FIRST)
      .map((row) => row.run);
  }

  function pick(names) {
    change({ picked: [...new Set(names)].slice(0, MOST) });
    show();
  }

  const refresh = latest(async () => {
    const run = runs();
    if (run.length < 2) return few();
    const key = JSON.stringify(run);
    if (key !== shownFor) told.replaceChildren(skeleton(5));
    try {
      const own = Object.keys(state.own).length ? state.own : null;
      const answer = await ask("compare", {
        run,
        align: state.align,
        log_x: state.log_x,
        log_y: state.log_y,
        theme: theme(),
        own,
        ...state.settings,
      });
      shownFor = key;
      await fill(answer);
    } catch (error) {
      told.replaceChildren(failure(error, [["Try again", () => refresh()]]));
    }
  });

  function few() {
    shownFor = "";
    plot(figure, null);
    lists.replaceChildren();
    best.replaceChildren();
    save.disabled = true;
    if (!app.loaded) return told.replaceChildren(skeleton(5));
    const advice =
      app.rows.size < 2 ? "There is only one run here yet." : "Tick them in the table of runs, or add them above.";
    return told.replaceChildren(
      notice({ headline: "Pick two runs or more", advice }, { actions: [["All runs", () => app.go("Runs")]] }),
    );
  }

  async function fill(answer) {
    const { state: found, missing, colors = {}, below = [], left_out = [] } = answer;
    const rows = [...(answer.rows ?? [])].sort((a, b) => end(a) - end(b)); // what ends lowest stands first
    const chances = chancesOf(below);
    told.replaceChildren(...(found === "ok" ? [] : [notice(stateWords(found, missing))]));
    const to = (align) => (change({ align }), refresh());
    if (!axis.contains(document.activeElement))
      axis.replaceChildren(choice("align by", AXES.slice(0, 3), answer.align, to, answer.axes ?? {}));
    for (const chipNode of chips.children) chipNode.firstChild.style.background = colors[chipNode.dataset.run] ?? "";
    best.replaceChildren(...lowest(rows, chances));
    save.disabled = !rows.length;
    save.onclick = () => saveCsv("curvecast compare", lines(rows, chances));
    lists.replaceChildren(
      runsTable(rows, colors),
      ...(below.length ? [matrix(rows.map((row) => row.run), chances, colors)] : []),
      ...left_out.map((each) =>
        make("p.soft.small", {}, `${each.run} is left out: ${stateWords(each.state, each.missing).headline}.`),
      ),
    );
    await plot(figure, answer.figure, { legend: false });
  }

  function runsTable(rows, colors) {
    const cells = rows.map((row) => {
      const { median, interval } = forecastWords(row.forecast);
      const name = make("button.link", { type: "button", onclick: () => app.open(row.run) }, row.run);
      return [
        make("span.with-swatch", {}, swatch(colors[row.run]), name),
        number(row.loss?.value),
        make("span.forecast", {}, median, " ", make("span.soft", {}, interval)),
        row.forecast ? count(row.forecast.step) : "",
        chip(row.verdict, hasEnded(row)),
      ];
    });
    return make("section", {}, make("h3", {}, "Where they end, the lowest first"), compared(cells));
  }

  const compared = (cells) => table(["run", "now", "forecast, 90 %", "at step", "verdict"], cells, { name: "compared" });

  /** The runs that are compared and those that can be added; a list that is open stays so while runs grow. */
  function offer() {
    const now = runs();
    others = app.names().filter((name) => !now.includes(name));
    const key = JSON.stringify([now, others]);
    if (key === offered) return;
    offered = key;
    const known = new Map([...chips.children].map((node) => [node.dataset.run, node]));
    arrange(
      chips,
      now.map((run) => known.get(run) ?? picked(run)),
    );
    names.replaceChildren(...others.map((name) => make("option", { value: name })));
    add.disabled = now.length >= MOST || !others.length;
  }

  /** Add the first of the other runs that fits. */
  function take(fits) {
    const found = add.value && others.find(fits);
    if (!found) return;
    add.value = "";
    pick([...runs(), found]);
  }

  function picked(run) {
    const away = () => pick(runs().filter((other) => other !== run));
    return make(
      "span.pick",
      { "data-run": run },
      swatch(),
      make("span", {}, run),
      make("button", { type: "button", "aria-label": `remove ${run}`, onclick: away }, "\u00D7"),
    );
  }

  function show() {
    offer();
    return refresh();
  }

  const rowsChanged = (changed) => {
    if (JSON.stringify(runs()) !== shownFor || runs().some((run) => changed.has(run))) show();
  };
  return { node, show, rowsChanged, refresh };
}

const swatch = (color) => make("i.swatch", { style: color ? `background:${color}` : null, "aria-hidden": "true" });

/** Where a run ends by its forecast; what has none comes last. */
const end = (row) => row.forecast?.median ?? Infinity;

/** How probably one run ends below another: `chances(a, b)`; `undefined` where that was not asked. */
function chancesOf(below) {
  const known = new Map();
  for (const { a, b, probability } of below) {
    known.set(JSON.stringify([a, b]), probability);
    known.set(JSON.stringify([b, a]), probability == null ? null : 1 - probability);
  }
  return (a, b) => known.get(JSON.stringify([a, b]));
}

/** The answer in a sentence: which ends lowest, and how probably below the next. */
function lowest(rows, chances) {
  const [first, second] = rows.filter((row) => row.forecast);
  if (!second) return [];
  const { median, interval } = forecastWords(first.forecast);
  const probability = chances(first.run, second.run);
  const ofNow = rows.some((row) => row.forecast && row.horizon == null);
  return [
    make("b", {}, first.run),
    ` is forecast to end lowest: ${median} ${interval}`,
    probability == null ? "." : `; below the next, ${second.run}, with a probability of ${chance(probability)}.`,
    ofNow && make("span.soft", {}, " Runs without a horizon are taken where they stand now."),
  ].filter(Boolean);
}

/** The table and the probabilities, to be saved. */
function lines(rows, chances) {
  const names = rows.map((row) => row.run);
  const head = ["run", "loss", "forecast", "lower_90", "upper_90", "forecast_step", "verdict"];
  return [
    [...head, ...names.map((name) => `below ${name}`)],
    ...rows.map((row) => [
      row.run,
      row.loss?.value,
      ...["median", "lower", "upper", "step"].map((key) => row.forecast?.[key]),
      row.verdict?.reason,
      ...names.map((name) => chances(row.run, name)),
    ]),
  ];
}

/** How probable it is that the run of the row ends below that of the column. */
function matrix(runs, chances, colors) {
  const head = make(
    "tr",
    {},
    make("th"),
    runs.map((run) => make("th", { scope: "col", title: run }, swatch(colors[run]), make("span.unseen", {}, run))),
  );
  const rows = runs.map((a) =>
    make(
      "tr",
      {},
      make("th.name", { scope: "row" }, make("span.with-swatch", {}, swatch(colors[a]), make("span", {}, a))),
      runs.map((b) => cell(a, b, chances(a, b))),
    ),
  );
  return make(
    "section",
    {},
    make("h3", {}, "How probable: the row ends below the column"),
    make(
      "div.scroll",
      {},
      make("table.matrix", { "data-table": "below" }, make("thead", {}, head), make("tbody", {}, rows)),
    ),
  );
}

function cell(a, b, probability) {
  if (a === b) return make("td.self", {}, "");
  if (probability == null) return make("td", { title: "they forecast different losses" }, "\u2013");
  return make(
    "td.num",
    {
      "data-below": probability,
      style: `--share:${probability.toFixed(3)}`,
      title: `${a} ends below ${b}: ${percent(probability, 1)}`,
    },
    chance(probability),
  );
}
