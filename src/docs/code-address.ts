// Puts the reader's address of the broker into the blocks of code of a page.
import { withOrigin } from "./own-address.ts";

/** Changes the blocks of code within an element, so that what is copied from them has the address too. */
export function showOwnAddress(within: ParentNode): void {
  const written = within.querySelector<HTMLElement>("[data-origin]")?.dataset.origin;
  for (const code of within.querySelectorAll(".code code")) {
    const texts = document.createTreeWalker(code, NodeFilter.SHOW_TEXT);
    for (let text = texts.nextNode(); text !== null; text = texts.nextNode())
      text.nodeValue = withOrigin(text.nodeValue ?? "", location.origin, written);
  }
}
