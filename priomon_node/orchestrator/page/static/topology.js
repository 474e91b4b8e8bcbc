// The nodes where they are, coloured by the share of the others that each knows.

import cytoscape from "./vendor/cytoscape.esm.min.mjs";

const RAMP = ["#440154", "#3b528b", "#21918c", "#5ec962", "#fde725"].map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));
const MOST_EDGES = 1500; // more of them hide what they link, and cost a phone its battery
const MOST_NAMES = 40;
const dark = matchMedia("(prefers-color-scheme: dark)");

function colour(share) {
  const place = Math.min(Math.max(share, 0), 1) * (RAMP.length - 1);
  const step = Math.min(Math.floor(place), RAMP.length - 2);
  const mixed = RAMP[step].map((from, channel) => Math.round(from + (RAMP[step + 1][channel] - from) * (place - step)));
  return `rgb(${mixed.join(",")})`;
}

// Sizes in pixels of the screen, however small the picture has become.
function style(nodes, zoom) {
  const read = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const size = Math.max(8, Math.min(26, 260 / Math.sqrt(nodes + 1))) / zoom;
  return [
    { selector: "node", style: { width: size, height: size, "background-color": "data(colour)", "border-width": 1 / zoom, "border-color": read("--soft"),
      label: nodes > MOST_NAMES ? "" : "data(id)", color: read("--ink"), "font-size": 11 / zoom, "text-valign": "bottom", "text-margin-y": 3 / zoom } },
    { selector: "node[?silent]", style: { shape: "rectangle", "background-opacity": 0.25, "border-width": 2 / zoom, "border-style": "dashed", "border-color": read("--bad") } },
    { selector: "edge", style: { width: 1 / zoom, "line-color": read("--soft"), opacity: Math.max(0.12, 0.5 - nodes / 100), "curve-style": "haystack" } },
  ];
}

export class Topology {
  constructor(place, note) {
    this.place = place;
    this.note = note;
    dark.addEventListener("change", () => this.fit());
    new ResizeObserver(() => this.fit()).observe(place);
  }

  fit() {
    this.graph?.resize().fit(undefined, 24).style(style(this.count, this.graph.zoom()));
  }

  draw(picture) {
    this.graph?.destroy();
    this.graph = null;
    if (!picture) return;
    const { names, places, edges } = picture;
    this.count = names.length;
    const drawn = edges.length > MOST_EDGES ? [] : edges;
    this.note.textContent = drawn.length < edges.length ? `${edges.length} links between them are not drawn.` : "";
    this.graph = cytoscape({
      container: this.place,
      elements: [
        ...names.map((id, index) => ({ data: { id, colour: colour(0), silent: false }, position: { x: places[index][0] * 200, y: -places[index][1] * 200 } })),
        ...drawn.map(([a, b]) => ({ data: { source: names[a], target: names[b] } })),
      ],
      layout: { name: "preset", padding: 24 },
      userZoomingEnabled: false,
      userPanningEnabled: false,
      autoungrabify: true,
      autounselectify: true,
    });
    this.fit();
  }

  colour(nodes) {
    if (!this.graph) return;
    this.graph.batch(() => {
      for (const node of nodes) {
        const share = nodes.length > 1 ? (node.known - 1) / (nodes.length - 1) : 1;
        this.graph.getElementById(node.name).data({ colour: colour(share), silent: node.silent });
      }
    });
  }
}
