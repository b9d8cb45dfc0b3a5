// The mask of SFT: a conversation token by token, what is learned and what is not.

export const POLICIES = {
  answers: ["every answer", "It learns to answer, and to stop: the closing marker is learned."],
  last: ["the last answer only", "Earlier answers are read, not learned: one answer for each conversation."],
  "no end": ["answers without their end (a mistake)", "Nothing teaches it to stop: no closing marker is learned."],
  all: ["everything", "It learns to write the questions and the headers, too."],
};
const ROOMS = Array.from({ length: 64 }, (_, i) => 4 * (i + 1)); // 4 … 256
const POSITIONS = Array.from({ length: 256 }, (_, i) => i);

// [{token, kind, turn, role, learned, cut}], labels as in build_example: not shifted.
export function label(text, policy, oneId, room) {
  const last = text.roles.lastIndexOf("assistant"), found = [];
  for (const [kind, turn, whole, split] of text.pieces) {
    const marker = kind === "marker" || kind === "end", role = text.roles[turn];
    const answer = role === "assistant" && (kind === "content" || kind === "end");
    const learned = policy === "all" || (answer && (policy === "answers" ||
      (policy === "last" && turn === last) || (policy === "no end" && kind === "content")));
    for (const token of marker && oneId ? [whole] : split) {
      const cut = found.length >= room;
      found.push({ token, kind, turn, role, learned: learned && !cut, cut });
    }
  }
  return found;
}

const visible = (token) => token.replace(/ /g, "·").replace(/\n/g, "↵");

function render({ model, el }) {
  const texts = model.get("texts");
  const state = { name: texts[0].name, template: texts[0].template, policy: "answers",
    oneId: true, room: 256, position: 0 };
  // At first the last token of the first prompt: the model is asked for the first learned one.
  state.position = Math.max(0, label(texts[0], "answers", true, 256).findIndex((each) => each.learned) - 1);
  const headline = element("div", { class: "headline", role: "status" });
  const turns = element("div", { class: "turns" });
  const said = element("div", { class: "note", role: "status" }), table = element("table", { class: "ids" });
  const note = element("div", { class: "note" },
    "Boxed and bold: learned. Plain: masked, its label is -100. Struck through: cut off. " +
      "A space is shown as ·, a line's end as ↵. Tokens are the course's own tokenizer's unless " +
      "yours was given; a marker that it does not know as one id is spelt out in many.");

  const positions = slider("position", POSITIONS, state.position, String,
    (t) => { state.position = t; draw(); }, () => {});

  function draw() {
    const text = texts.find((each) => each.name === state.name && each.template === state.template);
    const all = label(text, state.policy, state.oneId, state.room);
    const kept = all.filter((each) => !each.cut), learned = kept.filter((each) => each.learned);
    const ends = learned.filter((each) => each.kind === "end").length;
    const wanted = label(text, state.policy, state.oneId, Infinity).filter((each) => each.learned && each.kind === "end").length;
    let verdict = POLICIES[state.policy][1];
    if (!learned.length) verdict = "Nothing is left to learn: leave this example out.";
    else if (ends < wanted) verdict = "It was cut: an answer has lost its closing marker, and nothing teaches it to stop there.";
    headline.replaceChildren(
      element("b", {}, `${learned.length} of ${kept.length} tokens are learned`),
      ` (${POLICIES[state.policy][0]}). ${verdict}`,
    );
    const t = state.position = Math.min(state.position, kept.length - 2);
    positions.querySelector("input").max = kept.length - 2;
    positions.querySelector("output").textContent = String(t);
    turns.replaceChildren();
    let row = null, turn = -1;
    all.forEach((each, i) => {
      if (each.turn !== turn) {
        turn = each.turn;
        row = element("div", { class: "tokens" });
        turns.append(element("div", { class: "role" }, each.role), row);
      }
      const kind = each.cut ? "cut" : each.learned ? "learned" : "masked";
      row.append(element("span", { class: `${kind}${i === t + 1 ? " asked" : ""}` }, visible(each.token)));
      if (each.token.includes("\n")) row.append(element("wbr"));
    });
    turns.setAttribute("aria-label",
      `The conversation, learned tokens in brackets: ${all.map((e) => (e.learned ? `[${e.token}]` : e.token)).join("")}`);
    const next = kept[t + 1];
    said.textContent = next
      ? `Having read up to position ${t}, “${visible(kept[t].token)}”, the model is asked for position ${t + 1}, ` +
        `“${visible(next.token)}” (underlined): ${next.learned ? "it counts in the loss." : "not counted."}`
      : "";
    const from = Math.max(0, Math.min(t - 3, kept.length - 9)), shown = kept.slice(from, from + 9);
    const line = (name, cell) => {
      const tr = element("tr", {}, element("th", { scope: "row" }, name));
      shown.forEach((each, i) => tr.append(element("td", { class: from + i === t + 1 ? "asked" : "" }, cell(each, from + i))));
      return tr;
    };
    table.replaceChildren(element("tbody", {},
      line("position", (_, i) => String(i)),
      line("input", (each) => visible(each.token)),
      line("label", (each) => (each.learned ? visible(each.token) : "-100"))));
  }

  const distinct = (field) => [...new Set(texts.map((each) => each[field]))].map((name) => [name, name]);
  const choose = (key) => (value) => { state[key] = value; draw(); };
  const box = control("input", { type: "checkbox" });
  box.checked = true;
  box.addEventListener("change", () => { state.oneId = box.checked; draw(); });
  const controls = element(
    "div", { class: "controls" },
    chooser("conversation", distinct("name"), state.name, choose("name")),
    chooser("template", distinct("template"), state.template, choose("template")),
    chooser("learn", Object.entries(POLICIES).map(([key, [words]]) => [key, words]), state.policy, choose("policy")),
    slider("cut to", ROOMS, 256, (n) => `${n} tokens`, (n) => { state.room = n; draw(); }, () => {}),
    positions,
    element("label", {}, box, "a marker is one id"),
  );
  draw();
  el.classList.add("course-explorer");
  el.setAttribute("data-explorer", "mask");
  el.append(controls, headline, turns, said, table, note);
}

export default { render };
