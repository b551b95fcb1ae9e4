// Elements and numbers. Text goes in as text, never as markup: a run may be named `<script>`.

/** An element: `make("td.name", {title: "x"}, "text", child, ...)`; `onclick` and its like are listeners. */
export function make(spec, attributes = {}, ...children) {
  const [tag, ...classes] = spec.split(".");
  const element = document.createElement(tag || "div");
  if (classes.length) element.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes)) {
    if (value == null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked" || name === "disabled" || name === "hidden") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** An SVG element. */
export function draw(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) if (value != null) element.setAttribute(name, value);
  element.append(...children.flat(Infinity).filter((child) => child != null));
  return element;
}

/** Give a parent these children in this order, and touch no more of them than must be: what stays keeps its place and focus. */
export function arrange(parent, nodes) {
  const wanted = new Set(nodes);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  let at = parent.firstElementChild;
  for (const node of nodes) {
    if (node === at) at = at.nextElementSibling;
    else parent.insertBefore(node, at);
  }
}

const opened = new Set(); // names of what was unfolded: an answer that comes anew leaves it so

/** Lines behind a summary. */
export function unfolding(name, summary, ...children) {
  const node = make("details.notes", { open: opened.has(name) }, make("summary", {}, summary), children);
  node.addEventListener("toggle", () => (node.open ? opened.add(name) : opened.delete(name)));
  return node;
}

const NUMBER = /(\d+(?:\.\d+)*(?:e-\d+)?)/;
const words = new Intl.Collator("en");
const parts = new Map(); // name -> its words and numbers in turn

function partsOf(name) {
  if (!parts.has(name)) {
    const number = (text) => (text.split(".").length > 2 ? text.split(".").map(Number) : [Number(text)]);
    parts.set(
      name,
      name.split(NUMBER).map((text, i) => (i % 2 ? number(text) : text)),
    );
  }
  return parts.get(name);
}

/** Order names by their words and numbers, as `natural` of curvecast/notation.py does: run9, run10; 0.0003, 0.001. */
export function byName(first, second) {
  const [a, b] = [partsOf(first), partsOf(second)];
  for (let i = 0; i < Math.min(a.length, b.length); i += 1) {
    const apart = i % 2 ? alongside(a[i], b[i]) : words.compare(a[i], b[i]);
    if (apart) return apart;
  }
  return a.length - b.length || words.compare(first, second);
}

function alongside(a, b) {
  const at = a.findIndex((value, i) => value !== b[i]);
  return at < 0 ? a.length - b.length : a[at] - (b[at] ?? -1);
}

export const DASH = "\u2013";
const MINUS = "\u2212";

/** A count with its thousands set apart. */
export function count(value) {
  return value == null ? DASH : Math.round(value).toLocaleString("en").replace("-", MINUS);
}

/** A number to so many significant digits, without an exponent where that reads well. */
export function number(value, digits = 4) {
  if (value == null || !Number.isFinite(Number(value))) return DASH;
  const size = Math.abs(value);
  const text =
    size !== 0 && (size < 1e-4 || size >= 1e6) ? scientific(value, digits) : Number(value).toPrecision(digits);
  return text.replace("-", MINUS);
}

function scientific(value, digits) {
  const [mantissa, exponent] = value.toExponential(Math.max(0, digits - 2)).split("e");
  return `${mantissa}e${Number(exponent)}`;
}

/** Numbers of one row to the same decimal place, as `alike` of curvecast/notation.py has it. */
export function alike(lower, upper) {
  if (lower == null || upper == null) return (value) => number(value);
  const width = upper - lower;
  const size = Math.max(Math.abs(lower), Math.abs(upper));
  const power = size > 0 && Number.isFinite(size) ? Math.floor(Math.log10(size)) : 0;
  const least = 3 - power;
  const decimals = width > 0 && width < Infinity ? Math.max(2 - Math.ceil(Math.log10(width)), Math.min(least, 2)) : least;
  const places = (shift) => Math.min(20, Math.max(0, decimals + shift));
  const far = size > 0 && (size < 1e-3 || size >= 1e6);
  return (value) => {
    if (value == null || !Number.isFinite(value)) return DASH;
    return (far ? value.toExponential(places(power)) : value.toFixed(places(0))).replaceAll("-", MINUS);
  };
}

/** A large quantity in short: 1.2M, 3.4e18. */
export function short(value) {
  if (value == null || !Number.isFinite(value)) return DASH;
  const units = [
    [1e12, "T"],
    [1e9, "B"],
    [1e6, "M"],
    [1e3, "k"],
  ];
  if (Math.abs(value) >= 1e15) return scientific(value, 3);
  const unit = units.find(([size]) => Math.abs(value) >= size);
  return unit ? `${Number((value / unit[0]).toPrecision(3))}${unit[1]}` : String(Number(value.toPrecision(3)));
}

/** Compute: always in powers of ten, where B could be taken for bytes. */
export function flop(value) {
  return value == null ? DASH : `${value ? scientific(value, 4) : 0} FLOP`;
}

export function percent(share, digits = 0) {
  if (share == null || !Number.isFinite(share)) return DASH;
  const text = (100 * share).toFixed(digits);
  return `${Number(text) === 0 ? text.replace("-", "") : text.replace("-", MINUS)} %`; // no "-0", which rounding leaves
}

/** A probability: what is rounded to 0 or 100 % is said not to be all. */
export function chance(share) {
  if (share > 0.995) return "> 99 %";
  return share < 0.005 ? "< 1 %" : percent(share);
}

const GREEK = {
  alpha: "\u03B1",
  beta: "\u03B2",
  gamma: "\u03B3",
  kappa: "\u03BA",
  lambda: "\u03BB",
  theta: "\u03B8",
  eta: "\u03B7",
};
const greek = (text) => text.replace(/alpha|beta|gamma|kappa|lambda|theta|eta/g, (name) => GREEK[name]);

/** A parameter's name: `alpha_N` as a symbol, `irreducible_loss` as words. */
export function symbol(name) {
  const [first, ...others] = name.split("_");
  if (first.length === 1 || first in GREEK) return formula(name);
  return [`${first} `, others.length ? symbol(others.join("_")) : ""];
}

/** A factor: 1.21, 12.3, 261; a larger one says no more than that it is. */
export function factor(value) {
  if (value >= 1000) return "> 1,000\u00D7";
  return value == null ? DASH : `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)}\u00D7`;
}

/** A formula such as `A_N/N^alpha_N` with real indices and exponents. */
export function formula(text) {
  const parts = [];
  let rest = greek(String(text));
  while (rest) {
    const [, plain, mark, inner, more] = rest.match(
      /^([^_^]*)(?:([_^])(\([^()]*\)|\{[^{}]*\}|[^\s_^()[\]+*/=,]+(?:_[^\s_^()[\]+*/=,]+)?))?([^]*)$/,
    );
    parts.push(plain);
    if (!mark) {
      parts.push(more);
      break;
    }
    const bare = inner.replace(/^\{(.*)\}$/, "$1");
    parts.push(make(mark === "_" ? "sub" : "sup", {}, formula(bare)));
    rest = more;
  }
  return parts;
}
