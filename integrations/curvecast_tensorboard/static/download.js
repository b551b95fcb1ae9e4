// What is shown, as a file to keep: a table as CSV. Figures are saved by their own button.

/** A name of a file: letters of any script and digits stay, all else is a dash. */
export function fileName(...parts) {
  const text = parts.filter(Boolean).join(" ");
  return text.replace(/[^\p{L}\p{N}._=+]+/gu, "-").replace(/^[-.]+|[-.]+$/g, "").slice(0, 120) || "curvecast";
}

/** A name that a spreadsheet would run as a formula (`=HYPERLINK(...)`) gets an apostrophe before it; numbers stay. */
function cell(value) {
  const runs = typeof value === "string" && /^[=+\-@\t\r]/.test(value);
  const text = value == null ? "" : `${runs ? "'" : ""}${value}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Save lines of cells as a CSV file; numbers with all their digits, an empty cell for what is not known. */
export function saveCsv(name, lines) {
  const text = lines.map((cells) => `${cells.map(cell).join(",")}\r\n`).join("");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = `${fileName(name)}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
