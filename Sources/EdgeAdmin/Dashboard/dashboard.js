// The dashboard of a Rockpool node. It asks the admin API it came from, and nobody else. All that the API says gets
// into the page as text, never as markup: URLs in it were chosen by strangers.
"use strict";
(() => {
  const POLL_SECONDS = 1;
  const LONGEST_PAUSE_SECONDS = 30;
  const ASK_SECONDS = 8;
  const RATE_WINDOW_SECONDS = 10;
  const RATIO_WINDOW_SECONDS = 60;
  const BUCKET_SECONDS = 5;
  const BUCKETS = 60;
  const LAG_WORTH_TELLING = { p99: 20_000, max: 250_000 };
  const MISSES_AT_FIRST = 7;
  const TOKEN_KEY = "rockpool.admin.token";

  const OUTCOMES = [
    ["hit", "Hit", "Served from the cache, fresh."],
    ["stale", "Stale", "Served from the cache, stale, as the rules allow."],
    ["revalidated", "Revalidated", "The origin confirmed what was stored."],
    ["miss", "Miss", "Pulled from the origin."],
    ["pass", "Pass", "Passed to the origin; not a matter for the cache."],
    ["error", "Error", "Answered by the node itself with an error."],
  ];
  const REASONS = {
    "fresh": "fresh in the cache",
    "heuristic": "fresh by a heuristic lifetime",
    "stale-while-revalidate": "stale, validated behind the answer",
    "stale-if-error": "stale, since the origin failed",
    "stale-if-unreachable": "stale, since the origin cannot be reached",
    "stale-after": "stale, since the origin was slow",
    "revalidated": "confirmed by the origin",
    "not-stored": "nothing was stored",
    "variant-not-stored": "stored, but not this variant",
    "expired": "stored, but no longer fresh",
    "no-cache": "stored, but to be validated each time",
    "client-no-cache": "the client asked for validation",
    "client-max-age": "older than the client accepts",
    "client-min-fresh": "not fresh for as long as the client wants",
    "client-no-store": "the client asked not to store",
    "only-if-cached": "the client wanted it from the cache only",
    "soft-purged": "purged softly",
    "rule-pass": "a rule passes it",
    "cookie-pass": "requests with cookies are passed",
    "method": "only GET and HEAD are cached",
    "range": "a range that is not stored",
    "signed-fields": "requests that sign their fields are passed",
    "too-many-fields": "requests with many fields are passed",
    "hit-for-miss": "known as not storable",
    "no-store": "the response says no-store",
    "private": "the response is for one client only",
    "authorization": "requested with authorization",
    "no-freshness": "the response names no lifetime",
    "zero-lifetime": "the response is stale from the start",
    "status-not-storable": "a status that is not stored",
    "partial": "a part that is not stored",
    "must-understand": "a status the node does not understand",
    "vary-star": "the response varies with everything",
    "too-large": "larger than what is stored",
    "too-many-tags": "more tags than are counted",
    "path-ambiguous": "a path that can be read as another",
    "incomplete": "it did not arrive whole",
    "purged": "purged meanwhile",
    "stale-forbidden": "stale, and must not be served so",
    "stale-too-old": "stale for too long",
    "origin-unreachable": "the origin cannot be reached",
    "origin-timeout": "the origin took too long",
    "origin-malformed": "the origin's answer is malformed",
    "origin-incomplete": "the origin's answer broke off",
    "origin-saturated": "too many pulls from the origin",
    "loop": "the request came round in a loop",
    "bad-request": "the request is malformed",
    "unknown-host": "no site has this host",
    "method-not-allowed": "a method that the site does not take",
    "none": "no reason given",
  };

  // ---- The page's parts

  const $ = (id) => document.getElementById(id);

  /** Characters that turn, join or hide what stands beside them, or show nothing: told by their number instead. */
  const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;
  const visible = (text) => String(text).replace(UNSEEN, (one) => `\\u{${one.codePointAt(0).toString(16)}}`);

  /** An element with attributes and children; strings become text. */
  function make(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value === undefined || value === null || value === false) continue;
      node.setAttribute(name, value === true ? "" : visible(value));
    }
    node.append(...children.filter((child) => child !== null && child !== undefined && child !== false)
      .map((child) => (child instanceof Node ? child : visible(child))));
    return node;
  }

  function draw(tag, attributes) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
    return node;
  }

  function say(node, text) {
    const wanted = visible(text);
    if (node.textContent !== wanted) node.textContent = wanted;
  }

  function attribute(node, name, value) {
    const wanted = String(value);
    if (node.getAttribute(name) !== wanted) node.setAttribute(name, wanted);
  }

  function show(node, isShown) {
    if (node.hidden === isShown) node.hidden = !isShown;
  }

  /** Makes `parent` show `items`, keeping the elements of those that stay, so that focus and selection do too. */
  function list(parent, items, key, create, update) {
    const known = parent.known ?? (parent.known = new Map());
    const wanted = new Set(items.map(key));
    for (const [name, node] of known) {
      if (wanted.has(name)) continue;
      node.remove();
      known.delete(name);
    }
    const focused = parent.contains(document.activeElement) ? document.activeElement : null;
    let place = parent.firstChild;
    for (const item of items) {
      const name = key(item);
      let node = known.get(name);
      if (!node) known.set(name, (node = create(item)));
      if (node === place) place = place.nextSibling;
      else parent.insertBefore(node, place);
      update?.(node, item);
    }
    if (focused && focused.isConnected && focused !== document.activeElement) focused.focus({ preventScroll: true });
  }

  /** A sentence whose `quoted` parts are code. */
  const prose = (text) =>
    visible(text).split("`").map((part, place) => (place % 2 === 1 ? make("code", {}, part) : part));
  const plain = (text) => visible(text).replaceAll("`", "");

  // ---- Figures as text

  const NONE = "–";
  const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
  const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
  const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
  const dayAndClock = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });
  const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
  const number = (value, otherwise = 0) => (isNumber(value) ? value : otherwise);
  const array = (value) => (Array.isArray(value) ? value : []);

  function count(value) {
    if (!isNumber(value)) return NONE;
    return value < 1_000_000 ? grouped.format(value) : compact.format(value);
  }

  const plural = (value, one, many = `${one}s`) => `${count(value)} ${value === 1 ? one : many}`;

  /** Three significant digits at most. */
  function short(value) {
    if (value >= 100 || Number.isInteger(value)) return grouped.format(value);
    return value.toFixed(value >= 10 ? 1 : 2).replace(/\.?0+$/, "");
  }

  function rate(value) {
    if (!isNumber(value)) return NONE;
    if (value === 0 || value >= 10) return count(Math.round(value));
    return value < 0.05 ? "< 0.1" : value.toFixed(1);
  }

  /** Rounded down: 100 is said only of all. */
  function percent(share) {
    if (!isNumber(share)) return NONE;
    return share >= 1 ? "100" : (Math.floor(share * 1000) / 10).toFixed(1);
  }

  function bytes(value) {
    if (!isNumber(value)) return NONE;
    const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let unit = 0;
    while (value >= 1024 && unit < units.length - 1) {
      value /= 1024;
      unit += 1;
    }
    return `${short(value)} ${units[unit]}`;
  }

  function microseconds(value) {
    if (!isNumber(value)) return NONE;
    if (value < 1000) return `${short(Math.round(value))} µs`;
    return value < 1_000_000 ? `${short(value / 1000)} ms` : `${short(value / 1_000_000)} s`;
  }

  function span(seconds) {
    if (!isNumber(seconds)) return NONE;
    const whole = Math.max(0, Math.round(seconds));
    const steps = [["d", 86_400], ["h", 3600], ["min", 60], ["s", 1]];
    const first = steps.findIndex(([, length]) => whole >= length);
    if (first < 0) return "0 s";
    const [unit, length] = steps[first];
    const said = `${Math.floor(whole / length)} ${unit}`;
    const next = steps[first + 1];
    const rest = next ? Math.floor((whole % length) / next[1]) : 0;
    return rest > 0 ? `${said} ${rest} ${next[0]}` : said;
  }

  function moment(text, isShort) {
    const when = new Date(text);
    if (Number.isNaN(when.getTime())) return make("span", {}, String(text ?? NONE));
    const isToday = when.toDateString() === new Date().toDateString();
    return make("time", { datetime: String(text), title: String(text) },
      (isToday && isShort ? clock : dayAndClock).format(when));
  }

  // ---- The token

  const keeper = {
    read() {
      for (const storage of keeper.storages()) {
        const kept = storage.getItem(TOKEN_KEY);
        if (kept) return kept;
      }
      return "";
    },
    write(value, isLasting) {
      keeper.forget();
      const [session, lasting] = keeper.storages();
      (isLasting ? lasting : session)?.setItem(TOKEN_KEY, value);
    },
    forget() {
      for (const storage of keeper.storages()) storage.removeItem(TOKEN_KEY);
    },
    /** A browser that refuses storage still shows the page; it then asks for the token each time. */
    storages() {
      try {
        return [window.sessionStorage, window.localStorage];
      } catch {
        return [];
      }
    },
  };
  let token = keeper.read();

  function enter(problem = "") {
    token = "";
    keeper.forget();
    clearTimeout(poll.timer);
    if ($("confirm").open) $("confirm").close();
    show($("board"), false);
    show($("entrance"), true);
    refuse("token", problem);
    $("token").value = "";
    $("token").focus();
  }

  async function offer(event) {
    event.preventDefault();
    const candidate = $("token").value.trim();
    refuse("token", "");
    if (!/^[\x21-\x7e]+$/.test(candidate)) {
      refuse("token", candidate ? "A token has no spaces and only ASCII characters." : "Enter the token.");
      $("token").focus();
      return;
    }
    $("token-send").disabled = true;
    try {
      const status = await ask("status", { as: candidate });
      token = candidate;
      keeper.write(candidate, $("token-keep").checked);
      $("token").value = "";
      forgetHistory();
      open();
      took(status);
    } catch (problem) {
      refuse("token", problem.status === 401 ? "The node does not accept this token." : problem.message);
      $("token").select();
      $("token").focus();
    } finally {
      $("token-send").disabled = false;
    }
  }

  function open() {
    show($("entrance"), false);
    show($("board"), true);
  }

  // ---- Asking the node

  /** Why an answer could not be had: `status` 0 where there was none, `field` where the node names one. */
  class Problem extends Error {
    constructor(message, status = 0, field = "") {
      super(message);
      this.status = status;
      this.field = field;
    }
  }

  async function ask(path, { method = "GET", body, as = token } = {}) {
    const headers = { Authorization: `Bearer ${as}`, Accept: "application/json, application/problem+json" };
    if (body !== undefined) headers["Content-Type"] = "application/json";
    let response, text;
    try {
      response = await fetch(path, {
        method, headers, cache: "no-store", credentials: "omit", redirect: "error",
        body: body === undefined ? undefined : JSON.stringify(body),
        signal: AbortSignal.timeout(ASK_SECONDS * 1000),
      });
      text = await response.text();
    } catch (failure) {
      throw new Problem(failure.name === "TimeoutError"
        ? `The node took longer than ${ASK_SECONDS} s to answer.` : "The node does not answer.");
    }
    let answer = null;
    try {
      answer = JSON.parse(text);
    } catch {
      // Not JSON: what counts is then the status.
    }
    if (response.ok && answer !== null && typeof answer === "object") return answer;
    if (response.ok) throw new Problem("The node's answer is not JSON.", response.status);
    throw new Problem(refusal(response, answer, text, method, path), response.status,
      typeof answer?.field === "string" ? answer.field : "");
  }

  function refusal(response, answer, text, method, path) {
    if (answer?.detail || answer?.title) return String(answer.detail ?? answer.title);
    if (response.status === 404) return `This node has no ${method} /${path.split("?")[0]}.`;
    const said = text.trim().slice(0, 300);
    return said && !said.startsWith("<") && !said.startsWith("{") ? said : `The node answered ${response.status}.`;
  }

  /** What a form does with a problem: at the field it names, else at the form; 401 asks for the token. */
  function refused(problem, inputs, otherwise) {
    if (problem.status === 401) return enter("The node no longer accepts the token. Enter the one it has now.");
    if (!(problem instanceof Problem)) throw problem;
    const input = inputs[problem.field];
    refuse(input ?? otherwise, problem.message);
    if (input) $(input).focus();
  }

  /** Shows `message` at a field or a form, or takes it away where it is empty. */
  function refuse(id, message) {
    const place = $(`${id}-problem`);
    if (place.textContent !== plain(message)) place.replaceChildren(...prose(message));
    const input = $(id);
    if (!input || !("value" in input)) return;
    if (message) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  }

  // ---- Polling

  const poll = { timer: 0, isAsking: false, failures: 0, answeredAt: 0, nextAt: 0, why: "" };

  function later(seconds) {
    clearTimeout(poll.timer);
    poll.nextAt = performance.now() + seconds * 1000;
    poll.timer = setTimeout(look, seconds * 1000);
  }

  async function look() {
    clearTimeout(poll.timer);
    if (!token || document.hidden || poll.isAsking) return;
    poll.isAsking = true;
    const asked = token;
    const started = performance.now();
    try {
      const status = await ask("status", { as: asked });
      if (asked === token) took(status, (performance.now() - started) / 1000);
    } catch (problem) {
      if (asked !== token) return;
      if (problem.status === 401) {
        enter("The node no longer accepts the token. Enter the one it has now.");
        return;
      }
      missed(problem);
    } finally {
      poll.isAsking = false;
      if (asked !== token && token) later(0);
    }
  }

  function took(status, seconds = 0) {
    Object.assign(poll, { failures: 0, answeredAt: performance.now(), why: "" });
    remember(status);
    showStatus(status);
    showOutage();
    later(Math.max(0.1, POLL_SECONDS - seconds));
  }

  function missed(problem) {
    poll.failures += 1;
    poll.why = problem.message;
    if (!(problem instanceof Problem)) console.error(problem);
    later(Math.min(LONGEST_PAUSE_SECONDS, POLL_SECONDS * 2 ** (poll.failures - 1)));
    showOutage();
  }

  function showOutage() {
    const isOut = poll.failures > 0;
    show($("outage"), isOut);
    $("figures").classList.toggle("old", isOut && poll.answeredAt > 0);
    if (!isOut) return say($("outage-said"), "");
    say($("state"), "No answer");
    attribute($("state"), "data-state", "out");
    say($("outage-said"), poll.why);
    tellNext();
  }

  function tellNext() {
    if (poll.failures === 0) return;
    const now = performance.now();
    const since = poll.answeredAt > 0
      ? `These figures are ${span((now - poll.answeredAt) / 1000)} old. ` : "";
    const seconds = Math.max(0, Math.ceil((poll.nextAt - now) / 1000));
    say($("outage-next"), since + (seconds > 0 ? `Next try in ${seconds} s.` : "Trying."));
  }

  // ---- History: what happened between two looks

  const history = { samples: [], buckets: new Map(), node: "" };

  function forgetHistory() {
    Object.assign(history, { samples: [], buckets: new Map(), node: "" });
    Object.assign(poll, { failures: 0, answeredAt: 0 });
  }

  function sample(status) {
    const byOutcome = status.requests?.byOutcome ?? {};
    const counts = OUTCOMES.map(([name]) => number(byOutcome[name]));
    return {
      at: performance.now() / 1000, uptime: number(status.uptimeSeconds), counts,
      bodyBytes: status.requests?.bodyBytes, droppedLines: number(status.accessLog?.droppedLines),
    };
  }

  function remember(status) {
    const now = sample(status);
    const last = history.samples.at(-1);
    const isAnotherLife = last && (status.node !== history.node || now.uptime < last.uptime
      || now.counts.some((value, index) => value < last.counts[index]));
    if (isAnotherLife) history.samples = [];
    else if (last) spread(last, now);
    history.node = status.node;
    history.samples.push(now);
    while (history.samples.length > 2 && history.samples[1].at < now.at - RATIO_WINDOW_SECONDS) {
      history.samples.shift();
    }
  }

  /** Puts what happened between two samples into the buckets it covers; more than one after a pause. */
  function spread(from, to) {
    const whole = to.at - from.at;
    if (whole <= 0) return;
    const newest = Math.floor(to.at / BUCKET_SECONDS);
    const oldest = Math.max(Math.floor(from.at / BUCKET_SECONDS), newest - BUCKETS);
    for (let index = oldest; index <= newest; index += 1) {
      const start = Math.max(from.at, index * BUCKET_SECONDS);
      const seconds = Math.min(to.at, (index + 1) * BUCKET_SECONDS) - start;
      if (seconds <= 0) continue;
      const bucket = history.buckets.get(index) ?? { seconds: 0, counts: OUTCOMES.map(() => 0) };
      bucket.seconds += seconds;
      to.counts.forEach((value, outcome) => {
        bucket.counts[outcome] += (value - from.counts[outcome]) * seconds / whole;
      });
      history.buckets.set(index, bucket);
    }
    for (const index of history.buckets.keys()) if (index < newest - BUCKETS) history.buckets.delete(index);
  }

  /** The difference over the last `seconds`; null before the second look. */
  function recent(seconds) {
    const last = history.samples.at(-1);
    if (!last || history.samples.length < 2) return null;
    const base = history.samples.findLast((one) => one.at <= last.at - seconds) ?? history.samples[0];
    const whole = last.at - base.at;
    const counts = last.counts.map((value, index) => value - base.counts[index]);
    return {
      seconds: whole, counts, total: sum(counts), droppedLines: last.droppedLines - base.droppedLines,
      bodyBytes: isNumber(last.bodyBytes) && isNumber(base.bodyBytes) ? last.bodyBytes - base.bodyBytes : null,
    };
  }

  const sum = (values) => values.reduce((total, value) => total + value, 0);
  /** Answered without waiting for the origin: hits, and stale. */
  const fromCache = (counts) => counts[0] + counts[1];

  function slots() {
    const newest = Math.floor((history.samples.at(-1)?.at ?? 0) / BUCKET_SECONDS);
    return Array.from({ length: BUCKETS }, (_, place) => history.buckets.get(newest - BUCKETS + 1 + place) ?? null);
  }

  // ---- The figures

  function showStatus(status) {
    const isDraining = status.draining === true;
    say($("state"), isDraining ? "Draining" : "Live");
    attribute($("state"), "data-state", isDraining ? "draining" : "live");
    say($("node"), status.node ?? NONE);
    say($("version"), status.version ?? NONE);
    say($("uptime"), span(status.uptimeSeconds));
    document.title = status.node ? `${visible(status.node)} · Rockpool` : "Rockpool";
    showRatio(status);
    showTraffic(status);
    showLatency(status.latency ?? {});
    showTiers(array(status.tiers));
    showOrigins(array(status.origins));
    showMisses(array(status.topMisses));
    showReasons(array(status.requests?.byReason));
    showPurges(status.purges ?? {});
    showNotices(status);
  }

  let summaryAt = -Infinity;

  function showRatio(status) {
    const window = recent(RATIO_WINDOW_SECONDS);
    const since = history.samples.at(-1).counts;
    const total = sum(since);
    const share = window && window.total > 0 ? fromCache(window.counts) / window.total : null;
    const overall = total > 0 ? `${percent(fromCache(since) / total)} % since start` : "";
    say($("ratio"), share === null ? NONE : percent(share));
    $("ratio").parentElement.classList.toggle("none", share === null);
    say($("ratio-unit"), share === null ? "" : "%");
    say($("ratio-said"),
      total === 0 ? "No request yet. Send one to the node's listener, and it shows here."
      : window === null ? `Measuring. ${overall}.`
      : window.total === 0 ? `No request in the last minute. ${overall}.`
      : `of ${plural(window.total, "request")} in the last ${span(Math.min(60, window.seconds))} · ${overall}`);
    drawRatio();
    // Read out now and then, not each second.
    const now = performance.now();
    if (share !== null && now - summaryAt > 30_000) {
      summaryAt = now;
      const flow = recent(RATE_WINDOW_SECONDS);
      say($("summary"),
        `Hit ratio ${percent(share)} percent, ${rate(flow.total / flow.seconds)} requests per second.`);
    }
  }

  function drawRatio() {
    const svg = $("ratio-chart");
    const shares = slots().map((slot) => {
      const total = slot ? sum(slot.counts) : 0;
      return total > 0 ? fromCache(slot.counts) / total : null;
    });
    const width = 300 / (BUCKETS - 1);
    let line = "", area = "", run = [];
    const flush = () => {
      if (run.length === 0) return;
      if (run.length === 1) run.push([run[0][0] + width / 2, run[0][1]]);
      const points = run.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L");
      line += `M${points}`;
      area += `M${run[0][0].toFixed(1)} 98L${points}L${run.at(-1)[0].toFixed(1)} 98Z`;
      run = [];
    };
    shares.forEach((share, place) => {
      if (share === null) flush();
      else run.push([place * width, 97 - share * 94]);
    });
    flush();
    if (!svg.firstChild) {
      for (const y of [3, 50, 97]) svg.append(draw("path", { class: "grid", d: `M0 ${y}H300` }));
      svg.append(draw("path", { class: "area" }), draw("path", { class: "line" }));
    }
    attribute(svg.querySelector(".area"), "d", area || "M0 0");
    attribute(svg.querySelector(".line"), "d", line || "M0 0");
    const known = shares.filter((share) => share !== null);
    attribute(svg, "aria-label", known.length === 0 ? "Hit ratio of the last five minutes: no requests"
      : `Hit ratio of the last five minutes: between ${percent(Math.min(...known))} and `
        + `${percent(Math.max(...known))} percent`);
  }

  function showTraffic(status) {
    const window = recent(RATE_WINDOW_SECONDS);
    say($("rate"), window ? rate(window.total / window.seconds) : NONE);
    const rows = OUTCOMES.map(([name, label, title], index) => ({
      name, label, title, rate: window ? rate(window.counts[index] / window.seconds) : NONE,
    }));
    list($("outcomes"), rows, (row) => row.name,
      (row) => make("div", { class: `outcome ${row.name}`, title: row.title }, make("dt", {}, row.label), make("dd")),
      (node, row) => say(node.lastChild, row.rate));
    const facts = [`${count(number(status.requests?.total))} since start`];
    if (isNumber(status.connections?.open)) facts.push(`${plural(status.connections.open, "connection")} open`);
    if (isNumber(status.fills)) facts.push(`${plural(status.fills, "pull")} under way`);
    if (window && window.bodyBytes !== null) facts.push(`${bytes(window.bodyBytes / window.seconds)}/s sent`);
    if (number(status.requests?.refused) > 0) facts.push(`${count(status.requests.refused)} refused`);
    say($("flow"), facts.join(" · "));
    drawTraffic();
  }

  /** The next round figure. */
  function ceiling(value) {
    if (value <= 1) return 1;
    const power = 10 ** Math.floor(Math.log10(value));
    return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((step) => step * power).find((step) => step >= value * 0.999);
  }

  function drawTraffic() {
    const svg = $("rate-chart");
    const rates = slots().map((slot) => slot && slot.counts.map((value) => value / slot.seconds));
    const highest = Math.max(0, ...rates.map((slot) => (slot ? sum(slot) : 0)));
    const top = ceiling(highest);
    say($("rate-top"), highest > 0 ? `${short(top)}/s` : "");
    if (!svg.firstChild) {
      for (const y of [1, 50, 99]) svg.append(draw("path", { class: "grid", d: `M0 ${y}H300` }));
      for (const [name] of OUTCOMES) svg.append(draw("path", { class: `bar ${name}` }));
    }
    const paths = OUTCOMES.map(() => "");
    rates.forEach((slot, place) => {
      if (!slot) return;
      let y = 99;
      slot.forEach((value, outcome) => {
        const height = value / top * 98;
        if (height <= 0) return;
        paths[outcome] += `M${place * 5 + 0.75} ${y.toFixed(2)}v${(-height).toFixed(2)}h3.5v${height.toFixed(2)}Z`;
        y -= height;
      });
    });
    OUTCOMES.forEach(([name], index) => attribute(svg.querySelector(`.bar.${name}`), "d", paths[index] || "M0 0"));
    attribute(svg, "aria-label",
      `Requests per second by outcome, last five minutes: at most ${rate(highest)}`);
  }

  /** Where a duration lies on a logarithmic scale from 10 µs to 10 s, 0 to 100. */
  const scale = (value) => Math.min(100, Math.max(0, (Math.log10(Math.max(1, value)) - 1) / 6 * 100));

  function showLatency(latency) {
    const rows = [
      ["hit", "Hits", "No hit so far."],
      ["pull", "Pulls, to the first byte", "No pull so far."],
    ].map(([name, label, empty]) => ({ name, label, empty, figures: latency[name] }));
    list($("latency"), rows, (row) => row.name, (row) => {
      const track = draw("svg",
        { class: "track", viewBox: "0 0 100 12", preserveAspectRatio: "none", "aria-hidden": "true" });
      track.append(draw("path", { class: "rail", d: "M0 6H100" }), draw("path", { class: "reach" }),
        draw("path", { class: "half" }));
      return make("div", { class: `latency ${row.name}` },
        make("p", { class: "head" }, make("span", { class: "name" }, row.label), make("span", { class: "many" })),
        make("p", { class: "quantiles" }), track);
    }, (node, { figures, empty }) => {
      const [head, quantiles, track] = node.children;
      const isKnown = number(figures?.count) > 0;
      say(head.lastChild, isKnown ? `${count(figures.count)} measured` : "");
      const shown = isKnown ? [["p50", figures.p50Microseconds], ["p90", figures.p90Microseconds],
        ["p99", figures.p99Microseconds]].filter(([, value]) => isNumber(value)) : [];
      if (shown.length === 0) quantiles.replaceChildren(empty);
      else {
        list(ordered(quantiles), shown, ([name]) => name,
          ([name]) => make("span", {}, make("small", {}, `${name} `), make("b", {})),
          (one, [, value]) => say(one.lastChild, microseconds(value)));
      }
      const from = scale(number(figures?.p50Microseconds)), to = scale(number(figures?.p99Microseconds));
      attribute(track.children[1], "d",
        isKnown ? `M${from.toFixed(1)} 6H${Math.max(from + 0.5, to).toFixed(1)}` : "M0 0");
      attribute(track.children[2], "d", isKnown ? `M${from.toFixed(1)} 1V11` : "M0 0");
    });
    if (!$("latency").querySelector(".axis")) {
      $("latency").append(make("p", { class: "axis", "aria-hidden": "true" },
        ...["10 µs", "1 ms", "100 ms", "10 s"].map((text) => make("span", {}, text))));
    }
  }

  /** A parent that held a sentence before it holds a list. */
  function ordered(parent) {
    if (!parent.known) parent.replaceChildren();
    else if (parent.firstChild?.nodeType === Node.TEXT_NODE) {
      parent.replaceChildren();
      parent.known.clear();
    }
    return parent;
  }

  function meter(share, label) {
    const svg = draw("svg", { class: "meter", viewBox: "0 0 100 8", preserveAspectRatio: "none", role: "img" });
    svg.append(draw("rect", { class: "rail", width: 100, height: 8 }),
      draw("rect", { class: "level", height: 8, width: 0 }));
    fill(svg, share, label);
    return svg;
  }

  function fill(svg, share, label) {
    attribute(svg.lastChild, "width", (Math.min(1, Math.max(0, share)) * 100).toFixed(2));
    attribute(svg, "aria-label", label);
  }

  function showTiers(tiers) {
    list($("tiers"), tiers, (tier) => String(tier.name), (tier) => make("li", {},
      make("p", { class: "head" }, make("span", { class: "name" }, `${tier.name}`), make("span", { class: "many" })),
      meter(0, ""), make("p", { class: "said" })), (node, tier) => {
      const [head, bar, said] = node.children;
      const share = number(tier.usedBytes) / Math.max(1, number(tier.budgetBytes));
      say(head.lastChild, `${bytes(tier.usedBytes)} of ${bytes(tier.budgetBytes)}`);
      fill(bar, share, `${tier.name}: ${percent(share)} percent used`);
      const facts = [`${count(tier.storedResponses)} stored`, `${count(number(tier.evictions))} evicted`];
      if (isNumber(tier.hitShare)) facts.push(`${percent(tier.hitShare)} % of reads found`);
      if (number(tier.evictions) > 0 && isNumber(tier.evictionAgeSeconds)) {
        facts.push(`evicted after ${span(tier.evictionAgeSeconds)}`);
      }
      say(said, facts.join(" · "));
    });
  }

  const HEALTH = {
    healthy: ["good", "Up"], unhealthy: ["bad", "Down"], halfOpen: ["fair", "Being tried"],
    up: ["good", "Up"], down: ["bad", "Down"],
  };

  function showOrigins(origins) {
    show($("origins-empty"), origins.length === 0);
    list($("origins"), origins, (origin) => `${origin.name} ${origin.url}`, (origin) => make("li", {},
      make("p", { class: "head" }, make("span", { class: "name" }, String(origin.name)),
        make("span", { class: "health" })),
      make("p", { class: "url" }, String(origin.url ?? "")), make("p", { class: "said" }),
      make("p", { class: "failure" })), (node, origin) => {
      const [kind, word] = HEALTH[origin.health] ?? ["fair", String(origin.health ?? "Unknown")];
      const [head, , said, failure] = node.children;
      say(head.lastChild, word);
      attribute(head.lastChild, "data-kind", kind);
      const facts = [plural(number(origin.pulls), "pull"), `${count(number(origin.failures))} failed`,
        `${count(number(origin.active))} active`];
      if (number(origin.queued) > 0) facts.push(`${count(origin.queued)} waiting`);
      say(said, facts.join(" · "));
      say(failure, origin.lastFailure ? `Last failure: ${origin.lastFailure}` : "");
    });
  }

  const reasonText = (reason) => REASONS[reason] ?? String(reason ?? "");

  function showMisses(misses) {
    const isLong = misses.length > MISSES_AT_FIRST;
    show($("misses-empty"), misses.length === 0);
    show($("misses-more"), isLong);
    const isOpen = $("misses-more").getAttribute("aria-expanded") === "true";
    say($("misses-more"), isOpen ? "Show fewer" : `Show all ${misses.length}`);
    const shown = isOpen ? misses : misses.slice(0, MISSES_AT_FIRST);
    list($("misses"), shown, (miss) => `${miss.url}\n${miss.reason}`, (miss) => {
      const button = make("button", { class: "quiet", type: "button", "aria-label": `Explain ${miss.url}` }, "Explain");
      button.addEventListener("click", () => explainNow(absolute(miss.url)));
      return make("li", {}, make("b", { class: "times" }),
        make("div", { class: "what" }, make("p", { class: "url" }, String(miss.url ?? "")),
          make("p", { class: "said" }, reasonText(miss.reason))), button);
    }, (node, miss) => say(node.firstChild, count(miss.count)));
  }

  const absolute = (url) => (/^[a-z][a-z0-9+.-]*:\/\//i.test(String(url)) ? String(url) : `http://${url}`);

  function showReasons(reasons) {
    const asked = reasons
      .filter((one) => ["miss", "pass", "revalidated"].includes(one.outcome) && number(one.count) > 0)
      .sort((one, other) => other.count - one.count).slice(0, 8);
    const most = Math.max(1, ...asked.map((one) => one.count));
    show($("reasons-empty"), asked.length === 0);
    const named = (one) => `${capital(one.outcome)}: ${reasonText(one.reason ?? "none")}`;
    list($("reasons"), asked, (one) => `${one.outcome} ${one.reason}`, (one) => make("li", { class: one.outcome },
      make("p", { class: "head" }, make("span", {}, named(one)), make("b", { class: "many" })),
      meter(0, "")), (node, one) => {
      say(node.firstChild.lastChild, count(one.count));
      fill(node.lastChild, one.count / most, `${count(one.count)} requests`);
    });
  }

  const capital = (text) => String(text).charAt(0).toUpperCase() + String(text).slice(1);

  function showPurges(purges) {
    const recentOnes = array(purges.recent);
    show($("purges-empty"), recentOnes.length === 0);
    const facts = isNumber(purges.total) && purges.total > 0
      ? [plural(purges.total, "purge"), isNumber(purges.stamps) ? `${count(purges.stamps)} in the ledger` : ""] : [];
    say($("purges-count"), facts.filter(Boolean).join(", "));
    list($("purges"), recentOnes, (one) => String(one.id), (one) => {
      const marks = [one.soft === true ? "soft" : "", one.anyQuery === true ? "any query" : ""].filter(Boolean);
      return make("li", { title: `${one.id}${one.client ? `, from ${one.client}` : ""}` },
        moment(one.purgedAt, true), make("p", {}, make("span", { class: "tag" }, String(one.scope)), " ",
          make("span", { class: "url" }, one.scope === "all" ? "everything" : String(one.value ?? "")),
          marks.length > 0 ? make("small", {}, ` ${marks.join(", ")}`) : null));
    });
  }

  function showNotices(status) {
    const notices = [];
    const add = (key, kind, text) => notices.push({ key, kind, text });
    if (status.draining === true) {
      add("draining", "fair", "Draining: the node finishes what it has begun and takes no new connections.");
    }
    for (const origin of array(status.origins)) {
      if (HEALTH[origin.health]?.[0] !== "bad") continue;
      add(`origin ${origin.name} ${origin.url}`, "bad", `Origin ${origin.name} (${origin.url}) is down`
        + `${origin.lastFailure ? `: ${origin.lastFailure}` : ""}. What may be served stale is.`);
    }
    for (const tier of array(status.tiers)) {
      const health = tier.disk?.health;
      if (health && health !== "good") add(`tier ${tier.name}`, "bad", `Nothing is written to disk: ${health}`);
    }
    const lost = number(status.accessLog?.droppedLines);
    if (lost > 0) {
      const now = number(recent(RATIO_WINDOW_SECONDS)?.droppedLines);
      add("log", now > 0 ? "bad" : "fair",
        `${plural(lost, "access-log line was", "access-log lines were")} lost since start`
        + `${now > 0 ? `, ${count(now)} of them in the last minute` : ""}: the log is written faster than it is read.`);
    }
    const lag = status.loopLagMicroseconds ?? {};
    if (number(lag.max) > LAG_WORTH_TELLING.max) {
      add("lag", "fair", `The event loops were late by up to ${microseconds(lag.max)} in the last minute.`);
    }
    list($("notices"), notices, (one) => one.key, () => make("li"), (node, one) => {
      attribute(node, "data-kind", one.kind);
      say(node, one.text);
    });
  }

  // ---- Explaining

  function explainNow(url) {
    $("explain-url").value = url;
    $("explain").scrollIntoView({ block: "start", behavior: calm() });
    $("explain").focus({ preventScroll: true });
    $("explain-form").requestSubmit();
  }

  const calm = () => (matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth");

  async function explain(event) {
    event.preventDefault();
    for (const id of ["explain-url", "explain-headers", "explain"]) refuse(id, "");
    const url = $("explain-url").value.trim();
    if (!url) {
      refuse("explain-url", "Enter the URL as a client would ask for it.");
      $("explain-url").focus();
      return;
    }
    const query = new URLSearchParams({ url });
    for (const line of $("explain-headers").value.split("\n")) if (line.trim()) query.append("header", line.trim());
    if ($("explain-down").checked) query.append("originDown", "true");
    $("explain-send").disabled = true;
    try {
      $("explain-answer").replaceChildren(...account(await ask(`explain?${query}`)));
    } catch (problem) {
      $("explain-answer").replaceChildren();
      if (problem.field === "header") $("explain-more").open = true;
      refused(problem, { url: "explain-url", header: "explain-headers" }, "explain");
    } finally {
      $("explain-send").disabled = false;
    }
  }

  /** What the node says of a URL, as paragraphs and lists. */
  function account(answer) {
    const outcome = answer.outcome ?? {};
    const down = answer.originDown ? null : answer.ifOriginDown;
    const isAlike = down && JSON.stringify(down) === JSON.stringify(outcome);
    const parts = [verdict(outcome, answer.originDown ? "With the origin down"
      : isAlike ? "Now, and if the origin were down" : "Now")];
    if (down && !isAlike) parts.push(verdict(down, "If the origin were down"));
    const notes = array(answer.notes);
    if (notes.length > 0) {
      parts.push(make("ul", { class: "notes" }, ...notes.map((note) => make("li", {}, ...prose(note)))));
    }
    parts.push(make("dl", { class: "facts" }, ...[
      fact("Cache key", code(answer.key)),
      fact("Site", answer.site && String(answer.site)),
      fact("Cache-Status", code(outcome.cacheStatus)),
      fact("Freshness", lifetime(answer)),
      fact("Rules", rules(array(answer.rules))),
    ].filter(Boolean)));
    const variants = array(answer.variants);
    const selected = answer.stored ?? null;
    parts.push(make("h3", {}, variants.length > 1 ? `${variants.length} stored variants` : "Stored"));
    if (variants.length === 0 && !selected) {
      parts.push(make("p", { class: "empty" }, "Nothing is stored under this key."));
    } else {
      if (!selected) {
        parts.push(make("p", { class: "said" }, "None of them is selected by this request: its headers differ."));
      }
      const shown = variants.length > 0 ? variants : [selected];
      const name = (one) => JSON.stringify([one?.vary, one?.storedAt, one?.etag]);
      parts.push(make("ul", { class: "plain variants" }, ...shown.map((one) =>
        variant(one, shown.length > 1 && selected !== null && name(one) === name(selected)))));
    }
    const purgeIt = make("button", { class: "quiet", type: "button" }, "Purge this URL…");
    purgeIt.addEventListener("click", () => purgeNext(String(answer.url ?? "")));
    if (variants.length > 0 || selected) parts.push(purgeIt);
    return parts;
  }

  function verdict(outcome, when) {
    const name = String(outcome.result ?? "unknown");
    const known = OUTCOMES.find(([one]) => one === name);
    return make("div", { class: `verdict ${known ? name : ""}` },
      make("p", { class: "head" }, make("small", {}, when), make("b", { class: "badge" }, known ? known[1] : name),
        isNumber(outcome.status) ? make("span", {}, String(outcome.status)) : null,
        outcome.reason ? make("code", {}, String(outcome.reason)) : null,
        make("span", { class: "many" },
          outcome.contactsOrigin === true ? "asks the origin"
          : outcome.contactsOrigin === false ? "the origin is not asked" : "")),
      make("p", {}, ...prose(outcome.explanation ?? reasonText(outcome.reason))));
  }

  const code = (text) => (text ? make("code", {}, String(text)) : null);

  function fact(name, ...values) {
    const given = values.filter((value) => value !== null && value !== undefined && value !== "" && value !== false);
    return given.length > 0 ? make("div", {}, make("dt", {}, name), make("dd", {}, ...given)) : null;
  }

  function lifetime({ lifetime: one }) {
    if (!one) return null;
    return make("span", {}, `${span(one.seconds)}, from `, make("code", {}, String(one.source ?? "?")),
      one.detail ? make("small", {}, ` ${one.detail}`) : null);
  }

  function rules(all) {
    if (all.length === 0) return null;
    return make("ul", { class: "plain" }, ...all.map((rule) => make("li", {},
      isNumber(rule.line) ? `line ${rule.line}: ` : "", make("code", {}, String(rule.path ?? "*")),
      array(rule.sets).length > 0 ? ` sets ${array(rule.sets).join(", ")}` : "")));
  }

  function variant(one, isSelected) {
    const vary = Object.entries(one.vary ?? {});
    const age = number(one.ageSeconds), whole = number(one.lifetimeSeconds);
    const left = whole - age;
    const freshness = one.fresh === false || one.softPurgedAt || left <= 0
      ? `stale${left < 0 ? ` for ${span(-left)}` : ""}` : `fresh for ${span(left)} more`;
    const validators = [
      one.etag && `ETag ${one.etag}`, one.lastModified && `Last-Modified ${one.lastModified}`].filter(Boolean);
    return make("li", { class: `variant ${freshness.startsWith("fresh") ? "fresh" : "stale"}` },
      make("p", { class: "head" },
        make("span", { class: "name" }, vary.length > 0
          ? vary.map(([field, value]) => `${field}: ${value || "(absent)"}`).join(", ") : "The same for every request"),
        isSelected ? make("span", { class: "tag" }, "this request") : null, make("span", { class: "many" }, freshness)),
      meter(whole > 0 ? age / whole : 1, `${span(age)} old of ${span(whole)}`),
      make("dl", { class: "facts" }, ...[
        fact("In", array(one.tiers).join(" and ")),
        fact("Age", isNumber(one.ageSeconds) ? `${span(age)} of ${span(whole)}` : null,
          one.lifetimeSource ? make("small", {}, ` from ${one.lifetimeSource}`) : null),
        fact("Response", [isNumber(one.status) ? one.status : "", one.contentType ?? "",
          isNumber(one.bodyBytes) ? bytes(one.bodyBytes) : ""].filter(Boolean).join(" · ")),
        fact("Stored", one.storedAt ? moment(one.storedAt) : null),
        fact("Soft purge", one.softPurgedAt ? moment(one.softPurgedAt) : null),
        fact("Validators", validators.join(" · ")),
        fact("Tags", array(one.tags).join(", ")),
      ].filter(Boolean)));
  }

  // ---- Purging

  const scopes = {
    url: { label: "URL", example: "http://www.example.com/a.css",
      hint: "http or https, it makes no difference. All its variants go." },
    tag: { label: "Tag", example: "product-1",
      hint: "What the origin marked with it in Surrogate-Key or Cache-Tag." },
    prefix: { label: "Prefix", example: "http://www.example.com/assets/",
      hint: "Every URL that begins with these bytes." },
    host: { label: "Host", example: "www.example.com", hint: "Without a port, every port of it." },
    all: { label: "", example: "", hint: "Everything that is stored, of every site." },
  };
  const PURGE_INPUTS = {
    url: "purge-value", tag: "purge-value", prefix: "purge-value", host: "purge-value", all: "purge-scope",
    soft: "purge-soft", anyQuery: "purge-any",
  };

  function clearPurgeProblems() {
    for (const id of ["purge-scope", "purge-value", "purge-any", "purge-soft", "purge"]) refuse(id, "");
  }

  function chooseScope() {
    const scope = $("purge-scope").value;
    const { label, example, hint } = scopes[scope];
    show($("purge-value-field"), scope !== "all");
    show($("purge-any-field"), scope === "url");
    say($("purge-value-label"), label || "Value");
    $("purge-value").placeholder = example;
    say($("purge-hint"), hint);
    clearPurgeProblems();
    say($("purge-done"), "");
  }

  function purgeNext(url) {
    $("purge-scope").value = "url";
    chooseScope();
    $("purge-value").value = url;
    $("purge").scrollIntoView({ block: "start", behavior: calm() });
    $("purge-send").focus({ preventScroll: true });
  }

  async function purge(event) {
    event.preventDefault();
    clearPurgeProblems();
    say($("purge-done"), "");
    const scope = $("purge-scope").value;
    const value = $("purge-value").value.trim();
    if (scope !== "all" && !value) {
      refuse("purge-value", `Enter the ${scopes[scope].label === "URL" ? "URL" : scopes[scope].label.toLowerCase()}.`);
      $("purge-value").focus();
      return;
    }
    const body = { [scope]: scope === "all" ? true : value, soft: $("purge-soft").checked };
    if (scope === "url" && $("purge-any").checked) body.anyQuery = true;
    if (scope === "all" && !(await confirmAll(body.soft))) return;
    $("purge-send").disabled = true;
    try {
      const answer = await ask("purge", { method: "POST", body });
      const what = scope === "all" ? "everything" : value;
      say($("purge-done"), body.soft
        ? `Stale from now on: ${what}. Purge ${answer.id ?? ""}.`
        : `Purged ${what}. Purge ${answer.id ?? ""}.`);
      look();
    } catch (problem) {
      refused(problem, PURGE_INPUTS, "purge");
    } finally {
      $("purge-send").disabled = false;
    }
  }

  /** Asks once more; resolves to whether to go on. */
  function confirmAll(isSoft) {
    const name = $("node").textContent;
    say($("confirm-title"), isSoft ? "Make everything stale?" : "Purge everything?");
    say($("confirm-yes"), isSoft ? "Make everything stale" : "Purge everything");
    say($("confirm-said"), isSoft
      ? `Each stored response of node ${name} is validated with its origin at the next request for it.`
      : `Node ${name} will have nothing stored. Each next request goes to its origin, all at once.`);
    $("confirm").showModal();
    return new Promise((resolve) => { confirmed = resolve; });
  }

  let confirmed = null;

  function answerConfirm(isYes) {
    const resolve = confirmed;
    confirmed = null;
    if ($("confirm").open) $("confirm").close();
    resolve?.(isYes);
  }

  // ---- Start

  $("token-form").addEventListener("submit", offer);
  $("explain-form").addEventListener("submit", explain);
  $("purge-form").addEventListener("submit", purge);
  $("purge-scope").addEventListener("change", chooseScope);
  $("confirm-no").addEventListener("click", () => answerConfirm(false));
  $("confirm-yes").addEventListener("click", () => answerConfirm(true));
  $("confirm").addEventListener("cancel", () => answerConfirm(false));
  // This event comes some time after the closing: the dialog may be open again by then.
  $("confirm").addEventListener("close", () => { if (!$("confirm").open) answerConfirm(false); });
  $("outage-retry").addEventListener("click", look);
  $("forget").addEventListener("click", () => {
    forgetHistory();
    $("explain-answer").replaceChildren();
    enter();
  });
  $("misses-more").addEventListener("click", () => {
    const isOpen = $("misses-more").getAttribute("aria-expanded") === "true";
    $("misses-more").setAttribute("aria-expanded", String(!isOpen));
    look();
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) look();
  });
  setInterval(tellNext, 1000);
  chooseScope();
  if (token) {
    open();
    look();
  } else {
    enter();
  }
})();
