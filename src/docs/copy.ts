// A button on each block of code that copies it.
import { announce, element } from "./elements.ts";

const SHOWN_MS = 2_000;

export function addCopyButtons(within: ParentNode): void {
  for (const block of within.querySelectorAll<HTMLElement>(".code")) {
    const code = block.querySelector("code");
    if (code === null || block.querySelector("button") !== null) continue;
    const button = element("button", { type: "button", class: "copy" }, "Copy");
    button.addEventListener("click", () => void copyFrom(code, button));
    block.append(button);
  }
}

async function copyFrom(code: HTMLElement, button: HTMLButtonElement): Promise<void> {
  const isCopied = await copyText(code.textContent.trimEnd());
  button.textContent = isCopied ? "Copied" : "Not copied";
  announce(isCopied ? "Copied." : "The browser does not let this page copy.");
  setTimeout(() => {
    button.textContent = "Copy";
  }, SHOWN_MS);
}

/** Returns true if the text is in the clipboard. */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false; // The page came over plain HTTP from another machine, or the browser refuses.
  }
}
