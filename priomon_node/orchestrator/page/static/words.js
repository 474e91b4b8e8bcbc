// Numbers as people read them.

export const seconds = (value) =>
  value >= 90 ? `${Math.floor(value / 60)} min ${Math.round(value % 60)} s` : `${value < 10 ? value.toFixed(1) : Math.round(value)} s`;

export const percent = (share) => `${Math.floor(share * 1000) / 10} %`; // rounded down: 100 % is said only when it is all

export function bytes(count) {
  for (const [size, unit] of [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]]) {
    if (count >= size) return `${(count / size).toPrecision(3)} ${unit}`;
  }
  return `${Math.round(count)} B`;
}
