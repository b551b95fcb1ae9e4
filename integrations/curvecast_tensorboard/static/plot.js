// Figures as the server draws them, fitted to the room that there is here.

import { address, busy } from "./api.js";
import { fileName } from "./download.js";
import { state } from "./state.js";

const NARROW = 620; // pixels
const CONFIG = {
  responsive: true,
  displaylogo: false,
  modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
  doubleClick: "reset",
};

let loading = null;

/** Plotly, from the plugin's own route, at the first figure. */
function plotly() {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = address("plotly.min.js");
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => {
      loading = null;
      reject(new Error("plotly.js could not be loaded"));
    };
    document.head.append(script);
  });
  return loading;
}

/** Draw a figure into a node, or clear it; the last call wins. No `legend` where the page has its own. */
export async function plot(node, figure, { legend = true } = {}) {
  node.figure = figure;
  if (!figure) {
    if (node.data) window.Plotly?.purge(node);
    node.hidden = true;
    return;
  }
  busy(+1);
  try {
    const library = await plotly();
    if (node.figure !== figure || !node.isConnected) return;
    node.hidden = false;
    const wide = node.clientWidth >= NARROW;
    const toImageButtonOptions = { format: "png", scale: 2, filename: savedAs(node) };
    const config = { ...CONFIG, displayModeBar: wide ? "hover" : false, toImageButtonOptions };
    const layout = fitted(legend ? figure.layout : { ...figure.layout, showlegend: false }, wide);
    await library.react(node, figure.data, layout, config);
  } finally {
    busy(-1);
  }
}

/** A picture that is saved is named by what it shows. */
function savedAs(node) {
  const ofOneRun = ["Curve", "Hindsight", "What if"].includes(state.view);
  return fileName("curvecast", node.id, ofOneRun && state.run);
}

/** The layout in the page's colours, without what the page says itself or a narrow window has no room for. */
function fitted(layout, wide) {
  const { title, width, height, ...rest } = layout;
  const style = getComputedStyle(document.documentElement);
  const [color, activecolor] = ["--soft", "--accent"].map((name) => style.getPropertyValue(name).trim());
  const margin = wide ? { l: 68, r: 24, t: 30, b: 48 } : { l: 48, r: 10, t: 8, b: 40 };
  const modebar = { bgcolor: "rgba(0,0,0,0)", color, activecolor };
  const out = { ...rest, autosize: true, margin, modebar, font: { ...rest.font, color, size: wide ? 13 : 11 } };
  for (const [name, axis] of Object.entries(rest)) {
    if (/^[xy]axis\d*$/.test(name)) out[name] = { ...spaced(axis), title: smaller(axis.title, wide) };
  }
  if (rest.legend && !wide)
    out.legend = { ...rest.legend, x: 0, y: 1.02, xanchor: "left", yanchor: "bottom", orientation: "h" };
  if (!wide) out.margin.t = rest.showlegend === false ? 8 : 56;
  const size = wide ? 12 : 10;
  if (rest.annotations) out.annotations = rest.annotations.map((each) => ({ ...each, font: { ...each.font, size } }));
  return out;
}

/** A logarithmic axis whose labels do not run into each other: 1, 2, 5, 10. */
function spaced(axis) {
  return axis.type !== "log" || axis.tickvals || axis.dtick ? axis : { ...axis, dtick: "D2" };
}

function smaller(title, wide) {
  if (!title) return title;
  const given = typeof title === "string" ? { text: title } : title;
  return { ...given, font: { ...given.font, size: wide ? 13 : 11 }, standoff: wide ? 10 : 4 };
}
