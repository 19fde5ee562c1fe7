
"use strict";
(() => {
  const box = document.getElementById("search");
  if (!box) return;
  const query = document.getElementById("query"), count = document.getElementById("count");
  const none = document.getElementById("none");
  const rows = Array.from(document.querySelectorAll("#package-table tbody tr"), (row) => {
    const purl = row.querySelector(".under").title;
    return [row, (row.textContent + " " + purl).toLowerCase()];
  });
  const plural = (number) => number + (number === 1 ? " package" : " packages");
  const filter = () => {
    const words = query.value.toLowerCase().split(/\s+/).filter(Boolean);
    let seen = 0;
    for (const [row, text] of rows) {
      const fits = words.every((word) => text.includes(word));
      row.hidden = !fits;
      seen += fits ? 1 : 0;
    }
    count.textContent = seen === rows.length ? plural(seen) : seen + " of " + plural(rows.length);
    none.hidden = seen > 0;
  };
  query.addEventListener("input", filter);
  box.hidden = false;
  filter();
})();
