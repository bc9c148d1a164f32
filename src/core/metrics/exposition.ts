// Metric families as text: OpenMetrics 1.0, and Prometheus' text format 0.0.4.
//
// A family is one block, with its samples in the given order. Both formats name the same series, so a scraper can
// change the format and continue its series.
import { assert } from "../assert.ts";
import type { Family, HistogramFamily, SimpleFamily } from "./family.ts";

export type Format = "openmetrics" | "text";

const CONTENT_TYPES: Record<Format, string> = {
  openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8",
  text: "text/plain; version=0.0.4; charset=utf-8",
};

export function contentTypeOf(format: Format): string {
  return CONTENT_TYPES[format];
}

/** The suffix that a type adds to the names of its samples. */
const SUFFIXES: Record<SimpleFamily["type"], string> = {
  counter: "_total",
  gauge: "",
  info: "_info",
};

export function expose(families: Iterable<Family>, format: Format): string {
  const lines: string[] = [];
  const names = new Set<string>();
  for (const family of families) {
    assert(!names.has(family.name), `the family ${family.name} has one block`);
    names.add(family.name);
    describe(family, format, lines);
    if (family.type === "histogram") writeHistogram(family, lines);
    else writeSamples(family, lines);
  }
  if (format === "openmetrics") lines.push("# EOF");
  return lines.map((line) => `${line}\n`).join("");
}

/** Writes the head of a family. The text format has no info type and no units, and names a family like its samples. */
function describe(family: Family, format: Format, lines: string[]): void {
  const { name, type, help, unit } = family;
  assert(unit === undefined || name.endsWith(`_${unit}`), `${name} ends with its unit`);
  if (format === "openmetrics") {
    lines.push(`# TYPE ${name} ${type}`);
    if (unit !== undefined) lines.push(`# UNIT ${name} ${unit}`);
    lines.push(`# HELP ${name} ${escaped(help)}`);
    return;
  }
  const sampled = type === "histogram" ? name : `${name}${SUFFIXES[type]}`;
  lines.push(`# HELP ${sampled} ${help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}`);
  lines.push(`# TYPE ${sampled} ${type === "info" ? "gauge" : type}`);
}

function writeSamples(family: SimpleFamily, lines: string[]): void {
  const name = `${family.name}${SUFFIXES[family.type]}`;
  for (const { labels, value } of family.samples) lines.push(line(name, labels, value));
}

/** Writes a histogram. Buckets are cumulative, and the last one counts all values. */
function writeHistogram({ name, bounds, samples }: HistogramFamily, lines: string[]): void {
  for (const { labels, counts, sum } of samples) {
    assert(counts.length === bounds.length + 1, `${name} has a count for each bound, and one more`);
    let count = 0;
    for (const [i, more] of counts.entries()) {
      count += more;
      const le = bucketText(bounds[i] ?? Number.POSITIVE_INFINITY);
      lines.push(line(`${name}_bucket`, { ...labels, le }, count));
    }
    lines.push(line(`${name}_sum`, labels, sum), line(`${name}_count`, labels, count));
  }
}

function line(name: string, labels: Readonly<Record<string, string>>, value: number): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`);
  return `${name}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`} ${numberText(value)}`;
}

function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

/** Integers up to 2^53 have all their digits. Other numbers have as many digits as distinguish them. */
function numberText(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  if (value === Number.NEGATIVE_INFINITY) return "-Inf";
  return String(value);
}

/** OpenMetrics writes the bound 1 as 1.0. Because the bound is a label, both formats must do so. */
function bucketText(bound: number): string {
  return Number.isInteger(bound) ? bound.toFixed(1) : numberText(bound);
}

interface AcceptedRange {
  readonly type: string;
  readonly version: string | undefined;
  readonly quality: number;
}

/** For each format, the media ranges that match it, the most specific first. */
const RANGES: Record<Format, readonly string[]> = {
  openmetrics: ["application/openmetrics-text", "application/*", "*/*"],
  text: ["text/plain", "text/*", "*/*"],
};
const VERSIONS: Record<Format, string> = { openmetrics: "1.0.0", text: "0.0.4" };

/**
 * Returns the format that a client prefers according to its Accept header. OpenMetrics is only sent to clients that
 * name it. All others get the text format, even if they accept neither.
 */
export function formatOf(acceptHeader: string | null): Format {
  const ranges = (acceptHeader ?? "").toLowerCase().split(",").map(rangeOf);
  const isNamed = ranges.some(({ type }) => type === RANGES.openmetrics[0]);
  if (!isNamed) return "text";
  const openmetrics = qualityOf("openmetrics", ranges);
  return openmetrics > 0 && openmetrics >= qualityOf("text", ranges) ? "openmetrics" : "text";
}

function qualityOf(format: Format, ranges: readonly AcceptedRange[]): number {
  const meant = ranges.filter(
    ({ version }) => version === undefined || version === VERSIONS[format],
  );
  for (const name of RANGES[format]) {
    const named = meant.filter(({ type }) => type === name);
    if (named.length > 0) return Math.max(...named.map(({ quality }) => quality));
  }
  return 0;
}

function rangeOf(text: string): AcceptedRange {
  const [type = "", ...parameters] = text.split(";").map((part) => part.trim());
  const parameterOf = (name: string) =>
    parameters
      .map((parameter) => parameter.split("=").map((part) => part.trim()))
      .find(([key]) => key === name)?.[1]
      ?.replaceAll('"', "");
  const quality = Number(parameterOf("q") ?? 1);
  return {
    type,
    version: parameterOf("version"),
    quality: quality >= 0 ? Math.min(quality, 1) : 0,
  };
}
