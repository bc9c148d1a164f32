// The index of the search: the build makes it, and the page reads it.

/** A part of a page, below a heading. */
export interface IndexedSection {
  /** The address of the heading. */
  readonly url: string;
  /** The title of the page. */
  readonly page: string;
  /** The heading, or nothing at the beginning of a page. */
  readonly section: string;
  readonly body: string;
}

/** The options with which MiniSearch makes the index and reads it. */
export const INDEX_OPTIONS = {
  idField: "url",
  fields: ["page", "section", "body"] as string[],
  storeFields: ["page", "section", "body"] as string[],
};
