"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const SIDES = { input: "Input", restored: "Restored", clean: "Reference" };
const byName = Object.fromEntries(data.metrics.map((m, i) => [m.name, i]));

/* Elements */

function build(create, tag, attributes, children) {
  const element = create(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

const html = (tag, attributes = {}, ...children) =>
  build((t) => document.createElement(t), tag, attributes, children);

const svg = (tag, attributes = {}, ...children) =>
  build(
    (t) => document.createElementNS("http://www.w3.org/2000/svg", t),
    tag,
    attributes,
    children,
  );

const byId = (id) => document.getElementById(id);

function select(label, options, onchange) {
  const list = html(
    "select",
    { onchange: (event) => onchange(Number(event.target.value)) },
    ...options.map((text, index) => html("option", { value: index }, text)),
  );
  return html("label", {}, label, list);
}

/* Numbers */

function number(value, digits) {
  if (value === null || value === undefined) return "–";
  return value.toFixed(digits).replace("-", "−");
}

function signed(value, digits) {
  const text = number(value, digits);
  return value > 0 && Number(value.toFixed(digits)) ? `+${text}` : text;
}

function isBetter(metric, change) {
  return change > 0 === (metric.better === "higher");
}

/** "good" or "bad" for a change whose interval excludes 0; "" if unclear. */
function verdict(metric, change) {
  if (!metric.better || !change || change.low === null) return "";
  if (change.low <= 0 && change.high >= 0) return "";
  return isBetter(metric, change.mean) ? "good" : "bad";
}

const WORDS = { good: "better", bad: "worse", "": "no clear difference" };

function interval(metric, change) {
  if (!change || change.low === null) return "";
  const [low, high] = [change.low, change.high];
  return `${signed(low, metric.digits)} to ${signed(high, metric.digits)}`;
}

function fromTo(metric, mean) {
  const ends = ["input", "restored"].filter((side) => mean[side] !== null);
  return ends.map((side) => number(mean[side], metric.digits)).join(" → ");
}
