"use strict";
// One cursor and one choice of time for all plots, and words for whatever lies under the pointer.
// The page says on its root element whether this ran to its end, for tests.
window.onerror = (what) => { document.documentElement.dataset.error = String(what); };
(() => {
  const WIDTH = 1000, SPAN = Number(document.body.dataset.span);
  const make = (name, attributes) => {
    const made = document.createElementNS(document.querySelector("svg.plot").namespaceURI, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const plots = [...document.querySelectorAll("svg.plot")].map((root) => {
    const marks = root.querySelector(".marks"), height = Number(root.dataset.height);
    const cursor = make("path", { class: "cursor", d: "" }), chosen = make("rect", { class: "chosen", y: 0, height, width: 0 });
    marks.append(chosen, cursor);
    return { root, marks, height, cursor, chosen, times: root.querySelector(".times") };
  });
  let view = [0, WIDTH], begun = null;

  // Where the pointer is, in units of the whole run.
  const place = (plot, event) => {
    const box = plot.root.getBoundingClientRect(), whole = plot.root.viewBox.baseVal.width;
    const inside = ((event.clientX - box.left) / box.width) * whole - Number(plot.marks.getAttribute("x"));
    return view[0] + (Math.min(Math.max(inside, 0), WIDTH) / WIDTH) * (view[1] - view[0]);
  };
  const step = (span) => [.1, .2, .5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600].find((s) => span / s <= 13) ?? span / 10;

  function show(from, to) {
    view = [from, to];
    const grown = WIDTH / (to - from), seconds = ((to - from) / WIDTH) * SPAN, every = step(seconds);
    for (const plot of plots) {
      plot.marks.setAttribute("viewBox", `${from} 0 ${to - from} ${plot.height}`);
      // Words stay as wide as they were.
      for (const note of plot.marks.querySelectorAll(".note")) {
        const x = Number(note.getAttribute("x"));
        note.setAttribute("transform", `translate(${x} 0) scale(${1 / grown} 1) translate(${-x} 0)`);
      }
      plot.times.replaceChildren();
      for (let n = Math.ceil((from / WIDTH) * SPAN / every); n * every <= (to / WIDTH) * SPAN; n++) {
        const x = Number(plot.marks.getAttribute("x")) + ((n * every / SPAN) * WIDTH - from) * grown;
        const text = make("text", { class: "tick", x, y: plot.height + 15 });
        text.textContent = `${Number((n * every).toFixed(1))} s`;
        plot.times.append(text);
      }
    }
  }

  const tip = document.getElementById("tip");
  document.addEventListener("mousemove", (event) => {
    const text = event.target.dataset?.t;
    tip.hidden = !text;
    if (!text) return;
    tip.textContent = text;
    const left = event.clientX + 14, box = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(0, Math.min(left, innerWidth - box.width - 8))}px`;
    tip.style.top = `${event.clientY + 18 + box.height > innerHeight ? event.clientY - box.height - 10 : event.clientY + 18}px`;
  });
  for (const plot of plots) {
    plot.root.addEventListener("mousemove", (event) => {
      const x = place(plot, event);
      for (const each of plots) {
        each.cursor.setAttribute("d", `M${x} 0V${each.height}`);
        each.chosen.setAttribute("x", begun === null ? 0 : Math.min(begun, x));
        each.chosen.setAttribute("width", begun === null ? 0 : Math.abs(x - begun));
      }
    });
    plot.root.addEventListener("mousedown", (event) => { begun = place(plot, event); event.preventDefault(); });
    plot.root.addEventListener("mouseup", (event) => {
      const [from, to] = [begun, place(plot, event)].sort((a, b) => a - b);
      if (begun !== null && to - from > (view[1] - view[0]) / 200) show(from, to);
    });
    plot.root.addEventListener("dblclick", () => show(0, WIDTH));
  }
  document.addEventListener("mouseup", () => {
    begun = null;
    for (const plot of plots) plot.chosen.setAttribute("width", 0);
  });
  const scheme = document.documentElement.style;
  document.getElementById("theme").addEventListener("click", () => {
    const isDark = scheme.colorScheme ? scheme.colorScheme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    scheme.colorScheme = isDark ? "light" : "dark";
  });
  show(0, WIDTH);
  document.documentElement.dataset.plots = plots.length;
})();
