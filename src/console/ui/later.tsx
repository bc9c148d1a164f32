// A part of the console with a file of its own, which is loaded when the part is first shown.
import type { ComponentChildren, ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Busy } from "./states.tsx";

/** Returns a component that loads the part and then shows it. Until then it says that `what` is loading. */
export function later<Props extends object>(
  what: string,
  load: () => Promise<ComponentType<Props>>,
): ComponentType<Props> {
  let Part: ComponentType<Props> | null = null;
  return function Later(props: Props): ComponentChildren {
    const [isLost, setLost] = useState(false);
    const [, setLoaded] = useState(Part !== null);
    useEffect(() => {
      if (Part !== null) return;
      load().then(
        (part) => {
          Part = part;
          setLoaded(true);
        },
        () => setLost(true),
      );
    }, []);
    if (Part !== null) return <Part {...props} />;
    return isLost ? <LostNote what={what} /> : <Busy what={what} />;
  };
}

/** A browser may remember that a file failed to load, so the whole page is loaded again. */
export function LostNote({ what }: { what: string }) {
  return (
    <div class="note danger" role="alert">
      <p>
        <strong>Error</strong> The console's file for {what} could not be loaded. The broker may run
        another release by now, or cannot be reached.
      </p>
      <button type="button" onClick={() => location.reload()}>
        Load the page again
      </button>
    </div>
  );
}
