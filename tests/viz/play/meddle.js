"use strict";
// What the tests of all screens do in the page. As assignments, so that it can be evaluated more than once.

// Gives every control a few values, as a person might; answers with what went wrong.
var meddle = async () => {
  const wait = (time) => new Promise((done) => setTimeout(done, time));
  const $ = (id) => document.getElementById(id);
  const quiet = async () => { for (let n = 0; n < 800 && document.body.dataset.busy; n++) await wait(25); };
  const give = async (it, kind, value) => {
    if (value !== undefined) it.value = value;
    it.dispatchEvent(new Event(kind, { bubbles: true }));
    await wait(90);
  };
  const use = async (it) => {
    if (it.type === "range") for (const t of [it.max, it.min, (Number(it.min) + Number(it.max)) / 2]) await give(it, "input", t);
    else if (it.type === "number") for (const t of [it.max, it.min, it.defaultValue || it.min]) await give(it, "change", t);
    else if (it.tagName === "SELECT") for (const one of [...it.options].slice(0, 6).reverse()) { await give(it, "change", one.value); await quiet(); }
    else if (it.tagName === "TEXTAREA" || it.type === "text") await give(it, "input");
    else it.click();
    await give(it, "change");
  };
  const seen = new Set(), wrong = [];
  for (let round = 0; round < 3; round++) {
    for (const it of document.querySelectorAll("#place :is(button, input, select, textarea, summary), footer button")) {
      const name = `${it.tagName} ${it.id} ${it.getAttribute("aria-label") ?? it.textContent.trim()} ${it.title}`;
      if (!it.isConnected || it.disabled || !it.getClientRects().length || seen.has(name)) continue;
      if (it.matches("[data-leaves], [type=file]")) continue;  // goes to another screen, or to a window of the browser
      seen.add(name);
      await use(it);
      if ($("play").getAttribute("aria-label") === "pause") { await wait(200); $("play").click(); }
      await quiet();
      if (document.body.dataset.busy) wrong.push(`never quiet after ${name}`);
      const said = $("trouble-text").textContent;
      if (said.startsWith("This page has a fault")) return [...wrong, `${name}: ${said}`];
      document.querySelector("dialog[open] .close")?.click();
    }
  }
  return wrong;
};
var shown = (it) => it.getClientRects().length > 0;
// Text that nobody can read from the back of a room.
var small = () => [...document.querySelectorAll("body *")]
  .filter((it) => shown(it) && [...it.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
  .filter((it) => parseFloat(getComputedStyle(it).fontSize) < 14).map((it) => it.outerHTML.slice(0, 80));
// What a finger cannot hit.
var tight = () => [...document.querySelectorAll("button, select, #tabs a, summary")]
  .filter((it) => shown(it) && it.getBoundingClientRect().height < 36).map((it) => it.outerHTML.slice(0, 80));
