// What TensorBoard loads: `data/plugin/curvecast/index.js`. The other files lie in `static/` beside it.

export async function render() {
  const { start } = await import("./static/app.js");
  start(document.body);
}
