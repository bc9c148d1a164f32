// `env.RIVULET.admin`: the SDK's admin, called in this process.
import { RpcTarget } from "cloudflare:workers";
import { Admin } from "../../admin/admin.ts";
import { HttpClient } from "../../admin/http.ts";
import type { AdminService } from "../../admin/service.ts";
import { overRpc } from "./errors.ts";

/** An address that is never contacted. The requests stay in this process. */
const ADDRESS = "http://rivulet";

export class RpcAdmin extends RpcTarget implements AdminService {
  readonly #admin: Admin;

  constructor(fetch: (request: Request) => Promise<Response>) {
    super();
    this.#admin = new Admin(
      new HttpClient(ADDRESS, (url, init) => fetch(new Request(url, init as RequestInit))),
    );
  }

  createTopic(...call: Parameters<Admin["createTopic"]>) {
    return overRpc(() => this.#admin.createTopic(...call));
  }

  listTopics(...call: Parameters<Admin["listTopics"]>) {
    return overRpc(() => this.#admin.listTopics(...call));
  }

  describeTopic(...call: Parameters<Admin["describeTopic"]>) {
    return overRpc(() => this.#admin.describeTopic(...call));
  }

  alterTopic(...call: Parameters<Admin["alterTopic"]>) {
    return overRpc(() => this.#admin.alterTopic(...call));
  }

  describeConfigs(...call: Parameters<Admin["describeConfigs"]>) {
    return overRpc(() => this.#admin.describeConfigs(...call));
  }

  alterConfigs(...call: Parameters<Admin["alterConfigs"]>) {
    return overRpc(() => this.#admin.alterConfigs(...call));
  }

  listOffset(...call: Parameters<Admin["listOffset"]>) {
    return overRpc(() => this.#admin.listOffset(...call));
  }

  deleteRecords(...call: Parameters<Admin["deleteRecords"]>) {
    return overRpc(() => this.#admin.deleteRecords(...call));
  }

  deleteTopic(...call: Parameters<Admin["deleteTopic"]>) {
    return overRpc(() => this.#admin.deleteTopic(...call));
  }

  listGroups(...call: Parameters<Admin["listGroups"]>) {
    return overRpc(() => this.#admin.listGroups(...call));
  }

  describeGroup(...call: Parameters<Admin["describeGroup"]>) {
    return overRpc(() => this.#admin.describeGroup(...call));
  }

  groupConfig(...call: Parameters<Admin["groupConfig"]>) {
    return overRpc(() => this.#admin.groupConfig(...call));
  }

  alterGroup(...call: Parameters<Admin["alterGroup"]>) {
    return overRpc(() => this.#admin.alterGroup(...call));
  }

  groupHistory(...call: Parameters<Admin["groupHistory"]>) {
    return overRpc(() => this.#admin.groupHistory(...call));
  }

  resetGroup(...call: Parameters<Admin["resetGroup"]>) {
    return overRpc(() => this.#admin.resetGroup(...call));
  }

  deleteGroupOffsets(...call: Parameters<Admin["deleteGroupOffsets"]>) {
    return overRpc(() => this.#admin.deleteGroupOffsets(...call));
  }

  deleteGroup(...call: Parameters<Admin["deleteGroup"]>) {
    return overRpc(() => this.#admin.deleteGroup(...call));
  }

  createKey(...call: Parameters<Admin["createKey"]>) {
    return overRpc(() => this.#admin.createKey(...call));
  }

  listKeys(...call: Parameters<Admin["listKeys"]>) {
    return overRpc(() => this.#admin.listKeys(...call));
  }

  alterKey(...call: Parameters<Admin["alterKey"]>) {
    return overRpc(() => this.#admin.alterKey(...call));
  }

  deleteKey(...call: Parameters<Admin["deleteKey"]>) {
    return overRpc(() => this.#admin.deleteKey(...call));
  }

  createToken(...call: Parameters<Admin["createToken"]>) {
    return overRpc(() => this.#admin.createToken(...call));
  }

  whoami(...call: Parameters<Admin["whoami"]>) {
    return overRpc(() => this.#admin.whoami(...call));
  }
}
