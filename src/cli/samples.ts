// Reads samples in Prometheus' text format, as /metrics writes it. It is pure.

export interface Sample {
  readonly name: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly value: number;
}

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;

/** Returns the samples with one of these names. */
export function samplesIn(text: string, names: ReadonlySet<string>): Sample[] {
  return text.split("\n").flatMap((line) => {
    const [, name = "", labels = "", value] = LINE.exec(line) ?? [];
    if (!names.has(name)) return [];
    const pairs = Array.from(labels.matchAll(LABEL), ([, label = "", text = ""]) => {
      const plain = text.replace(/\\(.)/g, (_, char: string) => (char === "n" ? "\n" : char));
      return [label, plain] as const;
    });
    return [{ name, labels: new Map(pairs), value: Number(value) }];
  });
}
