"use strict";
// The page draws the facts that lie in it as JSON. Text of the configuration reaches it as text nodes and attribute
// values only: nothing here parses HTML, and the policy in the page's head would stop a script that came in by it.

// --- elements -------------------------------------------------------------------------------------------------------

const SVG = "http://www.w3.org/2000/svg";

/** Set attributes of an element: on* are listeners; false and null are left out. */
function dress(element, attributes) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  return element;
}

/** An HTML element with attributes and children; texts become text nodes, lists are spread, null is nothing. */
function h(tag, attributes, ...children) {
  const element = dress(document.createElement(tag), attributes);
  element.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
  return element;
}

function s(tag, attributes, ...children) {
  const element = dress(document.createElementNS(SVG, tag), attributes);
  element.append(...children.flat(Infinity));
  return element;
}

/** A text of the configuration, kept from turning its surroundings around when it is written from right to left. */
const said = (text) => h("bdi", null, String(text));
const code = (text) => h("code", null, said(text));
const plural = (n, one, many = `${one}s`) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
const hash = (...parts) => `#/${parts.map(encodeURIComponent).join("/")}`;
const link = (href, ...children) => h("a", { href }, ...children);
const listing = (items, of) => h("ul", null, items.map((item) => h("li", null, of(item))));

/** "a, b and c" of elements or texts. */
function joined(items, last = "and") {
  return items.flatMap((item, i) => [i === 0 ? "" : i === items.length - 1 ? ` ${last} ` : ", ", item]);
}

// --- long lists -----------------------------------------------------------------------------------------------------

const PAGE = 200;

/** Fill `into` with the first items, and a button below `after` that shows more of them. */
function paged(into, items, draw, after = into, size = PAGE) {
  let shown = 0;
  const button = h("button", { type: "button", class: "more", onclick: () => grow(size) });
  function grow(by) {
    const next = items.slice(shown, shown + by);
    const first = into.childElementCount;
    into.append(...next.map(draw));
    shown += next.length;
    const left = items.length - shown;
    button.hidden = left === 0;
    button.textContent = `Show ${Math.min(size, left).toLocaleString("en")} more of ${left.toLocaleString("en")} left`;
    // The keyboard goes on where the new ones begin.
    if (by !== Infinity && first > 0) into.children[first]?.querySelector("a, summary, button")?.focus();
  }
  into.replaceChildren();
  grow(size);
  after.parentNode?.querySelectorAll(":scope > .more").forEach((old) => old.remove());
  if (items.length > size) after.after(button);
  whole.set(after, () => grow(Infinity));
}

/** What shows the rest of each list of the view: paper has no buttons. */
const whole = new Map();

/** A table with a caption for screen readers; each heading is a text, or [text, class]. */
function table(caption, headings, rows, attributes = null, size = PAGE) {
  const body = h("tbody");
  const element = h("table", attributes,
    h("caption", { class: "out" }, caption),
    h("thead", null, h("tr", null, headings.map((heading) => {
      const [text, class_] = [heading].flat();
      return h("th", { scope: "col", class: class_ }, text);
    }))), body);
  const frame = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, element);
  const wrapper = h("div", null, frame);
  const draw = (cells) => h("tr", null, cells.map((cell, i) => {
    const class_ = [headings[i]].flat()[1];
    return i === 0 ? h("th", { scope: "row" }, cell) : h("td", { class: class_ }, cell);
  }));
  wrapper.fill = (some) => paged(body, some, (row) => draw(row()), frame, size);
  wrapper.fill(rows);
  return wrapper;
}

/** A field that narrows a list while one types, and says how many are left. */
function filtered(label, items, textOf, one, show, many) {
  const output = h("output", null);
  const input = h("input", { type: "search", placeholder: " ", autocomplete: "off", spellcheck: "false" });
  const texts = items.map((item) => textOf(item).toLowerCase());
  const apply = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const left = items.filter((_, i) => words.every((word) => texts[i].includes(word)));
    output.textContent = left.length === items.length
      ? plural(items.length, one, many) : `${left.length.toLocaleString("en")} of ${plural(items.length, one, many)}`;
    show(left);
  };
  input.addEventListener("input", apply);
  apply();
  return h("div", { class: "ask", role: "search" }, h("label", null, label, input), output);
}

// --- patterns -------------------------------------------------------------------------------------------------------

const WILD = /[*?]/;

/**
 * Whether a text matches a pattern. A star in the text stands for more than one character can, so only a star takes it:
 * then a pattern that matches a pattern is at least as wide.
 */
function fits(pattern, text) {
  let [i, j, star, mark] = [0, 0, -1, 0];
  while (j < text.length) {
    if (pattern[i] === "*") { star = i++; mark = j; }
    else if (i < pattern.length && (pattern[i] === text[j] || (pattern[i] === "?" && text[j] !== "*"))) { i++; j++; }
    else if (star >= 0) { i = star + 1; j = ++mark; }
    else return false;
  }
  while (pattern[i] === "*") i++;
  return i === pattern.length;
}

/** Whether some text matches both patterns, each with `*` and `?`: every way to read both is followed at once. */
function overlap(one, other) {
  if (!WILD.test(other)) return fits(one, other);
  if (!WILD.test(one)) return fits(other, one);
  // Up to the first wildcard both are themselves; most pairs part there.
  const limit = Math.min(one.search(WILD), other.search(WILD));
  if (one.slice(0, limit) !== other.slice(0, limit)) return false;
  const width = other.length + 1;
  let row = new Uint8Array(width);
  row[0] = 1;
  for (let i = 0; ; i++) {
    const a = one[i];
    const next = new Uint8Array(width);
    for (let j = 0; j < width; j++) {
      if (!row[j]) continue;
      const b = other[j];
      if (b === "*") { row[j + 1] = 1; if (a !== undefined) next[j] = 1; }
      if (a === "*") { next[j] = 1; if (b !== undefined) row[j + 1] = 1; }
      else if (a !== undefined && b !== undefined && b !== "*" && (a === b || a === "?" || b === "?")) next[j + 1] = 1;
    }
    if (a === undefined) return row[width - 1] === 1;
    row = next;
  }
}

/** The id of an account that is any: see `ACCOUNT` in facts.py. */
const anyAccount = (pattern) => pattern.replaceAll("ACCOUNT", "????????????");
/** A policy variable can be any text that the caller has. */
const anything = (pattern) => anyAccount(pattern).replace(/\$\{[^}]*\}/g, "*");

/**
 * Whether a resource that is asked about may be one that a pattern names. An ARN, or one with wildcards, is compared as
 * a whole; a bare name (`acme-dev-logs`, `orders`) with the part of the ARN that names the resource.
 */
function reaches(asked, pattern) {
  if (asked === "" || pattern === "*") return true;
  const text = anything(pattern);
  if (asked.startsWith("arn:") || asked === "*") return overlap(asked, text);
  const parts = text.split(":");
  if (parts[0] === "arn" && parts.length < 6) return overlap(`*${asked}`, text);
  const name = parts[0] === "arn" ? parts.slice(5).join(":") : parts[parts.length - 1];
  if (overlap(asked, name)) return true;
  // "table/orders" is a type and a name; what stands before the slash in S3 is the bucket.
  const cut = name.search(/[/:]/);
  return parts[2] !== "s3" && cut >= 0 && !WILD.test(name.slice(0, cut)) && overlap(asked, name.slice(cut + 1));
}

/** Whether a pattern takes in every resource that is asked about; where that is not certain, it does not. */
function covers(asked, pattern) {
  if (pattern === "*") return true;
  return asked.startsWith("arn:") && !pattern.includes("${") && fits(anyAccount(pattern), asked);
}

/** How many letters must be changed to make one text of the other, as far as `most`. */
function distance(one, other, most) {
  if (Math.abs(one.length - other.length) > most) return most + 1;
  let row = Array.from({ length: other.length + 1 }, (_, i) => i);
  for (let i = 1; i <= one.length; i++) {
    let [corner, least] = [row[0], (row[0] = i)];
    for (let j = 1; j <= other.length; j++) {
      const above = row[j];
      row[j] = Math.min(above + 1, row[j - 1] + 1, corner + (one[i - 1] === other[j - 1] ? 0 : 1));
      corner = above;
      least = Math.min(least, row[j]);
    }
    if (least > most) return most + 1;
  }
  return row[other.length];
}

// --- the graph ------------------------------------------------------------------------------------------------------

const BOX = { width: 210, height: 38, lane: 4, across: 110, down: 10, margin: 14 };

/** The column of each node: one right of the furthest that leads to it; an edge that would close a circle is left out. */
function columns(nodes, edges) {
  const into = new Map(nodes.map((node) => [node.id, []]));
  for (const edge of edges) into.get(edge.to).push(edge.from);
  const column = new Map();
  const visiting = new Set();
  // A list in place of recursion: nothing says how long a chain of roles may be.
  for (const { id } of nodes) {
    const path = [id];
    while (path.length) {
      const at = path[path.length - 1];
      if (column.has(at)) { path.pop(); continue; }
      visiting.add(at);
      const next = into.get(at).find((from) => !column.has(from) && !visiting.has(from));
      if (next !== undefined) { path.push(next); continue; }
      column.set(at, 1 + Math.max(-1, ...into.get(at).map((from) => column.get(from) ?? -1)));
      visiting.delete(at);
      path.pop();
    }
  }
  return column;
}

/**
 * Where each node stands: columns from left to right, and in each the order that lets few edges cross. An edge over
 * several columns gets a lane of its own in those between, so that it runs past the boxes and not behind them.
 */
function laidOut(nodes, edges) {
  const column = columns(nodes, edges);
  const ranks = [];
  for (const node of nodes) (ranks[column.get(node.id)] ??= []).push(node.id);
  const beside = new Map(nodes.map((node) => [node.id, []]));
  const lanes = new Map();
  edges.forEach((edge, i) => {
    const [first, last] = [column.get(edge.from), column.get(edge.to)];
    const way = [edge.from];
    for (let x = first + 1; x < last; x++) {
      const lane = `lane ${i} ${x}`;
      ranks[x].push(lane);
      column.set(lane, x);
      beside.set(lane, []);
      way.push(lane);
    }
    way.push(edge.to);
    way.slice(1).forEach((id, k) => { beside.get(way[k]).push(id); beside.get(id).push(way[k]); });
    lanes.set(edge, way);
  });
  const place = new Map();
  const settle = () => ranks.forEach((rank) => rank.forEach((id, i) => place.set(id, (i + 0.5) / rank.length)));
  settle();
  for (let sweep = 0; sweep < 8; sweep++) {
    for (const rank of sweep % 2 ? [...ranks].reverse() : ranks) {
      const middle = (id) => {
        const others = beside.get(id).filter((other) => column.get(other) !== column.get(id));
        return others.length ? others.reduce((sum, other) => sum + place.get(other), 0) / others.length : place.get(id);
      };
      const wanted = new Map(rank.map((id) => [id, middle(id)]));
      rank.sort((a, b) => wanted.get(a) - wanted.get(b));
      settle();
    }
  }
  const tall = (id) => (id.startsWith("lane ") ? BOX.lane : BOX.height) + BOX.down;
  const heights = ranks.map((rank) => rank.reduce((sum, id) => sum + tall(id), 0));
  const tallest = Math.max(...heights);
  const at = new Map();
  ranks.forEach((rank, x) => {
    let y = BOX.margin + (tallest - heights[x]) / 2;
    for (const id of rank) { at.set(id, { x: BOX.margin + x * (BOX.width + BOX.across), y, middle: y + (tall(id) - BOX.down) / 2 }); y += tall(id); }
  });
  return {
    at, lanes,
    width: 2 * BOX.margin + ranks.length * (BOX.width + BOX.across) - BOX.across,
    height: 2 * BOX.margin + tallest - BOX.down,
  };
}

/** A line through the lanes of an edge: a curve between two columns, straight past a box. */
function curve(way, at) {
  const start = at.get(way[0]);
  let d = `M${start.x + BOX.width},${start.middle}`;
  let [x, y] = [start.x + BOX.width, start.middle];
  way.slice(1).forEach((id, i) => {
    const to = at.get(id);
    const last = i === way.length - 2;
    const end = last ? to.x - 7 : to.x;
    const bend = Math.max(50, Math.abs(end - x) / 2);
    d += ` C${x + bend},${y} ${end - bend},${to.middle} ${end},${to.middle}`;
    if (!last) d += ` H${to.x + BOX.width}`;
    [x, y] = [to.x + BOX.width, to.middle];
  });
  return d;
}

/** A text that fits a box; the whole of it stands in the title and in the table. */
const short = (text, most = 27) => ([...text].length > most ? `${[...text].slice(0, most - 1).join("")}…` : text);

/** The drawing: for the eye and the mouse alone, since the table beside it says the same to everybody. */
function drawing(nodes, edges, label) {
  const { at, lanes, width, height } = laidOut(nodes, edges);
  const lines = edges.map((edge) => {
    const path = s("path", { class: edge.risky ? "edge risky" : "edge", "marker-end": "url(#head)", d: curve(lanes.get(edge), at) });
    path.append(s("title", null, edge.how));
    return { edge, path };
  });
  const boxes = nodes.map((node) => {
    const { x, y } = at.get(node.id);
    const box = s("g", { class: node.href ? "node" : "node still", transform: `translate(${x},${y})`, onclick: () => { if (node.href) location.hash = node.href; } },
      s("title", null, node.all ?? node.name),
      s("rect", { class: "box", width: BOX.width, height: BOX.height, rx: 6 }),
      s("text", { x: 10, y: 16 }, short(node.name)),
      s("text", { x: 10, y: 31, class: "sort" }, short(node.sort, 34)));
    box.addEventListener("mouseenter", () => dim(node.id));
    box.addEventListener("mouseleave", () => dim(null));
    return { node, box };
  });
  function dim(id) {
    const near = new Set([id]);
    for (const { edge, path } of lines) {
      const mine = edge.from === id || edge.to === id;
      if (mine) near.add(edge.from).add(edge.to);
      path.classList.toggle("dim", id !== null && !mine);
    }
    for (const { node, box } of boxes) box.classList.toggle("dim", id !== null && !near.has(node.id));
  }
  return s("svg", { role: "img", "aria-label": label, width, height, viewBox: `0 0 ${width} ${height}` },
    s("defs", null, s("marker", { id: "head", viewBox: "0 0 8 8", refX: 1, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" },
      s("path", { class: "head", d: "M0,0 L8,4 L0,8 z" }))),
    lines.map(({ path }) => path), boxes.map(({ box }) => box));
}

// --- the facts ------------------------------------------------------------------------------------------------------
// Fields that are empty are left out of the JSON (see facts.py): `many` reads them as the empty list that they are.

const FACTS = JSON.parse(document.getElementById("facts").textContent);
const many = (value) => value ?? [];
const LEVELS = ["list", "read", "write", "tagging", "permissions"];
const LETTERS = { list: "L", read: "R", write: "W", tagging: "T", permissions: "P" };
const ACTIONS = many(FACTS.actions).map(([name, level]) => ({ name, level }));
const SETS = many(FACTS.action_sets);
const RULES = many(FACTS.rules);
const ACCOUNTS = FACTS.accounts;
const TEAMS = many(FACTS.teams);
const PEOPLE = many(FACTS.people);
const ROLES = many(FACTS.roles);
const BECOMING = many(FACTS.becoming);
const named = (list) => new Map(list.map((item) => [item.name, item]));
const [teamNamed, personNamed, roleNamed, dutyNamed] = [TEAMS, PEOPLE, ROLES, many(FACTS.duties)].map(named);
const BREAK_GLASS = { name: "break-glass", ...FACTS.break_glass };

/** Whoever holds duties: what kind it is, and its view. */
const HOLDING = [
  ...TEAMS.map((one) => ({ kind: "team", one, href: hash("team", one.name) })),
  ...ROLES.map((one) => ({ kind: one.of === "break-glass" ? "break-glass role" : "role", one, href: hash("role", one.name) })),
  { kind: "break-glass", one: BREAK_GLASS, href: hash("break-glass") },
];

const accountName = (at) => ACCOUNTS[at].environment || ACCOUNTS[at].id || "the account";
/** " in development and staging", or nothing where that is everywhere. */
function inAccounts(places) {
  return places.length === ACCOUNTS.length ? [] : [" in ", joined(places.map((at) => said(accountName(at))))];
}
const levelOf = (at) => ACTIONS[at].level;
const serviceOf = (at) => ACTIONS[at].name.split(":")[0];
const highest = (counts) => { for (let i = LEVELS.length - 1; i >= 0; i--) if (counts[i]) return i; return -1; };
const chip = (level) => h("span", { class: `level ${level}` }, level);
/** A path may break after its slashes, and nowhere else. */
const breakable = (path) => path.split(/(?<=\/)/).flatMap((part, i) => (i ? [h("wbr"), part] : [part]));
const at = (place) => (place ? h("span", { class: "line" }, breakable(place)) : null);
/** A place after something else; the dot stays with it when the line breaks. */
const dotAt = (place) => (place ? [" ", h("span", { class: "line" }, "· ", breakable(place))] : null);
function changed(change) {
  if (!change) return null;
  return change.day ? [change.day, " by ", said(change.author), " ", h("span", { class: "line" }, change.commit)] : said(change.author);
}
/** A summary as the end of a sentence: "Look up orders" becomes "look up orders", "DNS records …" stays. */
const lowered = (text) => (/^[A-Z][^A-Z]/.test(text) ? text[0].toLowerCase() + text.slice(1) : text);

/** The actions of a set that have a place. */
function placesOf(set) {
  if (!set.everything) return many(set.actions);
  const but = new Set(many(set.actions));
  return [...ACTIONS.keys()].filter((place) => !but.has(place));
}

const ownMfa = (held) => held.kind === "mfa";

/**
 * What a holder has in each service: { top, everywhere }. The right to enrol one's own MFA device, which everybody has,
 * would make everybody someone who changes permissions; it is left out.
 */
function servicesHeld(holder) {
  if (servicesHeld.known.has(holder)) return servicesHeld.known.get(holder);
  const found = new Map(many(holder.services).map((s_) => [s_.prefix, { top: highest(s_.counts), everywhere: s_.everywhere === true }]));
  const own = new Set(many(holder.duties).filter(ownMfa).flatMap((held) => many(held.rules).flatMap(({ rule }) => many(SETS[RULES[rule].actions].actions).map(serviceOf))));
  for (const prefix of own) found.delete(prefix);
  const denies = own.size ? many(holder.denies).filter((denied) => !denied.unless) : [];
  for (const { rule } of own.size ? many(holder.duties).filter((held) => !ownMfa(held)).flatMap((held) => many(held.rules)) : []) {
    const gone = denies.filter((denied) => within(rule, denied.rule)).map((denied) => SETS[RULES[denied.rule].actions]);
    const everywhere = many(RULES[rule].but).length > 0 || many(RULES[rule].resources).includes("*");
    for (const place of placesOf(SETS[RULES[rule].actions])) {
      if (!own.has(serviceOf(place)) || gone.some((set) => many(set.actions).includes(place) !== (set.everything === true))) continue;
      const before = found.get(serviceOf(place)) ?? { top: -1, everywhere: false };
      found.set(serviceOf(place), { top: Math.max(before.top, LEVELS.indexOf(levelOf(place))), everywhere: before.everywhere || everywhere });
    }
  }
  servicesHeld.known.set(holder, found);
  return found;
}
servicesHeld.known = new Map();

/** The same over several accounts, or one. */
function servicesOf(one, account = null) {
  const found = new Map();
  for (const holder of many(one.holders)) {
    if (account !== null && holder.account !== account) continue;
    for (const [prefix, { top, everywhere }] of servicesHeld(holder)) {
      const before = found.get(prefix) ?? { top: -1, everywhere: false };
      if (top >= 0) found.set(prefix, { top: Math.max(before.top, top), everywhere: before.everywhere || everywhere });
    }
  }
  return found;
}

/** The highest level over all services of somebody, or -1. */
const highestOf = (one) => Math.max(-1, ...[...servicesOf(one).values()].map(({ top }) => top));
/** Whether somebody has every action there is, in some account that counts. */
const hasEverything = (one, account = null) => many(one.holders).some((holder) => (account === null || holder.account === account)
  && many(holder.duties).some((held) => many(held.rules).some(({ rule }) => SETS[RULES[rule].actions].everything)));

// --- what somebody can, in words ------------------------------------------------------------------------------------

/** What a duty says of itself, after "can". */
function duty(held) {
  if (held.kind === "take") return ["take the role ", link(hash("role", held.duty), said(held.duty))];
  if (held.kind === "break-glass") {
    return many(held.rules).some(({ rule }) => SETS[RULES[rule].actions].everything) ? h("strong", null, "do anything, in an emergency") : "take the break-glass role, and enrol an MFA device of their own";
  }
  if (held.kind === "mfa") return "enrol an MFA device of their own";
  const known = dutyNamed.get(held.duty);
  return [h("strong", null, said(lowered(known?.summary || held.duty)))];
}

/**
 * A statement of a policy: what it speaks of, where and when. With `only`, no more than it says of one service; with
 * `places`, the accounts that have it are named.
 */
function statement(rule, { only = null, when = "", places = null } = {}) {
  const set = SETS[rule.actions];
  const acts = many(set.actions).filter((i) => only === null || serviceOf(i) === only);
  const facts = h("dl", { class: "facts" });
  const row = (name, ...of) => facts.append(h("dt", null, name), h("dd", null, ...of));
  const every = set.everything ? (acts.length ? ["every action but ", actionList(acts)] : "every action") : actionList(acts);
  row(rule.effect === "deny" ? "Denies" : "Allows", every);
  if (many(rule.but).length) row("On", "everything but ", joined(rule.but.map(code)));
  else if (many(rule.resources).includes("*")) row("On", "every resource (", code("*"), ")");
  else row("On", h("ul", { class: "flow" }, many(rule.resources).map((r) => h("li", null, code(r)))));
  if (when) row("If", said(when));
  else if (many(rule.when).length) row("Only if", joined(rule.when.map(said)));
  if (places) row("In", joined(places.map((place) => said(accountName(place)))));
  const written = many(set.written).filter((w) => only === null || w.toLowerCase().startsWith(`${only}:`));
  if (acts.length > 12 || written.some((w) => WILD.test(w))) row("Written", joined(written.map(code)));
  return facts;
}

/** Actions by level; a long list opens on request. */
function actionList(places) {
  const groups = LEVELS.map((level) => [level, places.filter((i) => levelOf(i) === level)]).filter(([, some]) => some.length);
  const names = () => groups.map(([level, some]) => h("p", null, chip(level), " ", joined(some.map((i) => code(ACTIONS[i].name)))));
  if (places.length <= 12) return names();
  const counts = groups.map(([level, some]) => `${some.length} ${level}`);
  // Thousands of names are not made before somebody looks.
  const list = h("div");
  return h("details", { class: "actions", ontoggle: () => { if (!list.firstChild) list.append(...names()); } },
    h("summary", null, `${places.length.toLocaleString("en")} actions: ${counts.join(", ")}`), list);
}

/** What is the same but for the account, as one: [[thing, the accounts that have it], …], in the order of the first. */
function merged(things, keyOf) {
  const found = new Map();
  for (const { account, thing } of things) {
    const key = keyOf(thing);
    if (!found.has(key)) found.set(key, [thing, []]);
    if (!found.get(key)[1].includes(account)) found.get(key)[1].push(account);
  }
  return [...found.values()];
}

/** The accounts to name beside a part of something: none where all of it is there. */
const partly = (places, all) => (places.length === all.length ? null : places);

/**
 * A duty as its holders have it, one line of YAML in one or several accounts: the sentence, its parameters and line, and
 * the statements behind it, by grant. `some` are [{ account, thing: Held }, …].
 */
function heldItem(some, through = null, only = null) {
  const [{ thing: held }] = some;
  const places = some.map(({ account }) => account);
  const grants = many(dutyNamed.get(held.duty)?.grants);
  const rules = merged(some.flatMap(({ account, thing }) => many(thing.rules).map((granted) => ({ account, thing: granted }))), JSON.stringify)
    .filter(([{ rule }]) => only === null || speaksOf(RULES[rule], only));
  const byGrant = new Map();
  for (const row of rules) byGrant.set(row[0].grant ?? -1, [...(byGrant.get(row[0].grant ?? -1) ?? []), row]);
  const given = many(held.parameters).map((p) => [" · ", said(p.name), ": ", joined(p.values.map(code))]);
  const managed = many(held.managed).map((name) => [" · AWS’s policy ", code(name)]);
  const source = [
    held.kind && held.kind !== "duty" ? null : [" · ", link(hash("duty", held.duty), said(held.duty))],
    through ? [" · through ", through] : null,
    dotAt(held.at),
  ];
  return h("li", null, duty(held), h("span", { class: "faint" }, given, managed, source),
    rules.length ? h("details", { open: only !== null }, h("summary", null, plural(rules.length, "statement")),
      [...byGrant].sort(([a], [b]) => a - b).map(([grant, list]) => h("div", { class: "grant" },
        grants[grant] ? h("p", null, grants[grant].why ? said(grants[grant].why) : null, dotAt(grants[grant].at)) : null,
        list.map(([{ rule }, where]) => statement(RULES[rule], { only, places: partly(where, places) }))))) : null);
}

const speaksOf = (rule, prefix) => {
  const set = SETS[rule.actions];
  return set.everything || many(set.actions).some((i) => serviceOf(i) === prefix);
};

const guardrailNamed = new Map(many(FACTS.guardrails).map((g) => [`guardrails.${g.key}`, g]));

/** Why something is denied, in words: "never manage-people", or what a guardrail says. */
function reason(denied) {
  const never = /^never (.+)$/.exec(denied.what);
  if (never && dutyNamed.has(never[1])) return ["never ", link(hash("duty", never[1]), said(never[1]))];
  return said(guardrailNamed.get(denied.what)?.says ?? denied.what);
}

/** What one line denies: why, and its statements with when they do. `some` are [{ account, thing: Denied }, …]. */
function deniedItem(some, through = null, only = null) {
  const [{ thing: first }] = some;
  const places = [...new Set(some.map(({ account }) => account))];
  const rules = merged(some, (denied) => `${denied.rule} ${denied.unless ?? ""}`);
  return h("li", null, reason(first),
    h("span", { class: "faint" }, through ? [" · through ", through] : null, dotAt(first.at)),
    h("details", null, h("summary", null, plural(rules.length, "statement")), h("div", { class: "grant" },
      rules.map(([denied, where]) => statement(RULES[denied.rule], { only, when: denied.unless, places: partly(where, places) })))));
}

/** Rows with an account each that are alike, by the accounts that have them: [[accounts, [rows that are alike, …]], …]. */
function byAccounts(rows, keyOf) {
  const found = new Map();
  for (const row of rows) found.set(keyOf(row), [...(found.get(keyOf(row)) ?? []), row]);
  const groups = new Map();
  for (const some of found.values()) {
    const places = [...new Set(some.map(({ account }) => account))].sort((a, b) => a - b);
    if (!groups.has(places.join())) groups.set(places.join(), [places, []]);
    groups.get(places.join())[1].push(some);
  }
  return [...groups.values()].sort(([a], [b]) => b.length - a.length || a[0] - b[0]);
}

const askedBy = ({ duty: name, at: place, kind, parameters, managed }) => JSON.stringify([name, place, kind, parameters, managed]);
const deniedBy = ({ what, at: place }) => JSON.stringify([what, place]);
const rowsOf = (holders, list, through = null) => many(holders).flatMap((holder) => many(holder[list]).map((thing) => ({ account: holder.account, thing, through })));

/** "NAME can, in development, with MFA: …" for holders, each with the team by which it is had; and what is denied. */
function abilities(name, sources, signedIn) {
  const held = sources.flatMap(({ holders, through }) => rowsOf(holders, "duties", through));
  const denied = sources.flatMap(({ holders, through }) => rowsOf(holders, "denies", through));
  const from = (through) => (through && sources.length > 1 ? link(hash("team", through), said(through)) : null);
  const where = (places) => (ACCOUNTS.length === 1 ? null : places.length === ACCOUNTS.length ? " in every account" : inAccounts(places));
  const can = byAccounts(held, ({ through, thing }) => `${through} ${askedBy(thing)}`).map(([places, items]) => [
    h("h2", null, said(name), " can", [where(places), signedIn].filter(Boolean).map((part, i) => [",", i ? " " : where(places) ? "" : " ", part]), ":"),
    h("ul", null, items.map((some) => heldItem(some, from(some[0].through))))]);
  if (!can.length) can.push(h("h2", null, said(name), " can do nothing"), h("p", null, "No duty gives anything."));
  // A guardrail stands in every team that a person is in; it is said once.
  const never = byAccounts(denied, ({ thing }) => deniedBy(thing)).map(([places, items]) => [
    h("h2", null, "Limits", where(places), ", whatever allows more"),
    h("ul", null, items.map((some) => deniedItem(some, some.every(({ through }) => through === some[0].through) ? from(some[0].through) : null)))]);
  return [...can, ...never];
}

// --- views ----------------------------------------------------------------------------------------------------------
// A view is a function of the rest of the hash to { title, lead, nodes }.

const VIEWS = {
  "": overview,
  matrix, cell, teams, team, people, person, roles, role, duty: dutyView, "break-glass": breakGlass,
  who, become, findings, compliance,
};
const MENU = [["", "Overview"], ["matrix", "Matrix"], ["teams", "Teams"], ["people", "People"], ["roles", "Roles"],
  ["who", "Who can"], ["become", "Who becomes whom"], ["compliance", "Compliance"], ["findings", "Findings"]];
const UNDER = { cell: "matrix", team: "teams", person: "people", role: "roles", "break-glass": "roles" };

function overview() {
  const open = many(FACTS.findings);
  const controls = many(FACTS.compliance);
  const met = controls.filter((c) => c.state === "met").length;
  const ours = controls.filter((c) => c.state !== "not ours").length;
  const tile = (href, count, what, class_) => h("li", { class: class_ }, link(href, h("span", { class: "count" }, count), h("span", { class: "what" }, what)));
  const errors = open.some((f) => f.severity === "error");
  return {
    title: `Who may do what at ${FACTS.organization}`,
    lead: ["Of the configuration ", code(FACTS.configuration), FACTS.day ? ` on ${FACTS.day}` : "", FACTS.commit ? [" at commit ", code(FACTS.commit)] : "",
      ". What policies of buckets, keys and the organization say besides is not in it."],
    nodes: [
      h("ul", { class: "tiles" },
        tile("#/people", PEOPLE.length.toLocaleString("en"), PEOPLE.length === 1 ? "person" : "people"),
        tile("#/teams", TEAMS.length.toLocaleString("en"), TEAMS.length === 1 ? "team" : "teams"),
        tile("#/roles", ROLES.length.toLocaleString("en"), ROLES.length === 1 ? "role" : "roles"),
        tile("#/findings", String(open.length), open.length === 1 ? "finding" : "findings", open.length === 0 ? "good" : errors ? "bad" : null),
        controls.length ? tile("#/compliance", `${met} of ${ours}`, "controls met", met === ours ? "good" : null) : null,
        tile("#/break-glass", String(many(FACTS.break_glass.users).length), "break-glass users")),
      h("div", { class: "two" },
        h("section", null, h("h2", null, "Sign-in"), h("p", null, said(FACTS.mfa)), guardrailList()),
        h("section", null, h("h2", null, "Highest access of each team"), spread())),
      h("h2", null, "Accounts"), accountTable(),
      h("h2", null, "Quota use"), quotaTable(), fullest(),
      open.length ? [h("h2", null, "Findings"), findingList(open.slice(0, 5)), open.length > 5 ? h("p", null, link("#/findings", `All ${open.length} findings`)) : null] : null,
      h("h2", null, "Compliance"), controls.length ? complianceSummary(controls) : noControls(),
    ],
  };
}

function guardrailList() {
  const all = many(FACTS.guardrails);
  if (!all.length) return h("p", { class: "faint" }, "No guardrails are set.");
  return [h("h2", null, "Guardrails"), listing(all, (g) => [said(g.says), " ", at(g.at)])];
}

/** How many teams have which level as their highest. */
function spread() {
  const counts = LEVELS.map(() => 0);
  for (const one of TEAMS) { const top = highestOf(one); if (top >= 0) counts[top] += 1; }
  return h("ul", { class: "plain" }, [...LEVELS].map((level, i) => [level, counts[i]]).reverse().filter(([, n]) => n)
    .map(([level, n]) => h("li", null, chip(level), ` ${plural(n, "team")}`)));
}

function accountTable() {
  return table("Accounts", ["Account", "Id", "Region", ["Groups", "number"], ["Users", "number"], ["Roles", "number"], ["Policies", "number"]],
    ACCOUNTS.map((a, i) => () => [said(accountName(i)), a.id || "any", said(a.region), ...[a.groups, a.users, a.roles, a.policies].map((n) => n.toLocaleString("en"))]));
}

function bar(used, of) {
  const share = of ? used / of : 0;
  const fill = h("i");
  fill.style.width = `${Math.min(100, Math.round(share * 100))}%`;
  return [h("span", { class: `bar${share >= 1 ? " bad" : share >= 0.8 ? " warn" : ""}`, "aria-hidden": "true" }, fill), h("span", { class: "share" }, `${Math.round(share * 100)} %`)];
}

function quotaTable() {
  const all = many(FACTS.quotas);
  if (!all.length) return h("p", { class: "faint" }, "Not in these facts.");
  const kinds = [...new Set(all.map((q) => q.what))];
  const places = ACCOUNTS.map((_, i) => i);
  return table("Quota use of each account", ["Quota", ...places.map((i) => said(accountName(i))), ["AWS raises it at most to", "number"]], kinds.map((what) => () => {
    const uses = places.map((i) => all.find((q) => q.what === what && q.account === i));
    return [said(what), ...uses.map((q) => (q ? [bar(q.used, q.value), ` ${q.used.toLocaleString("en")} of ${q.value.toLocaleString("en")}`] : "")),
      Math.max(...uses.filter(Boolean).map((q) => q.maximum)).toLocaleString("en")];
  }));
}

/** The teams and roles whose policies are nearest to what AWS takes. */
function fullest() {
  const { policies, characters, groups } = FACTS.limits;
  const crowded = PEOPLE.reduce((most, one) => (many(one.memberships).length > many(most?.memberships).length ? one : most), null);
  const rows = HOLDING.flatMap(({ one, href }) => many(one.holders).map((holder) => {
    const largest = Math.max(0, ...many(holder.policies).map((p) => p.characters));
    return { one, href, holder, count: many(holder.policies).length + many(holder.managed).length, largest };
  }));
  rows.sort((a, b) => b.count - a.count || b.largest - a.largest);
  return [h("h3", null, "Nearest to the quotas of one group or role"),
    table("Teams and roles with the most policies", ["Who", "Account", "Policies", "Largest policy"],
      rows.slice(0, 5).map((r) => () => [link(r.href, said(r.one.name)), said(accountName(r.holder.account)),
        [bar(r.count, policies), ` ${r.count} of ${policies}`], `${r.largest.toLocaleString("en")} of ${characters.toLocaleString("en")} characters`])),
    many(crowded?.memberships).length > 1 ? h("p", null, "The person in the most teams is ", link(hash("person", crowded.name), said(crowded.name)), `: ${many(crowded.memberships).length} of ${groups} groups.`) : null];
}

// The matrix keeps its filters while one looks into a cell and comes back.
const kept = { rows: "teams", account: "", team: "", service: "", level: "0", order: "use" };
const COLUMNS = 60;

function matrix() {
  const frame = h("div", { class: "scroll matrix", tabindex: "0", role: "region", "aria-label": "Matrix" });
  const output = h("output");
  const rest = h("p");
  const field = (name, label, make) => {
    const control = make();
    control.value = kept[name];
    control.addEventListener("input", () => { kept[name] = control.value; draw(); });
    return h("label", null, label, control);
  };
  const options = (...pairs) => () => h("select", null, pairs.map(([value, text]) => h("option", { value }, text)));
  const search = () => h("input", { type: "search", placeholder: " ", autocomplete: "off", spellcheck: "false" });
  function draw() {
    const account = kept.account === "" ? null : Number(kept.account);
    const least = Number(kept.level);
    const rows = [];
    const used = new Map();
    for (const one of kept.rows === "teams" ? TEAMS : ROLES) {
      if (!one.name.toLowerCase().includes(kept.team.toLowerCase())) continue;
      const services = new Map([...servicesOf(one, account)].filter(([prefix, { top }]) => top >= least && prefix.includes(kept.service.toLowerCase())));
      if (!services.size && (least > 0 || kept.service)) continue;
      // Whoever can do everything has something everywhere; that says nothing of which services matter.
      const weight = hasEverything(one, account) ? 0 : 1;
      services.forEach((_, prefix) => used.set(prefix, (used.get(prefix) ?? 0) + weight));
      rows.push({ one, services });
    }
    const names = [...used.keys()].sort();
    if (kept.order === "use") names.sort((a, b) => used.get(b) - used.get(a));
    const what = kept.rows === "teams" ? "team" : "role";
    output.textContent = `${plural(rows.length, what)}, ${plural(names.length, "service")}`;
    grid(what, rows, names, COLUMNS);
  }
  function grid(what, rows, names, width) {
    const columns = names.slice(0, width);
    const body = h("tbody");
    const head = h("tr", null, h("th", { scope: "col" }, what === "team" ? "Team" : "Role"),
      columns.map((prefix) => h("th", { scope: "col", class: "service" }, h("span", null, prefix))));
    frame.replaceChildren(h("table", null,
      h("caption", { class: "out" }, `Highest level of each ${what} in each service`), h("thead", null, head), body));
    paged(body, rows, ({ one, services }) => h("tr", null,
      h("th", { scope: "row", title: one.name }, link(hash(what, one.name), said(one.name))),
      columns.map((prefix) => h("td", null, cellLink(what, one, prefix, services.get(prefix))))), frame, Math.min(PAGE, Math.max(20, Math.floor(6000 / Math.max(1, columns.length)))));
    const left = names.length - columns.length;
    rest.replaceChildren(...(left > 0 ? [`${columns.length} of ${names.length} services are shown. `, h("button", { type: "button", onclick: () => { grid(what, rows, names, width + 4 * COLUMNS); frame.focus(); } },
      "Show more services")] : []));
  }
  const view = {
    title: "Matrix",
    wide: true,
    lead: "The highest level of access in each service. A cell leads to the duties, statements and lines behind it.",
    nodes: [
      h("div", { class: "ask", role: "search" },
        field("rows", "Rows", options(["teams", "Teams"], ["roles", "Roles"])),
        ACCOUNTS.length > 1 ? field("account", "Account", options(["", "All"], ...ACCOUNTS.map((_, i) => [String(i), accountName(i)]))) : null,
        field("team", "Name holds", search), field("service", "Service holds", search),
        field("level", "At least", options(...LEVELS.map((level, i) => [String(i), level]))),
        field("order", "Services", options(["use", "Most used first"], ["name", "By name"])), output),
      legend(), h("div", null, frame), rest],
  };
  draw();
  return view;
}

function legend() {
  return h("ul", { class: "legend" }, LEVELS.map((level) => h("li", null, h("span", { class: `level ${level}` }, LETTERS[level]), ` ${level}`)),
    h("li", null, h("b", null, "*"), " some of it on every resource"), h("li", null, "Enrolling one’s own MFA device is left out."));
}

function cellLink(what, one, prefix, service) {
  if (!service) return null;
  const level = LEVELS[service.top];
  const label = `${one.name}, ${prefix}: ${level}${service.everywhere ? ", some of it on every resource" : ""}`;
  return h("a", { class: level, href: hash("cell", what, one.name, prefix), "aria-label": label, title: label }, LETTERS[level] + (service.everywhere ? "*" : ""));
}

function cell(what, name, prefix) {
  const one = (what === "team" ? teamNamed : roleNamed).get(name);
  if (!one) return missing(what, name);
  const parts = many(one.holders).map((holder) => {
    const service = many(holder.services).find((some) => some.prefix === prefix);
    const held = rowsOf([holder], "duties").filter(({ thing }) => many(thing.rules).some(({ rule }) => speaksOf(RULES[rule], prefix)));
    const denied = byAccounts(rowsOf([holder], "denies").filter(({ thing }) => speaksOf(RULES[thing.rule], prefix)), ({ thing }) => deniedBy(thing)).flatMap(([, items]) => items);
    if (!service && !held.length) return null;
    return [h("h2", null, ACCOUNTS.length > 1 ? ["In ", said(accountName(holder.account))] : "Access"),
      service ? h("p", null, LEVELS.map((level, i) => (service.counts[i] ? [chip(level), ` ${plural(service.counts[i], "action")} `] : null))) : null,
      h("h3", null, "Given by"), h("ul", null, held.map((row) => heldItem([row], null, prefix))),
      denied.length ? [h("h3", null, "Denied"), h("ul", null, denied.map((some) => deniedItem(some, null, prefix)))] : null];
  });
  return {
    title: `${name} in ${prefix}`,
    lead: ["What the ", what, " ", link(hash(what, name), said(name)), " can do in ", code(prefix), ", and why. ", link("#/matrix", "Back to the matrix")],
    nodes: parts.some(Boolean) ? parts : [h("p", null, `Nothing in ${prefix}.`)],
  };
}

// Lists of teams, people and roles.

function teams() {
  const rows = table("Teams", ["Team", "Purpose", ["People", "number"], "Highest", "Policies", "Last change"], []);
  const draw = (one) => () => [link(hash("team", one.name), said(one.name)), said(one.purpose ?? ""), many(one.people).length.toLocaleString("en"),
    highestOf(one) >= 0 ? chip(LEVELS[highestOf(one)]) : "nothing", policyCount(one), changed(one.changed) ?? ""];
  return { title: "Teams", nodes: [filtered("Filter teams", TEAMS, (t) => `${t.name} ${t.purpose}`, "team", (left) => rows.fill(left.map(draw))), rows] };
}

function policyCount(one) {
  const counts = many(one.holders).map((holder) => many(holder.policies).length + many(holder.managed).length);
  return `${Math.max(0, ...counts)} of ${FACTS.limits.policies}`;
}

function people() {
  const rows = table("People", ["Person", "Name", "Teams", "Highest", "Last change"], []);
  const draw = (one) => () => [link(hash("person", one.name), said(one.name)), one.full_name ? said(one.full_name) : "",
    joined(many(one.memberships).map(({ team: name, until }) => [link(hash("team", name), said(name)), until ? h("span", { class: "faint" }, ` until ${until}`) : ""])),
    highestOfPerson(one) >= 0 ? chip(LEVELS[highestOfPerson(one)]) : "nothing", changed(one.changed) ?? ""];
  const text = (one) => [one.name, one.full_name, one.email, ...many(one.memberships).map((m) => m.team), ...many(one.tags).map((t) => `${t.key}=${t.value}`)].join(" ");
  return { title: "People", nodes: [filtered("Filter by name, mail, team or tag", PEOPLE, text, "person", (left) => rows.fill(left.map(draw)), "people"), rows] };
}

const highestOfPerson = (one) => Math.max(-1, ...many(one.memberships).map((m) => (teamNamed.has(m.team) ? highestOf(teamNamed.get(m.team)) : -1)));

function roles() {
  const rows = table("Roles", ["Role", "Purpose", "Who can take it", "Highest", "Last change"], []);
  const draw = (one) => () => [[link(hash("role", one.name), said(one.name)), one.of === "break-glass" ? [" ", h("span", { class: "tag warn" }, "break-glass")] : null],
    said(one.purpose ?? ""), listing(many(one.trusts), (t) => said(t.says)), highestOf(one) >= 0 ? chip(LEVELS[highestOf(one)]) : "nothing", changed(one.changed) ?? ""];
  return {
    title: "Roles",
    lead: ["Break-glass has ", link("#/break-glass", "a page of its own"), "."],
    nodes: [filtered("Filter roles", ROLES, (r) => `${r.name} ${r.purpose}`, "role", (left) => rows.fill(left.map(draw))), rows],
  };
}

// A page for each.

function missing(what, name) {
  return { title: "Not in this report", nodes: [h("p", null, `There is no ${what} called “`, said(name ?? ""), "”."), h("p", null, link("#/", "To the overview"))] };
}

function factList(...rows) {
  const some = rows.filter(([, value]) => value !== null && value !== undefined && value !== "" && value.length !== 0);
  return some.length ? h("dl", { class: "facts" }, some.map(([name, value]) => [h("dt", null, name), h("dd", null, value)])) : null;
}

function team(name) {
  const one = teamNamed.get(name);
  if (!one) return missing("team", name);
  const members = h("ul", { class: "flow" });
  const list = h("div", null, members);
  paged(members, many(one.people), (person_) => h("li", null, link(hash("person", person_), said(person_))), members);
  return {
    title: name,
    lead: [h("span", null, "Team · "), said(one.purpose ?? "")],
    nodes: [
      factList(["Declared", at(one.at)], ["Last change", changed(one.changed)], ["Never", joined(many(one.never).map((n) => link(hash("duty", n), said(n))))],
        ["Policies", policyCount(one)]),
      h("h2", null, plural(many(one.people).length, "person", "people")), many(one.people).length ? list : h("p", { class: "faint" }, "Nobody is in it."),
      abilities(`Members of ${name}`, [{ holders: one.holders, through: null }], "with MFA"),
      becomes(BECOMING.filter((b) => b.kind === "team" && b.name === name)),
    ],
  };
}

function person(name) {
  const one = personNamed.get(name);
  if (!one) return missing("person", name);
  const ways = many(one.memberships).map(({ team: through }) => ({ holders: teamNamed.get(through)?.holders, through }));
  const called = one.full_name || name;
  return {
    title: called === name ? name : `${called} (${name})`,
    lead: "Person",
    nodes: [
      factList(["IAM user", code(name)], ["Mail", one.email ? said(one.email) : null], ["Tags", joined(many(one.tags).map((t) => code(`${t.key}=${t.value}`)))],
        ["Permissions boundary", one.boundary ? code(one.boundary) : null], ["Declared", at(one.at)], ["Last change", changed(one.changed)]),
      h("h2", null, plural(many(one.memberships).length, "team")),
      listing(many(one.memberships), (m) => [link(hash("team", m.team), said(m.team)), m.until ? `, until ${m.until}` : "", " ", at(m.at), m.changed ? h("span", { class: "faint" }, " · ", changed(m.changed)) : null]),
      abilities(called, ways, "with MFA"),
      h("h2", null, "Without MFA"), h("p", null, said(FACTS.mfa)),
      becomes(BECOMING.filter((b) => b.kind === "team" && ways.some((w) => w.through === b.name) && (!many(b.people).length || b.people.includes(name)))),
    ],
  };
}

function role(name) {
  const one = roleNamed.get(name);
  if (!one) return missing("role", name);
  return {
    title: name,
    lead: [one.of === "break-glass" ? "Break-glass role · " : "Role · ", said(one.purpose ?? "")],
    nodes: [
      factList(["Declared", at(one.at)], ["Until", one.until], ["Session", `${Math.round((one.session_seconds ?? 3600) / 360) / 10} h`], ["Policies", policyCount(one)], ["Last change", changed(one.changed)]),
      h("h2", null, "Its trust policy lets in"),
      listing(many(one.trusts), (t) => [t.effect === "deny" ? "not: " : "", said(t.says), many(t.when).length ? [", if ", joined(t.when.map(said))] : null]),
      becomes(BECOMING.filter((b) => b.role === name), "Who can become it"),
      abilities(name, [{ holders: one.holders, through: null }], ""),
      becomes(BECOMING.filter((b) => b.kind === "role" && b.name === name)),
    ],
  };
}

function breakGlass() {
  const { users, through, alert, at: place, holders, changed: change } = FACTS.break_glass;
  return {
    title: "Break-glass",
    lead: "The way in for emergencies, whose use raises an alarm.",
    nodes: [
      factList(["Users", joined(many(users).map(code))], ["Way", through === "role" ? "they take a role" : "they hold the access themselves"],
        ["Alarm goes to", joined(many(alert).map(said))], ["Declared", at(place)], ["Last change", changed(change)]),
      abilities("Break-glass", [{ holders, through: null }], "with MFA"),
      becomes(BECOMING.filter((b) => b.kind === "break-glass")),
    ],
  };
}

function dutyView(name) {
  const one = dutyNamed.get(name);
  if (!one) return missing("duty", name);
  const holders = HOLDING.flatMap(({ kind, one: who_, href }) => many(who_.holders).flatMap((holder) => many(holder.duties).filter((held) => held.duty === name && held.kind !== "take")
    .map((held) => ({ kind, who_, href, account: holder.account, one: held }))));
  const groups = byAccounts(holders, (row) => JSON.stringify([row.href, askedBy(row.one)]));
  const rows = groups.flatMap(([places, some]) => some.map(([row]) => () => [link(row.href, said(row.who_.name)), row.kind,
    places.length === ACCOUNTS.length ? "every account" : joined(places.map((p) => said(accountName(p)))),
    many(row.one.parameters).map((p) => h("div", null, said(p.name), ": ", joined(p.values.map(code)))), at(row.one.at) ?? ""]));
  return {
    title: name,
    lead: [one.own ? "Duty of this configuration · " : "Built-in duty · ", said(one.summary)],
    nodes: [
      factList(["Declared", at(one.at)], ["Last change", changed(one.changed)], ["Parameters", joined(many(one.parameters).map(code))]),
      many(one.grants).length ? [h("h2", null, "Grants"), listing(one.grants, (g) => [at(g.at), g.why ? [" ", said(g.why)] : null])] : null,
      h("h2", null, "Who has it"), table("Who has this duty", ["Who", "Kind", "Where", "With", "Line"], rows)],
  };
}

// Findings and compliance.

function findings() {
  const all = many(FACTS.findings);
  const waived = many(FACTS.waivers);
  return {
    title: "Findings",
    lead: "What the compiler found and let pass, and what somebody accepted on purpose.",
    nodes: [
      all.length ? findingList(all) : h("p", null, "Nothing was found."),
      h("h2", null, "Accepted on purpose"),
      waived.length ? table("Waivers", ["Finding", "For", "Reason", "Until", "Line", "Last change"],
        waived.map((w) => () => [code(w.finding), said(w.subject), said(w.reason), w.until, at(w.at) ?? "", changed(w.changed) ?? ""])) : h("p", { class: "faint" }, "No waivers."),
    ],
  };
}

function findingList(some) {
  return h("div", null, some.map((f) => h("div", { class: "card" },
    h("p", null, h("span", { class: `tag ${f.severity === "error" ? "bad" : "warn"}` }, f.severity), " ", code(f.name), " ", at(f.at),
      many(f.environments).length ? h("span", { class: "faint" }, " in ", joined(f.environments.map(said))) : null),
    h("p", null, said(f.message)), f.hint ? h("p", { class: "faint" }, said(f.hint)) : null)));
}

const STATES = { met: "good", "not met": "bad", "not ours": "quiet" };

const noControls = () => h("p", null, "Controls of benchmarks are not in this report.");

function complianceSummary(controls) {
  const benchmarks = [...new Set(controls.map((c) => c.benchmark))];
  const count = (b, state) => String(controls.filter((c) => c.benchmark === b && c.state === state).length);
  return table("Controls of each benchmark by state", ["Benchmark", ["Met", "number"], ["Not met", "number"], ["Not ours to meet", "number"]],
    benchmarks.map((b) => () => [link("#/compliance", said(b)), count(b, "met"), count(b, "not met"), count(b, "not ours")]));
}

function compliance() {
  const controls = many(FACTS.compliance);
  if (!controls.length) return { title: "Compliance", nodes: [noControls()] };
  const rows = table("Controls", ["Control", "Title", "State", "Because"], []);
  const draw = (c) => () => [[said(c.id), h("div", { class: "faint" }, said([c.benchmark, c.level].filter(Boolean).join(", ")))], said(c.title),
    h("span", { class: `tag ${STATES[c.state]}` }, c.state), listing(many(c.where), said)];
  return {
    title: "Compliance",
    lead: "Controls that a baseline of IAM can meet. “Not ours” is what has to be shown elsewhere.",
    nodes: [complianceSummary(controls),
      filtered("Filter controls", controls, (c) => `${c.id} ${c.benchmark} ${c.title} ${c.state}`, "control", (left) => rows.fill(left.map(draw))), rows],
  };
}

// --- who can --------------------------------------------------------------------------------------------------------

/** The places in ACTIONS of the names that a question means; a word without a colon is looked for in all names. */
function meant(question) {
  const wanted = question.toLowerCase();
  const pattern = wanted.includes(":") || wanted === "*" ? wanted : `*:*${wanted}*`;
  const matches = wanted.includes(":") || WILD.test(wanted)
    ? (name) => fits(pattern, name) : (name) => name.includes(wanted, name.indexOf(":") + 1);
  return folded.flatMap((name, i) => (matches(name) ? [i] : []));
}

const folded = ACTIONS.map((action) => action.name.toLowerCase());

/** At most four known actions that are written like the one asked for. */
function similar(question) {
  const wanted = question.toLowerCase();
  const [prefix, name = prefix] = wanted.split(":");
  const near = [];
  folded.forEach((text, i) => {
    const [service, action] = text.split(":");
    const most = Math.max(1, Math.floor(name.length / 4));
    const apart = distance(name, action, most);
    if (apart <= most) near.push([apart + (service === prefix ? 0 : 0.5), i]);
    else if (service === prefix && name.length > 3 && action.includes(name)) near.push([most, i]);
  });
  return near.sort(([a, i], [b, j]) => a - b || i - j).slice(0, 4).map(([, i]) => ACTIONS[i].name);
}

/** Sets of the actions asked about, as bits. */
const bits = {
  or: (into, from) => { for (let i = 0; i < into.length; i++) into[i] |= from[i]; },
  less: (into, from) => { for (let i = 0; i < into.length; i++) into[i] &= ~from[i]; },
  any: (one) => { for (let i = 0; i < one.length; i++) if (one[i]) return true; return false; },
  beyond: (one, others) => {
    for (let i = 0; i < one.length; i++) {
      let word = one[i];
      for (let k = 0; word && k < others.length; k++) word &= ~others[k][i];
      if (word) return true;
    }
    return false;
  },
  meet: (one, other) => { for (let i = 0; i < one.length; i++) if (one[i] & other[i]) return true; return false; },
  count: (one) => one.reduce((sum, word) => { let n = 0; for (let w = word; w; w &= w - 1) n++; return sum + n; }, 0),
};

/**
 * Who can do an action (`*` and `?` match) on a resource (empty: on any), by what facts.py says of it: somebody can, if
 * a rule of a duty takes in both and no deny takes the action away. A deny that leaves some of it stands as a limit.
 */
function whoCan(action, resource, account) {
  const asked = anyAccount(resource);
  const places = meant(action);
  // An action that no policy here names can still be done by whoever can do everything.
  const unnamed = places.length === 0 && !WILD.test(action) && /^[a-z0-9-]+:[a-z0-9]+$/i.test(action);
  const size = unnamed ? 1 : places.length;
  const empty = () => new Uint32Array(Math.ceil(size / 32));
  const spot = new Map(places.map((place, i) => [place, i]));
  const ofSet = SETS.map((set) => {
    const some = empty();
    if (unnamed) { if (set.everything) some[0] = 1; return some; }
    for (const place of many(set.actions)) { const i = spot.get(place); if (i !== undefined) some[i >> 5] |= 1 << (i & 31); }
    if (set.everything) { const rest = empty(); for (let i = 0; i < size; i++) rest[i >> 5] |= 1 << (i & 31); bits.less(rest, some); return rest; }
    return some;
  });
  const speaks = ofSet.map((some) => some.some((word) => word !== 0));
  const memo = (of) => { const known = []; return (i) => (known[i] ??= of(RULES[i])); };
  const onSome = memo((rule) => (many(rule.but).length ? !rule.but.some((p) => covers(asked, p)) : many(rule.resources).some((p) => reaches(asked, p))));
  const onAll = memo((rule) => (many(rule.but).length ? asked !== "" && !rule.but.some((p) => reaches(asked, p)) : many(rule.resources).some((p) => covers(asked, p))));

  /**
   * What one holder of one account is allowed and denied: `allowed` by `hits`, `gone` whatever allows it, and `denies` of
   * some resources, which take something away from those rules alone whose every resource is theirs.
   */
  function judged(holder) {
    const part = { account: holder.account, allowed: empty(), gone: empty(), hits: [], limits: [], denies: null, beside: new Map() };
    const partial = new Map();
    for (const held of many(holder.duties)) {
      for (const granted of many(held.rules)) {
        const set = RULES[granted.rule].actions;
        if (!speaks[set] || !onSome(granted.rule)) continue;
        bits.or(part.allowed, ofSet[set]);
        part.hits.push({ held, granted, some: ofSet[set] });
      }
    }
    for (const denied of many(holder.denies)) {
      const set = RULES[denied.rule].actions;
      if (!speaks[set] || !onSome(denied.rule)) continue;
      if (!denied.unless && onAll(denied.rule)) { bits.or(part.gone, ofSet[set]); continue; }
      part.limits.push({ denied, some: ofSet[set] });
      if (!denied.unless) partial.set(denied.rule, { rule: denied.rule, some: ofSet[set] });
    }
    part.denies = deniesOf([...partial.values()]);
    return part;
  }

  /** Denies of some resources, one object for all who have the same: what they leave of a rule is worked out once. */
  function deniesOf(some) {
    const sorted = some.sort((a, b) => a.rule - b.rule);
    const key = sorted.map(({ rule }) => rule).join();
    if (!alike.has(key)) alike.set(key, { some: sorted, rests: [] });
    return alike.get(key);
  }

  const alike = new Map();
  const question = { empty, deniesOf };
  const found = [];
  const ofTeam = new Map();
  for (const { kind, one, href } of HOLDING) {
    const parts = many(one.holders).filter((holder) => account === null || holder.account === account).map(judged);
    if (kind === "team") ofTeam.set(one.name, parts);
    for (const part of parts) {
      const left = leftOf([part], question);
      if (bits.any(left)) found.push({ kind, one, href, ...part, left });
    }
  }
  return { action, resource, places, unnamed, size, found, ...peopleWho(ofTeam, question) };
}

/** People by the teams that they are in: each set of teams is judged once. */
const COMPANY = PEOPLE.map((one) => many(one.memberships).map((m) => m.team).join("\n"));
const CIRCLES = new Map(COMPANY.map((key) => [key, key.split("\n")]));

/** The people of the teams: what all of somebody's teams allow together, less what any of them denies. */
function peopleWho(ofTeam, question) {
  const answers = new Map();
  for (const [key, teams_] of CIRCLES) answers.set(key, together(teams_.filter((name) => ofTeam.has(name)), ofTeam, question));
  const people_ = [];
  let stopped = 0;
  PEOPLE.forEach((one, i) => {
    const answer = answers.get(COMPANY[i]);
    if (answer?.left.length) people_.push({ one, answer });
    else if (answer) stopped += 1;
  });
  return { people: people_, stopped };
}

/** What each of the parts that one caller has in one account leaves beside the denies of some resources of all. */
function restsOf(parts, { empty, deniesOf }) {
  const own = parts[0]?.denies;
  const denies = parts.every((part) => part.denies === own)
    ? own : deniesOf([...new Map(parts.flatMap((part) => part.denies.some.map((deny) => [deny.rule, deny]))).values()]);
  return parts.map((part) => {
    if (!part.beside.has(denies)) part.beside.set(denies, leftBeside(part, denies, empty));
    return part.beside.get(denies);
  });
}

/** What is left of parts that one caller has in one account. */
function leftOf(parts, question) {
  const left = question.empty();
  for (const rest of restsOf(parts, question)) bits.or(left, rest);
  for (const part of parts) bits.less(left, part.gone);
  return left;
}

/** Those of the parts by which something is left: leftOf for whoever needs to know no more. */
function giving(parts, question) {
  const gone = [...new Set(parts.map((part) => part.gone))];
  const rests = restsOf(parts, question);
  return parts.filter((_, i) => bits.beyond(rests[i], gone));
}

/** What a part allows beside denies of some resources; only they have to be held against each rule. */
function leftBeside(part, denies, empty) {
  if (!denies.some.some((deny) => bits.meet(part.allowed, deny.some))) return part.allowed;
  const rest = empty();
  for (const hit of part.hits) bits.or(rest, restOf(hit, denies));
  return rest;
}

/** What a rule still allows beside denies of some resources. */
function restOf({ granted, some }, { some: denies, rests }) {
  const known = rests[granted.rule];
  if (known) return known;
  let rest = some;
  for (const deny of denies) {
    if (!bits.meet(rest, deny.some) || !within(granted.rule, deny.rule)) continue;
    if (rest === some) rest = some.slice();
    bits.less(rest, deny.some);
  }
  return (rests[granted.rule] = rest);
}

/** Whether every resource of a rule is one of another's, both read as texts; where it says no, it may still be so. */
function within(rule, wide) {
  const known = within.known[wide] ??= new Map();
  if (!known.has(rule)) {
    const [texts, patterns] = [many(RULES[rule].resources), many(RULES[wide].resources)];
    known.set(rule, patterns.includes("*") || (texts.length > 0 && texts.every((text) => patterns.some((pattern) => fits(pattern, text)))));
  }
  return known.get(rule);
}
within.known = [];

/** What the members of these teams can: { left: by which teams in which account, parts }, or null if nothing is allowed. */
function together(mine, ofTeam, question) {
  const parts = mine.flatMap((name) => ofTeam.get(name).map((part) => ({ name, part })));
  if (!parts.some(({ part }) => part.hits.length)) return null;
  const left = [];
  for (let account = 0; account < ACCOUNTS.length; account++) {
    const here = parts.filter(({ part }) => part.account === account);
    const give = new Set(giving(here.map(({ part }) => part), question));
    if (give.size) left.push({ here, by: here.filter(({ part }) => give.has(part)).map(({ name }) => name) });
  }
  return { left, question };
}

/** The teams by which somebody can, and what of it is denied under conditions. */
function wayOf({ left, question }) {
  const [through, limits] = [new Set(), new Map()];
  for (const { here, by } of left) {
    for (const name of by) through.add(name);
    const parts = here.map(({ part }) => part);
    const allowed = leftOf(parts, question);
    for (const { denied, some } of parts.flatMap((part) => part.limits)) if (bits.meet(some, allowed)) limits.set(limitKey(denied), denied);
  }
  return { through: [...through], limits };
}

const limitKey = (denied) => `${denied.what}\n${denied.unless ?? ""}`;
const limitText = (denied) => (denied.unless ? [said(denied.unless), h("span", { class: "faint" }, " (", said(denied.what), ")")] : [reason(denied), ", on some of it"]);

function who(...parts) {
  const query = new URLSearchParams(parts.pop());
  const names = h("datalist", { id: "names" });
  const input = (name, label, attributes) => h("label", { class: "wide" }, label,
    h("input", { type: "search", name, placeholder: " ", autocomplete: "off", autocapitalize: "off", spellcheck: "false", value: query.get(name) ?? "", ...attributes }));
  const choice = (name, label, pairs) => {
    const select = h("select", { name }, pairs.map(([value, text]) => h("option", { value }, text)));
    select.value = query.get(name) ?? "";
    return h("label", null, label, select);
  };
  const results = h("div");
  const output = h("output");
  const form = h("form", { class: "ask", role: "search", onsubmit: (event) => { event.preventDefault(); answer(); } },
    input("action", "Action, such as s3:GetObject or s3:Delete*", { list: "names" }),
    input("resource", "Resource: an ARN, a name, or empty for any", {}),
    ACCOUNTS.length > 1 ? choice("account", "Account", [["", "Any"], ...ACCOUNTS.map((_, i) => [String(i), accountName(i)])]) : null,
    choice("kind", "Who", [["", "Everybody"], ["team", "Teams and people"], ["role", "Roles"]]), names);
  let due = 0;
  form.addEventListener("input", () => { cancelAnimationFrame(due); due = requestAnimationFrame(() => { if (form.isConnected) answer(); }); });
  function answer() {
    const asked = Object.fromEntries([...new FormData(form)].map(([key, value]) => [key, value.trim()]));
    const kept_ = new URLSearchParams(Object.entries(asked).filter(([, value]) => value));
    history.replaceState(history.state, "", `#/who${String(kept_) && `?${kept_}`}`);
    const typed = asked.action.toLowerCase();
    const offered = typed.length > 1 ? ACTIONS.filter((_, i) => folded[i].includes(typed.replaceAll("*", ""))).slice(0, 20) : [];
    names.replaceChildren(...offered.map((action) => h("option", { value: action.name })));
    if (!asked.action) {
      output.textContent = "";
      results.replaceChildren(h("p", { class: "faint" }, "Name an action. ", code("*"), " and ", code("?"), " match; a word without a colon is looked for in all actions."), examples() ?? "");
      return;
    }
    const began = performance.now();
    whole.clear();
    show(whoCan(asked.action, asked.resource, asked.account ? Number(asked.account) : null), asked, results, output);
    results.dataset.milliseconds = String(Math.round(performance.now() - began));
  }
  answer();
  return {
    title: "Who can",
    lead: "Signed in with MFA, by the policies of this configuration alone. What a bucket’s, a key’s or the organization’s policy says is not in it.",
    nodes: [form, output, results],
  };
}

function examples() {
  const some = ["iam:CreateUser", "s3:GetObject", "s3:DeleteBucket", "kms:Decrypt", "iam:PassRole", "secretsmanager:GetSecretValue"].filter((name) => folded.includes(name.toLowerCase()));
  return some.length ? h("p", null, "For example: ", joined(some.map((name) => link(`#/who?action=${encodeURIComponent(name)}`, name)), "or")) : null;
}

/** The answer: in one sentence, what limits everybody, then each team and role with its duties, then the people. */
function show(answer, asked, results, output) {
  const { places, unnamed, size, found, people: people_, stopped } = answer;
  const others = found.filter((f) => f.kind !== "team");
  const shown = found.filter((f) => !asked.kind || (asked.kind === "team") === (f.kind === "team"));
  const what = size === 1 && places.length ? ACTIONS[places[0]].name : asked.action;
  const on = asked.resource ? ` on ${asked.resource}` : " on something";
  const withPeople = asked.kind !== "role";
  output.textContent = size === 0 ? `No action matches ${asked.action}.`
    : `${what}${on}: ${[withPeople ? `${people_.length.toLocaleString("en")} of ${plural(PEOPLE.length, "person", "people")}` : null,
      asked.kind !== "team" ? plural(new Set(others.map((f) => f.one)).size, "role or break-glass", "roles and break-glass") : null].filter(Boolean).join(" and ")} can.`;
  const nodes = [];
  if (size === 0 || unnamed) {
    const near = similar(asked.action);
    nodes.push(h("p", null, unnamed ? "No policy of this configuration names this action; only whoever can do everything could do it. " : "",
      near.length ? ["Did you mean ", joined(near.map((name) => link(`#/who?${new URLSearchParams({ ...asked, action: name })}`, name)), "or"), "?"] : null));
  }
  if (size > 1) nodes.push(h("details", null, h("summary", null, `${size.toLocaleString("en")} actions match; whoever can do one of them is listed`), actionList(places)));
  const common = { team: shared(shown.filter((f) => f.kind === "team")), role: shared(shown.filter((f) => f.kind !== "team")) };
  const limits = new Map();
  for (const [group, of] of [["teams", common.team], ["roles", common.role]]) {
    for (const limit of of) {
      if (!limits.has(limit.key)) limits.set(limit.key, { denied: limit.denied, groups: [], but: [] });
      limits.get(limit.key).groups.push(group);
      limits.get(limit.key).but.push(...limit.but);
    }
  }
  const sorts = new Set(shown.map((f) => f.kind === "team")).size;
  if (limits.size) nodes.push(h("p", null, h("strong", null, "Denied all the same if:")), listing([...limits.values()], ({ denied, groups: some, but }) => [
    limitText(denied), some.length < sorts ? `, for ${some[0]}` : "", but.length ? [", but not for ", joined(but.map(said))] : ""]));
  const known = { team: new Set(common.team.map(({ key }) => key)), role: new Set(common.role.map(({ key }) => key)) };
  if (shown.length) nodes.push(h("h2", null, "Teams and roles"), holdersShown(shown, size, known));
  if (withPeople && people_.length) nodes.push(h("h2", null, plural(people_.length, "person", "people")), peopleShown(people_, known.team));
  if (withPeople && stopped) nodes.push(h("p", { class: "faint" }, `${plural(stopped, "person", "people")} of these teams cannot: another team of theirs denies it.`));
  results.replaceChildren(...nodes);
}

/** What narrows what a holder can do of the actions asked about. */
function limitsOf(row) {
  return row.limitMap ??= new Map(row.limits.filter(({ some }) => bits.meet(some, row.left)).map(({ denied }) => [limitKey(denied), denied]));
}

/** Limits of most rows, so that each is said once, with the few that do not have them. */
function shared(rows) {
  const found = new Map();
  for (const row of rows) for (const [key, denied] of limitsOf(row)) {
    if (!found.has(key)) found.set(key, { key, denied, of: new Set() });
    found.get(key).of.add(row);
  }
  const most = 3 * ACCOUNTS.length;
  return [...found.values()].filter(({ of }) => rows.length - of.size <= most).map((limit) => ({ ...limit, but: [...new Set(rows.filter((row) => !limit.of.has(row)).map((row) => row.one.name))] }))
    .filter(({ of, but }) => but.length <= 3 && of.size > but.length);
}

/** Of what allows it, after which a list goes on when one asks: who asks about everything gets a long list of each. */
const MOST_LINES = 120;

function holdersShown(rows, size, common) {
  const body = h("tbody");
  const byHolder = new Map();
  for (const row of rows) byHolder.set(row.href, [...(byHolder.get(row.href) ?? []), row]);
  const draw = (some) => {
    const [{ kind, one, href }] = some;
    const hits = byAccounts(some.flatMap((row) => row.hits.filter((hit) => bits.meet(restOf(hit, row.denies), row.left)).map((hit) => ({ account: row.account, ...hit }))),
      (hit) => JSON.stringify([hit.held.duty, hit.held.at, hit.granted]));
    const limits = new Map(some.flatMap((row) => [...limitsOf(row)]));
    const counts = [...new Set(some.map((row) => bits.count(row.left)))].sort((a, b) => a - b).join(" or ");
    return h("tr", null,
      h("th", { scope: "row" }, link(href, said(one.name)), h("div", { class: "faint" }, kind === "team" ? `team, ${plural(many(one.people).length, "person", "people")}` : kind,
        size > 1 ? `; ${counts} of ${size} actions` : "")),
      h("td", null, h("ul", { class: "plain" }, hits.flatMap(([places, list]) => list.map(([hit]) => hitShown(hit, places)))),
        limits.size ? h("ul", { class: "plain" }, [...limits].filter(([key]) => !common[kind === "team" ? "team" : "role"].has(key)).map(([, denied]) => h("li", null, h("span", { class: "tag warn" }, denied.unless ? "denied if" : "denied"), " ", limitText(denied)))) : null));
  };
  const frame = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Teams and roles" },
    h("table", null, h("caption", { class: "out" }, "Teams and roles that can"), h("thead", null, h("tr", null, h("th", { scope: "col" }, "Who"), h("th", { scope: "col" }, "Through, on what and when"))), body));
  const wrapper = h("div", null, frame);
  const all = [...byHolder.values()];
  let [first, lines] = [0, 0];
  while (first < Math.min(50, all.length) && lines < MOST_LINES) lines += all[first++].reduce((sum, row) => sum + row.hits.length, 0);
  paged(body, all, draw, frame, Math.max(5, first));
  return wrapper;
}

function hitShown({ held, granted }, places) {
  const rule = RULES[granted.rule];
  const grant = many(dutyNamed.get(held.duty)?.grants)[granted.grant ?? -1];
  const name = held.kind === "take" ? ["taking ", said(held.duty)] : dutyNamed.has(held.duty) ? link(hash("duty", held.duty), said(held.duty)) : said(held.duty);
  return h("li", null, name, many(rule.but).length ? [" on everything but ", joined(rule.but.map(code))] : [" on ", onWhat(rule)],
    many(rule.when).length ? [", only if ", joined(rule.when.map(said))] : null, inAccounts(places),
    dotAt(held.at), grant ? dotAt(grant.at) : null);
}

function onWhat(rule) {
  const all = many(rule.resources);
  if (all.includes("*")) return ["every resource"];
  return [joined(all.slice(0, 4).map(code)), all.length > 4 ? ` and ${all.length - 4} more` : ""];
}

function peopleShown(people_, common) {
  return table("People who can", ["Person", "Through", "Denied if"], people_.map(({ one, answer }) => () => {
    const { through, limits } = wayOf(answer);
    return [[link(hash("person", one.name), said(one.name)), one.full_name ? h("span", { class: "faint" }, " ", said(one.full_name)) : null],
    joined(through.map((name) => [link(hash("team", name), said(name)), untilOf(one, name)])),
    listing([...limits].filter(([key]) => !common.has(key)).map(([, denied]) => denied), limitText)];
  }), null, 100);
}

function untilOf(one, name) {
  const until = one.memberships.find((m) => m.team === name)?.until;
  return until ? h("span", { class: "faint" }, ` until ${until}`) : "";
}

// --- who becomes whom -----------------------------------------------------------------------------------------------

const KINDS = { "identity-provider": "identity provider", everybody: "everybody", other: "other" };
const hrefOf = { team: (n) => hash("team", n), role: (n) => hash("role", n), "break-glass": () => hash("break-glass") };

/** Rows of BECOMING that are the same in several accounts, as one. */
function becomings(some) {
  return merged(some.map((thing) => ({ account: thing.account, thing })), (b) => JSON.stringify({ ...b, account: 0 })).map(([b, places]) => ({ b, places }));
}

const howText = (b) => (b.how === "hands to a service" ? `by handing it to ${b.service || "a service"}` : "by taking it");

/** "Can become" of one page, as a list. */
function becomes(some, title = "Can become") {
  if (!some.length) return null;
  return [h("h2", null, title), listing(becomings(some), ({ b, places }) => [
    title === "Can become" ? link(hash("role", b.role), said(b.role)) : whoBecomes(b),
    ` ${howText(b)}`, inAccounts(places), many(b.when).length ? [", if ", joined(b.when.map(said))] : null,
    many(b.people).length && title !== "Can become" ? [" (", joined(b.people.slice(0, 20).map((p) => link(hash("person", p), said(p)))), b.people.length > 20 ? ` and ${b.people.length - 20} more` : "", ")"] : null,
    b.doubt ? [" ", h("span", { class: "tag warn" }, "not known"), " ", said(b.doubt)] : null, b.at ? [" ", at(b.at)] : null])];
}

const whoBecomes = (b) => [hrefOf[b.kind] ? link(hrefOf[b.kind](b.name), said(b.name)) : said(b.name), h("span", { class: "faint" }, ` ${KINDS[b.kind] ?? b.kind}`)];
const MOST_EDGES = 150;

/** What there is to draw: a box for everybody in it, and one arrow for all ways of one sort between two. */
function graphOf(some) {
  const [nodes, edges] = [new Map(), new Map()];
  const node = (kind, name) => {
    const id = `${kind}:${name}`;
    if (!nodes.has(id)) nodes.set(id, { id, name, kind, sort: KINDS[kind] ?? kind, href: hrefOf[kind]?.(name) });
    return id;
  };
  for (const { b } of some) {
    const [from, to] = [node(b.kind, b.name), node("role", b.role)];
    const key = `${from}\n${to}\n${b.how ?? ""}`;
    const how = `${b.name} becomes ${b.role} ${howText(b)}`;
    const before = edges.get(key);
    edges.set(key, { from, to, risky: b.how === "hands to a service", how: before && before.how !== how ? `${before.how}; ${howText(b)}` : how });
  }
  return { nodes: [...nodes.values()], edges: [...edges.values()] };
}

/** The same with one box for more than three that the same lead to and that lead to the same. */
function bundled({ nodes, edges }) {
  const around = new Map(nodes.map((node) => [node.id, []]));
  for (const { from, to, risky } of edges) { around.get(from).push(`>${to}${risky}`); around.get(to).push(`<${from}${risky}`); }
  const alike_ = new Map();
  for (const node of nodes) {
    const key = `${node.kind}\n${around.get(node.id).sort().join("\n")}`;
    alike_.set(key, [...(alike_.get(key) ?? []), node]);
  }
  const stands = new Map();
  const left = [...alike_.values()].flatMap((some) => {
    if (some.length <= 3) { for (const node of some) stands.set(node.id, node.id); return some; }
    const [first] = some;
    for (const node of some) stands.set(node.id, first.id);
    return [{ ...first, name: `${first.name} and ${some.length - 1} more`, sort: `${some.length} ${first.sort}s alike`, href: null, all: some.map(({ name }) => name).join(", ") }];
  });
  const kept_ = new Map();
  for (const edge of edges) {
    const moved = { ...edge, from: stands.get(edge.from), to: stands.get(edge.to) };
    kept_.set(`${moved.from}\n${moved.to}\n${moved.risky}`, moved);
  }
  return { nodes: left, edges: [...kept_.values()] };
}


function become() {
  const all = becomings(BECOMING);
  if (!all.length) return { title: "Who becomes whom", nodes: [h("p", null, "Nobody can become a role.")] };
  const rows = table("Who can become which role", ["Who", "Becomes", "How", "Where", "Only if", "Line"], []);
  const note = h("p", { class: "faint" });
  const picture = h("div", { class: "graph", tabindex: "0", role: "region", "aria-label": "Drawing" });
  const draw = ({ b, places }) => () => [
    [whoBecomes(b), many(b.people).length ? h("div", { class: "faint" }, "only ", joined(b.people.slice(0, 20).map(said)), b.people.length > 20 ? ` and ${b.people.length - 20} more` : "") : null],
    link(hash("role", b.role), said(b.role)), howText(b), places.length === ACCOUNTS.length ? "every account" : joined(places.map((p) => said(accountName(p)))),
    [listing(many(b.when), said), b.doubt ? [h("span", { class: "tag warn" }, "not known"), " ", said(b.doubt)] : null], at(b.at) ?? ""];
  function show_(left) {
    rows.fill(left.map(draw));
    const { nodes, edges } = bundled(graphOf(left));
    const some = edges.slice(0, MOST_EDGES);
    const ends = new Set(some.flatMap(({ from, to }) => [from, to]));
    note.textContent = some.length < edges.length ? `Drawn are ${some.length} arrows of ${edges.length}; the filter chooses others. The table has all.` : "";
    picture.replaceChildren(some.length ? drawing(nodes.filter((node) => ends.has(node.id)), some,
      `Drawing of who can become whom, from left to right: ${ends.size} boxes and ${some.length} arrows. The table below says the same.`) : h("p", null, "Nothing to draw."));
  }
  const text = ({ b, places }) => [b.kind, b.name, b.role, howText(b), ...many(b.people), ...many(b.when), ...places.map(accountName)].join(" ");
  return {
    title: "Who becomes whom",
    wide: true,
    lead: "Who can act as a role: by taking it, or, drawn with a broken line, by handing it to a service that then acts as it. Both sides are judged.",
    nodes: [filtered("Filter", all, text, "way", show_), note, picture, h("h2", null, "The same as a table"), rows],
  };
}

// --- the frame ------------------------------------------------------------------------------------------------------

const main = document.getElementById("main");
let visits = 0;
const seen = new Map();
let current = null;

/** The hash as a view and what it is of; `%` that stands for nothing is a text like any other. */
function route() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?", 2);
  const parts = path.split("/").map((part) => { try { return decodeURIComponent(part); } catch { return part; } });
  return { name: parts[0], rest: parts.slice(1), query };
}

/** Draw the view that the hash names. A view that one comes back to stands where one left it. */
function draw() {
  const { name, rest, query } = route();
  const known = Object.hasOwn(VIEWS, name);
  whole.clear();
  const view = known ? VIEWS[name](...rest, ...(name === "who" ? [query] : [])) : missing("page", name);
  const heading = h("h1", { tabindex: "-1" }, said(view.title));
  document.body.className = view.wide ? "wide" : "";
  main.replaceChildren(heading, ...(view.lead ? [h("p", { class: "lead" }, view.lead)] : []), ...view.nodes.flat(Infinity).filter(Boolean));
  document.title = `${view.title} · ${FACTS.organization}`;
  for (const item of document.querySelectorAll(".top nav a")) {
    if (item.dataset.view === (UNDER[name] ?? name)) item.setAttribute("aria-current", "page");
    else item.removeAttribute("aria-current");
  }
  const back = history.state?.visit;
  if (back === undefined) history.replaceState({ visit: ++visits }, "");
  const was = seen.get(back);
  if (current !== null) {
    const last = was?.focus && [...main.querySelectorAll("a")].find((a) => a.getAttribute("href") === was.focus);
    (last ?? heading).focus({ preventScroll: true });
    window.scrollTo(0, was?.top ?? 0);
  }
  current = history.state.visit;
}

main.addEventListener("click", (event) => {
  const href = event.target.closest?.("a")?.getAttribute("href");
  if (href) seen.set(current, { focus: href, top: window.scrollY });
});
window.addEventListener("hashchange", draw);

/** The theme: what the system says, until the reader chooses; the choice is kept where the browser lets us. */
function theme() {
  const button = document.getElementById("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const remembered = (value) => { try { if (value) localStorage.setItem("dutybound-theme", value); return localStorage.getItem("dutybound-theme"); } catch { return null; } };
  const root = document.documentElement;
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const tell = () => { button.textContent = isDark() ? "Light" : "Dark"; button.setAttribute("aria-label", `Change to ${isDark() ? "light" : "dark"} colours`); };
  const first = remembered();
  if (first === "dark" || first === "light") root.dataset.theme = first;
  button.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; remembered(root.dataset.theme); tell(); });
  system.addEventListener("change", tell);
  tell();
}

function begin() {
  document.querySelector(".brand").append(link("#/", said(FACTS.organization)), h("span", null, " · access"));
  document.querySelector(".top nav ul").append(...MENU
    .filter(([view]) => (view !== "compliance" || many(FACTS.compliance).length) && (view !== "become" || BECOMING.length))
    .map(([view, label]) => h("li", null, h("a", { href: hash(view), "data-view": view }, label))));
  document.querySelector(".foot").append("Made by Dutybound from ", said(FACTS.configuration), `, with the IAM service reference ${FACTS.reference}.`);
  // On paper every list is whole and every statement is open; long lists of actions stand there as they are written.
  window.addEventListener("beforeprint", () => {
    whole.forEach((rest) => rest());
    for (const one of main.querySelectorAll("details:not(.actions)")) one.open = true;
  });
  document.getElementById("print").addEventListener("click", () => window.print());
  // The link that skips must not look like a view.
  document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); main.focus(); });
  theme();
  draw();
}

begin();
