// The half of "Paint" in the page: ten pictures on their way from noise, where each is heading, and one pixel by hand.
screen("paint", {
  title: "Paint",
  lead: "A trained painter. Press ▶: noise becomes pictures. Say what they shall be, and how strongly the painter shall follow.",
  settings: {
    digit: pattern("each", /^(each|none|\d)$/, { live: true }),
    prompt: words("prompt", "", { live: true, longest: 80, placeholder: "a small ring, top left" }),
    guidance: slider("guidance s", 2, { min: 0, max: 8, step: 0.1, live: true, help: "0: told nothing; 1: told, and no more; above: further in the direction in which being told changes the picture" }),
    euler: whole("Euler steps", 20, { min: 1, max: 50, live: true, help: "in how many straight steps noise becomes a picture" }),
    nth: pattern("0", /^\d$/, { live: true }),
    speed: hidden("10", { live: true }),
  },
  tasks: [
    "Paint, one step at a time. At which step can you tell what it will be? And at which step does the lower row, where it is heading, tell you?",
    "Guidance 0, 1, 2, 8: which pictures are clearest, and which are most alike? What is the price?",
    "One Euler step: what comes out, and why is it the same gray everywhere? And with 2, 5, 20?",
    "Point at a pixel: follow v = v_u + s · (v_c − v_u) with its numbers. Where do told and untold differ most?",
  ],
  build(place, play) {
    const about = play.facts.paint, side = Math.sqrt(about.pixels), LARGE = 8;
    let frame = null, pixel = Math.floor(side / 2) * side + Math.floor(side / 2);
    // Gray values: −1 is paper and 1 is ink, in both looks.
    const shade = x => { const part = (Math.max(-1, Math.min(1, x)) + 1) / 2, [paper, ink] = [rgb("paper"), rgb("ink")]; return `rgb(${paper.map((p, k) => Math.round(p + (ink[k] - p) * part)).join(" ")})`; };
    function picture(context, numbers, x, y, size) {
      const cell = size / side;
      numbers.forEach((number, k) => { context.fillStyle = shade(number); context.fillRect(x + (k % side) * cell, y + Math.floor(k / side) * cell, cell + 0.4, cell + 0.4); });
      context.lineWidth = 1;
      context.strokeStyle = color("outline");
      context.strokeRect(x + 0.5, y + 0.5, size - 1, size - 1);
    }
    const grid = (width, height, count) => {  // as large as they fit
      const across = [10, 5, 4, 3].reduce((best, n) => (sizeOf(width, height, n, count) > sizeOf(width, height, best, count) ? n : best), 10), size = sizeOf(width, height, across, count), left = Math.max(0, width - across * (size + 6)) / 2;
      return { size, at: i => [left + (i % across) * (size + 6) + 3, Math.floor(i / across) * (size + 6) + 3] };
    };
    const sizeOf = (width, height, across, count) => Math.min((width - 6 * across) / across, (height - 6 * Math.ceil(count / across)) / Math.ceil(count / across));
    const rowOf = (title, name) => {
      const heading = element("h2", {}, title), card = element("section", { class: "card", "aria-label": name }, heading), made = canvas(card, (context, width, height) => {
        if (!frame) return;
        const list = frame[name], { size, at } = grid(width, height, list.length);
        list.forEach((one, i) => {
          const [x, y] = at(i);
          picture(context, one, x, y, size);
          if (i === frame.nth) { context.lineWidth = 3; context.strokeStyle = color("positive"); context.strokeRect(x - 1, y - 1, size + 2, size + 2); }
        });
      }, { label: title });
      made.element.addEventListener("click", event => {
        const { size, at } = grid(made.element.clientWidth, made.element.clientHeight, about.count);
        const i = Array.from({ length: about.count }, (_, k) => at(k)).findIndex(([x, y]) => event.offsetX >= x && event.offsetX < x + size && event.offsetY >= y && event.offsetY < y + size);
        if (i >= 0) play.set({ nth: String(i) });
      });
      return { card, heading, made };
    };
    const shown = rowOf("Now", "now"), heading = rowOf("Where each is heading: x + (1 − t) · v", "heading");
    const large = element("section", { class: "card large", "aria-label": "one picture" }), largeTitle = element("h2", {});
    large.append(largeTitle);
    const square = (width, height) => ({ size: Math.min(width, height), left: Math.max(0, width - height) / 2 });
    const big = canvas(large, (context, width, height) => {
      if (!frame) return;
      const { size, left } = square(width, height), cell = size / side;
      context.translate(left, 0);
      picture(context, frame.now[frame.nth], 0, 0, size);
      context.lineWidth = 3;
      context.strokeStyle = color("negative");
      if (!about.latent) context.strokeRect((pixel % side) * cell, Math.floor(pixel / side) * cell, cell, cell);
    });
    give(big.element, { tabindex: "0", role: "application", class: "keys" });
    const point = k => { pixel = k; big.redraw(); byHand(); };
    big.element.addEventListener("pointermove", event => {
      const { size, left } = square(big.element.clientWidth, big.element.clientHeight), [column, row] = [event.offsetX - left, event.offsetY].map(z => Math.floor(z / size * side));
      if (column >= 0 && row >= 0 && column < side && row < side) point(row * side + column);
    });
    big.element.addEventListener("keydown", event => {
      const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!way) return;
      event.preventDefault();
      const [column, row] = [pixel % side + way[0], Math.floor(pixel / side) + way[1]];
      if (column >= 0 && row >= 0 && column < side && row < side) point(row * side + column);
    });
    const hand = element("div", { class: "hand", role: "status" }), strip = canvas(large, (context, width, height) => {
      if (!frame) return;
      const steps = frame.strip.length, chosen = [...new Set(Array.from({ length: Math.min(LARGE, steps) }, (_, i) => Math.round(i * (steps - 1) / Math.max(1, Math.min(LARGE, steps) - 1))))];
      const size = Math.min(height - 1.4 * fontSize(), width / LARGE - 4);
      context.textAlign = "center";
      chosen.forEach((step, i) => {
        picture(context, frame.strip[step], i * (size + 4), 0, size);
        context.fillStyle = color("faint");
        context.fillText(String(step), i * (size + 4) + size / 2, size + fontSize());
      });
    }, { label: "the way from noise, by step" });
    strip.element.classList.add("strip");
    large.append(hand);
    const bracket = x => (x < 0 ? `(${short(x, 3)})` : short(x, 3)), signed = x => (x < 0 ? `− ${short(-x, 3)}` : `+ ${short(x, 3)}`);
    function byHand() {
      if (!frame || about.latent) return;
      const { v, euler, numbers } = frame, x = numbers[pixel], { guidance: s } = play.settings;
      const lines = [`pixel in row ${Math.floor(pixel / side) + 1}, column ${pixel % side + 1}: x = ${short(x, 3)}`];
      if (v && about.condition !== "nothing") lines.push(`v = v_u + s · (v_c − v_u) = ${short(v.untold[pixel], 3)} + ${short(s, 3)} · (${short(v.told[pixel], 3)} ${signed(-v.untold[pixel])}) = ${short(v.v[pixel], 3)}`);
      if (v) lines.push(`x + v / ${euler} = ${short(x, 3)} + ${bracket(v.v[pixel])} / ${euler} = ${short(x + v.v[pixel] / euler, 3)}`);
      hand.replaceChildren(...lines.map(text => element("p", { class: "formula" }, text)));
    }
    function examples() {
      const list = element("select", { "aria-label": "prompts to begin with", onchange: () => { if (list.value) play.set({ prompt: list.value }); list.value = ""; } },
        element("option", { value: "" }, "examples …"), ...about.prompts.map(text => element("option", { value: text }, text)));
      return list;
    }
    const digits = element("div", { class: "digits", role: "group", "aria-label": "which digit" });
    if (about.condition === "class") for (const value of ["each", ..."0123456789", "none"]) digits.append(element("button", { type: "button", "data-digit": value, onclick: () => play.set({ digit: value }) }, { each: "one of each", none: "told nothing" }[value] ?? value));
    const prompts = element("div", { class: "prompts" }), unknown = element("p", { class: "problem", role: "alert" });
    if (about.condition === "text") prompts.append(play.control("prompt"), examples(), unknown);
    const guidance = play.control("guidance");
    guidance.hidden = about.condition === "nothing";
    place.append(
      element("div", { class: "column" }, element("section", { class: "card" }, digits, prompts, element("div", { class: "controls" }, guidance, play.control("euler"))), shown.card, heading.card),
      element("div", { class: "column" }, large));
    return {
      *draw(given) {
        frame = given;
        const { at, euler, nth } = frame, t = at / euler;
        shown.heading.textContent = `Now: step ${at} of ${euler}, t = ${short(t, 2)}`;
        largeTitle.textContent = `Picture ${nth + 1}${about.condition === "class" ? `, ${play.settings.digit === "each" ? `asked for: ${nth % 10}` : play.settings.digit === "none" ? "told nothing" : `asked for: ${play.settings.digit}`}` : ""}`;
        for (const button of digits.children) give(button, { "aria-pressed": String(button.dataset.digit === play.settings.digit) });
        unknown.textContent = frame.known ? "" : `Words it knows: ${about.words.filter(Boolean).join(", ")}; at most ${about.longest}. Until then it is told nothing.`;
        shown.made.label(`${plural(about.count, "picture")} after ${plural(at, "step")} of ${euler}`);
        big.label(`picture ${nth + 1}; arrow keys move from pixel to pixel`);
        byHand();
        shown.made.redraw();
        yield;
        heading.made.redraw();
        yield;
        big.redraw();
        strip.redraw();
      },
      status: () => (frame ? `step ${frame.at} of ${frame.euler}` : "loading …"),
      run: () => frame?.at ?? 0,
      python: paintProgram,
    };
  },
});
function paintProgram({ seed, guidance, euler, digit, prompt, nth }, { at, known }) {
  const { folder, count, numbers, condition, nothing } = FACTS.paint;
  const told = condition === "nothing" ? `[()] * ${count}` : condition === "class" ? (digit === "each" ? `[(i % ${nothing},) for i in range(${count})]` : `[(${digit === "none" ? nothing : digit},)] * ${count}`)
    : prompt.trim() && known ? `[(encode(${JSON.stringify(prompt)}),)] * ${count}` : `[(NOTHING,)] * ${count}`;
  return `import random

import numpy as np

from image.run import SavedRun
from image.sample import Sampler
${condition === "text" ? "from image.data.shapes import NOTHING, encode\n" : ""}
run = SavedRun.open(${JSON.stringify(folder)})
draw = random.Random(${seed})
start = np.array([[draw.gauss(0, 1) for _ in range(${numbers})] for _ in range(${count})])
told = ${told}
painter = Sampler(run.model)
way = painter.way(start, told, steps=${euler}, guidance=${guidance})
print(way[${at}][${nth}].tolist())
`;
}
