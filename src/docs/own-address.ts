// Puts the address of the reader's own broker into code. The pages are written for a broker on this machine.

const WRITTEN = /\b(http|ws):\/\/127\.0\.0\.1:8787(?!\d)/g;

/** Returns the text with this origin, or its WebSocket address, in place of the written one. */
export function withOrigin(text: string, origin: string): string {
  return text.replace(WRITTEN, (_, scheme: string) =>
    scheme === "ws" ? origin.replace(/^http/, "ws") : origin,
  );
}

/** Changes the blocks of code within an element, so that what is copied from them has the address too. */
export function showOwnAddress(within: ParentNode): void {
  for (const code of within.querySelectorAll(".code code")) {
    const texts = document.createTreeWalker(code, NodeFilter.SHOW_TEXT);
    for (let text = texts.nextNode(); text !== null; text = texts.nextNode())
      text.nodeValue = withOrigin(text.nodeValue ?? "", location.origin);
  }
}
