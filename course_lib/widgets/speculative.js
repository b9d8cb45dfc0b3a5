// Speculative decoding: speedup against k, from acceptance, draft cost and cost of checking.

export function speedup(alpha, k, cost, check) {
  let tokens = 0;
  for (let i = 0; i <= k; i++) tokens += alpha ** i;
  return tokens / (k * cost + 1 + k * check);
}

const MOST = 12;

function draw(alpha, cost, check) {
  const W = 820, H = 266, left = 46, bottom = 34, top = 38, full = W - left - 120;
  const gains = Array.from({ length: MOST }, (_, i) => speedup(alpha, i + 1, cost, check));
  const most = Math.max(1.5, ...gains), height = H - top - bottom;
  const y = (gain) => top + height * (1 - gain / most), width = full / MOST;
  const at = gains.indexOf(Math.max(...gains));
  const parts = [`<text x="0" y="12" class="strong">times plain decoding, by k (guesses in a round)</text>`];
  gains.forEach((gain, i) => {
    const x = left + i * width, wins = gain > 1;
    parts.push(
      `<rect x="${x + 6}" y="${y(gain)}" width="${width - 12}" height="${top + height - y(gain)}" ` +
        `fill="${wins ? BLUE : "none"}" stroke="${i === at ? "currentColor" : wins ? BLUE : VERMILLION}" ` +
        `stroke-width="${i === at ? 3 : 1.5}" ${wins ? "" : 'stroke-dasharray="4 3"'}/>`,
      `<text x="${x + width / 2}" y="${y(gain) - 5}" text-anchor="middle" class="${i === at ? "strong" : "small"}">${gain.toFixed(2)}</text>`,
      `<text x="${x + width / 2}" y="${H - 14}" text-anchor="middle">${i + 1}</text>`,
    );
  });
  parts.push(
    `<line x1="${left}" x2="${left + full}" y1="${y(1)}" y2="${y(1)}" stroke="currentColor" stroke-dasharray="6 3"/>`,
    `<text x="${left + full + 8}" y="${y(1) + 4}" class="small">1, plain decoding</text>`,
  );
  return svg(W, H, `Speedup by k: ${gains.map((g, i) => `${i + 1}: ${g.toFixed(2)}`).join(", ")}.`, parts.join(""));
}

function render({ model, el }) {
  const state = { alpha: model.get("alpha"), cost: model.get("cost"), check: model.get("check") };
  const headline = element("div", { class: "headline", role: "status" });
  const bars = element("div"), note = element("div", { class: "note" });

  function redraw() {
    const { alpha, cost, check } = state;
    let best = 1;
    for (let k = 2; k <= MOST; k++) {
      if (speedup(alpha, k, cost, check) > speedup(alpha, best, cost, check)) best = k;
    }
    const gain = speedup(alpha, best, cost, check);
    headline.replaceChildren(
      element("b", {}, gain > 1 ? `${gain.toFixed(2)} times plain decoding` : "It loses, whatever k is"),
      gain > 1 ? `, with k = ${best}.` : `: at best ${gain.toFixed(2)} times plain decoding.`,
    );
    bars.innerHTML = draw(alpha, cost, check);
    note.textContent =
      "Guesses are taken as independent. A dashed, empty bar loses; the bar with the thick edge is " +
      "the best. Checking k + 1 tokens costs 1 + k times the third number.";
  }

  const values = (from, to, step) =>
    Array.from({ length: Math.round((to - from) / step) + 1 }, (_, i) => Number((from + i * step).toFixed(3)));
  const control = (label, key, list, read) =>
    slider(label, list, state[key], read, (v) => { state[key] = v; redraw(); }, (v) => {
      model.set(key, v);
      model.save_changes();
    });
  const controls = element(
    "div", { class: "controls" },
    control("accepted, α", "alpha", values(0, 1, 0.01), (v) => v.toFixed(2)),
    control("draft step, c", "cost", values(0, 1, 0.01), (v) => `${v.toFixed(2)} target steps`),
    control("checking one more", "check", values(0, 1, 0.01), (v) => `${v.toFixed(2)} target steps`),
  );
  redraw();
  el.classList.add("course-explorer");
  el.setAttribute("data-explorer", "speculative");
  el.append(controls, headline, bars, note);
}

export default { render };
