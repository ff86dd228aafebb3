// A page in a cell has the theme of the notebook around it, and follows when that changes.
try {
  const { body } = parent.document, root = document.documentElement;
  const follow = () => {
    const { jpThemeLight, vscodeThemeKind } = body.dataset;
    if (jpThemeLight || vscodeThemeKind)
      root.dataset.theme = root.dataset.around = jpThemeLight === "true" || /light$/.test(vscodeThemeKind) ? "light" : "dark";
  };
  new MutationObserver(follow).observe(body, { attributeFilter: ["data-jp-theme-light", "data-vscode-theme-kind"] });
  follow();
} catch { /* the surrounding page has another origin and cannot be read */ }
