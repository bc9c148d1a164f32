// The id of a record's lease: everything that is needed to acknowledge it. Clients must treat it as opaque.
//
//   version "1" . topic id . partition . offset . holder . topic
export interface Lease {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  readonly offset: number;
  readonly holder: string;
}

const LEASE =
  /^1\.([A-Za-z0-9-]{1,64})\.(\d{1,10})\.(\d{1,16})\.([A-Za-z0-9_-]{1,64})\.([A-Za-z0-9._-]{1,249})$/;

export function formatLease({ topic, topicId, partition, offset, holder }: Lease): string {
  return `1.${topicId}.${partition}.${offset}.${holder}.${topic}`;
}

/** Returns null if the text is no lease id. */
export function parseLease(text: string): Lease | null {
  const [, topicId = "", partition, offset, holder = "", topic = ""] = LEASE.exec(text) ?? [];
  if (topic === "") return null;
  const lease = { topic, topicId, partition: Number(partition), offset: Number(offset), holder };
  return Number.isSafeInteger(lease.offset) ? lease : null;
}
