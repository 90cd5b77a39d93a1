// Shows a node: its cluster, its beacon nodes, and how duties went.

const MOST_ROWS = 200;
const words = (name) => name.replaceAll("_", " ");
const capital = (text) => text[0].toUpperCase() + text.slice(1);
const seconds = (value) => `${value.toFixed(2)} s`;
const percent = (part, all) => (all ? `${((100 * part) / all).toFixed(part < all ? 1 : 0)} %` : "–");
const epochOf = (slot) => Math.floor(slot / status.clock.slots_per_epoch);

const bad = (text, isBad) => (isBad ? element("span", { class: "bad" }, `× ${text}`) : text);
const node = (position) => status.nodes[position]?.nickname || `node ${position}`;

function showClock() {
  const clock = status.clock;
  byId("slot").hidden = !clock;
  if (!clock) {
    byId("clock").textContent = "The chain is not known yet.";
    return;
  }
  const since = Date.now() / 1000 - clock.genesis_time;
  if (since < 0) {
    byId("clock").textContent = `The chain begins in ${Math.ceil(-since)} s.`;
    return;
  }
  const slot = Math.floor(since / clock.seconds_per_slot);
  const epoch = epochOf(slot);
  byId("clock").textContent = `Slot ${number(slot)}, ${slot - epoch * clock.slots_per_epoch + 1} of ${clock.slots_per_epoch} ` +
    `of epoch ${number(epoch)}, by this browser's clock; ${number(status.active ?? 0)} of ${number(status.validators)} validators are active.`;
  byId("slot").value = since / clock.seconds_per_slot - slot;
}

function showNodes() {
  fill(byId("nodes"), table("Nodes of the cluster",
    [["Node"], ["Connection"], ["Program"], ["Clock"], ["Took part", true], ["Faults", true], ["What is the matter"]],
    status.nodes.map((each) => [`${each.position} ${each.nickname}${each.own ? " (this one)" : ""}`,
      each.own ? "–" : each.connected ? (each.relayed ? "through a relay" : "direct") : bad("none", true), each.client,
      each.clock_offset === null ? "–" : `${each.clock_offset >= 0 ? "+" : ""}${seconds(each.clock_offset)}`,
      percent(each.took_part, each.duties), bad(number(each.faults), each.faults > 0), each.problems.join("; ")])));
}

function showBeacon() {
  fill(byId("beacon"), table("Beacon nodes", [["Beacon node"], ["State"], ["Head", true], ["Behind", true], ["Peers", true], ["Program"]],
    status.beacon_nodes.map((each) => [`${each.name}${each.fallback ? " (fallback)" : ""}`,
      each.problem ? bad(each.problem, true) : "in use", number(each.head_slot), number(each.sync_distance),
      each.peers === null ? "–" : number(each.peers), each.version])));
  fill(byId("relays"), ...(status.relays.length ? [table("Relays", [["Relay"], ["State"]],
    status.relays.map((each) => [each.name, each.problem ? bad(each.problem, true) : "lets others in"]))] : []));
}

function showEpochs() {
  const epochs = new Map();
  for (const duty of status.duties) {
    const epoch = epochOf(duty.slot);
    if (!epochs.has(epoch)) epochs.set(epoch, new Map());
    const of = epochs.get(epoch);
    const before = of.get(duty.type) ?? [0, 0];
    of.set(duty.type, [before[0] + duty.done, before[1] + duty.done + duty.missed]);
  }
  const types = [...new Set(status.duties.map((duty) => duty.type))].sort();
  const select = byId("type");
  if (select.options.length !== types.length + 1) {
    const chosen = select.value;
    fill(select, element("option", { value: "" }, "any"),
      ...types.map((type) => element("option", { value: type, selected: type === chosen }, words(type))));
  }
  fill(byId("epochs"), table("Validators' duties that were done, by epoch", [["Epoch"], ...types.map((type) => [capital(words(type)), true])],
    [...epochs.entries()].sort((a, b) => b[0] - a[0]).map(([epoch, of]) => [number(epoch), ...types.map((type) => {
      const [done, all] = of.get(type) ?? [0, 0];
      return bad(all ? `${number(done)} of ${number(all)}` : "–", done < all);
    })])));
}

function showDuties() {
  const which = byId("which").value;
  const type = byId("type").value;
  const found = status.duties.filter((duty) => (!type || duty.type === type) &&
    (which !== "missed" || duty.missed) && (which !== "faults" || duty.faults.length));
  byId("shown").textContent = `${number(Math.min(found.length, MOST_ROWS))} of ${number(found.length)}`;
  fill(byId("duties"), table("Duties", [["Slot"], ["Duty"], ["Done", true], ["Agreed"], ["Steps, after the duty began"], ["Who signed when"], ["What went wrong"]],
    found.slice(0, MOST_ROWS).map((duty) => [number(duty.slot), words(duty.type),
      bad(`${number(duty.done)} of ${number(duty.validators)}`, duty.missed > 0),
      duty.round ? `round ${duty.round}, ${node(duty.leader)}` : "–",
      Object.entries(duty.steps).map(([step, after]) => `${step} ${seconds(after)}`).join(", "),
      duty.signers.map((each) => `${node(each.node)} ${seconds(each.after)}`).join(", "),
      [...duty.reasons.map((each) => `${number(each.validators)}: ${each.text}`),
        ...duty.faults.map((each) => `${node(each.node)}: ${each.text} (${number(each.validators)})`),
        ...duty.doubts.map((each) => `perhaps ${node(each.node)}: ${each.text} (${number(each.validators)})`)].join("; ")])));
}

function show() {
  byId("network").textContent = `${status.nickname || status.cluster} on ${status.network}`;
  byId("version").textContent = status.version;
  fill(byId("started"), when(status.started_at));
  document.title = `${LEVELS[status.advice[0].level]} · dvtfast node`;
  showTodo([...status.advice]);
  showClock();
  showNodes();
  showBeacon();
  if (status.clock) {
    showEpochs();
    showDuties();
  }
}

for (const id of ["which", "type"]) byId(id).addEventListener("change", () => status && showDuties());
setInterval(() => status && showClock(), 500);
follow("The node", show);
