let current = null; // the most recently started player

function audioPlayer(card, side, found) {
  const cursor = html("i");
  const audio = html("audio", {
    controls: "",
    preload: "metadata",
    "aria-label": `${SIDES[side]}: ${card.file}`,
  });
  const image = html(
    "div",
    {
      class: "spectrogram",
      onclick: (event) => {
        const box = event.currentTarget.getBoundingClientRect();
        audio.currentTime =
          ((event.clientX - box.left) / box.width) * card.seconds;
        audio.play();
      },
    },
    html("img", {
      src: `data:image/png;base64,${found.image}`,
      loading: "lazy",
      alt: `Spectrogram: ${SIDES[side]}`,
    }),
    html("span", { class: "high" }, `${card.max_khz} kHz`),
    html("span", { class: "end" }, `${number(card.seconds, 1)} s`),
    cursor,
  );
  const follow = () => {
    cursor.style.left = `${(100 * audio.currentTime) / card.seconds}%`;
    cursor.style.opacity = audio.currentTime ? 0.8 : 0;
    if (!audio.paused) requestAnimationFrame(follow);
  };
  audio.addEventListener("play", () => {
    if (current && current.audio !== audio) {
      // Another recording of the same file continues at the same position
      const here = current.audio.currentTime;
      const playing = current.card === card && !current.audio.paused;
      if (playing && here < 0.9 * audio.duration) audio.currentTime = here;
      current.audio.pause();
    }
    current = { audio, card };
    follow();
  });
  audio.addEventListener("seeked", follow);
  new IntersectionObserver(
    ([entry], observer) => {
      if (!entry.isIntersecting) return;
      audio.src = `data:audio/flac;base64,${found.audio}`;
      observer.disconnect();
    },
    { rootMargin: "800px" },
  ).observe(audio);
  return [image, audio];
}

function drawPlayer(card, index) {
  const scores = card.scores.map(([name, values]) => {
    const metric = data.metrics[byName[name]];
    return html(
      "div",
      {},
      html("dt", {}, metric.label),
      html("dd", {}, fromTo(metric, values)),
    );
  });
  const sides = Object.entries(card.sides).map(([side, found]) =>
    html(
      "figure",
      { class: side },
      html("figcaption", {}, SIDES[side]),
      ...(found.missing
        ? [html("div", { class: "missing" }, found.missing)]
        : audioPlayer(card, side, found)),
    ),
  );
  return html(
    "article",
    { class: "player card", id: `player-${index}`, tabindex: -1 },
    html(
      "header",
      {},
      html("h3", {}, card.file),
      html("p", { class: "muted" }, card.text),
    ),
    html("dl", {}, ...scores),
    html("div", { class: "sides" }, ...sides),
  );
}

function drawPlayers() {
  byId("listen-text").textContent = data.texts.listen;
  for (const [kind, title] of [
    ["worst", "Worst files"],
    ["random", "Random files"],
  ]) {
    const cards = data.players
      .map((card, index) => [card, index])
      .filter(([card]) => card.kind === kind);
    if (!cards.length) continue;
    byId("players").append(
      html("h3", { id: kind }, title),
      ...cards.map((pair) => drawPlayer(...pair)),
    );
  }
}
