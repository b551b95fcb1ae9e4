// The plan of a run, where the log does not tell it: its horizon, schedule, size, and which tags are its losses.

import { ask, debounced, latest } from "./api.js";
import { count, make } from "./dom.js";
import { choice, failure, skeleton } from "./parts.js";
import { change, settingsOf, state } from "./state.js";

const FIELDS = [
  ["horizon", "Horizon", "optimizer steps: 20000 or 20k"],
  ["schedule", "Learning rate", "cosine:warmup=500,floor=0.1 \u00B7 constant \u00B7 wsd:decay=0.2"],
  ["num_params", "Parameters", "without embeddings: 124M"],
  ["batch_tokens", "Tokens a step", "524288"],
  ["dataset_tokens", "Tokens of the data", "if they repeat"],
  ["epoch_steps", "Steps an epoch", "if the log counts epochs"],
  ["batch_samples", "Samples a step", "if the log counts samples"],
];
const TAGS = [
  ["train", "training loss"],
  ["val", "validation loss"],
];

/** Choose a tag for a run's loss: a list to search, with a button for each use. */
export function tagPicker(run, onpick) {
  const list = make("div.tags", { role: "list" }, skeleton(4));
  const told = make("p.soft.small");
  const load = latest(async (q) => {
    try {
      const found = await ask("tags", { run, q, ...settingsOf(run) });
      const used = Object.fromEntries(TAGS.map(([of]) => [found.guess[of]?.tag, of]));
      list.replaceChildren(...found.tags.map((each) => line(each, used[each.tag])));
      const more = found.left_out ? ` ${count(found.left_out)} more: search for them.` : "";
      told.textContent = found.total
        ? `${count(found.total)} ${found.total === 1 ? "tag" : "tags"}.${more}`
        : "This run has no scalars.";
    } catch (error) {
      list.replaceChildren(failure(error));
    }
  });
  function line({ tag, looks_like, last_step }, used) {
    const buttons = TAGS.map(([of, name]) =>
      make("button", { type: "button", "aria-pressed": String(used === of), onclick: () => onpick(of, tag) }, name),
    );
    const about = [looks_like && `looks like ${looks_like}`, last_step != null && `to step ${count(last_step)}`].filter(
      Boolean,
    );
    return make(
      "div.tag",
      { role: "listitem" },
      make("span.name", {}, tag, make("span.soft.small", {}, ` ${about.join(", ")}`)),
      buttons,
    );
  }
  const search = debounced((q) => load(q), 200);
  const field = make("input", {
    type: "search",
    placeholder: "search tags",
    "aria-label": "search tags",
    oninput: (e) => search(e.target.value),
  });
  load("");
  return make("div.picker", {}, field, list, told);
}

/** Take a tag as a run's loss. */
export function takeTag(run, of, tag) {
  const mine = { ...state.own[run], [`${of}_tag`]: tag };
  change({ own: { ...state.own, [run]: mine } });
}

/** Open the dialog, for a run or (`null`) for all; `onapply` is called once the plan has changed. */
export function openPlan(run, onapply, { tags = false, row = null } = {}) {
  let scope = run && state.own[run] ? "run" : "all";
  const fields = make("div.fields");
  const picker = make("details", {}, make("summary", {}, "Which tags are the losses"));
  const dialog = make("dialog.plan", { "aria-label": "Plan" });
  const known = () => (scope === "run" ? state.own[run] : state.settings) ?? {};
  const show = () => {
    fields.replaceChildren(
      ...FIELDS.map(([name, label, hint]) =>
        make(
          "label",
          {},
          make("span", {}, label),
          make("input", {
            name,
            value: known()[name] ?? "",
            placeholder: row?.[name] == null ? hint : `stands at ${row[name]}`,
            autocomplete: "off",
          }),
        ),
      ),
    );
  };
  const apply = (event) => {
    event.preventDefault();
    const chosen = Object.fromEntries(Object.entries(known()).filter(([name]) => name.endsWith("_tag")));
    const typed = [...fields.querySelectorAll("input")].map((input) => [input.name, input.value.trim()]);
    keep({ ...chosen, ...Object.fromEntries(typed.filter(([, value]) => value)) });
    dialog.close();
    onapply();
  };
  const keep = (values) => {
    if (scope === "all") change({ settings: values });
    else change({ own: { ...state.own, [run]: values } });
  };
  const clear = () => {
    if (scope === "all") change({ settings: {} });
    else {
      const { [run]: _, ...others } = state.own;
      change({ own: others });
    }
    dialog.close();
    onapply();
  };
  if (run) {
    picker.addEventListener(
      "toggle",
      () => picker.append(tagPicker(run, (of, tag) => (takeTag(run, of, tag), dialog.close(), onapply()))),
      { once: true },
    );
    picker.open = tags;
  }
  dialog.append(
    make(
      "form",
      { method: "dialog", onsubmit: apply },
      make("h2", {}, "Plan"),
      make(
        "p.soft",
        {},
        "Only what the log does not tell. With a horizon and a schedule the forecast knows the decay that is still to come. " +
          "The parameters bring that of a large network closer; leave them out for a fine-tune.",
      ),
      run &&
        choice(
          "for",
          [
            ["all", "all runs"],
            ["run", run],
          ],
          scope,
          (value) => ((scope = value), show()),
        ),
      fields,
      run && picker,
      make(
        "div.actions",
        {},
        make("button.primary", { type: "submit" }, "Apply"),
        make("button", { type: "button", onclick: clear }, "Forget"),
        make("button", { type: "button", onclick: () => dialog.close() }, "Cancel"),
      ),
    ),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.getElementById("app").append(dialog);
  show();
  dialog.showModal();
}
