// The SDK that a process uses: this tree's, or that of another release, by its path.
type Sdk = typeof import("../../src/sdk/index.ts");

export async function sdkAt(path: string | undefined): Promise<Sdk> {
  return path === undefined ? import("../../src/sdk/index.ts") : ((await import(path)) as Sdk);
}
