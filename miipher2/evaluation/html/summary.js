function scoreLine(metric, found) {
  const change = found.change;
  return html(
    "div",
    {},
    html("dt", {}, metric.label),
    html("dd", {}, fromTo(metric, found.mean)),
    html(
      "dd",
      { class: verdict(metric, change), title: interval(metric, change) },
      change ? signed(change.mean, metric.digits) : "",
    ),
  );
}

function question({ title, metrics, missing, extra }) {
  const all = data.groups.at(-1).scores;
  const found = metrics.map((name) => [
    data.metrics[byName[name]],
    all[byName[name]],
  ]);
  const card = html("div", { class: "card" }, html("h3", {}, title));
  if (!found.length) {
    card.append(html("p", { class: "muted" }, missing));
    return card;
  }
  const [metric, first] = found[0];
  const change = first.change;
  const value = change ? change.mean : first.mean.restored;
  const kind = verdict(metric, change);
  const show = change ? signed : number;
  const means = change ? `, ${fromTo(metric, first.mean)}` : "";
  card.append(
    html(
      "div",
      { class: "figure" },
      show(value, metric.digits),
      html("small", {}, ` ${metric.label}${means}`),
    ),
  );
  if (interval(metric, change)) {
    card.append(
      html(
        "p",
        { class: "answer" },
        html("strong", { class: kind }, WORDS[kind]),
        html("span", { class: "muted" }, `, ${`95 % ${interval(metric, change)}`.replaceAll(" ", "\u00a0")}`),
      ),
    );
  }
  const others = found.slice(1).map((pair) => scoreLine(...pair));
  if (others.length) card.append(html("dl", { class: "scores" }, ...others));
  if (extra) card.append(html("p", { class: "extra muted" }, extra));
  return card;
}

function table(head, rows, label) {
  return html(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": label },
    html(
      "table",
      {},
      html("thead", {}, html("tr", {}, ...head)),
      html("tbody", {}, ...rows),
    ),
  );
}

const heading = (text) => html("th", { scope: "col" }, text);

function conditionCell(metric, found) {
  const change = found.change;
  if (found.mean.restored === null) return html("td", {}, "–");
  return html(
    "td",
    {},
    fromTo(metric, found.mean),
    change &&
      html(
        "small",
        {},
        html(
          "span",
          { class: verdict(metric, change) },
          signed(change.mean, metric.digits),
        ),
        interval(metric, change) ? ` (${interval(metric, change)})` : "",
      ),
  );
}

function drawConditions() {
  if (data.groups.length < 2) return;
  const shown = data.questions.flatMap((item) => item.metrics.slice(0, 2));
  // Words and voice have a column even if they were not measured, because
  // quality alone is misleading
  const missing = data.questions.filter((item) => !item.metrics.length);
  const rows = data.groups.map((group, index) =>
    html(
      "tr",
      { class: index === data.groups.length - 1 ? "total" : null },
      html("th", { scope: "row" }, group.name),
      html("td", {}, group.files.toLocaleString("en")),
      ...shown.map((name) =>
        conditionCell(data.metrics[byName[name]], group.scores[byName[name]]),
      ),
      ...missing.map(() => html("td", { class: "muted" }, "not measured")),
    ),
  );
  const head = [
    "Condition",
    "Files",
    ...shown.map((name) => data.metrics[byName[name]].label),
    ...missing.map((item) => item.short),
  ];
  byId("conditions").append(
    html("h3", {}, "By condition"),
    html("p", { class: "muted" }, data.texts.conditions),
    table(head.map(heading), rows, "Means by condition"),
  );
}

function meansTable(group, statistic) {
  const rows = data.metrics.map((metric, index) => {
    const { [statistic]: values, change, files } = group.scores[index];
    return html(
      "tr",
      {},
      html("th", { scope: "row", title: metric.meaning }, metric.label),
      ...data.sides.map((side) =>
        html("td", {}, number(values[side], metric.digits)),
      ),
      html(
        "td",
        {},
        html(
          "span",
          { class: verdict(metric, change) },
          change ? signed(change.mean, metric.digits) : "–",
        ),
      ),
      html("td", {}, interval(metric, change) || "–"),
      html("td", {}, files.toLocaleString("en")),
    );
  });
  const head = [
    "Metric",
    ...data.sides.map((side) => SIDES[side]),
    "Mean change",
    "95 % interval",
    "Files",
  ];
  return table(head.map(heading), rows, "All metrics");
}

function drawMeans() {
  const names = data.groups.map((group) => group.name);
  const state = { group: names.length - 1, statistic: "mean" };
  const place = html("div");
  const draw = () =>
    place.replaceChildren(meansTable(data.groups[state.group], state.statistic));
  const controls = html("div", { class: "controls" });
  if (names.length > 1) {
    const list = select("Condition", names, (i) => draw((state.group = i)));
    list.querySelector("select").value = state.group;
    controls.append(list);
  }
  const statistics = ["mean", "median"];
  const choose = (i) => draw((state.statistic = statistics[i]));
  controls.append(select("Statistic", statistics, choose));
  byId("means").append(html("h3", {}, "All metrics"), controls, place);
  draw();
}
