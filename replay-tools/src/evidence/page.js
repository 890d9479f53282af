"use strict";
// Checks a pack of evidence. The names of the steps are those of RFC 9162, section 2.1.

const data = JSON.parse(document.getElementById("data").textContent);
const manifest = data.manifest;

// --- SHA-256 (FIPS 180-4), at once and not as a promise: a tree has two million of them. Held against WebCrypto below.
const K = new Uint32Array(64);
const FIRST = new Uint32Array(8);
{
  const part = (x) => ((x - Math.floor(x)) * 2 ** 32) >>> 0;
  let found = 0;
  for (let n = 2; found < 64; n++) {
    let prime = true;
    for (let d = 2; d * d <= n; d++) if (n % d === 0) prime = false;
    if (!prime) continue;
    if (found < 8) FIRST[found] = part(Math.sqrt(n));
    K[found++] = part(Math.cbrt(n));
  }
}
const W = new Uint32Array(64);
function sha256(bytes) {
  const h = Uint32Array.from(FIRST);
  const padded = new Uint8Array(((bytes.length + 8) >> 6) * 64 + 64);
  padded.set(bytes);
  padded[bytes.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 8, Math.floor(bytes.length / 2 ** 29));
  view.setUint32(padded.length - 4, (bytes.length << 3) >>> 0);
  for (let at = 0; at < padded.length; at += 64) {
    for (let i = 0; i < 16; i++) W[i] = view.getUint32(at + 4 * i);
    for (let i = 16; i < 64; i++) {
      const a = W[i - 15], b = W[i - 2];
      const s0 = ((a >>> 7) | (a << 25)) ^ ((a >>> 18) | (a << 14)) ^ (a >>> 3);
      const s1 = ((b >>> 17) | (b << 15)) ^ ((b >>> 19) | (b << 13)) ^ (b >>> 10);
      W[i] = (W[i - 16] + s0 + W[i - 7] + s1) | 0;
    }
    let [a, b, c, d, e, f, g, x] = h;
    for (let i = 0; i < 64; i++) {
      const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const t1 = (x + s1 + ((e & f) ^ (~e & g)) + K[i] + W[i]) | 0;
      const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      x = g; g = f; f = e; e = (d + t1) | 0; d = c; c = b; b = a; a = (t1 + t2) | 0;
    }
    h[0] += a; h[1] += b; h[2] += c; h[3] += d; h[4] += e; h[5] += f; h[6] += g; h[7] += x;
  }
  const out = new DataView(new ArrayBuffer(32));
  h.forEach((word, i) => out.setUint32(4 * i, word));
  return new Uint8Array(out.buffer);
}

// --- Bytes
const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
const unhex = (text) => Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
const unbase64 = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const utf8 = (text) => new TextEncoder().encode(text);
const same = (one, other) => hex(one) === hex(other);
function join(...parts) {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) { all.set(part, at); at += part.length; }
  return all;
}
function number(value, bytes) {
  const out = new Uint8Array(bytes);
  let rest = BigInt(value);
  for (let i = bytes - 1; i >= 0; i--) { out[i] = Number(rest & 255n); rest >>= 8n; }
  return out;
}

// --- The tree
const parent = (left, right) => sha256(join(Uint8Array.of(1), left, right));
// The roots of the trees of so many leaves, in one pass.
function roots(digests, sizes) {
  const wanted = new Set(sizes), found = new Map(), subtrees = [];
  const root = () => subtrees.length ? subtrees.reduceRight((right, left) => parent(left, right)) : sha256(new Uint8Array(0));
  for (let i = 0; i <= digests.length / 32; i++) {
    if (wanted.has(i)) found.set(i, root());
    let node = digests.subarray(32 * i, 32 * i + 32);
    for (let n = i; n % 2 === 1; n = Math.floor(n / 2)) node = parent(subtrees.pop(), node);
    subtrees.push(node);
  }
  return found;
}
// 2.1.3.2
function included(leaf, index, size, path, root) {
  if (index >= size) return false;
  let fn = index, sn = size - 1, r = leaf;
  for (const p of path) {
    if (sn === 0) return false;
    if (fn % 2 === 1 || fn === sn) {
      r = parent(p, r);
      while (fn % 2 === 0 && fn !== 0) { fn = Math.floor(fn / 2); sn = Math.floor(sn / 2); }
    } else r = parent(r, p);
    fn = Math.floor(fn / 2); sn = Math.floor(sn / 2);
  }
  return sn === 0 && same(r, root);
}
// 2.1.4.2
function consistent(first, firstRoot, second, secondRoot, path) {
  if (first === 0) return path.length === 0 && same(firstRoot, sha256(new Uint8Array(0)));
  if (first === second) return path.length === 0 && same(firstRoot, secondRoot);
  if (first > second || path.length === 0) return false;
  const steps = Number.isInteger(Math.log2(first)) ? [firstRoot, ...path] : path;
  let fn = first - 1, sn = second - 1;
  while (fn % 2 === 1) { fn = Math.floor(fn / 2); sn = Math.floor(sn / 2); }
  let fr = steps[0], sr = steps[0];
  for (const c of steps.slice(1)) {
    if (sn === 0) return false;
    if (fn % 2 === 1 || fn === sn) {
      fr = parent(c, fr); sr = parent(c, sr);
      while (fn % 2 === 0 && fn !== 0) { fn = Math.floor(fn / 2); sn = Math.floor(sn / 2); }
    } else sr = parent(sr, c);
    fn = Math.floor(fn / 2); sn = Math.floor(sn / 2);
  }
  return sn === 0 && same(fr, firstRoot) && same(sr, secondRoot);
}

// --- An event's digest: the leaf prefix, then every field, each text preceded by its length.
function micros(text) {
  const [seconds, part] = text.replace("Z", "").split(".");
  return BigInt(Date.parse(seconds + "Z")) * 1000n + BigInt(part);
}
function digest(event) {
  const texts = [event.aggregate_type, event.aggregate_id, event.event_type, event.payload, event.metadata];
  const sized = texts.flatMap((text) => { const bytes = utf8(text); return [number(bytes.length, 8), bytes]; });
  return sha256(join(Uint8Array.of(0), number(event.position, 8), unhex(event.event_id.replaceAll("-", "")),
    number(event.sequence, 8), number(event.event_version, 4), number(micros(event.recorded_at), 8),
    number(micros(event.occurred_at), 8), ...sized));
}

// --- Signed notes (c2sp.org/signed-note) with a checkpoint (c2sp.org/tlog-checkpoint)
function parseHead(note) {
  const blank = note.lastIndexOf("\n\n");
  const text = note.slice(0, blank + 1), [origin, size, rootText] = text.split("\n");
  const signatures = note.slice(blank + 2).trim().split("\n").map((line) => {
    const [, name, value] = line.match(/^— (\S+) (\S+)$/) ?? [];
    return { name, bytes: unbase64(value ?? "") };
  });
  return { note, text, origin, size: Number(size), root: unbase64(rootText), signatures };
}
function parseKey(text) {
  const [name, id, ...rest] = text.trim().split("+");
  const bytes = unbase64(rest.join("+"));
  if (!name || bytes.length !== 33 || bytes[0] !== 1) throw new Error("this is no Ed25519 verifier key, NAME+ID+KEY");
  const own = sha256(join(utf8(name), Uint8Array.of(10), bytes)).subarray(0, 4);
  if (hex(own) !== id) throw new Error("the id in the key is not that of the key");
  return { name, id, bytes: bytes.subarray(1) };
}
async function signedBy(head, key) {
  const mine = head.signatures.filter((each) => each.name === key.name && hex(each.bytes.subarray(0, 4)) === key.id);
  if (head.origin !== key.name || mine.length === 0) return false;
  const imported = await crypto.subtle.importKey("raw", key.bytes, "Ed25519", false, ["verify"]);
  for (const each of mine)
    if (!(await crypto.subtle.verify("Ed25519", imported, each.bytes.subarray(4), utf8(head.text)))) return false;
  return true;
}

// --- What is shown
const checks = document.getElementById("checks"), verdict = document.getElementById("verdict");
let wrong = 0;
function say(state, text) {
  const item = document.createElement("li");
  item.className = state;
  item.textContent = text;
  checks.append(item);
  wrong += state === "wrong" ? 1 : 0;
  verdict.dataset.state = wrong ? "wrong" : "right";
  verdict.textContent = wrong ? "Something in this pack is wrong: see below." : "Everything that was checked so far is right.";
}
function check(what, holds, otherwise) { say(holds ? "right" : "wrong", holds ? what : `${what}: ${otherwise}`); }
function table(heads, rows, numbers) {
  const made = document.createElement("table");
  const row = (cells, kind) => {
    const line = made.insertRow();
    cells.forEach((cell, i) => {
      const place = document.createElement(kind);
      place.textContent = cell;
      if (numbers.includes(i)) place.className = "number";
      line.append(place);
    });
  };
  row(heads, "th");
  rows.forEach((cells) => row(cells, "td"));
  return made;
}
function show() {
  document.getElementById("about").textContent =
    `Log ${manifest.log}, positions 1 to ${manifest.to}` +
    (manifest.recorded_at ? `, recorded until ${manifest.recorded_at}` : "") +
    `. Root ${manifest.root}. Made at ${manifest.made_at} by ${manifest.made_by}.`;
  document.getElementById("verification").textContent = data.verification.in_words;
  for (const each of data.balance) {
    const money = (minor) => (minor / 10 ** each.exponent).toFixed(each.exponent);
    const rows = each.accounts.map((one) => [one.account, money(one.debit_minor), money(one.credit_minor), money(one.balance_minor)]);
    rows.push(["sum", money(each.debit_minor), money(each.credit_minor), money(each.debit_minor - each.credit_minor)]);
    document.getElementById("balance").append(table([each.currency, "debit", "credit", "balance"], rows, [1, 2, 3]));
  }
  const asRecorded = (one) => `${one.event_type} of ${one.aggregate_type}/${one.aggregate_id}: ${one.payload} by ${one.metadata}`;
  const rights = data.rights.map((one) => [one.recorded_at, String(one.position), one.sentence, asRecorded(one)]);
  const heads = ["recorded", "position", "in words", "as recorded"];
  document.getElementById("rights").append(rights.length ? table(heads, rights, [1]) : "There are none.");
  for (const note of data.heads) {
    const shown = document.createElement("pre");
    shown.textContent = note;
    document.getElementById("heads").append(shown);
  }
  if (!data.heads.length) document.getElementById("heads").append("There are none in this pack.");
}

async function checkItself() {
  const sample = utf8("x".repeat(200));
  const theirs = new Uint8Array(await crypto.subtle.digest("SHA-256", sample));
  check("SHA-256 of this page is that of the browser", same(sha256(sample), theirs), "it is not");
  const top = unhex(manifest.root);
  check("whoever made the pack says that verify found nothing wrong", manifest.ok === true, "it found something");
  const unproven = data.rights.filter((one) => {
    const leaf = digest(one);
    return hex(leaf) !== one.digest || !included(leaf, one.position - 1, manifest.to, one.path.map(unhex), top);
  });
  check(`${data.rights.length} changes of rights are in the log, unaltered`, unproven.length === 0,
    `positions ${unproven.map((one) => one.position).join(", ")} are not`);
  const uneven = data.balance.filter((each) => each.debit_minor !== each.credit_minor);
  check("the journal balances", uneven.length === 0, uneven.map((each) => each.currency).join(", "));
  if (data.consistency) {
    const { old_size, old_root, new_size, new_root, path } = data.consistency;
    const holds = new_size === manifest.to && new_root === manifest.root &&
      consistent(old_size, unhex(old_root), new_size, unhex(new_root), path.map(unhex));
    check(`the log of ${new_size} events begins with that of ${old_size} events, whose root was ${old_root}`, holds, "it does not");
  } else say("open", "This pack says of no earlier one that the log goes on from it.");
  for (const head of data.heads.map(parseHead).filter((head) => head.size === manifest.to))
    check(`the signed head of ${head.size} events has the root of this pack`, same(head.root, top), "it has another");
  await checkKeys(data.keys, "that came with the pack");
}
async function checkKeys(keys, whence, isGiven) {
  if (!data.heads.length && !isGiven) return say("open", "No head in this pack is signed.");
  let isWhole = false;
  for (const head of data.heads.map(parseHead)) {
    let holds = false;
    for (const key of keys) holds ||= await signedBy(head, parseKey(key)).catch(() => false);
    check(`the head of ${head.size} events is signed with the key ${whence}`, holds, "it is not");
    isWhole ||= holds && head.size === manifest.to && same(head.root, unhex(manifest.root));
  }
  check(`all ${manifest.to} events and their root are signed with the key ${whence}`, isWhole, "no head in this pack says so");
}

// --- The whole pack: a zip file whose entries are stored as they are.
function entries(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let end = bytes.length - 22;
  while (end >= 0 && view.getUint32(end, true) !== 0x06054b50) end--;
  if (end < 0) throw new Error("this is no zip file");
  const found = new Map();
  let at = view.getUint32(end + 16, true);
  for (let left = view.getUint16(end + 10, true); left > 0; left--) {
    if (view.getUint32(at, true) !== 0x02014b50 || view.getUint16(at + 10, true) !== 0) throw new Error("this is no evidence pack");
    const size = view.getUint32(at + 24, true), local = view.getUint32(at + 42, true);
    const lengths = [28, 30, 32].map((place) => view.getUint16(at + place, true));
    const name = new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + lengths[0]));
    const begin = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    found.set(name, bytes.subarray(begin, begin + size));
    at += 46 + lengths[0] + lengths[1] + lengths[2];
  }
  return found;
}
async function checkPack(file) {
  const files = entries(new Uint8Array(await file.arrayBuffer()));
  const told = JSON.parse(new TextDecoder().decode(files.get("manifest.json")));
  check("the file is the pack that this page came in", told.root === manifest.root && told.made_at === manifest.made_at, "it is another");
  for (const [name, packed] of Object.entries(told.files)) {
    const bytes = files.get(name);
    const is = bytes && hex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
    check(`${name} is the file of the manifest`, is === packed.sha256, bytes ? "it was changed" : "it is missing");
  }
  const digests = files.get("digests.bin");
  const heads = data.heads.map(parseHead);
  const found = roots(digests, [manifest.to, ...heads.map((head) => head.size)]);
  const isRoot = (size, root) => found.has(size) && same(found.get(size), root);
  const holds = digests.length === 32 * manifest.to && isRoot(manifest.to, unhex(manifest.root));
  check(`the digests of ${digests.length / 32} events have the root of this pack`, holds, "they have another");
  for (const head of heads)
    check(`the first ${head.size} digests have the root that was signed`, isRoot(head.size, head.root), "they have another");
}
const attempt = (what, work) => work().catch((error) => say("wrong", `${what}: ${error.message}`));
document.getElementById("pack").addEventListener("change", (event) =>
  attempt("the pack cannot be read", () => checkPack(event.target.files[0])));
document.getElementById("key").addEventListener("change", (event) =>
  attempt("the key cannot be used", async () => { parseKey(event.target.value); await checkKeys([event.target.value], "that you gave", true); }));
document.getElementById("root").addEventListener("change", (event) =>
  check("the last pack ended with the root that you gave", data.consistency?.old_root === event.target.value.trim(),
    "this pack goes on from another"));
show();
attempt("the checks could not be made", checkItself);
