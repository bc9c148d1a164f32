/**
 * [CLK-1] Resolves once events that have arrived meanwhile are handled: on one machine all objects share a thread. A message
 * and no timer: where the wall clock was set back, an object's timers stand still until it has caught up.
 */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}
