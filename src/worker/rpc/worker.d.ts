// The types of dist/worker.js, the broker as a Worker. They lie beside it, where the output of `wrangler types` imports the
// type of a binding to the broker.
import { DurableObject, type RpcTarget, WorkerEntrypoint } from "cloudflare:workers";
import type { AdminService, RivuletService } from "../../admin/service.ts";

type Service = Omit<RivuletService, "admin"> & { readonly admin: AdminService };

/** The entrypoint of service bindings. */
export declare class Rivulet extends WorkerEntrypoint implements Service {
  produce: RivuletService["produce"];
  produceBatch: RivuletService["produceBatch"];
  get admin(): AdminService & RpcTarget;
  override fetch(request: Request): Promise<Response>;
}

// Only the broker calls its objects.
export declare class ClusterObject extends DurableObject {}
export declare class GroupObject extends DurableObject {}
export declare class MetricsObject extends DurableObject {}
export declare class PartitionObject extends DurableObject {}
export declare class RelayObject extends DurableObject {}

declare const handler: ExportedHandler;
export default handler;
