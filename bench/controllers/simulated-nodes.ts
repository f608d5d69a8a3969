import type { Pod } from "@coracle/api/core/v1";
import { ApiConnection, type ApiCall, type Target } from "../api/connection.ts";
import { followWatch } from "./api-watch.ts";
import { nodeBody, nodeName, paths } from "./bench-objects.ts";
import { endedStatus, runningStatus } from "./pod-statuses.ts";

/** Requests under way at a time; a server may allow a hundred on one connection. */
const WRITERS = 64;

/**
 * Plays scheduler and kubelets: binds each new pod and says that it runs and is ready (of a Job's pods: that they have
 * succeeded). Names of pods are not used again.
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
  readonly #fail: (error: unknown) => void;

  private constructor(
    connection: ApiConnection,
    watching: ApiConnection,
    nodes: number,
    fail: (error: unknown) => void,
  ) {
    this.#connection = connection;
    this.#watching = watching;
    this.#nodes = nodes;
    this.#fail = fail;
  }

  /** `fail` is told why pods do not start any more, should that be so. */
  static async start(target: Target, nodes: number, fail: (error: unknown) => void): Promise<SimulatedNodes> {
    const [connection, watching] = await Promise.all([ApiConnection.open(target), ApiConnection.open(target)]);
    for (let i = 0; i < nodes; i++) {
      await connection.request({ method: "POST", path: "/api/v1/nodes", body: JSON.stringify(nodeBody(i)) });
    }
    const simulated = new SimulatedNodes(connection, watching, nodes, fail);
    followWatch(watching, `${paths.pods}?fieldSelector=spec.nodeName%3D`, (type, read) => {
      if (type === "ADDED") simulated.#see(read() as Pod);
    });
    return simulated;
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
      this.#fail(error);
    } finally {
      this.#working -= 1;
    }
  }

  #see({ metadata: { name = "" }, spec }: Pod): void {
    if (this.#bound.has(name)) return;
    this.#bound.add(name);
    const index = this.#serial++;
    this.do(() => this.#run(`${paths.pods}/${name}`, name, index, spec.restartPolicy === "Never"));
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
    const { status, text } = await this.#connection.answerOf(call);
    // A pod may be gone by then.
    if (status >= 300 && status !== 404) throw new Error(`${call.method} ${call.path}: ${status} ${text}`);
  }

  [Symbol.dispose](): void {
    this.#watching.close();
    this.#connection.close();
  }
}
