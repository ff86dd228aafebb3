// The predictions: what comes after one is folded until there is an answer; see lessons/predict.py, which reads and
// judges in the same way.
const THOUSANDS = /(?<![\d.])[1-9]\d{0,2}(?:,\d{3})+(?![\d,])/g;
function readNumber(typed) {
  let text = typed.slice(typed.lastIndexOf("=") + 1).trim().toLowerCase();
  text = text.replace(/[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+/g, signs => "^" + [...signs].map(sign => sign === "⁻" ? "-" : "⁰¹²³⁴⁵⁶⁷⁸⁹".indexOf(sign)).join(""));
  text = text.replace(/[¼-¾⅐-⅞]/g, part => `(${part.normalize("NFKC").replace("⁄", "/")})`);
  text = text.replace(THOUSANDS, digits => digits.replaceAll(",", "")).replace(/(\d),(\d)/g, "$1.$2");
  text = text.replaceAll("**", "^").replaceAll("%", "/100").replace(/[−–]/g, "-").replace(/[·×]/g, "*").replaceAll("÷", "/");
  text = text.replace(/\bln\b\s*(\d[\d.]*)?/g, (_, x) => x ? `log(${x})` : "log").replace(/√\s*(\d[\d.]*)?/g, (_, x) => x ? `sqrt(${x})` : "sqrt");
  if (text === "nan") return NaN;
  if (["inf", "infinity", "∞"].includes(text)) return Infinity;
  const tokens = text.match(/\d+\.?\d*(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?|[a-z]+|\S/g) ?? [];
  let at = 0;
  const fail = () => { throw new SyntaxError(text); };
  const take = token => tokens[at] === token && ++at > 0;
  const need = token => take(token) || fail();
  const sum = () => {
    let x = product();
    for (;;) if (take("+")) x += product(); else if (take("-")) x -= product(); else return x;
  };
  const product = () => {
    let x = signed();
    for (;;) if (take("*")) x *= signed(); else if (take("/")) x /= signed(); else return x;
  };
  const signed = () => take("-") ? -signed() : take("+") ? signed() : power();
  const power = () => {
    const x = atom();
    return take("^") ? x ** signed() : x;
  };
  const atom = () => {
    if (take("(")) {
      const x = sum();
      need(")");
      return x;
    }
    const token = tokens[at++] ?? fail();
    if (/^[\d.]/.test(token)) return Number(token);
    if (!["exp", "log", "sqrt", "tanh"].includes(token)) fail();
    need("(");
    const x = sum();
    need(")");
    return Math[token](x);
  };
  try {
    const x = sum();
    return at === tokens.length && Number.isFinite(x) ? x : null;
  } catch { return null; }
}

{
  const stops = [...document.querySelectorAll(".guess")], judged = stops.filter(stop => stop.querySelector(".field"));
  const place = `predict:${location.pathname.split("/").at(-1)}`, $ = id => document.getElementById(id);
  const read = () => { try { return JSON.parse(localStorage.getItem(place)) ?? {}; } catch { return {}; } };
  let kept = read();
  const keep = (name, text) => { try { if (text === null) localStorage.removeItem(name); else localStorage.setItem(name, text); } catch { /* a browser that keeps nothing */ } };
  const behind = stop => $(`${stop.id}-answer`);
  let wanted = null;  // the place that a link led to, if it is folded

  const fields = stop => [...stop.querySelectorAll(".field")].map(field => {
    const box = field.querySelector("input:not([type=radio])"), options = [...field.querySelectorAll("input[type=radio]")];
    const { right, within, words } = (box ?? field).dataset;
    return {
      mark: field.querySelector("span"), inputs: box ? [box] : options,
      get typed() { return box ? box.value.trim() : options.find(option => option.checked)?.value ?? ""; },
      set typed(text) { if (box) box.value = text; else for (const option of options) option.checked = option.value === text; },
      words,
      get understood() { return this.typed !== "" && (!box || readNumber(this.typed) !== null); },
      get isRight() {
        if (!box) return this.typed === right;
        const hundredfold = "percent" in box.dataset && this.typed.includes("%") ? 100 : 1;
        const x = hundredfold * readNumber(this.typed), y = { nan: NaN, inf: Infinity, "-inf": -Infinity }[right] ?? Number(right);
        return Number.isFinite(y) ? Math.abs(x - y) <= Number(within) * (1 + 1e-9) : Object.is(x, y);
      },
    };
  });

  const show = stop => {
    const { done, tries } = kept[stop.dataset.key] ?? {}, verdict = stop.querySelector(".verdict"), all = fields(stop);
    behind(stop).classList.toggle("open", Boolean(done));
    for (const button of stop.querySelectorAll("button")) button.hidden = Boolean(done);
    for (const field of all) {
      const says = tries || done ? field.isRight : null;
      for (const input of field.inputs) {
        input.disabled = Boolean(done);
        if (says === false && !done) input.setAttribute("aria-invalid", "true"); else input.removeAttribute("aria-invalid");
      }
      field.mark.className = says === null ? "" : says ? "right" : "wrong";
      const said = field.understood ? "✗ " : "";
      field.mark.textContent = says === null ? "" : says ? "✓" : done ? `${said}it is ${field.words}` : "✗ not yet";
    }
    const missed = all.filter(field => !field.isRight);
    verdict.textContent = !done ? (tries ? "Not yet. Try once more." : "") : !all.length ? "" : !missed.length
      ? (tries > 1 ? "Right, the second time." : "Right.") : done === "shown" ? "" : "Not this time. Read on.";
    score();
  };
  const score = () => {
    const states = judged.map(stop => kept[stop.dataset.key]), right = states.filter(state => state?.done === "right").length;
    const text = judged.length ? `${right} of ${judged.length} right` : "";
    if ($("score").textContent !== text) $("score").textContent = text;
    $("over").hidden = !stops.some(stop => kept[stop.dataset.key]);
  };
  const set = (stop, state) => {
    kept[stop.dataset.key] = { ...state, typed: fields(stop).map(field => field.typed) };
    keep(place, JSON.stringify(kept));
    show(stop);
    if (wanted?.closest(".answer:not(.open)") === null) { wanted.scrollIntoView(); wanted = null; }
  };

  const recall = stop => {
    const state = kept[stop.dataset.key];
    if (state) fields(stop).forEach((field, i) => { field.typed = state.typed[i] ?? ""; });
    show(stop);
  };
  for (const stop of stops) {
    stop.hidden = false;
    stop.onsubmit = event => {
      event.preventDefault();
      const all = fields(stop), unclear = all.find(field => !field.understood), tries = (kept[stop.dataset.key]?.tries ?? 0) + 1;
      if (kept[stop.dataset.key]?.done || !all.length) return;
      if (unclear) {
        stop.querySelector(".verdict").textContent = unclear.typed ? "Type a number, such as 0.5, 1/3 or 12 %." : "Answer every line first, or let it be shown.";
        unclear.inputs[0].focus();
        return;
      }
      const right = all.every(field => field.isRight);
      set(stop, { tries, done: right ? "right" : tries >= 2 ? "wrong" : "" });
      if (!right && tries < 2) all.find(field => !field.isRight).inputs[0].focus();
    };
    stop.querySelector(".show").onclick = () => set(stop, { tries: kept[stop.dataset.key]?.tries ?? 0, done: "shown" });
    recall(stop);
  }
  addEventListener("storage", ({ key }) => {  // the same page in another window
    if (key !== place) return;
    kept = read();
    for (const stop of stops) recall(stop);
  });

  // The teacher's switch: everything on this page is open until it is switched off.
  const open = all => {
    root.classList.toggle("all", all);
    $("all").setAttribute("aria-pressed", String(all));
    keep(`all:${place}`, all ? "all" : null);
  };
  const folded = () => {
    const target = location.hash && $(decodeURIComponent(location.hash.slice(1)));
    const answers = [];
    for (let part = target; part; part = part.parentElement) if (part.matches(".answer:not(.open)")) answers.push(part);
    if (!answers.length || root.classList.contains("all")) return;
    const stop = $(answers.at(-1).id.replace("-answer", ""));
    wanted = target;
    stop.querySelector(".verdict").textContent = "What you are looking for comes after this question.";
    (stop.previousElementSibling ?? stop).scrollIntoView();
    stop.querySelector("input, button").focus({ preventScroll: true });
  };
  $("all").hidden = !stops.length;
  $("all").onclick = () => open(!root.classList.contains("all"));
  $("over").onclick = () => {
    for (const stop of stops) { delete kept[stop.dataset.key]; for (const field of fields(stop)) field.typed = ""; }
    keep(place, null);
    for (const stop of stops) show(stop);
    (judged[0] ?? stops[0]).scrollIntoView({ block: "center" });
  };
  try { if (localStorage.getItem(`all:${place}`) === "all") open(true); } catch { /* a browser that keeps nothing */ }
  score();
  addEventListener("hashchange", folded);
  addEventListener("load", () => setTimeout(folded));  // after the browser has looked for the place itself
}
