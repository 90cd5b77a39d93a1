// Shows the rounds of clusters.

const PAGE = 50; // validators
const STATES = {
  m: { name: "missing", sign: "○", style: "missing" },
  r: { name: "received", sign: "●", style: "received" },
  b: { name: "bad", sign: "×", style: "bad" },
  n: { name: "not needed", sign: "–", style: "needless" },
};
const WORST_FIRST = ["b", "m", "r", "n"];

const panels = new Map(); // by cluster name

function short(key) {
  return `${key.slice(0, 8)}…${key.slice(-6)}`;
}

// "2m1r" to ["m", "m", "r"], as one string.
function unpacked(cells) {
  return cells.replace(/(\d+)(\D)/g, (_, count, letter) => letter.repeat(Number(count)));
}

// ---- what to do

function showAdvice() {
  const several = status.clusters.length > 1;
  const items = status.problems.map((text) => ({ level: "act", text: `Not ready: ${text}.`, do: "" }));
  for (const cluster of status.clusters) {
    for (const advice of cluster.advice) items.push({ ...advice, of: several ? `${cluster.name}: ` : "" });
  }
  showTodo(items);
}

// ---- one cluster

class Panel {
  constructor(name, place) {
    this.name = name;
    this.id = `cluster-${place}`;
    this.first = 0;
    this.filter = "";
    this.shape = "";
    this.at = [0, 0]; // the cell of the grid that Tab leads to
    this.title = element("h2", { id: `${this.id}-title` }, name);
    this.text = element("p");
    this.progress = element("progress", { "aria-label": `Validators of ${name} that are ready` });
    this.grid = element("div", { class: "scroll" });
    this.operators = element("div");
    this.body = element("div", {}, this.progress, this.grid, legend(), this.operators);
    this.list = element("div");
    this.details = element("details", { id: `${this.id}-validators`, ontoggle: () => this.load() },
      element("summary", {}, "Validators, one by one"), this.list);
    this.section = element("section", { "aria-labelledby": `${this.id}-title`, id: this.id },
      this.title, this.text, this.body, this.details);
  }

  show(cluster) {
    this.cluster = cluster;
    const round = cluster.round;
    const serves = cluster.validators === null ? "" : ` of ${number(cluster.validators)} validators`;
    this.body.hidden = this.details.hidden = !round;
    if (!round) {
      fill(this.text, `A cluster${serves}; any ${cluster.threshold} operators are enough. No round so far.`);
      return;
    }
    const isOver = round.ready === round.validators;
    fill(this.text, isOver ? "The last round began " : "A round is under way since ", when(round.begun_at),
      ` (${ago(round.begun_at)}): ${number(round.ready)} of ${number(round.validators)} validators are ready`,
      isOver ? "." : `, ${number(round.waiting + round.undecided)} wait.`,
      ` Any ${cluster.threshold} of ${cluster.operators.length} operators are enough.`,
      round.left_out ? ` ${number(round.left_out)} more that are ready are not shown.` : "");
    this.progress.max = round.validators;
    this.progress.value = round.ready;
    this.showGrid();
    this.showOperators();
    if (this.details.open) this.load();
  }

  // A column is one validator, or as many as fit the width, by the worst of them.
  showGrid() {
    const { operators, round } = this.cluster;
    const width = this.section.clientWidth || 320;
    const most = Math.max(8, Math.min(60, Math.floor((width - 130) / 20)));
    const each = Math.ceil(round.validators / most);
    const columns = Math.ceil(round.validators / each);
    const shape = JSON.stringify([round.validators, columns, operators.map((o) => o.share_index)]);
    if (shape !== this.shape) this.makeGrid(columns, each);
    this.shape = shape;
    operators.forEach((operator, row) => {
      const cells = unpacked(operator.cells);
      for (let column = 0; column < columns; column++) {
        const part = cells.slice(column * each, (column + 1) * each);
        const counts = WORST_FIRST.map((letter) => [letter, part.split(letter).length - 1]).filter(([, n]) => n);
        const { sign, style } = STATES[counts[0][0]];
        const range = part.length === 1 ? `Validator ${column * each + 1}` :
          `Validators ${column * each + 1} to ${column * each + part.length}`;
        const words = counts.map(([letter, n]) => (part.length === 1 ? "" : `${n} `) + STATES[letter].name).join(", ");
        const label = `${range}, operator ${operator.share_index}: ${words}`;
        const cell = this.cells[row][column];
        if (cell.title === label) continue;
        cell.title = label;
        cell.setAttribute("aria-label", label);
        cell.className = style + (counts.length > 1 ? " mixed" : "");
        cell.textContent = sign;
      }
    });
  }

  makeGrid(columns, each) {
    const hadFocus = this.grid.contains(document.activeElement);
    this.each = each;
    this.at = [Math.min(this.at[0], this.cluster.operators.length - 1), Math.min(this.at[1], columns - 1)];
    this.cells = this.cluster.operators.map((_, row) => Array.from({ length: columns }, (_, column) => element("td", {
      role: "gridcell", tabindex: row === this.at[0] && column === this.at[1] ? "0" : "-1",
      onclick: () => this.open(row, column), onkeydown: (event) => this.move(event, row, column) })));
    const rows = this.cluster.operators.map((operator, row) => element("tr", { role: "row" },
      element("th", { scope: "row", role: "rowheader" }, `Operator ${operator.share_index}`), ...this.cells[row]));
    const what = each === 1 ? "a column is a validator" : `a column is ${number(each)} validators, by the worst of them`;
    const made = element("table", { class: "grid", role: "grid", "aria-label": `Shares of ${this.name}; ${what}` },
      element("tbody", { role: "rowgroup" }, ...rows));
    this.grid.replaceChildren(element("p", { class: "soft" },
      `${what[0].toUpperCase()}${what.slice(1)}. Choose one to see its validators.`), made);
    if (hadFocus) this.cells[this.at[0]]?.[this.at[1]]?.focus();
  }

  move(event, row, column) {
    const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0],
      Home: [0, -column], End: [0, this.cells[row].length - 1 - column] };
    if (event.key === "Enter" || event.key === " ") this.open(row, column);
    else if (steps[event.key]) this.go(row + steps[event.key][0], column + steps[event.key][1]);
    else return;
    event.preventDefault();
  }

  go(row, column) {
    const cell = this.cells[row]?.[column];
    if (!cell) return;
    this.cells[this.at[0]][this.at[1]].tabIndex = -1;
    this.at = [row, column];
    cell.tabIndex = 0;
    cell.focus();
  }

  open(row, column) {
    this.go(row, column);
    this.look("", column * this.each);
  }

  // Shows validators from a place on, of those that an operator has in a state: "3 missing".
  look(filter, first) {
    this.filter = filter;
    this.first = first;
    if (this.details.open) this.load();
    else this.details.open = true; // which loads
    this.details.scrollIntoView({ block: "nearest" });
  }

  showOperators() {
    const counted = (operator, name) => {
      const count = operator[name];
      if (!count) return "0";
      const id = `${this.id}-${operator.share_index}-${name}`;
      return element("button", { id, "aria-label": `${number(count)} ${name}, operator ${operator.share_index}: show`,
        onclick: () => this.look(`${operator.share_index} ${name}`, 0) }, number(count));
    };
    fill(this.operators, element("h3", {}, "Operators"), table(`Operators of ${this.name}`,
      [["Operator"], ["Received", true], ["Missing", true], ["Bad", true], ["Not needed", true],
        ["Bad since start", true], ["Last share"]],
      this.cluster.operators.map((o) => [`Operator ${o.share_index}`, number(o.received), counted(o, "missing"),
        counted(o, "bad"), number(o.not_needed), number(o.bad_total), ago(o.last_share_at)])));
  }

  async load() {
    if (!this.details.open || !this.cluster?.round) return;
    const [index, state] = this.filter ? this.filter.split(" ") : [];
    const query = new URLSearchParams({ cluster: this.name, first: this.first, count: PAGE });
    if (index) {
      query.set("share_index", index);
      query.set("state", state);
    }
    const asked = query.toString();
    this.asked = asked;
    const answer = await fetch(`status/validators?${query}`).catch(() => null);
    if (this.asked !== asked) return; // something else is wanted by now
    if (!answer?.ok) return fill(this.list, element("p", {}, "The relayer does not answer; it is asked again."));
    this.showValidators(await answer.json());
  }

  showValidators({ found, validators }) {
    const names = this.cluster.operators.map((o) => o.share_index);
    const options = [["", "all"], ...names.flatMap((i) => ["missing", "bad"].map((s) => [`${i} ${s}`, `${s}, operator ${i}`]))];
    const select = element("select", { id: `${this.id}-filter`, onchange: (e) => this.look(e.target.value, 0) },
      ...options.map(([value, text]) => element("option", { value, selected: value === this.filter }, text)));
    const turn = (name, text, first, off) => element("button", { id: `${this.id}-${name}`, disabled: off,
      onclick: () => this.look(this.filter, first) }, text);
    const last = this.first + validators.length;
    fill(this.list,
      element("div", { class: "controls" },
        element("label", { for: `${this.id}-filter` }, "Show"), select,
        turn("back", "Back", Math.max(0, this.first - PAGE), this.first === 0),
        turn("on", "On", this.first + PAGE, last >= found),
        element("span", { role: "status" }, found ? `${number(this.first + 1)} to ${number(last)} of ${number(found)}` : "none")),
      table(`Validators of ${this.name}`, [["Place", true], ["Public key"], ["Index", true], ["State"], ["Shares"]],
        validators.map((v) => [number(v.place + 1), this.key(v), v.validator_index === null ? "" : String(v.validator_index),
          v.state, this.words(v.cells, names)])));
  }

  key({ place, public_key: key }) {
    const shown = element("button", { class: "key", id: `${this.id}-key-${place}`, "aria-expanded": "false",
      onclick: () => {
        const isShort = shown.textContent !== key;
        shown.textContent = isShort ? key : short(key);
        shown.setAttribute("aria-expanded", String(isShort));
      } }, short(key));
    if (!navigator.clipboard) return shown; // only over TLS, or on this machine
    const copy = element("button", { id: `${this.id}-copy-${place}`, "aria-label": `Copy public key ${short(key)}`,
      onclick: async () => {
        await navigator.clipboard.writeText(key);
        copy.textContent = "Copied";
      } }, "Copy");
    return element("span", {}, shown, " ", copy);
  }

  words(cells, names) {
    const of = (letter) => names.filter((_, place) => cells[place] === letter);
    return WORST_FIRST.map((letter) => [STATES[letter].name, of(letter)]).filter(([, who]) => who.length)
      .map(([name, who]) => `${name}: ${who.join(", ")}`).join("; ");
  }
}

function legend() {
  return element("ul", { class: "legend", "aria-label": "Signs" }, ...Object.values(STATES).map(({ name, sign, style }) =>
    element("li", {}, element("span", { class: style, "aria-hidden": "true" }, sign), name)));
}

function showClusters() {
  const names = status.clusters.map((cluster) => cluster.name);
  if (names.join("\n") !== [...panels.keys()].join("\n")) {
    panels.clear();
    names.forEach((name, place) => panels.set(name, new Panel(name, place)));
    byId("clusters").replaceChildren(...[...panels.values()].map((panel) => panel.section));
  }
  for (const cluster of status.clusters) panels.get(cluster.name).show(cluster);
}

// ---- throughput

function showHistory() {
  const minutes = Array(60).fill(0);
  const shares = Array(60).fill(0);
  const end = Math.floor(Date.now() / 60000);
  for (const step of status.history) {
    const place = 59 - (end - Math.floor(step.begin / 60));
    if (place < 0 || place > 59) continue;
    minutes[place] += step.ready;
    shares[place] += step.shares;
  }
  const most = Math.max(...minutes);
  const sum = (list) => list.reduce((a, b) => a + b, 0);
  const text = `${number(sum(minutes))} exits and deposits became ready, ${number(sum(shares))} shares came in. ` +
    `The busiest minute made ${number(most)} ready.`;
  byId("history-text").textContent = text;
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 600 100");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `Ready per minute. ${text}`);
  const shape = (name, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    svg.append(made);
  };
  shape("line", { x1: 0, y1: 99.5, x2: 600, y2: 99.5 });
  minutes.forEach((count, place) => {
    const height = count ? Math.max(2, (95 * count) / most) : 0;
    if (height) shape("rect", { x: place * 10 + 1, y: 99 - height, width: 8, height });
  });
  fill(byId("history"), svg);
  const rows = minutes.map((count, place) => [count, place]).filter(([count, place]) => count || shares[place]);
  fill(byId("history-table").lastElementChild, table("Throughput by minute", [["Minute"], ["Ready", true], ["Shares", true]],
    rows.map(([count, place]) => [new Date((end - 59 + place) * 60000).toLocaleTimeString(), number(count), number(shares[place])])));
}

// ---- asking

function show() {
  byId("network").textContent = status.network;
  byId("version").textContent = status.version;
  fill(byId("started"), when(status.started_at));
  document.title = `${LEVELS[Object.keys(LEVELS).find((level) => level === worst())]} · dvtfast relayer`;
  showAdvice();
  showClusters();
  showHistory();
}

function worst() {
  const levels = status.clusters.flatMap((cluster) => cluster.advice.map((advice) => advice.level));
  if (status.problems.length) levels.push("act");
  return Object.keys(LEVELS).find((level) => levels.includes(level)) ?? "fine";
}

addEventListener("resize", () => status && showClusters());
setInterval(() => status && show(), 30000); // times grow
follow("The relayer", show);
