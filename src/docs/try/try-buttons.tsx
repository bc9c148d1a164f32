// Adds to each operation of the reference what tries it: a form, or words where a form cannot.
import { render } from "preact";
import { element } from "../elements.ts";
import { CredentialField } from "./credential.tsx";
import { operations } from "./description.ts";
import { TryForm } from "./try-form.tsx";

export function addTryButtons(): void {
  const credential = document.querySelector("#credential");
  if (credential !== null) render(<CredentialField />, credential);
  for (const place of document.querySelectorAll<HTMLElement>("[data-operation]")) {
    const { operation: id = "", method = "", path = "", kind } = place.dataset;
    if (kind !== undefined) continue; // The page says how to open a connection, or to send bytes.
    const button = element("button", { type: "button" }, "Try it");
    const failure = element("p", { role: "alert" });
    button.addEventListener("click", async () => {
      button.disabled = true;
      try {
        const operation = (await operations()).get(id);
        if (operation === undefined) throw new Error(`there is no operation ${id} any more`);
        place.replaceChildren();
        render(<TryForm method={method.toUpperCase()} path={path} operation={operation} />, place);
        place.querySelector<HTMLElement>("input, textarea, button")?.focus();
      } catch (error) {
        button.disabled = false;
        failure.textContent = `The form cannot be made: ${(error as Error).message}. Load the page again.`;
      }
    });
    place.append(button, failure);
  }
}
