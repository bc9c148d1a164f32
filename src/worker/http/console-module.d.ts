/** The console, as src/self-host/console-bundle.ts builds it. */
declare module "rivulet:console" {
  export const FILES: readonly {
    /** Empty for the page. */
    readonly name: string;
    readonly type: string;
    readonly text: string;
    readonly hash: string;
  }[];
}
