// Common to the explorers: elements, numbers as words, controls, the count of a model's weights.

const BLUE = "#2b88c8", VERMILLION = "#D55E00", GREEN = "#009E73", PURPLE = "#CC79A7";

export function baseParameters(m) {
  const norms = (2 * m.n_layers + 1) * m.hidden_size;
  const embeddings = m.vocab_size * m.hidden_size * (m.tied_embeddings ? 1 : 2);
  let layer = 0;
  for (const [name, rows, columns, copies] of m.modules) {
    layer += rows * columns * copies;
    if (m.attention_bias && ["q_proj", "k_proj", "v_proj"].includes(name)) layer += rows;
  }
  return layer * m.n_layers + embeddings + norms;
}

export const whole = (n) => Math.round(n).toLocaleString("en-US");

export function short(n) {
  for (const [size, unit] of [[1e9, "B"], [1e6, "M"], [1e3, "k"]]) {
    if (n >= size) return `${(n / size).toPrecision(3)}${unit}`;
  }
  return String(n);
}

export function decimalBytes(n) {
  for (const [size, unit] of [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]]) {
    if (n >= size) return `${(n / size).toFixed(1)} ${unit}`;
  }
  return `${n} B`;
}

export function binaryBytes(n) {
  for (const [power, unit] of [[40, "TiB"], [30, "GiB"], [20, "MiB"], [10, "KiB"]]) {
    if (n >= 2 ** power) {
      const value = n / 2 ** power;
      return `${value >= 100 ? whole(value) : Number(value.toPrecision(3))} ${unit}`;
    }
  }
  return `${n} B`;
}

function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

// An <svg> string: numbers and our own words only, never text from outside.
function svg(width, height, label, body) {
  const escaped = label.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/"/g, "&quot;");
  return `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escaped}">${body}</svg>`;
}

const escapeText = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;");

// A native control; the attribute keeps JupyterLab from taking its arrow keys.
function control(name, attributes, ...children) {
  return element(name, { "data-lm-suppress-shortcuts": "true", ...attributes }, ...children);
}

// A slider over a list of values. `read` gives the words beside it and for a screen reader.
function slider(label, values, start, read, onInput, onRelease) {
  const at = Math.max(0, values.indexOf(start));
  const input = control("input", { type: "range", min: 0, max: values.length - 1, value: at });
  const output = element("output");
  const show = () => {
    output.textContent = read(values[input.value]);
    input.setAttribute("aria-valuetext", output.textContent);
  };
  input.addEventListener("input", () => { show(); onInput(values[input.value]); });
  input.addEventListener("change", () => onRelease(values[input.value]));
  show();
  return element("label", {}, label, input, output);
}

function chooser(label, options, start, onChange) {
  const select = control("select");
  for (const [value, text] of options) {
    const option = element("option", { value }, text);
    if (value === start) option.selected = true;
    select.append(option);
  }
  select.addEventListener("change", () => onChange(select.value));
  return element("label", {}, label, select);
}

