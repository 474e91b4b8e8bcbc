// The two curves of a run. A point is [run's time (s), coverage, bytes/s sent by a node: mean, most].

import uPlot from "./vendor/uPlot.esm.js";
import { bytes, percent } from "./words.js";

const HEIGHT = 170;
const dark = matchMedia("(prefers-color-scheme: dark)");

function colours() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue(name).trim();
  return { ink: read("--ink"), line: read("--line"), mark: read("--mark"), second: read("--bad") };
}

class Chart {
  constructor(place, series, columns, range, show) {
    Object.assign(this, { place, series, columns, range, show, points: [] });
    this.draw();
    dark.addEventListener("change", () => this.draw());
    new ResizeObserver(() => this.plot.setSize(this.size())).observe(place);
  }

  size() {
    return { width: Math.max(this.place.clientWidth, 200), height: HEIGHT };
  }

  draw() {
    this.plot?.destroy();
    const { ink, line, mark, second } = colours();
    const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
    const lines = this.series.map((label, index) => ({
      label,
      stroke: [mark, second][index],
      width: 2,
      dash: index ? [6, 4] : undefined,
      points: { show: false },
      value: (_, value) => (value == null ? "-" : this.show(value)),
    }));
    const options = {
      ...this.size(),
      scales: { x: { time: false }, y: { range: this.range } },
      axes: [{ ...axis, values: (_, splits) => splits.map((t) => `${t} s`) }, { ...axis, size: 70, values: (_, splits) => splits.map(this.show) }],
      series: [{ label: "time", value: (_, t) => (t == null ? "-" : `${t} s`) }, ...lines],
      hooks: { draw: [(plot) => plot.cursor.idx == null && plot.setLegend({ idx: this.points.length - 1 })] }, // the newest, unless pointed at others
    };
    this.plot = new uPlot(options, this.data(), this.place);
  }

  data() {
    return [0, ...this.columns].map((column) => this.points.map((point) => point[column]));
  }

  set(points) {
    this.points = points;
    this.plot.setData(this.data());
  }
}

export class Charts {
  #points = [];

  constructor(coverage, traffic) {
    this.charts = [
      new Chart(coverage, ["coverage"], [1], [0, 1.02], (share) => percent(Math.min(share, 1))),
      new Chart(traffic, ["mean node", "busiest node"], [2, 3], (_, low, high) => [0, Math.max(high * 1.1, 100)], (rate) => `${bytes(rate)}/s`),
    ];
  }

  set(points) {
    this.#points = points;
    for (const chart of this.charts) chart.set(points);
  }

  add(point) {
    const last = this.#points.at(-1);
    if (!last || point[0] > last[0]) this.set([...this.#points, point]);
  }
}
