// Every interface that takes a body over HTTP.

export interface BodyPath {
  readonly what: string;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

const NDJSON = "application/x-ndjson";
const JSON_HEADERS = { "content-type": "application/json" };

/** `topic` exists. An interface that takes lines and answers in lines reports errors in a line. */
export function bodyPaths(topic: string, group: string): BodyPath[] {
  const records = `/v1/topics/${topic}/records`;
  const path = (
    what: string,
    method: string,
    path: string,
    headers: Record<string, string> = JSON_HEADERS,
  ) => ({ what, method, path, headers });
  return [
    path("a topic", "POST", "/v1/topics"),
    path("a topic's config", "PATCH", `/v1/topics/${topic}`),
    path("the defaults", "PATCH", "/v1/configs"),
    path("records", "POST", records),
    path("records in lines", "POST", records, { "content-type": NDJSON }),
    path("lines of any length", "POST", records, { "content-type": NDJSON, accept: NDJSON }),
    path("batches", "POST", `/v1/topics/${topic}/partitions/0/batches`, {}),
    path("a group's config", "PATCH", `/v1/groups/${group}`),
    path("a reset", "POST", `/v1/groups/${group}/offsets`),
    path("a poll", "POST", `/v1/groups/${group}/poll`),
  ];
}
