"use strict";
// Sorting and filtering of tables. Without it every page shows the same, in the order in which it was written.
for (const table of document.querySelectorAll("table.sort")) {
  const body = table.tBodies[0];
  table.querySelectorAll("thead th").forEach((head, column) => {
    if (!head.textContent.trim()) return;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      table.querySelectorAll("thead th").forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const key = (row) => { const cell = row.cells[column]; return cell ? cell.dataset.key || cell.textContent.trim() : ""; };
      const rows = [...body.rows].sort((a, b) => key(a).localeCompare(key(b), "en", { numeric: true }));
      if (!up) rows.reverse();
      body.append(...rows);
    });
  });
  if (body.rows.length < 8) continue;
  const label = document.createElement("label");
  const input = document.createElement("input");
  input.type = "search";
  label.append("Show only rows with ", input);
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of body.rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
  });
  const place = table.parentElement.classList.contains("scroll") ? table.parentElement : table;
  place.before(label);
}
