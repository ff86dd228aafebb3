"use strict";
const root = document.documentElement;
const memory = {
  get theme() { try { return localStorage.getItem("theme"); } catch { return null; } },
  set theme(theme) { try { localStorage.setItem("theme", theme); } catch { /* a browser that keeps nothing */ } },
};
const paint = theme => {
  root.dataset.theme = memory.theme = theme;
  for (const frame of document.querySelectorAll("iframe")) {
    const inside = frame.contentDocument?.documentElement;
    if (inside) inside.dataset.theme = theme;
    else frame.contentWindow?.postMessage({ look: theme }, "*");  // a file of its own: the playground
  }
};
document.getElementById("theme").onclick = () => {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  paint((root.dataset.theme ?? (dark ? "dark" : "light")) === "dark" ? "light" : "dark");
};
if (memory.theme) paint(memory.theme);
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

const store = document.getElementById("entries");
if (store) {
  const entries = JSON.parse(store.textContent), box = document.getElementById("q");
  const results = document.getElementById("results"), way = document.getElementById("way");
  const shorten = (text, word) => {
    const at = Math.max(0, text.toLowerCase().indexOf(word) - 60);
    return (at ? "… " : "") + text.slice(at, at + 180) + (text.length > at + 180 ? " …" : "");
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
      const link = Object.assign(document.createElement("a"), { href: entry.at, textContent: entry.title });
      link.append(marked(shorten(entry.text, words[0]), words));
      results.append(link);
    }
  };
  box.form.onsubmit = event => event.preventDefault();
  box.oninput = search;
  box.value = new URLSearchParams(location.search).get("q") ?? "";
  search();
}
