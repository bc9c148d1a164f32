// The operations of the HTTP API. They are declared beside their handlers, whose types need the globals of a Worker. Most
// tests are checked with those of Node, so TypeScript must not follow the import.
const OPERATIONS_FILE: string = "../../src/worker/http/operations.ts";

export const { OPERATIONS } = (await import(/* @vite-ignore */ OPERATIONS_FILE)) as {
  readonly OPERATIONS: readonly {
    readonly method: string;
    readonly path: string;
    readonly status: number;
    readonly readsRecords?: true;
    readonly errors: readonly string[];
  }[];
};
