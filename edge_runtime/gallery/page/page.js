"use strict";
// Everything that comes from the gallery is put into the page as text, never as HTML.

const REFRESH_MS = 10000;
const COLOURS = ["#1b6ac9", "#c4501b", "#2e7d32", "#7b3fb5", "#a3801a", "#00838f", "#ad1457", "#5d4037"];
const $ = (selector) => document.querySelector(selector);
let cameras = [];
let followsToday = true;
let opened = null;

async function ask(path, body) {
  const headers = {};
  const token = sessionStorage.getItem("token");
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const options = { headers, method: body === undefined ? "GET" : "POST" };
  if (body) options.body = JSON.stringify(body);
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error("the gallery does not answer; is it running?");
  }
  const found = await answer.json().catch(() => ({ error: `unexpected answer ${answer.status}` }));
  if (answer.status === 401) $("#token-form").hidden = false;
  if (!answer.ok) throw new Error(found.error);
  return found;
}

function make(tag, text, properties = {}) {
  const element = Object.assign(document.createElement(tag), properties);
  if (text !== undefined) element.textContent = text;
  return element;
}

function tell(text) {
  if ($("#news").textContent !== text) $("#news").textContent = text;
}

const clock = (text) => new Date(text).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const moment = (text) => new Date(text).toLocaleString();
const cameraName = (one) => `${one.site}/${one.node}/${one.camera}`;
const likely = (one) => one.state === "first" ? "first track" : one.state === "confirmed" ? "confirmed by hand"
  : one.state === "undone" ? "separated by hand"
  : one.probability === null ? "not known" : `${(100 * one.probability).toFixed(0)} %`;
const how = (one) => one.state !== "joined" ? ""
  : one.borrowed === null ? "joined" : one.borrowed > 0.5 ? "joined by borrowed figures" : "joined";
const isUnsure = (one) => one.state === "joined" && (one.probability ?? 0) < 0.9;

function cameraColour(name) {
  if (!cameras.includes(name)) cameras.push(name);
  return COLOURS[cameras.indexOf(name) % COLOURS.length];
}

function span() {
  const form = $("#span");
  return [new Date(form.since.value), new Date(form.until.value)];
}

function localText(date) {
  return new Date(date.getTime() - date.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
}

function showToday() {
  const start = new Date();
  start.setHours(0, 0, 0, 0);
  const end = new Date(start);
  end.setDate(end.getDate() + 1);
  $("#span").since.value = localText(start);
  $("#span").until.value = localText(end);
}

function drawPeople(sightings) {
  const people = new Map();
  for (const one of sightings) people.set(one.person, [one, ...(people.get(one.person) ?? [])]);
  const latest = [...people.values()].flat();
  const first = Math.min(...latest.map((one) => Date.parse(one.since)));
  const last = Math.max(...latest.map((one) => Date.parse(one.until)));
  const width = Math.max(last - first, 60000);
  const focused = document.activeElement?.dataset?.key;
  const rows = [...people].map(([person, tracks]) => personRow(person, tracks, first, width));
  $("#people tbody").replaceChildren(...rows);
  $("#axis").replaceChildren(...(latest.length
    ? [0, 0.25, 0.5, 0.75, 1].map((share) => make("span", clock(first + share * width))) : []));
  $("#no-people").hidden = rows.length > 0;
  $("#people").hidden = rows.length === 0;
  $("#legend").replaceChildren(...cameras.map((name) => {
    const item = make("li");
    const swatch = make("span", undefined, { className: "swatch" });
    swatch.style.setProperty("--camera", cameraColour(name));
    item.append(swatch, name);
    return item;
  }));
  if (focused) document.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

function personRow(person, tracks, first, width) {
  const row = make("tr");
  const head = make("th", undefined, { scope: "row" });
  const open = make("button", person, { type: "button", onclick: () => openPerson(person, true) });
  open.dataset.key = `person ${person}`;
  head.append(open);
  const line = make("div", undefined, { className: "track-line" });
  line.append(...tracks.map((one) => segment(one, first, width)));
  const cell = make("td", undefined, { className: "line" });
  cell.append(line);
  const erase = make("button", "Erase", { type: "button", onclick: () => erasePerson(person) });
  erase.setAttribute("aria-label", `Erase ${person}`);
  erase.dataset.key = `erase ${person}`;
  const last = make("td");
  last.append(erase);
  row.append(head, make("td", `${clock(tracks[0].since)} to ${clock(tracks.at(-1).until)}`, { className: "when" }), cell, last);
  return row;
}

function segment(one, first, width) {
  const name = cameraName(one);
  const text = `${name}, ${clock(one.since)} to ${clock(one.until)}, ${likely(one)}${how(one) ? `, ${how(one)}` : ""}`;
  const button = make("button", undefined, { type: "button", title: text, onclick: () => openPerson(one.person, true) });
  button.setAttribute("aria-label", text);
  button.dataset.key = `track ${one.track}`;
  button.classList.toggle("unsure", isUnsure(one));
  button.style.setProperty("--camera", cameraColour(name));
  button.style.left = `${Math.min(100 * (Date.parse(one.since) - first) / width, 99)}%`;
  button.style.width = `${Math.max(100 * (Date.parse(one.until) - Date.parse(one.since)) / width, 0.5)}%`;
  return button;
}

async function openPerson(person, moves) {
  try {
    const found = await ask(`people/${encodeURIComponent(person)}`);
    opened = person;
    $("#details-title").textContent = `Sightings of ${person}`;
    $("#details tbody").replaceChildren(...found.map((one) => {
      const row = make("tr");
      row.append(make("th", cameraName(one), { scope: "row" }), make("td", moment(one.since)), make("td", clock(one.until)),
        make("td", likely(one)), make("td", how(one)));
      return row;
    }));
    $("#details").hidden = false;
    if (moves) $("#details-title").focus();
  } catch (error) {
    closeDetails();
    if (moves) tell(error.message);
  }
}

function closeDetails() {
  opened = null;
  $("#details").hidden = true;
}

function drawJoins(joins) {
  const focused = document.activeElement?.dataset?.key;
  $("#no-joins").hidden = joins.length > 0;
  $("#joins").replaceChildren(...joins.map((one) => {
    const item = make("li");
    const text = `${cameraName(one)}, ${moment(one.since)} to ${clock(one.until)}: the same as ${one.person}?`;
    item.append(make("span", `${text} Probability ${likely(one)}; ${how(one)}.`));
    for (const [word, act, done] of [["Confirm", "confirm", "confirmed"], ["Undo", "undo", "separated into a new person"]]) {
      const button = make("button", word, { type: "button", onclick: () => correct(one, act, done) });
      button.setAttribute("aria-label", `${word}: ${text}`);
      button.dataset.key = `${act} ${one.track}`;
      item.append(button);
    }
    return item;
  }));
  if (focused) document.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

async function correct(one, act, done) {
  await attempt(async () => {
    await ask(`joins/${one.track}/${act}`, null);
    await refresh();
    tell(`${cameraName(one)}, ${clock(one.since)}: ${done}.`);
    ($("#joins button") ?? $("#joins-title")).focus();
  });
}

function drawFlow(hours) {
  $("#flow tbody").replaceChildren(...hours.map((one) => {
    const row = make("tr");
    row.append(make("td", moment(one.since)), make("th", cameraName(one), { scope: "row" }), make("td", one.tracks),
      make("td", one.people));
    return row;
  }));
}

function drawHealth(health, spaces) {
  const facts = [
    ...health.checks.map((one) => [one.name, one.ok ? one.detail : `NOT WELL: ${one.detail}`, one.ok]),
    ["kept for", `${health.keep_h} hours after the capture, then erased; last done ${health.last_expiry
      ? moment(health.last_expiry) : "not yet"}`, true],
    ["on the disk", `${health.stored_mb} MB of descriptors; ${health.disk_free_mb} of ${health.disk_total_mb} MB free`, true],
    ["received", `${health.stored} rows since the start, ${health.duplicates} doubles dropped, last ${health.last_row
      ? moment(health.last_row) : "never"}`, true],
    ["last refusal", health.last_refusal ?? "none", true],
    ["may be asked", [health.flow && "counts", health.search && "search by example"].filter(Boolean).join(", ") || "nothing more", true],
    ...spaces.map((one) => [`space ${one.space}`, `${one.days} days, ${one.stored_mb} MB, ${one.sightings} sightings`, true]),
  ];
  $("#health").replaceChildren(...facts.flatMap(([name, text, ok]) =>
    [make("dt", name), make("dd", text, { className: ok ? "" : "bad" })]));
  $("#joined-by").textContent = health.joined_by;
  $("#flow-section").hidden = !health.flow;
}

function drawCameraChoice() {
  const select = $("#erase").camera;
  const known = [...select.options].map((one) => one.value);
  for (const name of cameras) if (!known.includes(name)) select.append(make("option", name, { value: name }));
}

async function confirmErasure(text) {
  const dialog = $("#ask");
  $("#ask-text").textContent = text;
  dialog.returnValue = "no";
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  return dialog.returnValue === "yes";
}

async function erase(request, text) {
  if (!await confirmErasure(text)) return;
  await attempt(async () => {
    tell("Erasing ...");
    const receipt = await ask("erasures", request);
    if (request.person === opened) closeDetails();
    await refresh();
    tell(`Erased ${receipt.rows} descriptors at ${moment(receipt.done)}. Digest of their names: ${receipt.digest}`);
    $("#people-title").focus();
  });
}

function erasePerson(person) {
  return erase({ person }, `Erase ${person} with everything that is kept of this person? This cannot be undone.`);
}

async function attempt(work) {
  try {
    await work();
  } catch (error) {
    tell(error.message);
  }
}

async function refresh() {
  if (followsToday) showToday();
  const [since, until] = span();
  const query = `since=${encodeURIComponent(since.toISOString())}&until=${encodeURIComponent(until.toISOString())}`;
  const health = await ask("health");
  $("#token-form").hidden = true;
  const [sightings, joins, spaces, hours] = await Promise.all([
    ask(`sightings?${query}`), ask("joins"), ask("spaces"), health.flow ? ask(`flow?${query}`) : [],
  ]);
  drawPeople(sightings);
  drawJoins(joins);
  drawFlow(hours);
  drawHealth(health, spaces);
  drawCameraChoice();
  if (opened) await openPerson(opened, false);
}

$("#span").addEventListener("submit", (event) => {
  event.preventDefault();
  followsToday = false;
  attempt(refresh);
});
$("#today").addEventListener("click", () => {
  followsToday = true;
  attempt(refresh);
});
$("#close-details").addEventListener("click", () => {
  const person = opened;
  closeDetails();
  document.querySelector(`[data-key="${CSS.escape(`person ${person}`)}"]`)?.focus();
});
$("#token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", event.target.token.value);
  event.target.token.value = "";
  tell("");
  attempt(refresh);
});
$("#erase").addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.target;
  const request = {};
  if (form.camera.value) {
    const [site, node, camera] = form.camera.value.split("/");
    request.camera = { site, node, camera };
  }
  if (form.since.value) request.since = new Date(form.since.value).toISOString();
  if (form.until.value) request.until = new Date(form.until.value).toISOString();
  const what = `${form.camera.value || "all cameras"}${form.since.value ? ` from ${moment(request.since)}` : ""}${
    form.until.value ? ` to ${moment(request.until)}` : ""}`;
  erase(request, `Erase everything of ${what}? This cannot be undone.`);
});

attempt(refresh);
setInterval(() => document.querySelector("dialog[open]") ?? attempt(refresh), REFRESH_MS);
