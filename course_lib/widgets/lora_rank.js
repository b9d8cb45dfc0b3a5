// LoRA rank against trainable parameters.

export const RANKS = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256];
export const LECTURE = [[4, 5e6], [16, 20e6], [64, 80e6], [256, 320e6]];
const ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"];

// A (r, in) and B (out, r) for every module called one of `names`.
export function loraParameters(m, names, r) {
  let each = 0;
  for (const [name, rows, columns, copies] of m.modules) {
    if (names.includes(name)) each += (rows + columns) * copies;
  }
  return each * m.n_layers * r;
}

export const adapterTargets = (m) =>
  m.modules.map(([name]) => name).filter((name) => name !== "gate");

export function percent(part, all) {
  const share = (100 * part) / all;
  return `${share < 10 ? Number(share.toPrecision(3)) : share.toFixed(1)}%`;
}

function difference(lecture, real) {
  const off = (100 * (lecture - real)) / real;
  return Math.abs(off) < 0.5 ? "equal" : `${off > 0 ? "+" : "−"}${Math.abs(off).toFixed(0)}%`;
}

function drawCurves(m, names, r) {
  const W = 500, H = 340, left = 62, right = 96, top = 18, bottom = 46;
  const base = baseParameters(m), all = adapterTargets(m);
  const low = 1e4, high = 2e9;
  const x = (rank) => left + ((W - left - right) * Math.log2(rank)) / 8;
  const y = (n) => {
    const at = Math.log(Math.min(Math.max(n, low), high) / low) / Math.log(high / low);
    return H - bottom - (H - top - bottom) * at;
  };
  const parts = [];
  for (let power = 4; power <= 9; power++) {
    const at = y(10 ** power);
    parts.push(
      `<line x1="${left}" x2="${W - right}" y1="${at}" y2="${at}" stroke="currentColor" stroke-opacity="0.18"/>`,
      `<text x="${left - 7}" y="${at + 4}" text-anchor="end">${
        ["10k", "100k", "1M", "10M", "100M", "1B"][power - 4]
      }</text>`,
    );
  }
  for (const rank of [1, 4, 16, 64, 256]) {
    parts.push(
      `<line x1="${x(rank)}" x2="${x(rank)}" y1="${H - bottom}" y2="${H - bottom + 5}" stroke="currentColor"/>`,
      `<text x="${x(rank)}" y="${H - bottom + 19}" text-anchor="middle">${rank}</text>`,
    );
  }
  parts.push(
    `<line x1="${left}" x2="${W - right}" y1="${H - bottom}" y2="${H - bottom}" stroke="currentColor"/>`,
    `<text x="${(left + W - right) / 2}" y="${H - 6}" text-anchor="middle">rank r (both axes logarithmic)</text>`,
    `<text x="${left}" y="${top - 5}" class="small">trainable parameters</text>`,
  );

  const percentLine = y(base / 100);
  parts.push(
    `<line x1="${left}" x2="${W - right}" y1="${percentLine}" y2="${percentLine}" stroke="currentColor" stroke-dasharray="1 4" stroke-width="1.5"/>`,
    `<text x="${left + 6}" y="${percentLine - 5}" class="small">1% of the base, ${short(base / 100)}</text>`,
  );

  const curve = (set, style) =>
    `<path fill="none" d="M${x(1)},${y(loraParameters(m, set, 1))}L${x(256)},${y(loraParameters(m, set, 256))}" ${style}/>`;
  // Labels at the right end; lines closer than a line of text share the room.
  const ends = [];
  if (loraParameters(m, ATTENTION, 1) !== loraParameters(m, names, 1)) {
    parts.push(curve(ATTENTION, `stroke="${GREEN}" stroke-width="2" stroke-dasharray="2 4"`));
    ends.push([loraParameters(m, ATTENTION, 256), "q, k, v, o", ""]);
  }
  if (loraParameters(m, all, 1) !== loraParameters(m, names, 1)) {
    parts.push(curve(all, `stroke="${PURPLE}" stroke-width="2" stroke-dasharray="8 4"`));
    ends.push([loraParameters(m, all, 256), "all linear", ""]);
  }
  if (names.length) {
    parts.push(curve(names, `stroke="${BLUE}" stroke-width="3"`));
    ends.push([loraParameters(m, names, 256), "your choice", "strong"]);
  }
  ends.push([320e6, "✕ the lecture's", ""]);
  let previous = -Infinity;
  for (const [n, text, kind] of ends.sort((a, b) => b[0] - a[0])) {
    previous = Math.max(y(n) + 4, previous + 16);
    parts.push(`<text x="${W - right + 9}" y="${previous}" class="${kind}">${text}</text>`);
  }
  for (const [rank, n] of LECTURE) {
    const cx = x(rank), cy = y(n);
    parts.push(
      `<path d="M${cx - 5},${cy - 5}l10,10M${cx - 5},${cy + 5}l10,-10" stroke="${VERMILLION}" stroke-width="2.5"/>`,
    );
  }
  const n = loraParameters(m, names, r);
  if (n) {
    const toLeft = r > 24;
    parts.push(
      `<line x1="${x(r)}" x2="${x(r)}" y1="${y(n)}" y2="${H - bottom}" stroke="currentColor" stroke-dasharray="3 3"/>`,
      `<circle cx="${x(r)}" cy="${y(n)}" r="6.5" fill="${BLUE}" stroke="currentColor" stroke-width="1.5"/>`,
      `<text x="${x(r) + (toLeft ? -12 : 12)}" y="${y(n) + 21}" text-anchor="${
        toLeft ? "end" : "start"
      }" class="strong">${short(n)}</text>`,
    );
  }
  return svg(W, H, `Trainable parameters against rank. At rank ${r}: ${whole(n)}.`, parts.join(""));
}

// W, B and A of one module, all to one scale.
function drawMatrices(m, name, r) {
  const W = 330, H = 340;
  const [, rows, columns] = m.modules.find(([each]) => each === name);
  const gap = 26, scale = Math.min(130 / Math.max(rows, columns), 112 / Math.max(rows, columns));
  const h = rows * scale, w = columns * scale, t = Math.max(r * scale, 1.5);
  const x0 = 34, y0 = 52 + (t + 20);
  const bx = x0 + w + gap + 30, ax = bx + t + 12;
  const box = (x, y, width, height, fill, label, hatch) =>
    `<rect x="${x}" y="${y}" width="${width}" height="${height}" fill="${fill}" fill-opacity="${hatch}" stroke="${fill === "none" ? "currentColor" : fill}" stroke-width="1.5"><title>${label}</title></rect>`;
  const low = rows * columns, pair = r * (rows + columns);
  const bottom = y0 + h;
  const parts = [
    `<text x="0" y="16" class="strong">one ${name.replace("_proj", "")} module, to scale</text>`,
    box(x0, y0, w, h, "none", "W", 0),
    `<text x="${x0 + w / 2}" y="${y0 + h / 2 + 4}" text-anchor="middle">W</text>`,
    `<text x="${x0 + w / 2}" y="${y0 - 7}" text-anchor="middle" class="small">${whole(columns)}</text>`,
    `<text transform="translate(${x0 - 8},${y0 + h / 2}) rotate(-90)" text-anchor="middle" class="small">${whole(rows)}</text>`,
    `<text x="${x0 + w + gap / 2 + 8}" y="${y0 + h / 2 + 5}" text-anchor="middle">+</text>`,
    box(bx, y0, t, h, VERMILLION, "B", 0.35),
    `<text x="${bx - 7}" y="${y0 + h / 2 + 4}" text-anchor="end">B</text>`,
    box(ax, y0 - t - 12, w, t, BLUE, "A", 0.35),
    `<text x="${ax + w / 2}" y="${y0 - t - 19}" text-anchor="middle">A</text>`,
    `<rect x="${ax}" y="${y0}" width="${w}" height="${h}" fill="none" stroke="currentColor" stroke-dasharray="3 4" stroke-opacity="0.7"/>`,
    `<text x="${ax + w / 2}" y="${y0 + h / 2 + 4}" text-anchor="middle">B A</text>`,
    `<text x="${ax + w / 2}" y="${y0 + h / 2 + 21}" text-anchor="middle" class="small">rank ≤ ${Math.min(r, rows, columns)}</text>`,
    `<text x="0" y="${bottom + 32}">W: ${whole(rows)} × ${whole(columns)} = ${whole(low)}</text>`,
    `<text x="0" y="${bottom + 51}">B and A: ${r} × (${whole(rows)} + ${whole(columns)}) = ${whole(pair)}</text>`,
    `<text x="0" y="${bottom + 70}">that is ${percent(pair, low)} of W</text>`,
  ];
  const label = `${name}: W has ${whole(low)} parameters, B and A together ${whole(pair)}.`;
  return svg(W, Math.max(H, bottom + 76), label, parts.join(""));
}

function render({ model, el }) {
  const models = model.get("models");
  const state = { name: model.get("model"), rank: model.get("rank"), names: [...ATTENTION] };
  const ranks = [...new Set([...RANKS, state.rank])].sort((a, b) => a - b);

  const boxes = element("fieldset", {}, element("legend", {}, "modules"));
  const headline = element("div", { class: "headline", role: "status" });
  const curves = element("div", { style: "flex: 1 1 430px; min-width: 300px" });
  const matrices = element("div", { style: "flex: 1 1 270px; max-width: 340px; min-width: 240px" });
  const pictures = element("div", { style: "display: flex; flex-wrap: wrap; gap: 10px 20px" });
  pictures.append(curves, matrices);
  const table = element("table");
  const note = element("div", { class: "note" });

  function draw() {
    const m = models[state.name], { rank, names } = state;
    const n = loraParameters(m, names, rank), base = baseParameters(m);
    const on = names.length ? names.map((x) => x.replace("_proj", "")).join(", ") : "nothing";
    headline.replaceChildren(
      element("b", {}, whole(n)),
      ` trainable parameters: r = ${rank} on ${on} of ${state.name}, ` +
        `${percent(n, base)} of the base's ${whole(base)}. ` +
        `Adapter: ${decimalBytes(4 * n)} in fp32, ${decimalBytes(2 * n)} in bf16.`,
    );
    curves.innerHTML = drawCurves(m, names, rank);
    const drawn = names.length ? names[0] : adapterTargets(m)[0];
    matrices.innerHTML = drawMatrices(m, drawn, rank);
    const rows = LECTURE.map(([r, said]) => {
      const real = loraParameters(m, names, r);
      const cells = [`~${short(said).replace(".00", "").replace(/\.0(?=M)/, "")}`];
      cells.push(names.length ? whole(real) : "–", names.length ? percent(real, base) : "–");
      cells.push(names.length ? difference(said, real) : "–");
      const row = element("tr", {}, element("th", { scope: "row" }, `r = ${r}`));
      for (const cell of cells) row.append(element("td", {}, cell));
      return row;
    });
    const head = element("tr");
    for (const text of ["rank", "the lecture's, “7B”", "counted, this choice",
      "of the base", "lecture is off by"]) {
      head.append(element("th", { scope: "col" }, text));
    }
    table.replaceChildren(
      element("caption", {}, `The lecture's table beside the count for ${state.name} (${on})`),
      element("thead", {}, head),
      element("tbody", {}, ...rows),
    );
    note.textContent =
      "The lecture says “7B” and names neither a model nor the modules; its numbers are 1.25M a " +
      "rank. Choose models and modules above to see which come near it.";
  }

  function fillBoxes() {
    const m = models[state.name];
    const all = [...new Set(adapterTargets(m))];
    state.names = state.names.filter((name) => all.includes(name));
    boxes.replaceChildren(boxes.firstChild);
    for (const name of all) {
      const box = control("input", { type: "checkbox" });
      box.checked = state.names.includes(name);
      box.addEventListener("change", () => {
        state.names = all.filter((each) => (each === name ? box.checked : state.names.includes(each)));
        markPreset();
        draw();
      });
      boxes.append(element("label", {}, box, name.replace("_proj", "")));
    }
  }

  const preset = chooser(
    "adapters on",
    [["attention", "attention only"], ["all", "all linear"], ["own", "my choice"]],
    "attention",
    (value) => {
      const m = models[state.name];
      if (value === "attention") state.names = [...ATTENTION];
      if (value === "all") state.names = [...new Set(adapterTargets(m))];
      fillBoxes();
      draw();
    },
  );
  function markPreset() {
    const all = [...new Set(adapterTargets(models[state.name]))];
    const same = (set) => set.length === state.names.length && set.every((x) => state.names.includes(x));
    preset.querySelector("select").value = same(ATTENTION) ? "attention" : same(all) ? "all" : "own";
  }

  const save = (key, value) => { model.set(key, value); model.save_changes(); };
  const controls = element(
    "div", { class: "controls" },
    chooser("model", Object.keys(models).map((name) => [name, name]), state.name, (name) => {
      const wasAll = preset.querySelector("select").value === "all";
      state.name = name;
      if (wasAll) state.names = [...new Set(adapterTargets(models[name]))];
      fillBoxes();
      markPreset();
      draw();
      save("model", name);
    }),
    slider("rank", ranks, state.rank, (r) => `r = ${r}`,
      (r) => { state.rank = r; draw(); }, (r) => save("rank", r)),
    preset,
    boxes,
  );
  fillBoxes();
  draw();
  el.classList.add("course-explorer");
  el.setAttribute("data-explorer", "lora-rank");
  el.append(controls, headline, pictures, table, note);
}

export default { render };
