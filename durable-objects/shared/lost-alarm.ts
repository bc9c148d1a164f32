// workerd stores an alarm in two files: the object's and its class's. If the machine is killed between the two
// writes, the object's file has an alarm that never rings. An object that trusted it would wait forever.

/** An alarm rings within seconds of its time, or is retried for two minutes. */
const LOST_AFTER_MS = 150_000;

/** True if the alarm, which is set according to the storage, will never ring. */
export function isLostAlarm(alarmMs: number, nowMs: number): boolean {
  return alarmMs < nowMs - LOST_AFTER_MS;
}
