// Light or dark, as the TensorBoard around this page is.

const listeners = new Set();

function frameAround() {
  try {
    return window.parent !== window && window.parent.document.body ? window.parent : null;
  } catch {
    return null; // another origin: nothing can be read there
  }
}

/** "light" or "dark". */
export function theme() {
  const around = frameAround();
  if (around) return around.document.body.classList.contains("dark-mode") ? "dark" : "light";
  const asked = new URLSearchParams(location.search).get("darkMode");
  if (asked) return asked === "true" ? "dark" : "light";
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

export function onTheme(listener) {
  listeners.add(listener);
}

/** Put the theme on the page, now and whenever TensorBoard's changes. */
export function followTheme() {
  let last = "";
  const apply = () => {
    const now = theme();
    if (now === last) return;
    last = now;
    document.documentElement.dataset.theme = now;
    for (const listener of listeners) listener(now);
  };
  const around = frameAround();
  if (around)
    new MutationObserver(apply).observe(around.document.body, { attributes: true, attributeFilter: ["class"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", apply);
  apply();
}
