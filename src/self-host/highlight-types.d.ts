// The part of highlight.js that the documentation's build uses. Its own types bring in those of the DOM, which Node's
// programs do not have, so src/cli/tsconfig.json leads here instead. A language is such an object, too, as far as it matters.
interface Highlighter {
  registerLanguage(name: string, language: unknown): void;
  configure(options: { readonly classPrefix: string }): void;
  getLanguage(name: string): unknown;
  highlight(code: string, options: { readonly language: string }): { readonly value: string };
}

declare const highlighter: Highlighter;
export default highlighter;
