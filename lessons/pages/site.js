"use strict";
const root = document.documentElement;
const paint = theme => {
  for (const frame of document.querySelectorAll("iframe")) {
    const inside = frame.contentDocument?.documentElement;
    if (inside) inside.dataset.theme = theme;
    else frame.contentWindow?.postMessage({ look: theme }, "*");  // a file of its own: the playground
  }
};
document.getElementById("theme").onclick = () => {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  LOOK.choose((root.dataset.theme ?? (dark ? "dark" : "light")) === "dark" ? "light" : "dark");
  paint(root.dataset.theme);
};
for (const frame of document.querySelectorAll("iframe"))
  frame.addEventListener("load", () => { if (root.dataset.theme) paint(root.dataset.theme); });

for (const block of document.querySelectorAll(".code")) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "copy";
  button.onclick = async () => {
    const text = block.querySelector("code").textContent + "\n";
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "copied";
    } catch {
      getSelection().selectAllChildren(block.querySelector("code"));
      button.textContent = "selected";
    }
    setTimeout(() => { button.textContent = "copy"; }, 1500);
  };
  block.append(button);
}

// A picture that is wider than its place says so, and can be made to fit; so do those that a cell draws.
const PICTURES = "figure:has(> svg):not(.watched)";
function watch(figure) {
  figure.classList.add("watched");
  const hint = document.createElement("p"), button = document.createElement("button");
  hint.className = "wider";
  hint.hidden = true;
  button.type = "button";
  button.onclick = () => { figure.classList.toggle("whole"); tell(); };
  hint.append(button, " or scroll sideways →");
  figure.before(hint);
  const tell = () => {
    const isWhole = figure.classList.contains("whole");
    hint.hidden = !isWhole && figure.scrollWidth <= figure.clientWidth + 1;
    button.textContent = isWhole ? "readable size" : "the whole picture";
    hint.lastChild.textContent = isWhole ? "" : " or scroll sideways →";
  };
  new ResizeObserver(tell).observe(figure);
}
document.querySelectorAll(PICTURES).forEach(watch);
new MutationObserver(() => document.querySelectorAll(PICTURES).forEach(watch)).observe(document.body, { childList: true, subtree: true });

// As on many sites, "/" leads to the search box.
addEventListener("keydown", event => {
  if (event.key !== "/" || event.target.matches?.("input, select, textarea")) return;
  event.preventDefault();
  document.querySelector("input[type=search]").focus();
});

const open = () => {
  let target = location.hash && document.getElementById(location.hash.slice(1));
  for (; target; target = target.parentElement) if (target.tagName === "DETAILS") target.open = true;
};
addEventListener("hashchange", open);
open();

// The search: on the map it is done here; a lesson shows the map's results in a frame below its header.
const store = document.getElementById("entries");
if (!store) {
  const box = document.querySelector("input[type=search]"), found = document.getElementById("found");
  const look = () => found.contentWindow?.postMessage({ search: box.value }, "*");
  const closed = () => { found.hidden = true; };
  found.onload = look;
  box.oninput = () => {
    found.hidden = !box.value.trim();
    if (!found.hidden && !found.src) found.src = "index.html?found"; else look();
  };
  box.onkeydown = event => { if (event.key === "Escape") closed(); };
  document.querySelector("main").addEventListener("click", closed);
} else {
  const entries = JSON.parse(store.textContent), box = document.getElementById("q");
  const results = document.getElementById("results"), way = document.getElementById("way");
  const shorten = (text, word) => {
    const near = text.toLowerCase().indexOf(word) - 60, at = near > 0 ? text.indexOf(" ", near) + 1 : 0;
    const end = text.length > at + 180 ? text.lastIndexOf(" ", at + 180) : text.length;
    return (at ? "… " : "") + text.slice(at, end) + (end < text.length ? " …" : "");
  };
  const marked = (text, words) => {
    const line = document.createElement("small");
    const escape = words.map(word => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
    for (const [i, part] of text.split(new RegExp(`(${escape.join("|")})`, "i")).entries())
      if (i % 2) line.append(Object.assign(document.createElement("mark"), { textContent: part })); else line.append(part);
    return line;
  };
  const search = () => {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    results.hidden = !words.length;
    way.hidden = words.length > 0;
    results.replaceChildren();
    if (!words.length) return;
    const found = entries.filter(entry => words.every(word => (entry.title + " " + entry.text).toLowerCase().includes(word)));
    const count = document.createElement("p");
    count.textContent = found.length === 1 ? "1 place" : `${found.length} places` + (found.length > 60 ? ", the first 60:" : "");
    results.append(count);
    for (const entry of found.slice(0, 60)) {
      const link = Object.assign(document.createElement("a"), { href: entry.at, textContent: entry.title, target: "_top" });
      link.append(marked(shorten(entry.text, words[0]), words));
      results.append(link);
    }
  };
  box.form.onsubmit = event => event.preventDefault();
  box.oninput = search;
  const asked = new URLSearchParams(location.search);
  box.value = asked.get("q") ?? "";
  if (asked.has("found")) {
    root.classList.add("found");
    addEventListener("message", ({ data, source }) => {
      if (source !== parent) return;
      if (data?.look) root.dataset.theme = data.look;
      if (typeof data?.search === "string") { box.value = data.search; search(); }
    });
  }
  search();
}
