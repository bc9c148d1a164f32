// The parts of `cloudflare:workers` inside the tests.
declare namespace Cloudflare {
  interface GlobalProps {
    mainModule: typeof import("../../src/index.ts");
    durableNamespaces: "ClusterObject" | "GroupObject" | "PartitionObject" | "RelayObject";
  }
  interface Env extends Readonly<import("../../src/env.ts").Env> {}
}

/** A file as text, which vite puts into the bundle. */
declare module "*?raw" {
  const text: string;
  export default text;
}
