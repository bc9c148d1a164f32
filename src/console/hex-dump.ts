// Bytes that are not text, sixteen per line: their place, their values, and their ASCII characters.
const PER_LINE = 16;

export function hexDump(bytes: Uint8Array): string {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += PER_LINE) {
    const line = [...bytes.subarray(at, at + PER_LINE)];
    const values = line.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const letters = line
      .map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "."))
      .join("");
    lines.push(`${at.toString(16).padStart(8, "0")}  ${values.padEnd(PER_LINE * 3)} ${letters}`);
  }
  return lines.join("\n");
}
