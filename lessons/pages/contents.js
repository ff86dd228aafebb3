{  // Where the reader is: in the contents, and as a bar at the top.
  const contents = document.querySelector(".contents");
  if (contents) {
    const links = [...contents.querySelectorAll("a")], places = links.map(link => document.getElementById(link.hash.slice(1)));
    const here = document.getElementById("here"), bar = document.getElementById("progress");
    const wide = matchMedia("(min-width: 1280px)");
    const fit = () => { contents.open = wide.matches; };
    const mark = () => {
      const high = document.documentElement.scrollHeight - innerHeight, read = high > 0 ? scrollY / high : 1;
      let at = places.findLastIndex(place => place.getBoundingClientRect().top < innerHeight / 3);
      if (read > 0.995) at = links.length - 1;  // the last part may be too short to reach the top
      for (const [i, link] of links.entries()) if (i === at) link.setAttribute("aria-current", "location"); else link.removeAttribute("aria-current");
      here.textContent = at < 0 ? "" : `: part ${at + 1} of ${links.length}`;
      bar.style.width = `${100 * read}%`;
      if (at >= 0 && contents.open && wide.matches) {
        const link = links[at], top = link.offsetTop - contents.offsetTop;
        if (top < contents.scrollTop || top > contents.scrollTop + contents.clientHeight - 60) contents.scrollTop = top - 120;
      }
    };
    let waiting = false;
    addEventListener("scroll", () => {
      if (!waiting) requestAnimationFrame(() => { waiting = false; mark(); });
      waiting = true;
    }, { passive: true });
    addEventListener("resize", mark);
    wide.addEventListener("change", fit);
    for (const link of links) link.onclick = () => { if (!wide.matches) contents.open = false; };
    fit();
    mark();
  }
}
