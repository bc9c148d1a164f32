// Copies a text to the clipboard, and reports the outcome.
import { useState } from "preact/hooks";
import { announce } from "../announce.ts";

export function CopyButton({ label, text }: { label: string; text: () => string }) {
  const [outcome, setOutcome] = useState<string | null>(null);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text());
      setOutcome("Copied");
      announce("Copied.");
    } catch {
      setOutcome("Not copied");
      announce("The browser does not let this page copy.");
    }
    setTimeout(() => setOutcome(null), 2_000);
  };
  return (
    <button type="button" onClick={() => void copy()}>
      {outcome ?? label}
    </button>
  );
}
