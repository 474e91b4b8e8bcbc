// The table of nodes, sorted by the column whose heading was pressed last.

import { bytes, seconds } from "./words.js";

const COLUMNS = [
  ["name", (value) => value],
  ["bytes_per_second", (value) => (value == null ? "-" : `${bytes(value)}/s`)],
  ["bytes_sent", bytes],
  ["known", (value, count) => `${value} of ${count}`],
  ["unheard_seconds", (value) => `${seconds(value)} ago`],
  ["agent", (value) => value],
];

const WORDS = new Set(["name", "agent"]);

export class NodeTable {
  #nodes = [];
  #key = "name";
  #descending = false;

  constructor(table) {
    this.table = table;
    this.body = table.tBodies[0];
    table.tHead.addEventListener("click", (event) => {
      const key = event.target.dataset?.key;
      if (key) this.sort(key);
    });
  }

  sort(key) {
    this.#descending = key === this.#key ? !this.#descending : !WORDS.has(key); // of numbers the largest are sought first
    this.#key = key;
    for (const button of this.table.tHead.querySelectorAll("button")) {
      const heading = button.closest("th");
      if (button.dataset.key === key) heading.setAttribute("aria-sort", this.#descending ? "descending" : "ascending");
      else heading.removeAttribute("aria-sort");
    }
    this.show(this.#nodes);
  }

  show(nodes) {
    this.#nodes = nodes;
    const key = this.#key;
    const order = (a, b) => (WORDS.has(key) ? a[key].localeCompare(b[key], undefined, { numeric: true }) : a[key] - b[key]);
    const sorted = [...nodes].sort((a, b) => (this.#descending ? order(b, a) : order(a, b)));
    while (this.body.rows.length > sorted.length) this.body.deleteRow(-1);
    while (this.body.rows.length < sorted.length) this.#addRow();
    sorted.forEach((node, index) => {
      const row = this.body.rows[index];
      row.className = node.silent ? "silent" : "";
      COLUMNS.forEach(([name, show], column) => {
        const text = show(node[name], nodes.length) + (name === "name" && node.silent ? " (silent)" : "");
        const cell = row.cells[column];
        if (cell.textContent !== text) cell.textContent = text;
      });
    });
  }

  #addRow() {
    const row = this.body.insertRow();
    const heading = document.createElement("th");
    heading.scope = "row";
    row.append(heading);
    for (let column = 1; column < COLUMNS.length; column += 1) row.insertCell().className = WORDS.has(COLUMNS[column][0]) ? "" : "number";
  }
}
