// Seeded runs of a share partition beside a model that keeps each record by itself.
import { expect, test } from "vitest";
import type { Acknowledgement } from "../../../../src/core/share/share-partition.ts";
import { runs } from "../../../support/effort.ts";
import { Random } from "../../../support/random.ts";
import { DEAD_LETTERS, ShareRig } from "./share-rig.ts";

interface ModelRecord {
  state: "available" | "acquired" | "acknowledged" | "archiving" | "archived";
  count: number;
  holder: string | null;
  untilMs: number;
}

/** For the seeds of a deep run. */
const TIMEOUT_MS = 10 * 60_000;
const HOLDERS = ["a", "b", "c"];

class Model {
  readonly records: ModelRecord[] = [];
  readonly rig: ShareRig;
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
    const maxDeliveries = random.integer(1, 6);
    this.rig = new ShareRig(
      {
        maxDeliveries,
        maxLocks: random.integer(5, 40),
        backoff: random.chance(0.5) ? [] : [500, 2_000],
        deadLetters: random.chance(0.5) ? DEAD_LETTERS : null,
      },
      [],
    );
  }

  step(): void {
    const { rig } = this;
    const random = this.#random;
    switch (random.integer(0, 9)) {
      case 0:
      case 1:
        rig.log.append(random.integer(1, 12));
        while (this.records.length < rig.log.logEndOffset)
          this.records.push({ state: "available", count: 0, holder: null, untilMs: 0 });
        break;
      case 2:
      case 3:
      case 4:
        this.#acquire(random.pick(HOLDERS));
        break;
      case 5:
      case 6:
      case 7:
        this.#acknowledge(random.pick(HOLDERS));
        break;
      case 8:
        this.#pass(random.pick([1, 400, 5_000, 31_000]));
        break;
      case 9:
        if (random.chance(0.3)) this.#moveLogStart();
        else this.#leave(random.pick(HOLDERS));
    }
    this.compare();
  }

  #acquire(holder: string): void {
    const { rig, records } = this;
    const random = this.#random;
    const takesWholeBatches = random.chance(0.3);
    const maxRecords = random.integer(1, 20);
    const { ranges } = rig.acquired(holder, maxRecords, { takesWholeBatches });
    let last = -1;
    let taken = 0;
    for (const range of ranges)
      for (let offset = range.first; offset <= range.last; offset++) {
        const record = records[offset] as ModelRecord;
        const mayBeTaken =
          offset > last && record.state === "available" && record.untilMs <= rig.nowMs;
        if (!mayBeTaken) expect({ offset, last }).toEqual(record);
        last = offset;
        taken++;
        record.count++;
        if (range.deliveryCount !== record.count) expect(range).toEqual(record);
        if (record.count > rig.share.terms.maxDeliveries) expect(record).toBe("given up");
        record.state = "acquired";
        record.holder = holder;
        record.untilMs = rig.nowMs + rig.share.terms.lockMs;
      }
    if (!takesWholeBatches) expect(taken).toBeLessThanOrEqual(maxRecords);
    const isAnyLeft = records.some(
      ({ state, untilMs }) => state === "available" && untilMs <= rig.nowMs,
    );
    const held = records.filter(({ state }) => state === "acquired").length;
    // A consumer that asks gets something, if there is something and there is room.
    if (isAnyLeft && held < rig.share.terms.maxLocks) expect(taken).toBeGreaterThan(0);
  }

  #acknowledge(holder: string): void {
    const { rig, records } = this;
    const random = this.#random;
    const acks: Acknowledgement[] = [];
    const end = rig.share.nextOffset;
    for (let at = random.integer(0, Math.max(0, end - 1)); at < end && acks.length < 3; ) {
      const first = at + random.integer(0, 3);
      const last = first + random.integer(0, 4);
      const type = random.pick(["accept", "accept", "release", "reject", "renew", "gap"] as const);
      const delayMs = random.chance(0.3) ? random.integer(0, 3_000) : undefined;
      acks.push({ first, last, type, delayMs });
      at = last + 1;
    }
    const start = rig.share.startOffset;
    const offsets = acks.flatMap(({ first, last }) =>
      Array.from({ length: last - first + 1 }, (_, i) => first + i),
    );
    const isHeld = (offset: number) => {
      const record = records[offset];
      return record?.state === "acquired" && record.holder === holder;
    };
    const renewed = acks.filter(({ type }) => type === "renew");
    const isOk =
      offsets.every((offset) => offset < end && (offset < start || isHeld(offset))) &&
      renewed.every(({ first }) => first >= start);
    const result = rig.ack(holder, ...acks);
    expect(result === "ok").toBe(isOk);
    if (!isOk) return;
    for (const ack of acks)
      for (let offset = Math.max(ack.first, start); offset <= ack.last; offset++)
        this.#apply(records[offset] as ModelRecord, ack);
  }

  #apply(record: ModelRecord, { type, delayMs }: Acknowledgement): void {
    const { terms } = this.rig.share;
    const { nowMs } = this.rig;
    if (type === "accept") record.state = "acknowledged";
    else if (type === "gap") record.state = "archived";
    else if (type === "reject") this.#giveUp(record);
    else if (type === "renew") record.untilMs = nowMs + (delayMs ?? terms.lockMs);
    else this.#release(record, delayMs);
  }

  #release(record: ModelRecord, delayMs: number | undefined): void {
    const { terms } = this.rig.share;
    if (record.count >= terms.maxDeliveries) {
      this.#giveUp(record);
      return;
    }
    const { backoff } = terms;
    record.state = "available";
    record.untilMs =
      this.rig.nowMs + (delayMs ?? backoff[Math.min(record.count, backoff.length) - 1] ?? 0);
  }

  #giveUp(record: ModelRecord): void {
    record.state = this.rig.share.terms.deadLetters !== null ? "archiving" : "archived";
  }

  #pass(ms: number): void {
    this.rig.pass(ms);
    for (const record of this.records)
      if (record.state === "acquired" && record.untilMs <= this.rig.nowMs)
        this.#release(record, undefined);
  }

  #leave(holder: string): void {
    this.rig.share.releaseAll(holder, this.rig.nowMs);
    for (const record of this.records)
      if (record.state === "acquired" && record.holder === holder) this.#release(record, 0);
  }

  #moveLogStart(): void {
    const { log, share } = this.rig;
    log.logStartOffset = this.#random.integer(log.logStartOffset, log.logEndOffset);
    share.logStartMoved(log);
    for (const record of this.records.slice(0, log.logStartOffset))
      if (record.state === "available" || record.state === "acquired") record.state = "archived";
  }

  /** Both know the same of each record, and the ranges are as few as they can be. */
  compare(): void {
    const { share } = this.rig;
    expect(share.nextOffset).toBeLessThanOrEqual(this.records.length);
    let expected = share.startOffset;
    for (const { first, last, state, deliveryCount, holder } of share.ranges) {
      expect(first).toBe(expected);
      expected = last + 1;
      for (let offset = first; offset <= last; offset++) {
        const record = this.records[offset] as ModelRecord;
        expect(state, `offset ${offset}`).toBe(record.state);
        if (state === "acquired") expect(holder).toBe(record.holder);
        if (state === "acquired" || state === "available") expect(deliveryCount).toBe(record.count);
      }
    }
    expect(expected).toBe(share.nextOffset);
    const before = this.records.slice(0, share.startOffset);
    expect(before.every(({ state }) => state === "acknowledged" || state === "archived")).toBe(
      true,
    );
    expect(share.ranges[0]?.state ?? "").not.toMatch(/acknowledged|archived/);
    const after = this.records.slice(share.nextOffset);
    expect(after.every(({ state, count }) => state === "available" && count === 0)).toBe(true);
  }
}

test(
  "[SHR-1] [SHR-2] [SHR-3] [SHR-4] [SHR-8] seeded runs agree with a model that keeps each record by itself",
  () => {
    for (let seed = 1; seed <= runs(200).numRuns; seed++) {
      const random = new Random(seed);
      const model = new Model(random);
      for (let step = 0; step < 60; step++) {
        try {
          model.step();
        } catch (error) {
          throw new Error(`seed ${seed}, step ${step}`, { cause: error });
        }
      }
    }
  },
  TIMEOUT_MS,
);
