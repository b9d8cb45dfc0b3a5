// A router at work: tokens per expert in one batch, and how many experts a batch touches.

export const BATCH = [1, 2, 4, 8, 16, 32, 64, 128, 256];
export const EXPERTS = [4, 8, 16, 32, 64];
const STREAMS = 12; // batches that the mean is taken over

// A random number generator with a seed, so that a picture is the same each time (mulberry32).
function generator(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

// k different experts, drawn one after another with these weights: the k smallest arrival times.
function pick(weights, k, random, chosen, times) {
  let have = 0;
  for (let e = 0; e < weights.length; e++) {
    const time = -Math.log(random() || 1e-12) / weights[e];
    if (have === k && time >= times[k - 1]) continue;
    let at = have < k ? have++ : k - 1;
    for (; at > 0 && times[at - 1] > time; at--) {
      times[at] = times[at - 1];
      chosen[at] = chosen[at - 1];
    }
    times[at] = time;
    chosen[at] = e;
  }
}

// {loads: tokens per expert for each batch size (one stream), touched: distinct experts (mean)}
export function simulate(experts, k, skew) {
  const random = generator(28), loads = {}, touched = Object.fromEntries(BATCH.map((n) => [n, 0]));
  const weights = Array.from({ length: experts }, (_, e) => (e + 1) ** -skew);
  const chosen = new Array(k).fill(0), times = new Array(k).fill(0);
  for (let stream = 0; stream < STREAMS; stream++) {
    const load = new Array(experts).fill(0);
    for (let n = 1; n <= BATCH[BATCH.length - 1]; n++) {
      pick(weights, k, random, chosen, times);
      for (const e of chosen) load[e] += 1;
      if (n in touched) {
        touched[n] += load.filter(Boolean).length / STREAMS;
        if (stream === 0) loads[n] = load.slice();
      }
    }
  }
  return { loads, touched };
}

function drawLoads(load, tokens, k, id) {
  const W = 820, H = 190, left = 44, bottom = 36, top = 30, E = load.length;
  const step = (W - left) / E, most = Math.max(...load, 1), fair = (tokens * k) / E;
  const y = (v) => H - bottom - ((H - bottom - top) * v) / Math.max(most, fair);
  const parts = [
    `<defs><pattern id="${id}-stripes" width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="8" height="8" fill="${BLUE}" fill-opacity="0.35"/><line x1="0" x2="0" y1="0" y2="8" stroke="${BLUE}" stroke-width="5"/></pattern></defs>`,
    `<text x="0" y="14" class="strong">tokens that each expert gets in one batch (dashed: a fair share, ${Number(fair.toPrecision(3))})</text>`,
  ];
  load.forEach((n, e) => {
    const x = left + e * step;
    parts.push(
      `<rect x="${x + 1}" y="${y(n)}" width="${Math.max(2, step - 3)}" height="${H - bottom - y(n)}" fill="url(#${id}-stripes)" stroke="${BLUE}"/>`,
    );
    if (E <= 16) {
      parts.push(
        `<text x="${x + step / 2}" y="${H - bottom + 15}" text-anchor="middle" class="small">${e}</text>`,
        `<text x="${x + step / 2}" y="${y(n) - 4}" text-anchor="middle" class="small">${n || "idle"}</text>`,
      );
    }
  });
  parts.push(
    `<line x1="${left}" x2="${W}" y1="${y(fair)}" y2="${y(fair)}" stroke="${VERMILLION}" stroke-width="2" stroke-dasharray="7 5"/>`,
    `<text x="${left}" y="${H - 4}" class="small">expert</text>`,
  );
  const idle = load.filter((n) => n === 0).length;
  return svg(W, H, `Tokens per expert: busiest ${most}, fair share ${Number(fair.toPrecision(3))}, ${idle} of ${E} idle.`, parts.join(""));
}

function drawTouched(touched, tokens, experts) {
  const W = 820, H = 190, left = 44, right = 160, bottom = 36, top = 30;
  const x = (i) => left + ((W - left - right) * i) / (BATCH.length - 1);
  const y = (v) => H - bottom - ((H - bottom - top) * v) / experts;
  const line = BATCH.map((n, i) => `${x(i)},${y(touched[n])}`).join(" ");
  const parts = [
    `<text x="0" y="14" class="strong">different experts that a batch needs (all their weights are read)</text>`,
    `<line x1="${left}" x2="${W - right}" y1="${y(experts)}" y2="${y(experts)}" stroke="currentColor" stroke-opacity="0.5" stroke-dasharray="3 4"/>`,
    `<text x="${W - right + 8}" y="${y(experts) + 4}" class="small">all ${experts}</text>`,
    `<polyline points="${line}" fill="none" stroke="${GREEN}" stroke-width="2.5"/>`,
  ];
  BATCH.forEach((n, i) => {
    const here = n === tokens;
    parts.push(
      `<circle cx="${x(i)}" cy="${y(touched[n])}" r="${here ? 8 : 4}" fill="${here ? "none" : GREEN}" stroke="${here ? "currentColor" : GREEN}" stroke-width="2"/>`,
      `<text x="${x(i)}" y="${H - bottom + 18}" text-anchor="middle" class="${here ? "strong" : "small"}">${n}</text>`,
    );
  });
  parts.push(`<text x="${W - right + 26}" y="${H - bottom + 18}" class="small">tokens in the batch</text>`);
  return svg(W, H, `A batch of ${tokens} tokens needs ${touched[tokens].toFixed(1)} of ${experts} experts.`, parts.join(""));
}

function render({ model, el }) {
  const id = `course-${Math.random().toString(36).slice(2)}`;
  const name = model.get("model"), m = model.get("models")[name];
  const state = { experts: m.n_experts, k: m.experts_per_token, tokens: 8, skew: 0 };
  const headline = element("div", { class: "headline", role: "status" });
  const loads = element("div"), touched = element("div", { style: "margin-top: 12px" });
  const expertBytes = m.n_layers * m.n_experts * 3 * m.hidden_size * m.d_ff * 2;
  let seen = null;

  function draw() {
    const { experts, tokens } = state, k = Math.min(state.k, experts);
    const key = [experts, k, state.skew].join();
    if (seen?.key !== key) seen = { key, ...simulate(experts, k, state.skew) };
    const part = seen.touched[tokens] / experts;
    headline.replaceChildren(
      element("b", {}, `${seen.touched[tokens].toFixed(1)} of ${experts} experts`),
      ` for ${whole(tokens)} ${tokens === 1 ? "token" : "tokens"}, ${k} each: a token computes with ` +
        `${Math.round((100 * k) / experts)}% of the experts' weights, the batch reads ` +
        `${Math.round(100 * part)}%, ${decimalBytes(expertBytes * part)} of ${decimalBytes(expertBytes)}.`,
    );
    loads.innerHTML = drawLoads(seen.loads[tokens], tokens, k, id);
    touched.innerHTML = drawTouched(seen.touched, tokens, experts);
  }

  const change = (field) => (value) => { state[field] = value; draw(); };
  const idle = () => {};
  const controls = element(
    "div", { class: "controls" },
    slider("tokens", BATCH, state.tokens, whole, change("tokens"), idle),
    slider("experts", EXPERTS, state.experts, whole, change("experts"), idle),
    slider("chosen for each token", [1, 2, 4, 8], state.k, whole, change("k"), idle),
    slider("favourites", [0, 0.5, 1, 1.5, 2, 3], 0, (s) => (s ? `strength ${s}` : "none"), change("skew"), idle),
  );
  draw();
  el.classList.add("course-explorer");
  el.setAttribute("data-explorer", "moe-routing");
  el.append(controls, headline, loads, touched, element("div", { class: "note" },
    `Sizes of ${name}: its experts' weights in bf16, cut into as many experts as chosen. Routing is ` +
    `drawn at random; favourites make the router prefer the first experts. Means over ${STREAMS} batches.`));
}

export default { render };
