/** The console, as src/self-host/console-bundle.ts builds it. */
declare module "rivulet:console" {
  export const FILES: readonly {
    /** Below /console/assets/; of a page, below /console. */
    readonly name: string;
    readonly type: string;
    readonly text: string;
    readonly hash: string;
  }[];
}
