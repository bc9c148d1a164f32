// One client of the bench. Both tasks are timed from before the client connects, and resolve with their end.
export interface Side {
  readonly name: string;
  /** A description of it. Printed. */
  readonly note: string;
  /** Until all are acknowledged. */
  produce(topic: string, records: number): Promise<number>;
  /**
   * As the only member of a new group, until the last is read. @throws unless it reads each of them once, whole and in order
   */
  consume(topic: string, records: number): Promise<number>;
}

export const VALUE_BYTES = 100;
/** The records to send, in the form for the clients in this process. */
export const RECORDS_PER_CALL = 1_000;

/** Called with each record that was read. */
export class Check {
  count = 0;

  take(offset: number, valueBytes: number): void {
    if (offset !== this.count || valueBytes !== VALUE_BYTES)
      throw new Error(`read ${valueBytes} bytes at offset ${offset}, after ${this.count} records`);
    this.count++;
  }
}
