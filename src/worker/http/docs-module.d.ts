/** The documentation, as src/self-host/docs-bundle.ts builds it. */
declare module "rivulet:docs" {
  export const FILES: readonly {
    /** Below /docs. Assets are below assets/, and pictures below pictures/. */
    readonly name: string;
    readonly type: string;
    readonly text: string;
    readonly hash: string;
  }[];

  interface Frame {
    readonly before: string;
    readonly after: string;
  }

  /** Pages whose middle the Worker fills in. */
  export const FRAMES: { readonly api: Frame; readonly missing: Frame; readonly start: Frame };

  /** The release. */
  export const VERSION: string;
}
