"use strict";
// Search, sorting and zoom. Everything can be read without them.
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const make = (tag, properties) => Object.assign(document.createElement(tag), properties);
  const svg = "http://www.w3.org/2000/svg";

  // ---- sorting: by a click on a heading

  const sizes = { ns: 1e-9, us: 1e-6, ms: 1e-3, s: 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12 };
  const ends = { new: Infinity, gone: -Infinity };

  // `1.2 ms`, `73.5k/s`, `x148`, `+12 %` as numbers of one unit.
  function number(text) {
    const found = /^(?:>= |[x+])?(-?[\d.]+)\s*(ns|us|ms|s|[kMGT])?/.exec(text);
    return found ? Number(found[1]) * (sizes[found[2]] ?? 1) : ends[text] ?? -Infinity;
  }

  function sort(heading, table) {
    const column = heading.cellIndex, numeric = heading.classList.contains("number");
    const before = heading.getAttribute("aria-sort");
    const down = before === "none" ? numeric : before === "ascending";
    all("th[aria-sort]", table).forEach((other) => other.setAttribute("aria-sort", "none"));
    heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    const text = (row) => row.cells[column].textContent.trim();
    const order = numeric
      ? (a, b) => (number(text(a)) > number(text(b))) - (number(text(a)) < number(text(b)))
      : (a, b) => text(a).localeCompare(text(b), "en", { numeric: true });
    const rows = [...table.tBodies[0].rows].sort((a, b) => (down ? -order(a, b) : order(a, b)));
    table.tBodies[0].append(...rows);
  }

  const sortable = (table) => table.querySelector("thead .name") && table.tBodies[0].rows.length > 1;

  all("table").filter(sortable).forEach((table) => {
    all("thead th", table).filter((heading) => heading.textContent).forEach((heading) => {
      const button = make("button", { type: "button", textContent: heading.textContent });
      button.addEventListener("click", () => sort(heading, table));
      heading.replaceChildren(button);
      heading.setAttribute("aria-sort", "none");
    });
  });

  // ---- flame graphs: a click or Enter on a frame makes it as wide as the picture

  const near = 0.002;
  // As a picture begins: the smaller side of a comparison does not fill its panel.
  const whole = { x: 0, y: -1, width: 100 };
  const percent = (value) => `${value.toFixed(3)}%`;

  class Picture {
    constructor(figure) {
      this.figure = figure;
      this.svg = figure.querySelector("svg");
      this.frames = all(".f", this.svg).map((node) => {
        const place = (name) => parseFloat(node.getAttribute(name));
        const [name, ...about] = node.querySelector("title").textContent.split("\n");
        return { node, name, about: about.join(" "), x: place("x"), width: place("width"), y: place("y") };
      });
      this.byNode = new Map(this.frames.map((frame) => [frame.node, frame]));
      this.back = make("button", { type: "button", textContent: "Whole picture", hidden: true });
      this.about = make("p", { className: "about" });
      this.share = make("span", { className: "share" });
      figure.querySelector("figcaption").append(this.share, this.back);
      this.svg.after(this.about);
      this.svg.setAttribute("role", "group");
      this.svg.setAttribute("aria-label", this.svg.querySelector(":scope > title").textContent);
      this.frames.forEach(({ node, name, about }, at) => {
        node.setAttribute("role", "button");
        node.setAttribute("aria-label", `${name}, ${about}`);
        node.setAttribute("tabindex", at === 0 ? "0" : "-1");
      });
      this.listen();
    }

    listen() {
      const frame = (event) => this.byNode.get(event.target.closest(".f"));
      this.back.addEventListener("click", () => this.zoom(whole));
      this.svg.addEventListener("click", (event) => frame(event) && this.zoom(frame(event)));
      this.svg.addEventListener("pointerover", (event) => this.tell(frame(event)));
      this.svg.addEventListener("focusin", (event) => this.tell(frame(event)));
      this.svg.addEventListener("keydown", (event) => frame(event) && this.key(event, frame(event)));
    }

    tell(frame) {
      if (frame) this.about.textContent = `${frame.name}: ${frame.about}`;
    }

    key(event, frame) {
      const inside = (outer, inner) =>
        inner.x >= outer.x - near && inner.x + inner.width <= outer.x + outer.width + near;
      const there = this.frames.filter(({ node }) => !node.classList.contains("away"));
      const step = parseFloat(frame.node.getAttribute("height")) + 1;
      const row = there.filter(({ y }) => y === frame.y);
      const to = {
        ArrowDown: () => there.find((other) => other.y === frame.y + step && inside(frame, other)),
        ArrowUp: () => there.find((other) => other.y === frame.y - step && inside(other, frame)),
        ArrowLeft: () => row[row.indexOf(frame) - 1],
        ArrowRight: () => row[row.indexOf(frame) + 1],
        Enter: () => (this.zoom(frame), frame),
        " ": () => (this.zoom(frame), frame),
        Escape: () => (this.zoom(whole), frame),
      }[event.key];
      if (!to) return;
      event.preventDefault();
      const next = to();
      if (!next) return;
      this.frames.forEach(({ node }) => node.setAttribute("tabindex", node === next.node ? "0" : "-1"));
      next.node.focus();
    }

    zoom(root) {
      const end = root.x + root.width, scale = 100 / root.width;
      this.back.hidden = root.width >= whole.width - near;
      this.frames.forEach((frame) => {
        const above = frame.y < root.y && frame.x <= root.x + near && frame.x + frame.width >= end - near;
        const below = frame.y >= root.y && frame.x >= root.x - near && frame.x + frame.width <= end + near;
        const width = above ? 100 : Math.min(frame.width * scale, 100);
        frame.node.classList.toggle("above", above);
        frame.node.classList.toggle("away", !above && !below);
        frame.node.setAttribute("x", percent(above ? 0 : Math.max((frame.x - root.x) * scale, 0)));
        frame.node.setAttribute("width", percent(above || below ? width : 0));
        if ((above || below) && width >= 2) this.name(frame);
      });
    }

    // Narrow frames come without their name.
    name({ node, name }) {
      if (node.querySelector("text")) return;
      const text = document.createElementNS(svg, "text");
      text.setAttribute("x", "3");
      text.setAttribute("y", "12");
      text.textContent = name;
      node.append(text);
    }

    // How many frames have it, and what part of the picture is below them.
    search(wanted) {
      const has = (frame) => wanted !== "" && frame.name.toLowerCase().includes(wanted);
      const hits = this.frames.filter(has);
      this.frames.forEach((frame) => frame.node.classList.toggle("hit", has(frame)));
      this.svg.classList.toggle("searching", hits.length > 0);
      let covered = 0, to = -1;
      hits.sort((a, b) => a.x - b.x || b.width - a.width).forEach(({ x, width }) => {
        covered += Math.max(x + width - Math.max(x, to), 0);
        to = Math.max(to, x + width);
      });
      const share = (100 * covered) / (this.frames[0]?.width || 100);
      this.share.textContent = hits.length ? ` (found in ${share.toFixed(1)} %)` : "";
      return hits.length;
    }
  }

  const pictures = all(".flame").filter((figure) => figure.querySelector(".f")).map((figure) => new Picture(figure));

  // ---- search: rows without the text go, frames with it stand out

  function search(text) {
    const wanted = text.trim().toLowerCase();
    let rows = 0;
    all("tbody tr").forEach((row) => {
      const found = row.textContent.toLowerCase().includes(wanted);
      row.hidden = !found;
      rows += found;
      if (found && wanted) row.closest("details")?.setAttribute("open", "");
    });
    const frames = pictures.reduce((sum, picture) => sum + picture.search(wanted), 0);
    return wanted ? `${rows} rows, ${frames} frames` : "";
  }

  const found = make("output", {});
  const input = make("input", { type: "search", id: "search", placeholder: "function, device, value", autocomplete: "off" });
  input.addEventListener("input", () => { found.textContent = search(input.value); });
  const label = make("label", { htmlFor: "search", textContent: "Search" });
  const tools = document.getElementById("tools");
  tools.append(label, input, found);
  tools.hidden = false;
})();
