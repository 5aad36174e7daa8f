const VIEWS = { restored: "Restored", change: "Change", input: "Input" };

function cellValue(scores, view) {
  if (!scores) return null;
  const [input, restored] = scores;
  if (view === "input") return input;
  if (view === "restored") return restored;
  return input === null || restored === null ? null : restored - input;
}

class FileTable {
  constructor(rows) {
    this.rows = rows;
    this.view = "restored";
    this.condition = "";
    this.search = "";
    this.sort = { key: "rank", ascending: true };
    this.metrics = data.metrics.filter((metric) => metric.listed);
    this.body = html("tbody");
    this.head = html("tr");
    this.count = html("p", { class: "muted", "aria-live": "polite" });
  }

  value(row, key) {
    if (key === "rank" || key === "file") return row[key];
    if (key === "seconds" || key === "condition") return row[key];
    return cellValue(row.scores[key], this.view);
  }

  heading(key, text, attributes = {}) {
    const chosen = this.sort.key === key;
    const order = this.sort.ascending ? "ascending" : "descending";
    const click = () => {
      const ascending = chosen ? !this.sort.ascending : true;
      this.sort = { key, ascending };
      this.draw();
      this.head.querySelector("th[aria-sort] button").focus();
    };
    return html(
      "th",
      { scope: "col", "aria-sort": chosen ? order : null, ...attributes },
      html("button", { type: "button", onclick: click }, text),
    );
  }

  cells(row) {
    const name =
      row.player === null
        ? row.file
        : html("a", { href: `#player-${row.player}` }, row.file);
    return html(
      "tr",
      {},
      html("th", { scope: "row", title: row.file }, name),
      html("td", {}, row.rank + 1),
      data.conditions ? html("td", { class: "text" }, row.condition) : null,
      html("td", {}, number(row.seconds, 1)),
      ...this.metrics.map((metric) => {
        const value = cellValue(row.scores[byName[metric.name]], this.view);
        const show = this.view === "change" ? signed : number;
        const text = value === null ? "–" : show(value, metric.digits);
        if (this.view !== "change" || !value || !metric.better)
          return html("td", {}, text);
        const kind = isBetter(metric, value) ? "good" : "bad";
        return html("td", {}, html("span", { class: kind }, text));
      }),
      html("td", { class: "text notes" }, row.notes),
    );
  }

  draw() {
    const { key, ascending } = this.sort;
    const compare = (a, b) => {
      const [p, q] = [this.value(a, key), this.value(b, key)];
      if (p === null || q === null) return (p === null) - (q === null);
      const order = typeof p === "string" ? p.localeCompare(q) : p - q;
      return ascending ? order : -order;
    };
    const found = this.rows
      .filter((row) => !this.condition || row.condition === this.condition)
      .filter((row) => row.file.toLowerCase().includes(this.search))
      .sort(compare);
    this.head.replaceChildren(
      this.heading("file", "File"),
      this.heading("rank", "Rank"),
      ...(data.conditions
        ? [this.heading("condition", "Condition", { class: "text" })]
        : []),
      this.heading("seconds", "Seconds"),
      ...this.metrics.map((m) => this.heading(byName[m.name], m.label)),
      html("th", { scope: "col", class: "text" }, "Notes"),
    );
    this.body.replaceChildren(...found.map((row) => this.cells(row)));
    const total = this.rows.length;
    this.count.textContent =
      found.length === total ? "" : `${found.length} of ${total} files`;
  }

  controls() {
    const parts = [];
    if (data.sides.includes("input")) {
      const keys = Object.keys(VIEWS);
      const choose = (i) => this.draw((this.view = keys[i]));
      parts.push(select("Scores", Object.values(VIEWS), choose));
    }
    if (data.conditions) {
      const names = data.groups.slice(0, -1).map((group) => group.name);
      const choose = (i) => this.draw((this.condition = i ? names[i - 1] : ""));
      parts.push(select("Condition", ["all", ...names], choose));
    }
    const search = html("input", {
      type: "search",
      oninput: (event) =>
        this.draw((this.search = event.target.value.toLowerCase())),
    });
    parts.push(html("label", {}, "File name contains", search));
    return html("div", { class: "controls" }, ...parts);
  }

  element() {
    this.draw();
    const label = { tabindex: 0, role: "region", "aria-label": "Files" };
    return html(
      "div",
      {},
      this.controls(),
      this.count,
      html(
        "div",
        { class: "scroll", ...label },
        html("table", {}, html("thead", {}, this.head), this.body),
      ),
    );
  }
}
