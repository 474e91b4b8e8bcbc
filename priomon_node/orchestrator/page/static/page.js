// Follows the orchestrator's run: everything once, then what changes, about once a second.

import { Charts } from "./charts.js";
import { NodeTable } from "./table.js";
import { Topology } from "./topology.js";
import { bytes, percent, seconds } from "./words.js";

const AGAIN = 3000; // ms between two tries to connect
const SILENT = 3; // seconds without an answer
const PHASES = {
  gathering: "Waiting for agents",
  live: "The agents run the scenario",
  simulated: "The same is simulated",
  reporting: "Pictures and the report are drawn",
  complete: "Complete",
  interrupted: "Stopped",
  failed: "Failed",
};

const $ = (id) => document.getElementById(id);
let number = null; // of the run that is shown
let source = null;
let retry = null;
let views = null;

function say(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text; // what is set again is read aloud again
}

function build() {
  // Once there is a run, because what is hidden has no size to draw in.
  views ??= { charts: new Charts($("coverage-chart"), $("traffic-chart")), topology: new Topology($("topology"), $("edges")), table: new NodeTable($("nodes")) };
}

function showAll(state) {
  $("empty").hidden = state.number > 0;
  $("run").hidden = state.number === 0;
  number = state.number;
  if (!number) return;
  build();
  views.charts.set(state.points);
  views.topology.draw(state.picture);
  showNews(state);
}

function showNews(state) {
  const nodes = state.nodes.map((node) => ({ ...node, silent: state.phase === "live" && (!node.live || node.unheard_seconds > SILENT) }));
  document.title = `${state.scenario} · PrioMon`;
  say("title", state.scenario);
  say("what", `${state.node_count} nodes, ${seconds(state.duration_seconds)}, seed ${state.seed}`);
  const verdict = state.inside == null ? "" : state.inside ? ": live and simulated agree" : ": live and simulated differ by more than they may";
  say("phase", state.problem ? `Failed: ${state.problem}` : PHASES[state.phase] + verdict);
  $("phase").classList.toggle("warning", state.phase === "failed" || state.phase === "interrupted" || state.inside === false);
  $("stop").hidden = !state.running;
  showBar(state);
  showLinks(state);
  say("coverage", state.coverage == null ? "-" : percent(state.coverage));
  say("rate", state.point ? `${bytes(state.point[2])}/s` : "-");
  say("answering", nodes.length ? `${nodes.filter((node) => !node.silent).length} of ${nodes.length}` : "-");
  views.topology.colour(nodes);
  views.table.show(nodes);
  showLog(state.log);
}

function showBar(state) {
  const bar = $("bar");
  bar.hidden = !state.running;
  if (state.phase === "live" || state.phase === "simulated") bar.value = Math.min(state.t_seconds / state.duration_seconds, 1);
  else bar.removeAttribute("value");
  const timed = state.running && state.left_seconds != null;
  say("left", timed ? `${seconds(state.t_seconds)} of ${seconds(state.duration_seconds)}; about ${seconds(state.left_seconds)} left in this phase` : "");
}

function showLinks(state) {
  const links = $("links");
  const wanted = state.phase === "complete" ? "done" : state.running ? "" : "start";
  if (links.dataset.shown === `${number} ${wanted}`) return;
  links.dataset.shown = `${number} ${wanted}`;
  const folder = `/runs/${encodeURIComponent(state.folder)}`;
  const all = { done: [[folder, "Comparison"], [`${folder}/report.html`, "Report"], ["/start", "Start another run"]], start: [["/start", "Start another run"]] };
  links.replaceChildren(...(all[wanted] ?? []).map(([href, text]) => Object.assign(document.createElement("a"), { href, textContent: text })));
}

function showLog(lines) {
  const log = $("log");
  const last = lines.at(-1);
  const key = last ? `${number} ${lines.length} ${last.unix_seconds}` : "";
  if (log.dataset.shown === key) return;
  log.dataset.shown = key;
  const following = log.scrollTop + log.clientHeight >= log.scrollHeight - 4;
  log.replaceChildren(...lines.map(({ unix_seconds: when, line }) => {
    const item = document.createElement("li");
    const time = document.createElement("time");
    time.textContent = new Date(when * 1000).toLocaleTimeString();
    item.append(time, line);
    return item;
  }));
  if (following) log.scrollTop = log.scrollHeight;
}

function tell(text, bad) {
  say("connection", text);
  $("connection").classList.toggle("bad", bad);
}

async function refresh() {
  const answer = await fetch("/api/state", { headers: { accept: "application/json" } });
  if (answer.status === 401) location.assign("/login");
  if (!answer.ok) throw new Error((await answer.json()).error);
  showAll(await answer.json());
}

function disconnect() {
  source?.close();
  source = null;
  clearTimeout(retry);
}

function connect() {
  disconnect();
  const mine = new EventSource("/api/events");
  source = mine;
  const lost = () => {
    if (source !== mine) return;
    disconnect();
    tell("no connection to the orchestrator; trying again", true);
    retry = setTimeout(connect, AGAIN);
  };
  mine.onopen = () => refresh().then(() => tell("connected", false)).catch(lost);
  mine.onerror = lost;
  mine.addEventListener("state", (event) => {
    const state = JSON.parse(event.data);
    const fresh = state.number !== number || (state.nodes.length > 0 && !views?.topology.graph);
    if (fresh) refresh().catch(lost);
    else {
      if (state.point) views.charts.add(state.point);
      showNews(state);
    }
  });
}

// A browser opens six connections to one server, so pages that nobody looks at must not hold one each.
document.addEventListener("visibilitychange", () => (document.hidden ? disconnect() : connect()));
if (!document.hidden) connect();
