// Loads the data of a page, and reports the state of the load.
import { useCallback, useEffect, useState } from "preact/hooks";

export interface Loading<T> {
  /** The latest data. It stays while the next load runs. */
  readonly data: T | undefined;
  readonly error: unknown;
  readonly isLoading: boolean;
  readonly reload: () => void;
}

/** Loads when the component appears, and again when `keys` change. A load in progress is then cancelled. */
export function useLoad<T>(
  load: (aborted: AbortSignal) => Promise<T>,
  keys: readonly unknown[],
): Loading<T> {
  const key = JSON.stringify(keys);
  const [turn, setTurn] = useState(0);
  const [loaded, setLoaded] = useState<{ key: string; data?: T; error?: unknown }>({ key: "" });
  const [isLoading, setLoading] = useState(true);
  useEffect(() => {
    const controller = new AbortController();
    setLoading(true);
    load(controller.signal).then(
      (data) => {
        if (controller.signal.aborted) return;
        setLoaded({ key, data });
        setLoading(false);
      },
      (error: unknown) => {
        if (controller.signal.aborted) return;
        setLoaded({ key, error });
        setLoading(false);
      },
    );
    return () => controller.abort();
  }, [key, turn]);
  const reload = useCallback(() => setTurn((before) => before + 1), []);
  const isCurrent = loaded.key === key;
  return {
    data: isCurrent ? loaded.data : undefined,
    error: isCurrent ? loaded.error : undefined,
    isLoading,
    reload,
  };
}
