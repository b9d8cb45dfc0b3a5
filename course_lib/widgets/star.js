// Expert iteration, recorded: a measure by round for two arms, and all arms at one round.

export const ROUNDS = [0, 1, 2, 3];
// 97.5% quantiles of Student's t for 1 to 4 degrees of freedom.
const STUDENT = [12.706, 4.303, 3.182, 2.776];

// Mean and half of its 95% interval over the first `n` seeds.
export function meanAndHalf(values, n) {
  const used = values.slice(0, n), mean = used.reduce((a, b) => a + b, 0) / n;
  const squares = used.reduce((a, v) => a + (v - mean) ** 2, 0);
  return [mean, (STUDENT[n - 2] * Math.sqrt(squares / (n - 1))) / Math.sqrt(n)];
}

// The same of a - b, seed by seed.
export const difference = (a, b, n) => meanAndHalf(a.map((v, i) => v - b[i]), n);

const sign = (v, words) => `${v < 0 ? "−" : "+"}${words(Math.abs(v))}`;

function drawCurves(one, other, measure, n, round, share, words) {
  const W = 820, H = 300, left = 58, right = 250, top = 30, bottom = 40;
  const drawn = [[other, VERMILLION, "8 4"], [one, BLUE, ""]].filter(([arm]) => arm.values[measure]);
  const every = drawn.flatMap(([arm]) => Object.values(arm.values[measure]).flat());
  const most = share ? (Math.max(...every) > 0.3 ? 1 : 0.3) : 100 * Math.ceil(Math.max(1, ...every) / 100);
  const x = (r) => left + 22 + ((W - left - right - 44) * r) / 3;
  const y = (v) => H - bottom - ((H - top - bottom) * Math.min(Math.max(v, 0), most)) / most;
  const parts = [];
  const steps = most === 0.3 ? 3 : 4;
  for (let i = 0; i <= steps; i++) {
    const value = (most * i) / steps, at = y(value);
    parts.push(
      `<line x1="${left}" x2="${W - right}" y1="${at}" y2="${at}" stroke="currentColor" stroke-opacity="0.18"/>`,
      `<text x="${left - 8}" y="${at + 4}" text-anchor="end">${share ? value.toFixed(steps === 3 ? 1 : 2) : words(value)}</text>`,
    );
  }
  parts.push(
    `<line x1="${x(round)}" x2="${x(round)}" y1="${top - 8}" y2="${H - bottom}" stroke="currentColor" stroke-opacity="0.5" stroke-dasharray="2 4"/>`,
    ...ROUNDS.map((r) =>
      `<text x="${x(r)}" y="${H - bottom + 19}" text-anchor="middle" class="${r === round ? "strong" : ""}">${r}</text>`),
    `<text x="${(left + W - right) / 2}" y="${H - 4}" text-anchor="middle">round (0: the base)</text>`,
  );
  const said = [], ends = [];
  drawn.forEach(([arm, colour, dashes], which) => {
    const square = which === 0 && drawn.length === 2, shift = square ? 5 : -5;
    const points = Object.entries(arm.values[measure]).map(([r, values]) => {
      return [x(Number(r)) + shift, values, ...meanAndHalf(values, n)];
    });
    const line = points.map(([at, , mean]) => `${at},${y(mean)}`).join(" ");
    parts.push(`<polyline points="${line}" fill="none" stroke="${colour}" stroke-width="2.5" stroke-dasharray="${dashes}"/>`);
    for (const [at, values, mean, half] of points) {
      const high = y(mean + half), low = y(mean - half);
      parts.push(
        `<path d="M${at},${high}V${low}M${at - 5},${high}h10M${at - 5},${low}h10" stroke="${colour}" stroke-width="1.5" fill="none"/>`,
        ...values.slice(0, n).map((v) =>
          `<circle cx="${at + 1.6 * shift}" cy="${y(v)}" r="2.2" fill="currentColor" fill-opacity="0.6"/>`),
        square
          ? `<rect x="${at - 5}" y="${y(mean) - 5}" width="10" height="10" fill="${colour}"/>`
          : `<circle cx="${at}" cy="${y(mean)}" r="6" fill="${colour}"/>`,
      );
    }
    const [, , last] = points[points.length - 1];
    ends.push([y(last) + 4, `${square ? "■" : "●"} ${arm.title}`, square ? "" : "strong"]);
    said.push(`${arm.title} ${points.map(([, , mean]) => words(mean)).join(", ")}`);
  });
  let previous = -Infinity;
  for (const [at, text, kind] of ends.sort((a, b) => a[0] - b[0])) {
    previous = Math.max(at, previous + 18);
    parts.push(`<text x="${W - right + 8}" y="${previous}" class="${kind}">${escapeText(text)}</text>`);
  }
  return svg(W, H, `By round: ${said.join("; ") || "not recorded for these arms"}.`, parts.join(""));
}

function render({ model, el }) {
  const arms = model.get("arms"), measures = model.get("measures");
  const state = { arm: model.get("arm"), against: model.get("against"),
    measure: model.get("measure"), round: 3, seeds: 5 };
  const headline = element("div", { class: "headline", role: "status" });
  const title = element("div", { class: "strong" }), curves = element("div");
  const table = element("table"), note = element("div", { class: "note" });

  const words = (v) => (measures[state.measure][1] ? v.toFixed(3) : whole(v));
  const at = (arm) => arms[arm].values[state.measure]?.[state.round];
  const interval = ([mean, half], show) => `${show(mean - half)} to ${show(mean + half)}`;

  function draw() {
    const { arm, against, measure, round, seeds } = state;
    const [name, share] = measures[measure];
    title.textContent = name;
    curves.innerHTML = drawCurves(arms[arm], arms[against], measure, seeds, round, share, words);
    const values = at(arm), others = at(against);
    headline.replaceChildren();
    if (!values) {
      headline.append(element("b", {}, "not recorded"), ` for “${arms[arm].title}” in round ${round}.`);
    } else {
      const found = meanAndHalf(values, seeds);
      headline.append(
        element("b", {}, words(found[0])),
        ` in round ${round}, ${arms[arm].title} (${interval(found, words)}, ${seeds} seeds). `,
      );
      if (others && arm !== against) {
        const [mean, half] = difference(values, others, seeds);
        const clear = Math.abs(mean) > half;
        headline.append(
          `Minus “${arms[against].title}”: ${sign(mean, words)}, ` +
            `${clear ? "and 0 is outside its 95% interval." : "but 0 is inside its 95% interval: these seeds do not show it."}`,
        );
      }
    }
    const head = element("tr");
    for (const text of [`round ${round}`, "mean", "95% interval", `minus “${arms[against].title}”`, "95% interval"]) {
      head.append(element("th", { scope: "col" }, text));
    }
    const rows = Object.keys(arms).map((each) => {
      const row = element("tr", {}, element("th", { scope: "row", class: each === arm ? "strong" : "" }, arms[each].title));
      const its = at(each), cells = ["–", "–", "–", "–"];
      if (its) {
        const found = meanAndHalf(its, seeds);
        cells.splice(0, 2, words(found[0]), interval(found, (v) => (v < 0 ? sign(v, words) : words(v))));
        if (others && each !== against) {
          const apart = difference(its, others, seeds);
          cells.splice(2, 2, sign(apart[0], words), interval(apart, (v) => sign(v, words)));
        }
      }
      row.append(...cells.map((cell) => element("td", {}, cell)));
      return row;
    });
    table.replaceChildren(element("thead", {}, head), element("tbody", {}, ...rows));
    note.textContent =
      "Small dots are seeds, bars 95% t-intervals over them; differences are taken seed by seed. " +
      "With fewer seeds the same runs say less. The control is trained on and on: its round 1 has " +
      "as many updates as any round that starts from the base.";
  }

  const choose = (key) => (value) => {
    state[key] = value;
    draw();
    model.set(key, value);
    model.save_changes();
  };
  const named = Object.entries(arms).map(([key, arm]) => [key, arm.title]);
  const idle = () => {};
  const controls = element(
    "div", { class: "controls" },
    chooser("measure", Object.entries(measures).map(([key, [text]]) => [key, text]), state.measure, choose("measure")),
    chooser("arm", named, state.arm, choose("arm")),
    chooser("against", named, state.against, choose("against")),
    slider("round", ROUNDS, 3, whole, (r) => { state.round = r; draw(); }, idle),
    slider("seeds", [2, 3, 4, 5], 5, whole, (n) => { state.seeds = n; draw(); }, idle),
  );
  draw();
  el.classList.add("course-explorer");
  el.setAttribute("data-explorer", "star");
  el.append(controls, headline, title, curves, table, note);
}

export default { render };
