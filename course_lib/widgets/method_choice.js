// A situation -> the method to try first, why, and what it costs. The texts come from Python.

function render({ model, el }) {
  const situations = model.get("situations");
  const headline = element("div", { class: "headline", role: "status" });
  const list = element("dl");

  function draw(at) {
    const { method, why, cost, instead } = situations[at];
    headline.replaceChildren("Try first: ", element("b", {}, method));
    list.replaceChildren();
    for (const [term, text] of [["why", why], ["what it costs", cost], ["if it is not enough", instead]]) {
      list.append(element("dt", { class: "strong" }, term), element("dd", {}, text));
    }
  }

  const start = model.get("choice");
  const controls = element(
    "div", { class: "controls" },
    chooser("situation", situations.map((s, i) => [String(i), s.situation]), String(start), (value) => {
      draw(Number(value));
      model.set("choice", Number(value));
      model.save_changes();
    }),
  );
  draw(start);
  el.classList.add("course-explorer");
  el.setAttribute("data-explorer", "method-choice");
  el.append(controls, headline, list);
}

export default { render };
