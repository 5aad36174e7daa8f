function notedTable(title, rows, total) {
  if (!total) return;
  const shown = `, of which the first ${rows.length} are shown`;
  const more = total > rows.length ? shown : "";
  const lines = rows.map(([file, notes]) =>
    html("tr", {}, html("th", { scope: "row" }, file), html("td", {}, notes)),
  );
  const head = ["File", "Notes"].map(heading);
  byId("noted").append(
    html("h3", {}, `${title}: ${total.toLocaleString("en")}${more}`),
    table(head, lines, title),
  );
}

byId("overview").textContent = data.texts.overview;
byId("questions").append(...data.questions.map(question));
drawConditions();
drawMeans();
drawDistributions();
drawScatter();
drawPlayers();
byId("files-text").textContent = data.texts.files;
byId("table").append(new FileTable(data.rows).element());
byId("remarks").append(
  html("ul", {}, ...data.remarks.map((text) => html("li", {}, text))),
);
notedTable("Failed and missing files", data.failed.rows, data.failed.total);
notedTable("Files with notes", data.noted.rows, data.noted.total);
