// The served APIs of Kafka's protocol. They are declared beside their handlers, whose types need the globals of a Worker.
// Most tests are checked with those of Node, so TypeScript must not follow the import.
import type { Api } from "../../src/worker/kafka/api.ts";

const SERVICES_FILE: string = "../../src/worker/kafka/services.ts";
const { SERVICES } = (await import(/* @vite-ignore */ SERVICES_FILE)) as {
  readonly SERVICES: ReadonlyMap<number, { readonly api: Api }>;
};

/** In the order in which they are listed. */
export const SERVED: readonly Api[] = Array.from(SERVICES.values(), ({ api }) => api);
