// How to read one record elsewhere: as a command and as a program.
import { partitionPath } from "../protocol/paths.ts";

export interface Place {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

/** Quotes a text for a POSIX shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** A command that prints the record. Where the broker asks for a credential, it takes that from the environment. */
export function curlOf(
  origin: string,
  { topic, partition, offset }: Place,
  needsCredential: boolean,
): string {
  const url = `${origin}${partitionPath(topic, partition)}/records?offset=${offset}&maxRecords=1`;
  const header = needsCredential ? ` -H "Authorization: Bearer $RIVULET_TOKEN"` : "";
  return `curl -s ${quoted(url)}${header}`;
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
