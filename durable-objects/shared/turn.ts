/** Resolves once events that have arrived meanwhile are handled: on one machine all objects share a thread. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
