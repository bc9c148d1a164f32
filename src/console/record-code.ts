// The code that reads one record elsewhere, as a command and as a program, and the command that produces one.
import type { JsonRecordInput } from "../protocol/json-record.ts";
import { partitionPath, recordsPath } from "../protocol/paths.ts";

export interface Place {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

/** Quotes a text for a POSIX shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** A command that prints the record. If the broker asks for a credential, it takes that from the environment. */
export function curlOf(
  origin: string,
  { topic, partition, offset }: Place,
  needsCredential: boolean,
): string {
  const url = `${origin}${partitionPath(topic, partition)}/records?offset=${offset}&maxRecords=1`;
  return `curl -s ${quoted(url)}${credentialOf(needsCredential)}`;
}

function credentialOf(isNeeded: boolean): string {
  return isNeeded ? ` -H "Authorization: Bearer $RIVULET_TOKEN"` : "";
}

/** A command that produces a record. */
export function produceCurlOf(
  origin: string,
  topic: string,
  record: JsonRecordInput,
  needsCredential: boolean,
): string {
  const url = `${origin}${recordsPath(topic)}`;
  const body = JSON.stringify({ records: [record] });
  return `curl -s ${quoted(url)}${credentialOf(needsCredential)} -H 'Content-Type: application/json' --data-raw ${quoted(body)}`;
}

/** A program that prints the record, with the SDK. */
export function sdkOf(origin: string, { topic, partition, offset }: Place): string {
  return `import { Rivulet } from "rivulet";

const rivulet = new Rivulet({ url: ${JSON.stringify(origin)}, token: process.env.RIVULET_TOKEN });
const place = { topic: ${JSON.stringify(topic)}, partition: ${partition} };
const reader = await rivulet.reader({
  topic: place.topic,
  onAssigned: () => void reader.seek(place, ${offset}),
});
for await (const record of reader) {
  if (record.partition !== place.partition) continue;
  console.log(record);
  break;
}
`;
}
