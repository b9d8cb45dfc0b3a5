// Bytes of the KV cache, and what fits beside the weights.

export const LENGTHS = Array.from({ length: 13 }, (_, i) => 2 ** (i + 8)); // 256 … 1,048,576
export const BATCHES = [1, 2, 4, 8, 16, 32, 64, 128, 256];
const CARDS = [16e9, 24e9, 80e9];

// Every layer keeps one key and one value of head_dim numbers a kv head and token.
export function cacheBytesPerToken(m, kvHeads, bytes) {
  const key = kvHeads * m.head_dim, value = kvHeads * m.head_dim;
  return (key + value) * bytes * m.n_layers;
}

// [name, kv heads, is it what the model has?]
export function variants(m) {
  const own = m.n_kv_heads;
  const grouped = own > 1 && own < m.n_heads
    ? own
    : [8, 4, 2].find((n) => n < m.n_heads && m.n_heads % n === 0);
  const list = [["MHA", m.n_heads, own === m.n_heads]];
  if (grouped) list.push(["GQA", grouped, own === grouped]);
  list.push(["MQA", 1, own === 1 && m.n_heads > 1]);
  return list;
}

// The longest context for which weights in bf16 and the cache of the batch fit, 0 if none.
export function longestContext(m, capacity, batch, bytes) {
  const room = capacity - 2 * baseParameters(m);
  return Math.max(0, Math.floor(room / (batch * cacheBytesPerToken(m, m.n_kv_heads, bytes))));
}

function drawBars(m, name, tokens, batch, bytes, id) {
  const W = 820, rowHeight = 46, left = 150, right = 200, top = 26;
  const list = variants(m), H = top + list.length * rowHeight + 6;
  const amounts = list.map(([, heads]) => cacheBytesPerToken(m, heads, bytes) * tokens * batch);
  const most = Math.max(...amounts), full = W - left - right;
  const fills = { MHA: [VERMILLION, ""], GQA: [BLUE, "stripes"], MQA: [GREEN, "dots"] };
  const parts = [
    `<defs>
      <pattern id="${id}-stripes" width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="8" height="8" fill="${BLUE}" fill-opacity="0.35"/><line x1="0" x2="0" y1="0" y2="8" stroke="${BLUE}" stroke-width="5"/></pattern>
      <pattern id="${id}-dots" width="8" height="8" patternUnits="userSpaceOnUse"><rect width="8" height="8" fill="${GREEN}" fill-opacity="0.35"/><circle cx="4" cy="4" r="2.4" fill="${GREEN}"/></pattern>
    </defs>`,
    `<text x="0" y="14" class="strong">cache of the whole batch, by number of kv heads</text>`,
  ];
  list.forEach(([kind, heads, own], i) => {
    const y = top + i * rowHeight, width = Math.max(1.5, (full * amounts[i]) / most);
    const [colour, pattern] = fills[kind];
    const fill = pattern ? `url(#${id}-${pattern})` : colour;
    const share = i === 0 ? "" : `, 1/${Number((amounts[0] / amounts[i]).toPrecision(3))} of MHA`;
    parts.push(
      `<text x="0" y="${y + 17}" class="${own ? "strong" : ""}">${kind}, ${heads} kv ${heads === 1 ? "head" : "heads"}</text>`,
      own ? `<text x="0" y="${y + 33}" class="small">what ${escapeText(name)} has</text>` : "",
      `<rect x="${left}" y="${y + 3}" width="${width}" height="28" fill="${fill}" stroke="${own ? "currentColor" : colour}" stroke-width="${own ? 2 : 1}"/>`,
      `<text x="${left + width + 9}" y="${y + 22}" class="${own ? "strong" : ""}">${binaryBytes(amounts[i])}${share}</text>`,
    );
  });
  const label = "KV cache: " +
    list.map(([kind, heads], i) => `${kind} with ${heads} kv heads ${binaryBytes(amounts[i])}`).join(", ");
  return svg(W, H, label, parts.join(""));
}

function drawCards(m, tokens, batch, bytes, id) {
  const W = 820, rowHeight = 46, left = 150, right = 200, top = 26;
  const weights = 2 * baseParameters(m);
  const cache = cacheBytesPerToken(m, m.n_kv_heads, bytes) * tokens * batch;
  const H = top + CARDS.length * rowHeight + 4, full = W - left - right;
  const parts = [
    `<text x="0" y="14" class="strong">does it fit beside the weights? (grey: weights, striped: cache, as a share of the card)</text>`,
  ];
  const said = [];
  CARDS.forEach((card, i) => {
    const y = top + i * rowHeight, fits = weights + cache <= card;
    const a = full * Math.min(1, weights / card);
    const b = full * Math.min(1 - a / full, cache / card);
    const longest = longestContext(m, card, batch, bytes);
    const reach = longest ? `up to ${whole(longest)} tokens` : "not even the weights";
    said.push(`${card / 1e9} GB ${fits ? "fits" : "does not fit"}`);
    parts.push(
      `<text x="0" y="${y + 17}">${card / 1e9} GB card</text>`,
      `<rect x="${left}" y="${y + 3}" width="${a}" height="28" fill="currentColor" fill-opacity="0.35"/>`,
      `<rect x="${left + a}" y="${y + 3}" width="${b}" height="28" fill="url(#${id}-stripes)"/>`,
      `<rect x="${left}" y="${y + 3}" width="${full}" height="28" fill="none" stroke="currentColor" stroke-width="1.5"/>`,
      `<text x="${left + full + 9}" y="${y + 15}" class="strong">${fits ? "✓ fits" : "✗ does not fit"}</text>`,
      `<text x="${left + full + 9}" y="${y + 31}" class="small">${reach}</text>`,
    );
  });
  return svg(W, H, `Weights and cache: ${said.join(", ")}.`, parts.join(""));
}

function render({ model, el }) {
  const id = `course-${Math.random().toString(36).slice(2)}`; // patterns of this view alone
  const models = model.get("models");
  const state = { name: model.get("model"), tokens: 8192, batch: 1, bytes: 2 };
  const headline = element("div", { class: "headline", role: "status" });
  const bars = element("div"), cards = element("div", { style: "margin-top: 12px" });
  const note = element("div", { class: "note" });

  function draw() {
    const m = models[state.name], { tokens, batch, bytes } = state;
    const token = cacheBytesPerToken(m, m.n_kv_heads, bytes);
    headline.replaceChildren(
      element("b", {}, binaryBytes(token * tokens * batch)),
      ` of KV cache for ${state.name}: ${binaryBytes(token)} a token, ` +
        `${binaryBytes(token * tokens)} a sequence of ${whole(tokens)} tokens, ` +
        `${whole(batch)} ${batch === 1 ? "sequence" : "sequences"}.`,
    );
    bars.innerHTML = drawBars(m, state.name, tokens, batch, bytes, id);
    cards.innerHTML = drawCards(m, tokens, batch, bytes, id);
    const weights = 2 * baseParameters(m);
    note.textContent =
      `Weights: ${whole(baseParameters(m))} parameters in bf16, ${binaryBytes(weights)}. A card of ` +
      "16 GB is taken as 16·10⁹ bytes, about what its driver leaves free; activations are not counted. " +
      "GiB = 2³⁰ bytes.";
  }

  const controls = element(
    "div", { class: "controls" },
    chooser("model", Object.keys(models).map((name) => [name, name]), state.name, (name) => {
      state.name = name;
      draw();
      model.set("model", name);
      model.save_changes();
    }),
    slider("tokens", LENGTHS, 8192, whole, (n) => { state.tokens = n; draw(); }, () => {}),
    slider("batch", BATCHES, 1, whole, (n) => { state.batch = n; draw(); }, () => {}),
    chooser("cache in", [["4", "fp32, 4 bytes"], ["2", "bf16, 2 bytes"], ["1", "int8 or fp8, 1 byte"]],
      "2", (value) => { state.bytes = Number(value); draw(); }),
  );
  draw();
  el.classList.add("course-explorer");
  el.setAttribute("data-explorer", "kv-cache");
  el.append(controls, headline, bars, cards, note);
}

export default { render };
