// workerd keeps an alarm in two files: the object's and that of its class. If the machine is killed between two writes,
// the object's file has an alarm that never rings. An object that believed it would wait for ever.

/** An alarm rings within seconds of its time, or is tried again for two minutes. */
const LOST_AFTER_MS = 150_000;

/** True if the alarm, which the storage says is set, will not ring any more. */
export function isLostAlarm(alarmMs: number, nowMs: number): boolean {
  return alarmMs < nowMs - LOST_AFTER_MS;
}
