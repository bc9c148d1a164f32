// The relays of a partition with many readers [RLY-1].
import { BrokerError, unwrap } from "../../core/errors.ts";
import type { Env, RelayPlace } from "../../env.ts";
import { partitionAt } from "./metadata.ts";

/**
 * [RLY-4] Checks that the partition has sent readers to the relay. Naming a relay does not create it.
 * @throws BrokerError INVALID_REQUEST
 */
export async function assertRelay(env: Env, place: RelayPlace): Promise<void> {
  const { topicId, partition, relay } = place;
  const { isInUse } = unwrap(await partitionAt(env, topicId, partition).findRelay({ relay }));
  if (isInUse) return;
  const detail = `relay is ${relay}, but the partition sends no readers there; attach at the partition`;
  throw new BrokerError("INVALID_REQUEST", detail);
}
