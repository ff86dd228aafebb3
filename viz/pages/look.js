// The look of a page, light, dark or for a projector. The choice is kept for every page of the same place; "" is that of
// the screen, or of the page around this one.
const LOOK = {
  all: ["light", "dark", "beamer"],
  get kept() {
    if (document.documentElement.dataset.around) return "";
    try { return this.all.find(name => name === localStorage.getItem("look")) ?? ""; } catch { return ""; }
  },
  show(name) {
    const { dataset } = document.documentElement, shown = name || dataset.around;
    if (shown) dataset.theme = shown; else delete dataset.theme;
  },
  choose(name) {
    try { if (name) localStorage.setItem("look", name); else localStorage.removeItem("look"); } catch { /* a browser that keeps nothing */ }
    this.show(name);
  },
};
LOOK.show(LOOK.kept);
