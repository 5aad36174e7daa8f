/* Distributions */

function steps(shares, x, y) {
  const points = shares.flatMap((share, i) => [
    `${x(i)},${y(share)}`,
    `${x(i + 1)},${y(share)}`,
  ]);
  return `M${x(0)},${y(0)}L${points.join("L")}L${x(shares.length)},${y(0)}`;
}

function histogram(metric, { low, high, shares, medians }) {
  const [width, height, bottom] = [300, 130, 18];
  const sides = Object.keys(shares);
  const top = Math.max(...sides.flatMap((side) => shares[side]));
  const y = (share) => (height - bottom) * (1 - share / top);
  const scale = (v) => (width * (v - low)) / (high - low);
  const text = sides.map((s) => `${SIDES[s]} ${number(medians[s], metric.digits)}`);
  const label = `${metric.label}. Medians: ${text.join(", ")}`;
  const chart = svg(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label },
    svg("title", {}, label),
    svg("path", { class: "axis", d: `M0,${y(0)}H${width}` }),
  );
  // The restored recordings are drawn last, on top
  for (const side of ["clean", "input", "restored"].filter((s) => shares[s])) {
    const x = (i) => (width * i) / shares[side].length;
    const middle = Math.min(width, Math.max(0, scale(medians[side])));
    chart.append(
      svg("path", { class: `area ${side}`, d: steps(shares[side], x, y) }),
      svg("path", {
        class: `median ${side}`,
        d: `M${middle},${y(0)}V${y(top) + 4}`,
      }),
    );
  }
  for (const [value, anchor] of [
    [low, "start"],
    [(low + high) / 2, "middle"],
    [high, "end"],
  ]) {
    chart.append(
      svg(
        "text",
        { x: scale(value), y: height - 3, "text-anchor": anchor },
        number(value, metric.digits),
      ),
    );
  }
  const hint = metric.better ? `${metric.better} is better` : "";
  return html(
    "div",
    { class: "card" },
    html("h3", {}, metric.label, html("span", {}, hint)),
    chart,
  );
}

function drawDistributions() {
  for (const side of data.sides) {
    byId("legend").append(html("span", { class: side }, SIDES[side]));
  }
  data.metrics.forEach((metric, index) => {
    const found = data.histograms[index];
    if (found) byId("histograms").append(histogram(metric, found));
  });
}

/* Scatter plot */

function ticks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((m) => m * power >= rough);
  const first = Math.ceil(low / step);
  const found = [];
  for (let i = first; i * step <= high + 1e-9; i++) found.push(i * step);
  return [found, Math.max(0, -Math.floor(Math.log10(step) + 1e-9))];
}

function scatterPlot(yIndex, condition, width, readout) {
  const { x: xAxis, ys, points } = data.scatter;
  const yAxis = ys[yIndex];
  const height = Math.max(280, Math.min(460, width * 0.55));
  const [left, bottom, top, right] = [44, 40, 20, 12];
  const clip = (v, axis) => Math.min(axis.high, Math.max(axis.low, v));
  const share = (v, axis) => (clip(v, axis) - axis.low) / (axis.high - axis.low);
  const x = (v) => left + (width - left - right) * share(v, xAxis);
  const y = (v) => height - bottom - (height - bottom - top) * share(v, yAxis);
  const label = `${yAxis.label} against ${xAxis.label}, one point per file`;
  const chart = svg("svg", { width, height, role: "group", "aria-label": label });
  const [xs, xDigits] = ticks(xAxis.low, xAxis.high, width / 90);
  const [yTicks, yDigits] = ticks(yAxis.low, yAxis.high, height / 60);
  for (const v of xs) {
    const kind = xAxis.change && Math.abs(v) < 1e-9 ? "zero" : "axis";
    chart.append(
      svg("path", { class: kind, d: `M${x(v)},${top}V${height - bottom}` }),
      svg(
        "text",
        { x: x(v), y: height - bottom + 15, "text-anchor": "middle" },
        (xAxis.change ? signed : number)(v, xDigits),
      ),
    );
  }
  for (const v of yTicks) {
    const kind = yAxis.change && Math.abs(v) < 1e-9 ? "zero" : "axis";
    chart.append(
      svg("path", { class: kind, d: `M${left},${y(v)}H${width - right}` }),
      svg(
        "text",
        { x: left - 6, y: y(v) + 4, "text-anchor": "end" },
        (yAxis.change ? signed : number)(v, yDigits),
      ),
    );
  }
  chart.append(
    svg("text", { x: left, y: 10 }, `↑ ${yAxis.label}`),
    svg(
      "text",
      { x: width - right, y: height - 6, "text-anchor": "end" },
      `${xAxis.label} →`,
    ),
  );
  const listed = [];
  for (const [file, group, player, dx, dys] of points) {
    if (dys[yIndex] === null) continue;
    const hidden = condition && group !== condition;
    const text =
      `${file}: ${xAxis.label} ${(xAxis.change ? signed : number)(dx, 2)}, ` +
      `${yAxis.label} ${(yAxis.change ? signed : number)(dys[yIndex], 1)}`;
    const show = () => (readout.textContent = text);
    const dot = svg("circle", {
      cx: x(dx),
      cy: y(dys[yIndex]),
      r: player === null || hidden ? 3.5 : 5,
      class: hidden ? "other" : null,
      onpointerenter: show,
    });
    if (player === null || hidden) chart.append(dot);
    else {
      const link = { href: `#player-${player}`, "aria-label": text };
      listed.push(svg("a", { ...link, onfocus: show }, dot));
    }
  }
  chart.append(...listed); // on top
  return chart;
}

function drawScatter() {
  if (!data.scatter) {
    byId("plot").append(html("p", { class: "muted" }, data.texts.no_scatter));
    return;
  }
  const conditions = data.groups.slice(0, -1).map((group) => group.name);
  const readout = html("p", { id: "readout", class: "muted" });
  readout.textContent = "Point at a dot to see the file name and the scores.";
  readout.setAttribute("aria-live", "polite");
  const place = html("div");
  const state = { y: 0, condition: "" };
  const draw = () => {
    const width = Math.max(240, place.clientWidth);
    const chart = scatterPlot(state.y, state.condition, width, readout);
    place.replaceChildren(chart);
    counts.textContent = data.scatter.ys[state.y].text;
  };
  const controls = html("div", { class: "controls" });
  if (data.scatter.ys.length > 1) {
    const labels = data.scatter.ys.map((axis) => axis.label);
    controls.append(select("Vertical axis", labels, (i) => draw((state.y = i))));
  }
  if (conditions.length) {
    const choose = (i) => draw((state.condition = i ? conditions[i - 1] : ""));
    controls.append(select("Highlight", ["all", ...conditions], choose));
  }
  const counts = html("p", { class: "muted" });
  byId("plot").append(
    html("p", { class: "muted" }, data.texts.scatter),
    counts,
    html("div", { class: "card" }, controls, place, readout),
  );
  let width = 0;
  new ResizeObserver(() => {
    if (place.clientWidth !== width) draw((width = place.clientWidth));
  }).observe(place);
}
