// The operations of the HTTP API, as /openapi.json describes them.

export interface Parameter {
  readonly name: string;
  readonly in: "path" | "query";
  readonly required: boolean;
  readonly schema: {
    readonly type?: string;
    readonly default?: unknown;
    readonly enum?: readonly string[];
  };
  readonly example?: unknown;
}

export interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly parameters: readonly Parameter[];
  readonly requestBody?: {
    readonly content: Readonly<Record<string, { readonly example?: unknown }>>;
  };
}

interface Description {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

let loading: Promise<ReadonlyMap<string, Operation>> | null = null;

/** Returns the operations by their ids. A call after one that failed tries again. */
export function operations(): Promise<ReadonlyMap<string, Operation>> {
  loading ??= load().catch((error: unknown) => {
    loading = null;
    throw error;
  });
  return loading;
}

async function load(): Promise<ReadonlyMap<string, Operation>> {
  const answer = await fetch("/openapi.json");
  if (!answer.ok) throw new Error(`/openapi.json answers ${answer.status}`);
  const { paths } = (await answer.json()) as Description;
  const all = Object.values(paths).flatMap((ofPath) => Object.values(ofPath));
  return new Map(all.map((operation) => [operation.operationId, operation]));
}
