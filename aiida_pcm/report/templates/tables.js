// Tables that sort by a click on a heading and show the rows that hold what is typed above them.
'use strict';
for (const table of document.querySelectorAll('table[data-sorts]')) {
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const heads = Array.from(table.tHead.rows[0].cells);
  const value = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.v === undefined ? cell.textContent.trim().toLowerCase() : Number(cell.dataset.v);
  };
  const compare = (a, b) => {
    // Whatever has no number comes last in both directions.
    if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
    return a < b ? -1 : a > b ? 1 : 0;
  };
  heads.forEach((head, column) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute('aria-sort', 'none');
    button.addEventListener('click', () => {
      const down = head.getAttribute('aria-sort') === 'ascending';
      heads.forEach((other) => other.setAttribute('aria-sort', 'none'));
      head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
      const keyed = rows.map((row) => [value(row, column), row]);
      keyed.sort(([a], [b]) => (down && !Number.isNaN(a) && !Number.isNaN(b) ? compare(b, a) : compare(a, b)));
      body.append(...keyed.map(([, row]) => row));
    });
  });
  const field = document.getElementById(table.dataset.sorts);
  if (!field) continue;
  const told = document.getElementById(table.dataset.sorts + '-told');
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const search = () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      row.hidden = !words.every((word) => texts.get(row).includes(word));
      shown += !row.hidden;
    }
    told.textContent = `${shown} of ${rows.length} shown`;
  };
  field.addEventListener('input', search);
  search();
}
