// Recognizes input that is surely not lines of text: compressed files, UTF-16, and JSON over several lines.
import { jsonAcrossLines } from "./json-lines.ts";

interface Magic {
  readonly bytes: readonly number[];
  readonly name: string;
  /** The command that makes text of it. */
  readonly command: string;
}

/** UTF-32 is before UTF-16, because its mark begins with that of UTF-16. */
const MAGICS: readonly Magic[] = [
  { bytes: [0x1f, 0x8b], name: "compressed with gzip", command: "gunzip -c" },
  { bytes: [0x28, 0xb5, 0x2f, 0xfd], name: "compressed with zstd", command: "zstd -dc" },
  { bytes: [0xfd, 0x37, 0x7a, 0x58, 0x5a], name: "compressed with xz", command: "xz -dc" },
  { bytes: [0x42, 0x5a, 0x68], name: "compressed with bzip2", command: "bunzip2 -c" },
  { bytes: [0x50, 0x4b, 0x03, 0x04], name: "a zip archive", command: "unzip -p" },
  { bytes: [0xff, 0xfe, 0, 0], name: "UTF-32", command: "iconv -f UTF-32 -t UTF-8" },
  { bytes: [0, 0, 0xfe, 0xff], name: "UTF-32", command: "iconv -f UTF-32 -t UTF-8" },
  { bytes: [0xff, 0xfe], name: "UTF-16", command: "iconv -f UTF-16 -t UTF-8" },
  { bytes: [0xfe, 0xff], name: "UTF-16", command: "iconv -f UTF-16 -t UTF-8" },
];

export interface Checked {
  /** The name of the file, for the command that is proposed. */
  readonly file: string;
  /** True if the input is read as one JSON array. */
  readonly isArray: boolean;
}

/** Returns what is wrong with input that begins so, and what to do about it. Null if nothing is. */
export function problemOfLines(start: Buffer, { file, isArray }: Checked): string | null {
  const magic = MAGICS.find(({ bytes }) =>
    start.subarray(0, bytes.length).equals(Buffer.from(bytes)),
  );
  if (magic !== undefined)
    return `the input is ${magic.name}, not lines of text: ${proposal(`${magic.command} ${file}`, isArray)}`;
  if (start.includes(0))
    return `the input has NUL bytes, so it is not text in UTF-8: convert it, for example ${proposal(`iconv -f UTF-16LE -t UTF-8 ${file}`, isArray)}`;
  if (isArray) return null;
  const kind = jsonAcrossLines(start.toString());
  if (kind === "array")
    return `the input is one JSON array over several lines: give --array, or ${proposal(`jq -c '.[]' ${file}`, false)}`;
  if (kind === "object")
    return `the input is JSON objects over several lines: ${proposal(`jq -c . ${file}`, false)}`;
  return null;
}

function proposal(command: string, isArray: boolean): string {
  const raw = isArray ? "" : "; or give --raw to append each line as it is";
  return `\`${command} | rivulet produce …\`${raw}`;
}
