// The additions of JavaScript to a page of the documentation: the broker's address in code, buttons that copy it, the search,
// and on the page of the HTTP API forms that send requests. Every page can be read without them.

import { showOwnAddress } from "./code-address.ts";
import { addCopyButtons } from "./copy.ts";
import { addSearch } from "./search-box.ts";

showOwnAddress(document);
addCopyButtons(document);
skipWhatFits();
openWhereWide(".menu", "52.01rem");
openWhereWide(".contents", "72.01rem");
showCurrentPage();
const search = document.querySelector<HTMLElement>("#search");
if (search !== null) addSearch(search);
if (document.querySelector("[data-operation]") !== null)
  void import("./try/try-buttons.tsx").then(({ addTryButtons }) => addTryButtons());

/** Opens a list where the style shows it beside the text (frame.css), so that it is open for a screen reader too. */
function openWhereWide(list: string, width: string): void {
  const details = document.querySelector<HTMLDetailsElement>(`details${list}`);
  if (details === null) return;
  const wide = matchMedia(`(min-width: ${width})`);
  const follow = () => {
    details.open = wide.matches;
  };
  wide.addEventListener("change", follow);
  follow();
}

/** Scrolls the list of pages to the one that is shown. */
function showCurrentPage(): void {
  const menu = document.querySelector<HTMLElement>(".menu");
  const current = menu?.querySelector<HTMLElement>("[aria-current]");
  if (!menu || !current) return;
  const below = current.offsetTop + current.offsetHeight - menu.clientHeight;
  if (below > 0) menu.scrollTop = below + menu.clientHeight / 3;
}

/** Takes blocks that need no scrolling out of the order of Tab. */
function skipWhatFits(): void {
  const sizes = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      if (target.scrollWidth > target.clientWidth) target.setAttribute("tabindex", "0");
      else target.removeAttribute("tabindex");
    }
  });
  for (const block of document.querySelectorAll(".scroll, .code pre")) sizes.observe(block);
}
