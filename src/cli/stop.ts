/** Returns a signal that aborts at Ctrl-C, at SIGTERM, or when standard output is no longer read. */
export function stopSignal(): AbortSignal {
  const controller = new AbortController();
  const stop = () => controller.abort();
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
  process.stdout.once("error", stop); // main.ts reports the error.
  return controller.signal;
}
