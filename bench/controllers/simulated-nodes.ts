import type { Pod } from "@coracle/api/core/v1";
import { ApiConnection, type ApiCall, type Target } from "../api/connection.ts";
import { followWatch } from "./api-watch.ts";
import { nodeBody, nodeName, paths } from "./bench-objects.ts";
import { endedStatus, runningStatus } from "./pod-statuses.ts";

/** Requests under way at a time; a server may allow a hundred on one connection. */
const WRITERS = 64;

/**
 * Plays scheduler and kubelets: binds each new pod, says that it runs and is ready (of a Job's pods: that they have
 * succeeded), and lets go of those that are deleted.
 */
export class SimulatedNodes implements Disposable {
  readonly #connection: ApiConnection;
  readonly #watching: ApiConnection;
  readonly #nodes: number;
  readonly #waiting: (() => Promise<void>)[] = [];
  readonly #bound = new Set<string>();
  #next = 0;
  #working = 0;
  #serial = 0;
  #failure: unknown;

  private constructor(connection: ApiConnection, watching: ApiConnection, nodes: number) {
    this.#connection = connection;
    this.#watching = watching;
    this.#nodes = nodes;
  }

  static async start(target: Target, nodes: number): Promise<SimulatedNodes> {
    const [connection, watching] = await Promise.all([ApiConnection.open(target), ApiConnection.open(target)]);
    for (let i = 0; i < nodes; i++) {
      await connection.request({ method: "POST", path: "/api/v1/nodes", body: JSON.stringify(nodeBody(i)) });
    }
    const simulated = new SimulatedNodes(connection, watching, nodes);
    followWatch(watching, paths.pods, (type, object) => simulated.#see(type, object as Pod));
    return simulated;
  }

  /** Why pods do not start any more, if that is so. */
  get failure(): unknown {
    return this.#failure;
  }

  /** Does something after what waits already. */
  do(call: () => Promise<void>): void {
    this.#waiting.push(call);
    if (this.#working < WRITERS) void this.#work();
  }

  async #work(): Promise<void> {
    this.#working += 1;
    try {
      while (this.#next < this.#waiting.length) await this.#waiting[this.#next++]?.();
      this.#waiting.length = 0;
      this.#next = 0;
    } catch (error) {
      this.#failure ??= error;
    } finally {
      this.#working -= 1;
    }
  }

  #see(type: string, { metadata, spec, status }: Pod): void {
    const { name = "" } = metadata;
    if (type === "DELETED") return void this.#bound.delete(name);
    const path = `${paths.pods}/${name}`;
    const isBound = (spec.nodeName ?? "") !== "";
    if (metadata.deletionTimestamp !== undefined) {
      const body = JSON.stringify({ gracePeriodSeconds: 0 });
      if (isBound && status?.phase === "Running") this.do(() => this.#send({ method: "DELETE", path, body }));
      return;
    }
    if (isBound || this.#bound.has(name)) return;
    this.#bound.add(name);
    const index = this.#serial++;
    this.do(() => this.#run(path, name, index, spec.restartPolicy === "Never"));
  }

  async #run(path: string, name: string, index: number, ends: boolean): Promise<void> {
    const target = { kind: "Node", name: nodeName(index % this.#nodes) };
    const binding = { apiVersion: "v1", kind: "Binding", metadata: { name }, target };
    await this.#send({ method: "POST", path: `${path}/binding`, body: JSON.stringify(binding) });
    await this.setStatus(path, ends ? endedStatus(index) : runningStatus(index));
  }

  /** Says how a pod is. */
  async setStatus(path: string, status: object): Promise<void> {
    const contentType = "application/merge-patch+json";
    await this.#send({ method: "PATCH", path: `${path}/status`, contentType, body: JSON.stringify({ status }) });
  }

  async #send(call: ApiCall): Promise<void> {
    const status = await this.#connection.send(call);
    // A pod may be gone by then.
    if (status >= 300 && status !== 404) throw new Error(`${call.method} ${call.path}: ${status}`);
  }

  [Symbol.dispose](): void {
    this.#watching.close();
    this.#connection.close();
  }
}
