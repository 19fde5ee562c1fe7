
"use strict";
(() => {
  const all = (where, what) => Array.from(where.querySelectorAll(what));
  const at = (id) => document.getElementById(id);

  // --- keys: arrows, Home and End move the focus among the elements that `find` gives ---

  const moves = (box, find, up = () => -1) => box.addEventListener("keydown", (event) => {
    const found = find(), here = found.indexOf(event.target);
    if (here < 0 || event.ctrlKey || event.altKey || event.metaKey) return;
    const places = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: found.length - 1 };
    if (box.getAttribute("role") === "tree") Object.assign(places, { ArrowRight: here + 1, ArrowLeft: up(found, here) });
    if (!(event.key in places)) return;
    event.preventDefault();
    found[places[event.key]]?.focus();
  });

  // --- the treemap: one stop for the Tab key; what is pointed at, tapped or reached is named below it ---

  const seen = at("seen");
  const level = (tile) => Number(tile.dataset.level);
  for (const map of all(document, ".treemap")) {
    const tiles = all(map, ".tile");
    const show = (tile) => { seen.textContent = tile.querySelector("title").textContent; };
    map.setAttribute("role", "tree");
    for (const tile of tiles) {
      tile.setAttribute("role", "treeitem");
      tile.setAttribute("aria-level", tile.dataset.level);
      tile.setAttribute("tabindex", tile === tiles[0] ? "0" : "-1");
      tile.addEventListener("pointerenter", () => show(tile));
      tile.addEventListener("click", () => tile.focus());
      tile.addEventListener("focus", () => {
        for (const one of tiles) one.setAttribute("tabindex", one === tile ? "0" : "-1");
        show(tile);
      });
    }
    moves(map, () => tiles, (found, here) => found.findLastIndex((one, n) => n < here && level(one) < level(found[here])));
    seen.hidden = at("how").hidden = false;
  }

  // --- tables that sort: a button in each header; `order` is a choice that does the same ---

  const compare = new Intl.Collator("en", { numeric: true }).compare;
  const value = (unit, column) => {
    const cell = (unit.rows ? unit.rows[0] : unit).cells[column];
    return cell.dataset.value === undefined ? cell.textContent : Number(cell.dataset.value);
  };
  const sortable = (table, choice) => {
    const heads = Array.from(table.tHead.rows[0].cells), grouped = table.classList.contains("packages");
    const units = Array.from(grouped ? table.tBodies : table.tBodies[0].rows);
    const sort = (column, falling) => {
      const keyed = units.map((unit, n) => [value(unit, column), n, unit]);
      const rising = ([a, n], [b, m]) => (a === "–") - (b === "–")
        || (falling ? -1 : 1) * (typeof a === "number" ? a - b : compare(a, b)) || n - m;
      (grouped ? table : table.tBodies[0]).append(...keyed.sort(rising).map(([, , unit]) => unit));
      heads.forEach((head, n) => {
        if (n === column) head.setAttribute("aria-sort", falling ? "descending" : "ascending");
        else head.removeAttribute("aria-sort");
      });
      if (choice) choice.value = column;
    };
    const first = (column) => heads[column].classList.contains("num");
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const now = head.getAttribute("aria-sort");
        sort(column, now ? now === "ascending" : first(column));
      });
      if (choice) choice.add(new Option(head.textContent, column));
    });
    if (choice) choice.addEventListener("change", () => sort(Number(choice.value), first(Number(choice.value))));
    return () => sort(0, false);
  };
  for (const table of all(document, ".sortable:not(#package-table)")) sortable(table);

  // --- the packages: rows that open, and filters ---

  const form = at("search");
  if (!form) return;
  const table = at("package-table"), query = at("query"), count = at("count"), none = at("none");
  const unsort = sortable(table, at("order"));
  const bodies = all(table, "tbody");
  const packages = bodies.map((body) => {
    const [row, more] = body.rows, head = row.cells[0], button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.setAttribute("aria-controls", more.id);
    const open = (yes) => { more.hidden = !yes; button.setAttribute("aria-expanded", yes); };
    open(false);
    row.addEventListener("click", (event) => { if (!event.detail || getSelection().isCollapsed) open(more.hidden); });
    return [body, all(body, "th, td:not(.why):not([colspan]), code").map((one) => one.textContent).join(" ").toLowerCase()];
  });
  moves(table, () => all(table, "tbody:not([hidden]) th button"));

  const plural = (number) => number + (number === 1 ? " package" : " packages");
  const choices = all(form, "select[data-filter]");
  const filter = () => {
    const words = query.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = choices.filter((one) => one.value !== "*").map((one) => [one.dataset.filter, one.value]);
    let left = 0;
    for (const [body, text] of packages) {
      const fits = words.every((word) => text.includes(word)) && wanted.every(([key, is]) => body.dataset[key] === is);
      body.hidden = !fits;
      left += fits ? 1 : 0;
    }
    count.textContent = left === packages.length ? plural(left) : left + " of " + plural(packages.length);
    none.hidden = left > 0;
  };
  query.addEventListener("input", filter);
  for (const one of choices) one.addEventListener("change", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  at("all").addEventListener("click", () => { form.reset(); filter(); unsort(); });
  form.hidden = false;
  filter();
})();
