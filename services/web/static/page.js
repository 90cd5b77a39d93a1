"use strict";
// What status pages have in common. Everything becomes text, nothing HTML.

const WAIT_SECONDS = 25;
const LONGEST_PAUSE_SECONDS = 30;
const LEVELS = { act: "Act now", watch: "Keep an eye on it", fine: "Fine" };

let status = null;
let lostAt = null;
let lostBy = "";

const byId = (id) => document.getElementById(id);
const number = (value) => value.toLocaleString("en");

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== null && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

// Replaces children without taking the focus from who is at one of them.
function fill(parent, ...children) {
  const focused = parent.contains(document.activeElement) ? document.activeElement.id : "";
  parent.replaceChildren(...children);
  if (focused) byId(focused)?.focus();
}

function ago(unixSeconds) {
  if (!unixSeconds) return "never";
  const seconds = Math.max(0, Date.now() / 1000 - unixSeconds);
  if (seconds < 90) return `${Math.round(seconds)} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86400)} days ago`;
}

function when(unixSeconds) {
  const date = new Date(unixSeconds * 1000);
  return element("time", { datetime: date.toISOString() }, date.toLocaleString());
}

function table(label, heads, rows) {
  const head = heads.map(([text, isNumber]) => element("th", { scope: "col", class: isNumber && "number" }, text));
  const body = rows.map((cells) => element("tr", {}, ...cells.map((cell, place) =>
    place === 0 ? element("th", { scope: "row" }, cell) : element("td", { class: heads[place][1] && "number" }, cell))));
  const made = element("table", { class: "plain", "aria-label": label },
    element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body));
  return element("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": label }, made);
}

// Items have a level, a text, and what to do.
function showTodo(items) {
  const order = Object.keys(LEVELS);
  items.sort((a, b) => order.indexOf(a.level) - order.indexOf(b.level));
  fill(byId("todo"), ...items.map((item) => element("li", { class: item.level },
    element("b", {}, LEVELS[item.level]), `${item.of ?? ""}${item.text} ${item.do}`)));
}

function showConnection(who) {
  const text = lostAt ? `${who} ${lostBy} since ${new Date(lostAt).toLocaleTimeString()}; what is below is from before.` :
    "Live: this page changes by itself.";
  const line = byId("connection");
  if (line.textContent !== text) line.textContent = text;
  line.classList.toggle("lost", Boolean(lostAt));
}

const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

function refusal(status) {
  return [401, 403].includes(status) ? `refuses the token (${status}; load this page again to show another)` : `answers ${status}`;
}

// Asks for status.json again as soon as it changes, and shows it.
async function follow(who, show) {
  let etag = null;
  let seconds = 1;
  for (;;) {
    if (document.hidden) await new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
    try {
      const answer = await fetch(`status.json?wait=${etag ? WAIT_SECONDS : 0}`,
        { cache: "no-store", headers: etag ? { "If-None-Match": etag } : {} });
      if (answer.status !== 200 && answer.status !== 304) throw refusal(answer.status);
      if (answer.status === 200) status = await answer.json();
      etag = answer.headers.get("ETag");
      lostAt = null;
      seconds = 1;
      show();
    } catch (error) {
      lostAt ??= Date.now();
      lostBy = typeof error === "string" ? error : "does not answer";
      etag = null;
      seconds = Math.min(LONGEST_PAUSE_SECONDS, seconds * 2);
      if (typeof error !== "string" && !(error instanceof TypeError)) console.warn(error.message); // a TypeError: no network
    }
    showConnection(who);
    await pause(seconds);
  }
}
