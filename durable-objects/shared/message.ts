interface Port {
  onmessage: (() => void) | null;
  postMessage(data: null): void;
  close(): void;
}

/** Resolves in its own turn of the event loop, without a timer. */
export function message(): Promise<void> {
  return new Promise((resolve) => {
    const channel = new MessageChannel() as unknown as {
      readonly port1: Port;
      readonly port2: Port;
    };
    const { port1, port2 } = channel;
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}
